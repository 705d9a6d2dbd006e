"""Shot B: a face by a swinging bulb at night, neon on a brick wall, a dark table."""

from __future__ import annotations

import math
from typing import Any

import bpy
import numpy as np
from kit import (
    animate,
    ball,
    box,
    bump,
    bust,
    camera,
    glow,
    grain,
    lamp,
    look_at,
    material,
    surface,
    tube,
    turned,
)


def build(scene: Any, frames: int) -> None:
    """Build shot B: a face by a swinging bulb, neon on a brick wall, a dark table."""
    world = bpy.data.worlds.new("night")
    scene.world = world
    world.node_tree.nodes["Background"].inputs["Color"].default_value = (0.0006, 0.0009, 0.002, 1)

    wall = material("brick", (0.2, 0.1, 0.07), roughness=0.8)
    tree = wall.node_tree
    brick, place = tree.nodes.new("ShaderNodeTexBrick"), tree.nodes.new("ShaderNodeTexCoord")
    turn = tree.nodes.new("ShaderNodeMapping")
    turn.inputs["Rotation"].default_value = (math.pi / 2, 0, 0)
    brick.inputs["Scale"].default_value = 5.5
    brick.inputs["Mortar Size"].default_value = 0.016
    for name, color in (
        ("Color1", (0.23, 0.09, 0.055)),
        ("Color2", (0.12, 0.05, 0.035)),
        ("Mortar", (0.10, 0.09, 0.085)),
    ):
        brick.inputs[name].default_value = (*color, 1)
    bump(wall, scale=24, strength=0.35)
    tree.links.new(place.outputs["Object"], turn.inputs[0])
    tree.links.new(turn.outputs[0], brick.inputs["Vector"])
    tree.links.new(brick.outputs["Color"], tree.nodes["Principled BSDF"].inputs["Base Color"])
    deep = tree.nodes.new("ShaderNodeBump")
    deep.invert, deep.inputs["Distance"].default_value = True, 0.012
    tree.links.new(brick.outputs[1], deep.inputs["Height"])
    tree.links.new(deep.outputs[0], tree.nodes["Bump"].inputs["Normal"])
    box("wall", (6, 0.1, 4), wall, (0, 1.0, 1), bevel=0.001)

    lacquer = material("lacquer", (0.03, 0.012, 0.007), roughness=0.16, coat_weight=0.7)
    grain(lacquer, (0.018, 0.007, 0.004), (0.06, 0.024, 0.012), (1.2, 14, 4))
    box("table", (2.6, 1.1, 0.05), lacquer, (0, -0.15, -0.025), bevel=0.01)

    pink = glow("neon pink", (1.0, 0.05, 0.22), 40)
    cyan = glow("neon cyan", (0.04, 0.62, 1.0), 26)
    arc = [
        (0.13 + 0.085 * math.sin(a), 0, 0.085 * math.cos(a)) for a in np.linspace(0, math.pi, 20)
    ]
    bowl = [
        (0.33 + 0.045 * math.sin(a), 0, 0.04 + 0.045 * math.cos(a))
        for a in np.linspace(0, math.pi, 14)
    ]
    up, low = 0.085, -0.085
    letters = [
        [(-0.13, 0, low), (-0.13, 0, up)],
        [(-0.02, 0, low), (-0.02, 0, up)],
        [(-0.13, 0, 0), (-0.02, 0, 0)],
        [(0.07, 0, up), *arc, (0.07, 0, low), (0.07, 0, up)],
        [(0.27, 0, low), (0.27, 0, up), *bowl, (0.27, 0, -0.005), (0.375, 0, low)],
    ]
    tube("sign", letters, 0.0075, pink, (-0.52, 0.90, 0.50))
    wave = [(x, 0, 0.018 * math.sin(24 * x)) for x in np.linspace(-0.16, 0.40, 60)]
    tube("underline", [wave], 0.006, cyan, (-0.52, 0.90, 0.365))

    glass = material("bulb", (0, 0, 0))
    nodes, links = glass.node_tree.nodes, glass.node_tree.links
    facing, power = nodes.new("ShaderNodeLayerWeight"), nodes.new("ShaderNodeMath")
    facing.inputs["Blend"].default_value = 0.35
    ramp = nodes.new("ShaderNodeValToRGB")
    ramp.color_ramp.elements[0].color, ramp.color_ramp.elements[1].color = (
        (1, 1, 1, 1),
        (0, 0, 0, 1),
    )
    ramp.color_ramp.elements[1].position = 0.75
    power.operation, power.inputs[1].default_value = "MULTIPLY_ADD", 11
    power.inputs[2].default_value = 1.6
    links.new(facing.outputs["Facing"], ramp.inputs[0])
    links.new(ramp.outputs[0], power.inputs[0])
    shader = nodes["Principled BSDF"]
    shader.inputs["Emission Color"].default_value = (1.0, 0.58, 0.24, 1)
    links.new(power.outputs[0], shader.inputs["Emission Strength"])

    brass = material("brass", (0.85, 0.58, 0.22), metallic=1.0, roughness=0.25)
    cord = material("cord", (0.01, 0.01, 0.01), roughness=0.6)
    pivot = bpy.data.objects.new("pivot", None)
    pivot.location = (0.06, -0.05, 1.25)
    bpy.context.collection.objects.link(pivot)
    length = 0.84
    bulb = ball("bulb", 0.036, glass, (0, 0, -length), (1, 1, 1.12))
    bulb.visible_diffuse = bulb.visible_shadow = False
    socket = turned(
        "socket",
        [(0, 0.0), (0.017, 0), (0.019, 0.03), (0.016, 0.055), (0, 0.06)],
        brass,
        (0, 0, -length + 0.036),
    )
    wire = tube("wire", [[(0, 0, 0), (0, 0, -length + 0.08)]], 0.003, cord)
    shine = lamp("POINT", 11, (1.0, 0.60, 0.30), (0, 0, -length), (0, 0, -2), shadow_soft_size=0.03)
    for part in (bulb, socket, wire, shine):
        part.parent = pivot
    animate(
        pivot,
        "rotation_euler",
        frames,
        lambda t: (0.02, 0.12 * math.cos(2.2 * math.pi * t + 0.5), 0),
    )

    lamp(
        "AREA",
        26,
        (0.2, 0.4, 1.0),
        (1.15, 0.6, 0.5),
        (0.4, 0, 0.3),
        size=0.3,
        spread=math.radians(75),
    )

    linen = material("hair", (0.012, 0.009, 0.008), roughness=0.55)
    shirt = material("mustard", (0.50, 0.24, 0.03), roughness=0.85, sheen_weight=0.2)
    bust("brown", linen, shirt, (0.40, 0.06, 0), math.radians(-38))

    paper = material("paper", (0.80, 0.78, 0.72), roughness=0.9)
    u, v = np.meshgrid(np.linspace(-1, 1, 81), np.linspace(0, 1, 9), indexing="ij")
    rise = 0.022 * np.exp(-(((np.abs(u) - 0.25) / 0.3) ** 2)) * (np.abs(u) > 0.01)
    page = np.stack([0.15 * u, 0.20 * v - 0.1, 0.008 + rise], -1)
    book = surface("book", page, paper, (0.02, -0.32, 0.004))
    book.rotation_euler = (0, 0, math.radians(14))
    gold = material("gold", (1.0, 0.70, 0.28), metallic=1.0, roughness=0.14)
    chrome = material("chrome", (0.92, 0.93, 0.95), metallic=1.0, roughness=0.03)
    red = material("mug", (0.50, 0.01, 0.012), roughness=0.12, coat_weight=1.0)
    green = material("bottle", (0.004, 0.05, 0.018), roughness=0.06, coat_weight=1.0)
    ball("gold ball", 0.05, gold, (0.23, -0.36, 0.05))
    ball("chrome ball", 0.085, chrome, (-0.30, -0.10, 0.085))
    cup = [
        (0, 0),
        (0.036, 0),
        (0.040, 0.02),
        (0.041, 0.08),
        (0.042, 0.092),
        (0.037, 0.09),
        (0.035, 0.03),
        (0, 0.02),
    ]
    turned("mug", cup, red, (-0.15, -0.34, 0))
    flask = [
        (0, 0),
        (0.042, 0),
        (0.045, 0.02),
        (0.045, 0.16),
        (0.04, 0.19),
        (0.017, 0.23),
        (0.015, 0.31),
        (0.018, 0.315),
        (0, 0.318),
    ]
    turned("bottle", flask, green, (-0.52, 0.16, 0))

    view = camera(42, (0, -1.5, 0.3), 1.5, 2.8)
    for n in range(-1, frames + 1):
        t = n / (frames - 1)
        view.location = (0.08 - 0.12 * t, -1.50 - 0.02 * t, 0.30)
        look_at(view, (0.0 - 0.02 * t, 0, 0.235))
        view.keyframe_insert("location", frame=n)
        view.keyframe_insert("rotation_euler", frame=n)

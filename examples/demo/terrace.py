"""Shot A: two sitters and a still life on a terrace over the sea, in late sun."""

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
    grain,
    lamp,
    look_at,
    material,
    surface,
    tube,
    turned,
)


def sky(scene: Any, sun: Any) -> None:
    """Paint an evening sky with clouds; the sun's disk is there for camera and mirrors only."""
    world = bpy.data.worlds.new("sky")
    scene.world = world
    tree = world.node_tree
    nodes, links = tree.nodes, tree.links

    def math_node(operation: str, a: Any, b: Any = None, clamp: bool = False) -> Any:
        node = nodes.new("ShaderNodeMath")
        node.operation, node.use_clamp = operation, clamp
        for socket, value in zip(node.inputs, (a, b), strict=False):
            if isinstance(value, (int, float)):
                socket.default_value = value
            elif value is not None:
                links.new(value, socket)
        return node.outputs[0]

    def tint(factor: Any, color: tuple[float, float, float]) -> Any:
        node = nodes.new("ShaderNodeVectorMath")
        node.operation = "SCALE"
        node.inputs[0].default_value = color
        links.new(factor, node.inputs["Scale"])
        return node.outputs[0]

    def add(a: Any, b: Any) -> Any:
        node = nodes.new("ShaderNodeVectorMath")
        links.new(a, node.inputs[0])
        links.new(b, node.inputs[1])
        return node.outputs[0]

    where = nodes.new("ShaderNodeTexCoord").outputs["Generated"]
    split = nodes.new("ShaderNodeSeparateXYZ")
    links.new(where, split.inputs[0])
    ramp = nodes.new("ShaderNodeValToRGB")
    links.new(split.outputs["Z"], ramp.inputs[0])
    stops = (
        (0.0, (0.62, 0.30, 0.13)),
        (0.09, (0.44, 0.30, 0.27)),
        (0.24, (0.17, 0.25, 0.42)),
        (1.0, (0.05, 0.12, 0.34)),
    )
    while len(ramp.color_ramp.elements) < len(stops):
        ramp.color_ramp.elements.new(0.5)
    for element, (position, color) in zip(ramp.color_ramp.elements, stops, strict=True):
        element.position, element.color = position, (*color, 1)

    facing = nodes.new("ShaderNodeVectorMath")
    facing.operation = "DOT_PRODUCT"
    facing.inputs[1].default_value = sun
    links.new(where, facing.inputs[0])
    toward = math_node("MAXIMUM", facing.outputs["Value"], 0.0)
    wide = tint(math_node("POWER", toward, 24.0), (0.62, 0.22, 0.05))
    near = tint(math_node("POWER", toward, 900.0), (8.0, 3.9, 1.3))

    flat = nodes.new("ShaderNodeMapping")
    flat.inputs["Scale"].default_value = (1.0, 1.0, 7.0)
    links.new(where, flat.inputs[0])
    noise = nodes.new("ShaderNodeTexNoise")
    noise.inputs["Scale"].default_value, noise.inputs["Detail"].default_value = 3.2, 9
    links.new(flat.outputs[0], noise.inputs["Vector"])
    cloud = math_node("MULTIPLY", math_node("SUBTRACT", noise.outputs[0], 0.52), 5.0, True)
    lit = math_node("ADD", math_node("MULTIPLY", math_node("POWER", toward, 12.0), 2.2), 0.28)
    clouds = tint(math_node("MULTIPLY", cloud, lit), (0.75, 0.36, 0.24))

    disk = math_node("GREATER_THAN", toward, math.cos(math.radians(0.9)))
    rays = nodes.new("ShaderNodeLightPath")
    seen = math_node("MAXIMUM", rays.outputs["Is Camera Ray"], rays.outputs["Is Glossy Ray"])
    disk = math_node("MULTIPLY", disk, seen)
    light = add(add(add(ramp.outputs[0], wide), add(near, clouds)), tint(disk, (150, 98, 46)))
    links.new(light, nodes["Background"].inputs["Color"])


def build(scene: Any, frames: int) -> None:
    """Build shot A: two sitters and a still life on a terrace over the sea, in late sun."""
    azimuth, elevation = math.radians(-8.0), math.radians(6.0)
    sun = (
        math.sin(azimuth) * math.cos(elevation),
        math.cos(azimuth) * math.cos(elevation),
        math.sin(elevation),
    )
    sky(scene, sun)
    # The key comes from further left than the visible sun: faces need it.
    lamp("SUN", 7.0, (1.0, 0.74, 0.48), (-3.2, -0.9, 1.55), (0, 0, 0.15), angle=0.02)

    water = material("water", (0.01, 0.035, 0.05), roughness=0.08, ior=1.33)
    waves = bump(water, scale=0.45, strength=0.9, detail=3)
    waves.noise_dimensions = "4D"
    waves.inputs["Distortion"].default_value = 0.6
    water.node_tree.nodes["Bump"].inputs["Distance"].default_value = 0.6
    for n in (0, frames):
        waves.inputs["W"].default_value = n * 0.05
        waves.inputs["W"].keyframe_insert("default_value", frame=n)
    far = np.array([[(-3000, 3, -4), (3000, 3, -4)], [(-3000, 6000, -4), (3000, 6000, -4)]], float)
    surface("sea", far, water)

    stone = material("stone", (0.5, 0.44, 0.37), roughness=0.6)
    grain(stone, (0.30, 0.25, 0.20), (0.52, 0.45, 0.37), (3, 3, 3))
    box("table", (3.0, 1.1, 0.06), stone, (0, -0.05, -0.03), bevel=0.012)
    shade = material("shade", (0.006, 0.005, 0.005), roughness=0.7)
    bump(shade, scale=30, strength=0.4)
    box("pillar", (0.3, 0.3, 3), shade, (0.93, 0.35, 1.0))

    linen = material("linen", (0.82, 0.80, 0.76), roughness=0.9, sheen_weight=0.2)
    bump(linen, scale=160, strength=0.12, detail=0, wave=True)
    u, v = np.meshgrid(np.linspace(-1, 1, 160), np.linspace(-1, 1, 160), indexing="ij")
    fold = 0.010 * np.sin(9 * u + 2.5 * v) * np.cos(3 * v - u) + 0.006 * np.sin(17 * v + 4 * u * u)
    edge = np.maximum(np.abs(u), np.abs(v)) ** 6
    cloth = np.stack(
        [0.40 * u + 0.05 * v, 0.26 * v - 0.03 * u * u, 0.014 + fold * (0.35 + edge)], -1
    )
    surface("cloth", cloth, linen, (-0.13, -0.20, 0.004))

    gold = material("gold", (1.0, 0.70, 0.26), metallic=1.0, roughness=0.12)
    chrome = material("chrome", (0.92, 0.93, 0.95), metallic=1.0, roughness=0.03)
    rolling = ball("gold ball", 0.055, gold, (0, 0, 0))
    animate(rolling, "location", frames, lambda t: (-0.16 + 0.13 * t, -0.36 + 0.01 * t, 0.070))
    ball("chrome ball", 0.105, chrome, (-0.30, -0.02, 0.115))

    peel = material("peel", (0.85, 0.24, 0.02), roughness=0.38, subsurface_weight=0.2)
    bump(peel, scale=120, strength=0.25)
    lemon = material("lemon", (0.90, 0.66, 0.04), roughness=0.35)
    bump(lemon, scale=110, strength=0.2)
    apple = material("apple", (0.42, 0.015, 0.02), roughness=0.18, coat_weight=0.6)
    ball("orange", 0.047, peel, (-0.02, -0.10, 0.062))
    ball("orange", 0.045, peel, (0.075, -0.14, 0.060))
    ball("lemon", 0.036, lemon, (0.015, -0.22, 0.050), (1.3, 1, 1))
    turn = np.linspace(0, math.pi, 40)
    radius = 0.050 * np.sin(turn) * (1 + 0.16 * np.cos(turn))
    height = 0.043 + 0.041 * np.cos(turn) - 0.015 * np.exp(-((radius / 0.016) ** 2)) * np.cos(turn)
    turned("apple", np.stack([radius, height], axis=1), apple, (0.17, -0.27, 0.004))
    stalk = material("stalk", (0.06, 0.035, 0.015), roughness=0.7)
    tube(
        "stalk", [[(0.17, -0.27, 0.07), (0.172, -0.27, 0.085), (0.180, -0.27, 0.1)]], 0.0022, stalk
    )

    glaze = material("glaze", (0.008, 0.035, 0.36), roughness=0.08, coat_weight=1.0)
    profile = [
        (0, 0),
        (0.045, 0),
        (0.075, 0.05),
        (0.080, 0.10),
        (0.052, 0.16),
        (0.026, 0.21),
        (0.028, 0.25),
        (0.040, 0.262),
        (0.030, 0.25),
        (0.02, 0.2),
        (0, 0.1),
    ]
    turned("vase", profile, glaze, (-0.53, 0.16, 0.0))
    twig = material("twig", (0.05, 0.06, 0.02), roughness=0.7)
    berry = material("berry", (0.62, 0.01, 0.015), roughness=0.2, coat_weight=0.5)
    rng = np.random.default_rng(7)
    for lean in (-0.55, -0.2, 0.12, 0.42, 0.75):
        t = np.linspace(0, 1, 14)
        reach = 0.26 + 0.06 * rng.random()
        stem = np.stack([lean * 0.30 * t**1.5, 0.05 * lean * t, 0.2 + reach * t - 0.05 * t**3], -1)
        tube("twig", [stem.tolist()], 0.0028, twig, (-0.53, 0.16, 0.0))
        for point in stem[5:]:
            offset = rng.normal(0, 0.016, 3)
            place = point + offset + (-0.53, 0.16, 0)
            ball("berry", 0.009 + 0.004 * rng.random(), berry, tuple(place))

    hair_dark = material("hair dark", (0.012, 0.008, 0.006), roughness=0.35)
    hair_fair = material("hair fair", (0.23, 0.11, 0.04), roughness=0.4)
    teal = material("teal", (0.02, 0.22, 0.22), roughness=0.85, sheen_weight=0.3)
    white = material("white shirt", (0.80, 0.79, 0.77), roughness=0.9)
    bust("light", hair_fair, teal, (0.40, -0.08, 0), math.radians(-32))
    bust("dark", hair_dark, white, (0.12, 0.14, 0), math.radians(-14))

    view = camera(46, (0, -1.55, 0.3), 1.5, 5.6)
    for n in range(-1, frames + 1):
        t = n / (frames - 1)
        view.location = (-0.10 + 0.14 * t, -1.56 + 0.05 * t, 0.32)
        look_at(view, (-0.01 + 0.02 * t, 0, 0.215))
        view.keyframe_insert("location", frame=n)
        view.keyframe_insert("rotation_euler", frame=n)

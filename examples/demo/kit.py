"""Materials, shapes, lamps and a camera for the demo's shots, made by code in Blender."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import bpy
import numpy as np
import sculpt
from mathutils import Vector

Point3 = tuple[float, float, float]

SKIN = {  # base color, subsurface radius in millimeters
    "light": ((0.70, 0.43, 0.32), (3.0, 1.2, 0.7)),
    "brown": ((0.46, 0.25, 0.155), (2.4, 1.0, 0.6)),
    "dark": ((0.17, 0.085, 0.052), (2.0, 0.9, 0.6)),
}


# ---- materials ---------------------------------------------------------------------------


def material(name: str, color: Iterable[float], **inputs: Any) -> Any:
    """Make a Principled material; a keyword such as coat_weight sets the input "Coat Weight"."""
    made = bpy.data.materials.new(name)
    shader = made.node_tree.nodes["Principled BSDF"]
    shader.inputs["Base Color"].default_value = (*color, 1)
    for key, value in inputs.items():
        title = "IOR" if key == "ior" else key.replace("_", " ").title()
        shader.inputs[title].default_value = value
    return made


def skin(tone: str, *, lips: bool = False) -> Any:
    """Make a skin: subsurface scattering under a soft sheen, with a little unevenness."""
    (red, green, blue), radius = SKIN[tone]
    color = (red * 0.8, green * 0.5, blue * 0.55) if lips else (red, green, blue)
    made = material(
        f"skin {tone}",
        color,
        roughness=0.36 if lips else 0.45,
        subsurface_weight=1.0,
        subsurface_scale=0.001,
        subsurface_radius=radius,
        coat_weight=0.1,
        coat_roughness=0.3,
    )
    bump(made, scale=160, strength=0.05)
    return made


def bump(
    made: Any, *, scale: float, strength: float, detail: float = 3.0, wave: bool = False
) -> Any:
    """Give a material a noisy (or woven) surface; return the texture's node."""
    tree = made.node_tree
    texture = tree.nodes.new("ShaderNodeTexWave" if wave else "ShaderNodeTexNoise")
    texture.inputs["Scale"].default_value = scale
    texture.inputs["Detail"].default_value = detail
    place = tree.nodes.new("ShaderNodeTexCoord")
    node = tree.nodes.new("ShaderNodeBump")
    node.inputs["Strength"].default_value = strength
    node.inputs["Distance"].default_value = 0.01
    tree.links.new(place.outputs["Object"], texture.inputs["Vector"])
    tree.links.new(texture.outputs["Fac" if "Fac" in texture.outputs else 0], node.inputs["Height"])
    tree.links.new(node.outputs[0], tree.nodes["Principled BSDF"].inputs["Normal"])
    return texture


def grain(made: Any, dark: Iterable[float], light: Iterable[float], stretch: Point3) -> None:
    """Color a material between two colors by stretched noise: wood, stone, marble."""
    tree = made.node_tree
    place, shape = tree.nodes.new("ShaderNodeTexCoord"), tree.nodes.new("ShaderNodeMapping")
    noise, ramp = tree.nodes.new("ShaderNodeTexNoise"), tree.nodes.new("ShaderNodeValToRGB")
    shape.inputs["Scale"].default_value = stretch
    noise.inputs["Scale"].default_value = 4
    noise.inputs["Detail"].default_value = 8
    noise.inputs["Distortion"].default_value = 0.8
    ramp.color_ramp.elements[0].position, ramp.color_ramp.elements[1].position = 0.35, 0.65
    ramp.color_ramp.elements[0].color = (*dark, 1)
    ramp.color_ramp.elements[1].color = (*light, 1)
    tree.links.new(place.outputs["Object"], shape.inputs[0])
    tree.links.new(shape.outputs[0], noise.inputs["Vector"])
    tree.links.new(noise.outputs[0], ramp.inputs[0])
    tree.links.new(ramp.outputs[0], tree.nodes["Principled BSDF"].inputs["Base Color"])


def glow(name: str, color: Iterable[float], strength: float) -> Any:
    """Make a material that shines."""
    return material(name, (0, 0, 0), emission_color=(*color, 1), emission_strength=strength)


# ---- geometry ----------------------------------------------------------------------------


def solid(name: str, vertices: Any, faces: Any, look: Any, at: Point3 = (0, 0, 0)) -> Any:
    """Make a smooth-shaded object from vertices and faces."""
    data = bpy.data.meshes.new(name)
    data.from_pydata(np.asarray(vertices).tolist(), [], np.asarray(faces).tolist())
    data.shade_smooth()
    data.materials.append(look)
    made = bpy.data.objects.new(name, data)
    made.location = at
    bpy.context.collection.objects.link(made)
    return made


def surface(name: str, points: Any, look: Any, at: Point3 = (0, 0, 0)) -> Any:
    """Make a sheet from a grid of points (rows, columns, 3)."""
    rows, columns = points.shape[:2]
    number = np.arange(rows * columns).reshape(rows, columns)
    corners = (number[:-1, :-1], number[:-1, 1:], number[1:, 1:], number[1:, :-1])
    faces = np.stack([c.ravel() for c in corners], axis=1)
    return solid(name, points.reshape(-1, 3), faces, look, at)


def turned(name: str, profile: Any, look: Any, at: Point3) -> Any:
    """Make a turned object from a smoothed profile of (radius, height) pairs."""
    radius, height = np.asarray(profile, dtype=float).T
    fine, coarse = np.linspace(0, 1, 90), np.linspace(0, 1, len(radius))
    r, z = np.interp(fine, coarse, radius), np.interp(fine, coarse, height)
    soft = np.hanning(11) / np.hanning(11).sum()
    r[5:-5], z[5:-5] = np.convolve(r, soft, "valid"), np.convolve(z, soft, "valid")
    angle = np.linspace(0, 2 * math.pi, 97)[None]
    grid = [r[:, None] * np.cos(angle), r[:, None] * np.sin(angle), z[:, None] + 0 * angle]
    return surface(name, np.stack(grid, axis=-1), look, at)


def ball(name: str, radius: float, look: Any, at: Point3, squash: Point3 = (1, 1, 1)) -> Any:
    """Make a sphere."""
    bpy.ops.mesh.primitive_uv_sphere_add(segments=64, ring_count=32, radius=radius, location=at)
    made = bpy.context.object
    made.name, made.scale = name, squash
    made.data.shade_smooth()
    made.data.materials.append(look)
    return made


def box(
    name: str, size: Point3, look: Any, at: Point3, turn: float = 0, bevel: float = 0.004
) -> Any:
    """Make a box with softened edges."""
    bpy.ops.mesh.primitive_cube_add(size=1, location=at, rotation=(0, 0, turn))
    made = bpy.context.object
    made.name, made.scale = name, size
    bpy.ops.object.transform_apply(location=False, rotation=False)
    made.data.materials.append(look)
    edge = made.modifiers.new("edge", "BEVEL")
    edge.width, edge.segments = bevel, 3
    return made


def tube(
    name: str, strokes: Iterable[Any], radius: float, look: Any, at: Point3 = (0, 0, 0)
) -> Any:
    """Make round tubes along lists of points."""
    data = bpy.data.curves.new(name, "CURVE")
    data.dimensions, data.bevel_depth, data.bevel_resolution = "3D", radius, 4
    data.use_fill_caps = True
    for stroke in strokes:
        spline = data.splines.new("POLY")
        spline.points.add(len(stroke) - 1)
        for point, where in zip(spline.points, stroke, strict=True):
            point.co = (*where, 1)
    data.materials.append(look)
    made = bpy.data.objects.new(name, data)
    made.location = at
    bpy.context.collection.objects.link(made)
    return made


def bust(tone: str, hair: Any, shirt: Any, at: Point3, turn: float) -> None:
    """Make a sitter: head, hair and shirt, standing on a table at z = 0."""
    whole, face = ((-1.7, -1.5, -3.0), (1.7, 1.4, 1.6)), ((-0.7, -1.1, -0.9), (0.7, -0.4, 0.5))
    look = skin(tone)
    mouth = skin(tone, lips=True)
    for field, surface_look, (low, high), step in (
        (sculpt.head, look, whole, 0.026),
        (sculpt.lips, mouth, face, 0.012),
        (sculpt.brows, hair, face, 0.01),
        (sculpt.hair, hair, whole, 0.026),
        (sculpt.shirt, shirt, whole, 0.04),
    ):
        vertices, faces = sculpt.mesh(field, low, high, step)
        part = solid(f"{tone} {field.__name__}", vertices * 0.1, faces, surface_look, at)
        part.rotation_euler = (0, 0, turn)
        part.location.z += 0.28


def lamp(
    kind: str, power: float, color: Iterable[float], at: Point3, aim: Point3, **more: Any
) -> Any:
    """Make a lamp that looks from `at` to `aim`."""
    data = bpy.data.lights.new(kind, kind)
    data.energy, data.color = power, tuple(color)
    for key, value in more.items():
        setattr(data, key, value)
    made = bpy.data.objects.new(kind, data)
    made.location = at
    look_at(made, aim)
    bpy.context.collection.objects.link(made)
    return made


def look_at(thing: Any, aim: Point3) -> None:
    """Turn a camera or lamp towards a point."""
    thing.rotation_euler = (Vector(aim) - thing.location).to_track_quat("-Z", "Y").to_euler()


def camera(lens: float, at: Point3, focus: float, aperture: float) -> Any:
    """Make the scene's camera."""
    data = bpy.data.cameras.new("camera")
    data.lens, data.clip_end = lens, 5000
    data.dof.use_dof, data.dof.focus_distance, data.dof.aperture_fstop = True, focus, aperture
    made = bpy.data.objects.new("camera", data)
    made.location = at
    bpy.context.collection.objects.link(made)
    bpy.context.scene.camera = made
    return made


def animate(thing: Any, path: str, frames: int, values: Callable[[float], Any]) -> None:
    """Key a property: `values` maps 0..1 over the shot to what the property is then."""
    for n in range(-1, frames + 1):
        value = values(n / (frames - 1))
        target = thing
        owner, _, name = path.rpartition(".")
        if owner:
            target = thing.path_resolve(owner)
        setattr(target, name, value)
        target.keyframe_insert(name, frame=n)

"""A staging, rendered by Blender's Cycles on the CPU; the only door to bpy.

Numbers that Blender takes for its own scene-linear RGB are BT.2020 here, in and out: light is
multiplied and added channel by channel, so only the primaries' name changes.
"""

from __future__ import annotations

import math
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from training.staging.description import AreaLight, Shot, Staging
from training.staging.materials import SKIN_PASS, make_material
from training.staging.parts import staging_parts
from training.staging.shapes import Material, Mesh, Part, Strands
from vs_gainmap.errors import MediaError

# Off diffuse white; light that came around a corner, brighter than this, is a firefly.
INDIRECT_LIMIT = 12.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendered:
    """A picture: `linear` (3, H, W) float32, relative, BT.2020; `skin` (H, W), share 0..1."""

    linear: np.ndarray
    skin: np.ndarray


def load_bpy() -> Any:
    """Import Blender.

    Raises:
        MediaError: it is not installed.
    """
    try:
        import bpy
    except ImportError as error:
        raise MediaError(
            "training: Blender's package bpy is missing; pip install -e .[stage], with the Python "
            "that it is made for (3.13)"
        ) from error
    return bpy


def _add_mesh(bpy: Any, part: Part, mesh: Mesh, made: Any) -> None:
    data = bpy.data.meshes.new("mesh")
    count, faces = len(mesh.vertices), len(mesh.faces)
    data.vertices.add(count)
    data.vertices.foreach_set("co", mesh.vertices.ravel())
    data.loops.add(faces * 4)
    data.loops.foreach_set("vertex_index", mesh.faces.ravel())
    data.polygons.add(faces)
    data.polygons.foreach_set("loop_start", np.arange(0, faces * 4, 4, dtype=np.int32))
    rest = data.attributes.new("rest", "FLOAT_VECTOR", "POINT")
    rest.data.foreach_set("vector", mesh.rest.astype(np.float32).ravel())
    if mesh.paint is not None:
        paint = data.attributes.new("paint", "FLOAT_COLOR", "POINT")
        paint.data.foreach_set("color", mesh.paint.ravel())
    data.update(calc_edges=True)
    if not part.flat:
        data.shade_smooth()
    data.materials.append(made)
    bpy.context.scene.collection.objects.link(bpy.data.objects.new("mesh", data))


def _add_strands(bpy: Any, strands: Strands, made: Any) -> None:
    data = bpy.data.hair_curves.new("hair")
    count, points = strands.points.shape[:2]
    data.add_curves([points] * count)
    data.attributes["position"].data.foreach_set("vector", strands.points.ravel())
    radius = data.attributes.get("radius") or data.attributes.new("radius", "FLOAT", "POINT")
    taper = np.linspace(1.0, 0.4, points, dtype=np.float32) * strands.radius
    radius.data.foreach_set("value", np.tile(taper, count))
    rest = data.attributes.new("rest", "FLOAT_VECTOR", "POINT")
    rest.data.foreach_set("vector", strands.points.ravel())
    data.materials.append(made)
    bpy.context.scene.collection.objects.link(bpy.data.objects.new("hair", data))


def add_parts(bpy: Any, parts: list[Part]) -> None:
    """Build meshes and hair, each material once."""
    made: dict[Material, Any] = {}
    for part in parts:
        if part.material not in made:
            made[part.material] = make_material(bpy, part.material)
        if isinstance(part.shape, Strands):
            _add_strands(bpy, part.shape, made[part.material])
        else:
            _add_mesh(bpy, part, part.shape, made[part.material])


def aim(thing: Any, position: tuple[float, ...], target: tuple[float, ...], roll: float) -> None:
    """Place a camera or a lamp and turn it towards a target."""
    from mathutils import Quaternion, Vector

    way = Vector(target) - Vector(position)
    thing.location = position
    thing.rotation_mode = "QUATERNION"
    turn = Quaternion((0.0, 0.0, 1.0), math.radians(roll))
    thing.rotation_quaternion = way.to_track_quat("-Z", "Y") @ turn


def _add_camera(bpy: Any, shot: Shot) -> None:
    data = bpy.data.cameras.new("camera")
    data.sensor_width, data.lens, data.clip_start = 36.0, shot.focal, 0.02
    data.sensor_fit = "HORIZONTAL"
    if shot.fstop is not None:
        data.dof.use_dof = True
        data.dof.focus_distance, data.dof.aperture_fstop = shot.focus, shot.fstop
    camera = bpy.data.objects.new("camera", data)
    bpy.context.scene.collection.objects.link(camera)
    bpy.context.scene.camera = camera
    aim(camera, shot.position, shot.target, shot.roll)


def _add_light(bpy: Any, light: AreaLight, shot: Shot) -> None:
    toward = math.atan2(shot.position[1] - shot.target[1], shot.position[0] - shot.target[0])
    azimuth, up = toward + math.radians(light.azimuth), math.radians(light.elevation)
    reach = light.distance
    position = (
        shot.target[0] + reach * math.cos(up) * math.cos(azimuth),
        shot.target[1] + reach * math.cos(up) * math.sin(azimuth),
        max(shot.target[2] + reach * math.sin(up), 0.1),
    )
    data = bpy.data.lights.new("light", "AREA")
    data.shape, data.size, data.color = "DISK", light.size, light.color
    # A small lamp of P watts gives P / (pi d^2) of irradiance at d, a white card 1/pi of that.
    data.energy = light.strength * math.pi**2 * reach**2
    thing = bpy.data.objects.new("light", data)
    thing.visible_camera = False
    bpy.context.scene.collection.objects.link(thing)
    aim(thing, position, shot.target, 0.0)


def add_world(bpy: Any, panorama: np.ndarray, turn: float, detail: int = 512) -> None:
    """Surround the scene with a panorama, (3, H, 2H), turned by degrees."""
    height, width = panorama.shape[1:]
    image = bpy.data.images.new("panorama", width, height, float_buffer=True)
    image.colorspace_settings.name = "Non-Color"
    pixels = np.ones((height, width, 4), np.float32)
    pixels[..., :3] = panorama.transpose(1, 2, 0)[::-1]
    image.pixels.foreach_set(pixels.ravel())
    world = bpy.data.worlds.new("world")
    bpy.context.scene.world = world
    tree = world.node_tree
    tree.nodes.clear()
    texture = tree.nodes.new("ShaderNodeTexEnvironment")
    texture.image, texture.interpolation = image, "Cubic"
    mapping = tree.nodes.new("ShaderNodeMapping")
    mapping.inputs["Rotation"].default_value = (0.0, 0.0, math.radians(turn))
    where = tree.nodes.new("ShaderNodeTexCoord")
    shine = tree.nodes.new("ShaderNodeBackground")
    out = tree.nodes.new("ShaderNodeOutputWorld")
    tree.links.new(where.outputs["Generated"], mapping.inputs[0])
    tree.links.new(mapping.outputs[0], texture.inputs[0])
    tree.links.new(texture.outputs[0], shine.inputs[0])
    tree.links.new(shine.outputs[0], out.inputs[0])
    # Built anew for every view: as fine as the lamps in a panorama need, no finer.
    world.cycles.sampling_method, world.cycles.sample_map_resolution = "MANUAL", detail


def set_renderer(
    bpy: Any, width: int, height: int, *, samples: int, seed: int, threads: int, lamps: bool
) -> None:
    """Set size, samples, and how far light is followed; write every pass into one EXR."""
    scene = bpy.context.scene
    render, cycles = scene.render, scene.cycles
    render.engine = "CYCLES"
    render.resolution_x, render.resolution_y, render.resolution_percentage = width, height, 100
    render.threads_mode = "FIXED" if threads else "AUTO"
    if threads:
        render.threads = threads
    cycles.device, cycles.samples, cycles.seed = "CPU", samples, seed
    cycles.use_adaptive_sampling = False
    # Many small lamps need the tree that knows which are near; without them it only costs.
    cycles.use_light_tree = lamps
    cycles.use_denoising, cycles.denoiser = True, "OPENIMAGEDENOISE"
    cycles.denoising_prefilter, cycles.denoising_quality = "FAST", "BALANCED"
    cycles.max_bounces, cycles.diffuse_bounces, cycles.glossy_bounces = 7, 2, 3
    cycles.transmission_bounces, cycles.transparent_max_bounces = 7, 8
    cycles.sample_clamp_direct, cycles.sample_clamp_indirect = 0.0, INDIRECT_LIMIT
    cycles.caustics_reflective = cycles.caustics_refractive = False
    cycles.blur_glossy = 0.5
    scene.cycles_curves.shape = "RIBBONS"
    images = render.image_settings
    images.media_type = "MULTI_LAYER_IMAGE"
    images.file_format, images.color_depth, images.exr_codec = "OPEN_EXR_MULTILAYER", "32", "NONE"
    mask = bpy.context.view_layer.aovs.add()
    mask.name, mask.type = SKIN_PASS, "VALUE"


def _read(path: Path) -> Rendered:
    import OpenEXR

    # One part a pass: "ViewLayer.Combined.R", "ViewLayer.skin.X".
    with OpenEXR.File(str(path), separate_channels=True) as file:
        channels = {
            name.partition(".")[2]: channel.pixels
            for part in range(len(file.parts))
            for name, channel in file.channels(part).items()
        }
    linear = np.stack([channels[f"Combined.{c}"] for c in "RGB"]).astype(np.float32)
    return Rendered(linear=linear, skin=channels[f"{SKIN_PASS}.X"].astype(np.float32).clip(0, 1))


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep Blender from printing a line for every file; it writes past Python."""
    sys.stdout.flush()
    kept = os.dup(1)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    try:
        yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)
        os.close(nowhere)


def run_renderer(bpy: Any) -> Rendered:
    """Render what was set up."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "view.exr"
        bpy.context.scene.render.filepath = str(path)
        with _quiet():
            bpy.ops.render.render(write_still=True)
        return _read(path)


def render(
    staging: Staging, panorama: np.ndarray, *, width: int, height: int, samples: int, threads: int
) -> Rendered:
    """Render a scene.

    Args:
        staging: what to build.
        panorama: (3, H, 2H), BT.2020, its mean over the sphere 1: a white card is about 1 too.
        width: of the picture.
        height: of the picture.
        samples: rays a pixel.
        threads: of the renderer; 0 takes every core.

    Raises:
        MediaError: Blender is missing.
    """
    bpy = load_bpy()
    bpy.ops.wm.read_factory_settings(use_empty=True)
    lamps = any(thing.surface.emission for thing in staging.things)
    seed = staging.seed % 2**31
    set_renderer(bpy, width, height, samples=samples, seed=seed, threads=threads, lamps=lamps)
    add_world(bpy, panorama, staging.turn)
    add_parts(bpy, staging_parts(staging))
    for light in staging.lights:
        _add_light(bpy, light, staging.shot)
    _add_camera(bpy, staging.shot)
    return run_renderer(bpy)

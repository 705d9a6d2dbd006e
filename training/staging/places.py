"""Places that are drawn, built and rendered whole: HDR panoramas of streets, country and rooms.

What lights a place is known, so its 1.0 is diffuse white, as in panoramas that people publish.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from training.lighting import draw_near
from training.scenes import log_average
from training.staging.blender import (
    add_parts,
    add_world,
    aim,
    load_bpy,
    run_renderer,
    set_renderer,
)
from training.staging.description import Surface
from training.staging.folder import check_settings
from training.staging.indoors import draw_room
from training.staging.outdoors import OUTDOORS
from training.staging.shapes import Part
from training.staging.skies import Sky, paint_sky
from vs_gainmap.color import PRIMARIES
from vs_gainmap.photo.files import replacing

SETTINGS = "build.json"
EYES = 1.6
# How often each kind is drawn.
KINDS = {"street": 0.25, "square": 0.15, "country": 0.2, "shore": 0.1, "room": 0.3}
# Log-average that who exposes a panorama leaves rooms and nights at, and its spread, nepers.
ROOM_LEVEL, NIGHT_LEVEL, LEVEL_SPREAD = 0.12, 0.035, 0.5
# A photographer's exposure by day: diffuse white in the open.
DAY_WHITE = (0.7, 1.3)
SKY_DETAIL = 2048


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaceSettings:
    """What the panoramas of a folder share; a folder with others is not gone on with."""

    width: int
    samples: int
    seed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A place, built: `parts` around the camera, under a sky."""

    kind: str
    sky: Sky
    parts: list[Part]


def draw_place(rng: np.random.Generator) -> Place:
    """Draw a place and build it."""
    names = list(KINDS)
    kind = names[int(rng.choice(len(names), p=list(KINDS.values())))]
    sky = Sky.draw(rng)
    make = draw_room if kind == "room" else OUTDOORS[kind]
    return Place(kind=kind, sky=sky, parts=make(rng, sky.night))


def render_place(
    place: Place, *, width: int, samples: int, seed: int, threads: int = 0
) -> np.ndarray:
    """Render a place all around.

    Args:
        place: from `draw_place`.
        width: of the panorama; its height is half of that.
        samples: rays a pixel, then denoised.
        seed: of the renderer.
        threads: of the renderer; 0 takes every core.

    Returns:
        (3, H, 2H), float32, BT.2020, light beside that of diffuse white in the open.

    Raises:
        MediaError: Blender is missing.
    """
    bpy = load_bpy()
    bpy.ops.wm.read_factory_settings(use_empty=True)
    lamps = any(
        isinstance(part.material, Surface) and part.material.emission for part in place.parts
    )
    set_renderer(bpy, width, width // 2, samples=samples, seed=seed, threads=threads, lamps=lamps)
    cycles = bpy.context.scene.cycles
    # Rooms are lit around corners.
    cycles.diffuse_bounces = 4
    add_world(bpy, paint_sky(place.sky), 0.0, SKY_DETAIL)
    add_parts(bpy, place.parts)
    data = bpy.data.cameras.new("camera")
    data.type, data.panorama_type, data.clip_start = "PANO", "EQUIRECTANGULAR", 0.02
    camera = bpy.data.objects.new("camera", data)
    bpy.context.scene.collection.objects.link(camera)
    bpy.context.scene.camera = camera
    aim(camera, (0.0, 0.0, EYES), (0.0, 1.0, EYES), 0.0)
    linear: np.ndarray = np.nan_to_num(run_renderer(bpy).linear)
    return linear.clip(0.0, None)


def expose(panorama: np.ndarray, place: Place, rng: np.random.Generator) -> np.ndarray:
    """Scale a panorama as who publishes it would, so that it looks right with 1.0 as white."""
    if place.kind != "room" and not place.sky.night:
        return panorama * np.float32(rng.uniform(*DAY_WHITE))
    level = NIGHT_LEVEL if place.kind != "room" else ROOM_LEVEL
    wanted = draw_near(level, LEVEL_SPREAD, rng)
    now = log_average(torch.from_numpy(panorama), panorama=True)
    return panorama * np.float32(wanted / max(now, 1e-9))


def _write(path: Path, panorama: np.ndarray) -> None:
    import OpenEXR

    p = PRIMARIES["bt2020"]
    header = {
        "type": OpenEXR.scanlineimage,
        "compression": OpenEXR.ZIP_COMPRESSION,
        "chromaticities": (*p.red, *p.green, *p.blue, *p.white),
    }
    pixels = np.ascontiguousarray(panorama.transpose(1, 2, 0).clip(0, 65504), np.float16)
    with replacing(path) as partial, OpenEXR.File(header, {"RGB": pixels}) as file:
        file.write(str(partial))


def build_places(out: Path, settings: PlaceSettings, *, count: int, threads: int = 0) -> int:
    """Render panoramas of places; those that are there already are kept.

    A place is a function of the seed and its number, so with a larger `count` a folder grows.

    Args:
        out: gets ``<kind>_<nnn>.exr``, half floats, BT.2020, 1.0 = diffuse white.
        settings: of every panorama.
        count: how many there are to be.
        threads: of the renderer; 0 takes every core.

    Returns:
        How many were rendered.

    Raises:
        MediaError: Blender is missing, or the folder has panoramas of other settings.
    """
    load_bpy()
    out.mkdir(parents=True, exist_ok=True)
    check_settings(out / SETTINGS, settings)
    there = {path.stem.rpartition("_")[2] for path in out.glob("*_*.exr")}
    missing = [number for number in range(count) if f"{number:04d}" not in there]
    for number in missing:
        start = time.monotonic()
        rng = np.random.default_rng([settings.seed, number])
        place = draw_place(rng)
        panorama = render_place(
            place,
            width=settings.width,
            samples=settings.samples,
            seed=int(rng.integers(2**31)),
            threads=threads,
        )
        name = f"{place.kind}_{number:04d}.exr"
        _write(out / name, expose(panorama, place, rng))
        print(f"{name}: {time.monotonic() - start:.1f} s", flush=True)
    return len(missing)

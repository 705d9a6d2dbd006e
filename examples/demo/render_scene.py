"""Render the demo's two shots as linear HDR frames with Blender's Cycles, on the CPU.

Everything is made here by code: no texture, model or picture from elsewhere. Needs an
environment of its own (Python 3.13, `pip install bpy`); see README.md in this folder.

    python render_scene.py FOLDER [--frames 0 40 59] [--samples 16]

Frames 0 to 29 are a terrace in late sun, 30 to 59 a room at night. Each is an EXR, half
float, scene-linear light with BT.709 primaries, in an arbitrary unit.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import bpy
import room
import terrace

FPS = 24
CUT = 30
FRAMES = 60
SIZE = (640, 360)


def main() -> None:
    """Parse the command line and render."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", maxsplit=1)[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--frames", type=int, nargs="+", default=range(FRAMES))
    parser.add_argument("--samples", type=int, default=16)
    parser.add_argument("--scale", type=int, default=100, help="size in percent")
    args = parser.parse_args(sys.argv[1:])
    args.folder.mkdir(parents=True, exist_ok=True)

    for shot, first, last in ((terrace, 0, CUT), (room, CUT, FRAMES)):
        wanted = [n for n in args.frames if first <= n < last]
        if not wanted:
            continue
        bpy.ops.wm.read_factory_settings(use_empty=True)
        scene = bpy.context.scene
        scene.render.engine = "CYCLES"
        scene.cycles.samples, scene.cycles.use_denoising = args.samples, True
        scene.cycles.use_adaptive_sampling = False
        scene.cycles.max_bounces, scene.cycles.diffuse_bounces = 4, 2
        scene.cycles.caustics_reflective = scene.cycles.caustics_refractive = False
        scene.cycles.sample_clamp_indirect = 10
        scene.render.resolution_x, scene.render.resolution_y = SIZE
        scene.render.resolution_percentage, scene.render.fps = args.scale, FPS
        scene.render.use_persistent_data = True
        scene.view_settings.view_transform = "Raw"
        scene.render.image_settings.file_format = "OPEN_EXR"
        scene.render.image_settings.color_depth = "16"
        shot.build(scene, last - first)
        for n in wanted:
            scene.frame_set(n - first)
            scene.cycles.seed = n
            scene.render.filepath = str(args.folder / f"frame_{n:03d}.exr")
            bpy.ops.render.render(write_still=True)


if __name__ == "__main__":
    main()

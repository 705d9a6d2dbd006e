"""Time the filters: `python -m vs_gainmap.bench`.

Everything is measured in one run on one machine, interleaved, and given as milliseconds a
frame (median and spread over the rounds) and as a ratio to zimg's own SDR-to-PQ conversion,
because absolute times on a shared machine say little. CPU time, over all threads, says least
about what else the machine does. `--memory` measures peaks of memory instead.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
import vapoursynth as vs

from vs_gainmap.backends.pytorch import empty_like
from vs_gainmap.bench_memory import FILTER_FRAMES, convert_peak, filter_peak
from vs_gainmap.filters import apply, predict, props, smooth
from vs_gainmap.filters.linear import EOTF_TRANSFERS
from vs_gainmap.filters.output import Rendering
from vs_gainmap.filters.rendering import render
from vs_gainmap.filters.seeing import see
from vs_gainmap.fused.readiness import SWITCH
from vs_gainmap.video.memory import frames_in_order

SIZES = {"540p": (960, 540), "720p": (1280, 720), "1080p": (1920, 1080), "2160p": (3840, 2160)}
_PICTURES = 4


def noise_clip(width: int, height: int, frames: int) -> vs.VideoNode:
    """Return BT.709 YUV420P8 noise that costs nothing to serve: a few stored frames in turn."""
    blank = vs.core.std.BlankClip(format=vs.YUV420P8, width=width, height=height, length=1)
    tags = {
        props.MATRIX: 1,
        props.TRANSFER: 1,
        props.PRIMARIES: 1,
        props.RANGE: 0,
        props.CHROMA_LOCATION: 0,
    }
    blank = blank.std.SetFrameProps(**tags)
    rng = np.random.default_rng(0)
    pictures = []
    for _ in range(_PICTURES):
        with blank.get_frame(0) as frame:
            stored = frame.copy()
        for plane in range(3):
            target = np.asarray(stored[plane])
            np.copyto(target, rng.integers(16, 236, target.shape, dtype=np.uint8))
        pictures.append(stored)
    base = blank * frames
    return base.std.ModifyFrame(base, lambda n, f: pictures[n % _PICTURES])  # noqa: ARG005


def flat_gain_map(clip: vs.VideoNode, scale: int) -> vs.VideoNode:
    """Return a map as `predict` gives it, made of nothing: what is left is everything else."""
    blank = vs.core.std.BlankClip(
        format=vs.GRAYS,
        width=-(-clip.width // scale),
        height=-(-clip.height // scale),
        length=clip.num_frames,
        color=0.4,
        keep=True,
    )
    return blank.std.SetFrameProps(
        **{
            props.GAIN_MAP_MIN: 0.0,
            props.GAIN_MAP_MAX: 2.0,
            props.GAIN_MAP_ALTERNATE_HEADROOM: 2.3,
            props.GAIN_MAP_SDR_WHITE: 203.0,
            props.GAIN_MAP_EOTF: "gamma22",
        }
    )


def zimg_to_pq(clip: vs.VideoNode, *, white: float = 203.0) -> vs.VideoNode:
    """Return zimg's own SDR-to-PQ conversion at the same white and EOTF."""
    clip = clip.std.SetFrameProp(props.TRANSFER, intval=EOTF_TRANSFERS["gamma22"])
    return clip.resize.Bicubic(
        format=vs.YUV420P10,
        matrix=int(vs.MATRIX_BT2020_NCL),
        transfer=int(vs.TRANSFER_ST2084),
        primaries=int(vs.PRIMARIES_BT2020),
        nominal_luminance=white,
    )


def _without_network(clip: vs.VideoNode, scale: int) -> vs.VideoNode:
    """Return the whole graph with the network's inputs made and looked at, but no network.

    It is `sdr_to_hdr10` at radius 0.
    """
    width, height = -(-clip.width // scale), -(-clip.height // scale)
    picture, thumbnail, small = see(clip, width, height, ahead=0)
    stage = torch.empty(1, 3, height, width)
    constants = flat_gain_map(clip, scale).get_frame(0)
    base = picture.std.ShufflePlanes(0, vs.GRAY)

    def copies(n: int, f: list[vs.VideoFrame]) -> vs.VideoFrame:  # noqa: ARG001
        for plane in range(3):
            np.copyto(stage[0, plane].numpy(), np.asarray(f[1][plane]))
            np.asarray(f[2][plane])
        out = empty_like(f[0])
        np.copyto(np.asarray(out[0]), stage[0, 0].numpy())
        for name, value in constants.props.items():
            out.props[name] = value
        return out

    made = base.std.ModifyFrame([base, picture, thumbnail], copies)
    return render(clip, made, Rendering(), small=small)


def _steady(clip: vs.VideoNode, gain_map: vs.VideoNode, *, measure: bool = False) -> vs.VideoNode:
    """Return all that `sdr_to_hdr10` does beside `predict`."""
    return apply(clip, smooth(clip, gain_map), measure=measure)


def _by_filters(build: Callable[[], vs.VideoNode]) -> vs.VideoNode:
    """Return what a function builds without the compiled pass."""
    before = os.environ.get(SWITCH)
    os.environ[SWITCH] = "0"
    try:
        return build()
    finally:
        del os.environ[SWITCH]
        if before is not None:
            os.environ[SWITCH] = before


def milliseconds(build: Callable[[], vs.VideoNode]) -> tuple[float, float]:
    """Render a fresh graph once and return milliseconds a frame: by the clock, and of CPU time."""
    clip = build()
    # What is set up once, tables and compiled expressions, is no cost of a frame.
    clip.get_frame(0).close()
    clock, cpu = time.perf_counter(), time.process_time()
    for frame in frames_in_order(clip):
        frame.close()
    scale = 1000 / int(clip.num_frames)
    return (time.perf_counter() - clock) * scale, (time.process_time() - cpu) * scale


def print_memory(args: argparse.Namespace) -> int:
    """Print peaks of resident memory, each of a process of its own."""
    print(f"{'size':8}{'what':40}{'peak, MB':>9}")
    rows = []
    for size in args.sizes:
        width, height = SIZES[size]
        options = ("--scale", str(args.scale), "--weights", args.weights)
        for what, peak in (
            (
                f"filter, map 1/{args.scale}, {FILTER_FRAMES} frames",
                filter_peak(width, height, scale=args.scale, weights=args.weights),
            ),
            (
                f"convert, map 1/{args.scale}, {args.frames} frames",
                convert_peak(width, height, args.frames, *options),
            ),
        ):
            rows.append({"size": size, "what": what, "peak_mb": round(peak)})
            print(f"{size:8}{what:40}{peak:9.0f}", flush=True)
    if args.json:
        args.json.write_text(json.dumps({"rows": rows}, indent=1))
    return 0


def main() -> int:
    """Run the benchmark and print a table; with --json also write it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--sizes", nargs="+", choices=SIZES, default=["1080p"])
    parser.add_argument("--scale", type=int, default=2, help="map scale (default 2)")
    parser.add_argument("--frames", type=int, default=48)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--memory", action="store_true", help="peaks of memory instead, convert's with the network"
    )
    parser.add_argument("--network", action="store_true", help="time predict() as well (slow)")
    parser.add_argument("--weights", default="video")
    parser.add_argument("--device")
    parser.add_argument("--dtype")
    parser.add_argument("--json", type=Path, help="also write the figures here")
    args = parser.parse_args()
    if args.memory:
        return print_memory(args)

    rows: list[dict[str, str | float]] = []
    for size in args.sizes:
        clip = noise_clip(*SIZES[size], args.frames)
        gain_map = flat_gain_map(clip, args.scale)
        usual = {
            "apply": partial(apply, clip, gain_map),
            "all but the network": partial(_without_network, clip, args.scale),
        }
        usual |= {
            "smooth, apply": partial(_steady, clip, gain_map),
            "smooth, apply, measure": partial(_steady, clip, gain_map, measure=True),
        }
        cases: dict[str, Callable[[], vs.VideoNode]] = {"zimg SDR to PQ": partial(zimg_to_pq, clip)}
        cases |= usual
        cases |= {f"{name}, filters": partial(_by_filters, way) for name, way in usual.items()}
        if args.network:
            few = clip[:3]
            cases["predict"] = lambda few=few: predict(  # type: ignore[misc]
                few, weights=args.weights, scale=args.scale, device=args.device, dtype=args.dtype
            )
        times: dict[str, list[tuple[float, float]]] = {name: [] for name in cases}
        for _ in range(args.rounds):
            for name, build in cases.items():
                times[name].append(milliseconds(build))
        zimg = [statistics.median(column) for column in zip(*times["zimg SDR to PQ"], strict=True)]
        for name, values in times.items():
            clock, cpu = zip(*values, strict=True)
            rows.append(
                {
                    "size": size,
                    "what": name,
                    "ms": round(statistics.median(clock), 2),
                    "min": round(min(clock), 2),
                    "max": round(max(clock), 2),
                    "ratio_to_zimg": round(statistics.median(clock) / zimg[0], 2),
                    "cpu_ms": round(statistics.median(cpu), 2),
                    "cpu_ratio_to_zimg": round(statistics.median(cpu) / zimg[1], 2),
                }
            )
    machine = f"{platform.processor() or platform.machine()}, {vs.core.num_threads} threads"
    print(f"{machine}; map scale {args.scale}; {args.frames} frames, {args.rounds} rounds")
    titles = ("ms", "min", "max", "x zimg", "CPU ms", "x zimg")
    print(f"{'size':8}{'what':30}" + "".join(f"{title:>9}" for title in titles))
    for r in rows:
        print(f"{r['size']:8}{r['what']:30}" + "".join(f"{v:9}" for v in list(r.values())[2:]))
    if args.json:
        args.json.write_text(json.dumps({"machine": machine, "rows": rows}, indent=1))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

"""Time the whole way, SDR planes in and HDR10 planes out: `python -m vs_gainmap.bench_pipeline`.

Sizes, ways to run a network and frames in flight take turns in one run; milliseconds a frame
are medians with their spread, beside zimg's own SDR-to-PQ conversion of the same clip and, with
--eager, beside the published code: plain eager float32 GMNet at the map's size, by itself.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
import vapoursynth as vs

from vs_gainmap.bench import SIZES, noise_clip, zimg_to_pq
from vs_gainmap.filters import predict, sdr_to_hdr10
from vs_gainmap.filters.smoothing import REACH
from vs_gainmap.filters.window import DEFAULT_RADIUS
from vs_gainmap.models.gmnet import THUMBNAIL_SIZE
from vs_gainmap.models.weights import load_weights
from vs_gainmap.video.memory import frames_in_order

ZIMG = "zimg alone"
EAGER = "gmnet, eager"
# Frames that `predict` and then `smooth` look ahead.
AHEAD = (1 + REACH) * DEFAULT_RADIUS
# It is slow, and the same every time.
_EAGER_FRAMES = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One way at one size: milliseconds a frame, frames a second, and the ratio to zimg alone."""

    size: str
    way: str
    in_flight: int
    ms: float
    fastest: float
    slowest: float
    fps: float
    times_zimg: float
    times_faster_than_eager: float | None = None


def open_way(way: str, clip: vs.VideoNode) -> vs.VideoNode:
    """Build a graph: "zimg alone", or a model with a backend and precision, "gmnet:ov:int8".

    More parts may follow: "device" keeps frames on the device ("gmnet:torch:float16:device"),
    "measure" measures light as `convert` does ("fast:torch::measure"), "every2" makes every
    second map, and "maps" stops at the maps, without a survey ("gmnet:ov:int8:every2:maps").

    Raises:
        vs.Error: no such model, backend, precision or part.
    """
    if way == ZIMG:
        return zimg_to_pq(clip)
    model, backend, dtype = (*way.split(":"), "", "")[:3]
    parts = way.split(":")[3:]
    how: dict[str, Any] = {"model": model, "backend": backend or "torch", "dtype": dtype or None}
    whole: dict[str, Any] = {}
    for part in parts:
        if part in ("device", "measure"):
            whole["on_device" if part == "device" else part] = True
        elif part.startswith("every") and part[5:].isdecimal():
            how["map_every"] = int(part[5:])
        elif part != "maps":
            raise vs.Error(f'{way}: "{part}" is not "device", "measure", "every2" or "maps"')
    if "maps" in parts:
        return predict(clip, survey=0, **how)
    return sdr_to_hdr10(clip, **how, **whole)


def time_way(way: str, clip: vs.VideoNode, in_flight: int, warm_up: int) -> float:
    """Return milliseconds a frame, after so many frames that are not counted.

    The last frames of the clip are not asked for: what looks ahead finds them, and so every
    frame that counts costs a map.
    """
    graph = open_way(way, clip)
    graph = graph[: graph.num_frames - AHEAD]
    start = 0.0
    for n, frame in enumerate(frames_in_order(graph, at_once=in_flight)):
        frame.close()
        if n + 1 == warm_up:
            start = time.perf_counter()
    return 1000 * (time.perf_counter() - start) / (int(graph.num_frames) - warm_up)


def time_eager(width: int, height: int) -> float:
    """Return milliseconds that plain eager float32 GMNet takes for a map, by itself.

    Args:
        width: of the SDR clip; the map has its usual part of it, half.
        height: likewise.
    """
    loaded = load_weights("video")
    step = 2 * loaded.preset.map_scale
    sides = [2 * -(-side // step) for side in (height, width)]
    picture = torch.rand(1, 3, *sides)
    thumbnail = torch.rand(1, 3, THUMBNAIL_SIZE, THUMBNAIL_SIZE)
    with torch.inference_mode():
        loaded.model(picture, thumbnail)
        start = time.perf_counter()
        for _ in range(_EAGER_FRAMES):
            loaded.model(picture, thumbnail)
    return 1000 * (time.perf_counter() - start) / _EAGER_FRAMES


def measure(
    sizes: Sequence[str],
    ways: Sequence[str],
    in_flight: Sequence[int],
    *,
    frames: int,
    rounds: int,
    eager: bool = False,
) -> list[Row]:
    """Time every way at every size.

    Args:
        sizes: names of `bench.SIZES`.
        ways: see `open_way`; zimg alone is added.
        in_flight: how many frames are asked for at once.
        frames: that count, a round; the windows of time are filled before.
        rounds: turns that each takes.
        eager: also time the published code, which takes a second and more a frame.
    """
    rows = []
    for size in sizes:
        warm_up = 16
        clip = noise_clip(*SIZES[size], warm_up + frames + AHEAD)
        cases = [(way, count) for way in (ZIMG, *ways) for count in in_flight]
        times: dict[tuple[str, int], list[float]] = {case: [] for case in cases}
        for _ in range(rounds):
            for way, count in cases:
                times[way, count].append(time_way(way, clip, count, warm_up))
            if eager:
                times.setdefault((EAGER, 1), []).append(time_eager(*SIZES[size]))
        # The fastest that zimg gets, or a ratio at one frame in flight would flatter.
        zimg = min(statistics.median(times[ZIMG, count]) for count in in_flight)
        published = statistics.median(times[EAGER, 1]) if eager else None
        for (way, count), values in times.items():
            ms = statistics.median(values)
            rows.append(
                Row(
                    size=size,
                    way=way,
                    in_flight=count,
                    ms=round(ms, 2),
                    fastest=round(min(values), 2),
                    slowest=round(max(values), 2),
                    fps=round(1000 / ms, 2),
                    times_zimg=round(ms / zimg, 2),
                    times_faster_than_eager=round(published / ms, 2) if published else None,
                )
            )
    return rows


def format_table(rows: Sequence[Row]) -> str:
    """Format rows as text."""
    titles = ("in flight", "ms", "fastest", "slowest", "fps", "x zimg", "eager by")
    lines = [f"{'size':8}{'way':24}" + "".join(f"{title:>10}" for title in titles)]
    for row in rows:
        values = list(asdict(row).values())
        lines.append(f"{row.size:8}{row.way:24}" + "".join(f"{v or '':10}" for v in values[2:]))
    return "\n".join(lines)


def plot(rows: Sequence[Row], path: Path) -> None:
    """Draw milliseconds a frame over pixels, a line a way, at its best number in flight.

    Raises:
        ImportError: matplotlib is missing (extra `look`).
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import NullFormatter, StrMethodFormatter

    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.add_subplot()
    for way in dict.fromkeys(row.way for row in rows):
        points = []
        for size in dict.fromkeys(row.size for row in rows):
            best = min(row.ms for row in rows if (row.way, row.size) == (way, size))
            points.append((SIZES[size][0] * SIZES[size][1] / 1e6, best))
        axes.loglog(*zip(*points, strict=True), marker="o", label=way)
    for fps in (24, 60):
        axes.axhline(1000 / fps, color="gray", linestyle=":", linewidth=1)
        axes.annotate(f"{fps} fps", (0.5, 1000 / fps), fontsize=8, va="bottom", color="gray")
    sizes = list(dict.fromkeys(row.size for row in rows))
    axes.set_xticks([SIZES[size][0] * SIZES[size][1] / 1e6 for size in sizes], sizes)
    axes.xaxis.set_minor_formatter(NullFormatter())
    for set_formatter in (axes.yaxis.set_major_formatter, axes.yaxis.set_minor_formatter):
        set_formatter(StrMethodFormatter("{x:g}"))
    axes.set(xlabel="size, by megapixels", ylabel="milliseconds a frame")
    axes.grid(which="both", alpha=0.2)
    axes.legend()
    figure.savefig(path, dpi=110)


def main(argv: list[str] | None = None) -> int:
    """Run, print a table, and write what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--sizes", nargs="+", choices=SIZES, default=["540p", "1080p", "2160p"])
    parser.add_argument(
        "--ways", nargs="+", default=["fast"], metavar="MODEL[:BACKEND[:DTYPE[:PART]]]",
        help="such as fast, gmnet, gmnet:ov:int8, gmnet:ov:int8:every2:maps (fast)",
    )  # fmt: skip
    parser.add_argument("--in-flight", nargs="+", type=int, default=[1, 2, 4], metavar="N")
    parser.add_argument("--frames", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--eager", action="store_true", help="beside the published code (slow)")
    parser.add_argument("--json", type=Path, help="also write the figures here")
    parser.add_argument("--plot", type=Path, help="also draw them: .png or .svg")
    args = parser.parse_args(argv)
    try:
        rows = measure(
            args.sizes,
            args.ways,
            args.in_flight,
            frames=args.frames,
            rounds=args.rounds,
            eager=args.eager,
        )
    except vs.Error as error:
        # A way that isn't open here: no plugin, no device, no calibration.
        print(f"bench: {error}", file=sys.stderr)
        return 1
    machine = f"{platform.processor() or platform.machine()}, {vs.core.num_threads} threads"
    print(f"{machine}; {args.frames} frames, {args.rounds} rounds\n{format_table(rows)}")
    if args.json:
        figures = {"machine": machine, "rows": [asdict(row) for row in rows]}
        args.json.write_text(json.dumps(figures, indent=1))
    if args.plot:
        plot(rows, args.plot)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

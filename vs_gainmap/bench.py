"""Time `sdr_to_hdr10` beside zimg's own SDR to PQ: `python -m vs_gainmap.bench`.

Every size and model runs in a process of its own, in which both take turns: absolute times on a
shared machine mean little, their ratio more. CPU time, over all threads, depends least on what
else the machine does.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import platform
import random
import re
import statistics
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import vapoursynth as vs

from vs_gainmap import sdr_to_hdr10
from vs_gainmap.errors import GainMapError, OptionError
from vs_gainmap.filters import props
from vs_gainmap.filters.linear import EOTF_TRANSFERS
from vs_gainmap.filters.memory import bound_cache, bound_freed, frames_in_order
from vs_gainmap.filters.options import Inference

SIZES = {"540p": (960, 540), "1080p": (1920, 1080), "2160p": (3840, 2160)}
MODELS = ("fast", "gmnet")
_BT709 = {
    props.MATRIX: 1, props.TRANSFER: 1, props.PRIMARIES: 1, props.RANGE: 0,
    props.CHROMA_LOCATION: 0,
}  # fmt: skip
_PICTURES = 4
_SEEKS = 5
# Frames before each timed part, so that its temporal window is full. GMNet has as few as it needs.
_LEAD = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """What one process times: a model at a size; `options` are further ones of the filter."""

    size: str
    model: str
    frames: int
    rounds: int
    options: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """Medians over the rounds: milliseconds a frame by the clock and of CPU time.

    The ratios are to zimg alone in the same process. `seek_ms` is the time of a random frame, and
    `peak_mb` the most memory that the process held, None where this system does not say.
    """

    size: str
    model: str
    fps: float
    ms: float
    cpu_ms: float
    zimg_ms: float
    ratio: float
    cpu_ratio: float
    seek_ms: float
    peak_mb: float | None


def grainy_clip(width: int, height: int, frames: int) -> vs.VideoNode:
    """Return a moving BT.709 YUV420P8 gradient with grain: a few stored pictures in turn."""
    blank = vs.core.std.BlankClip(format=vs.YUV420P8, width=width, height=height, length=1)
    blank = blank.std.SetFrameProps(**_BT709)
    shade = np.linspace(30, 220, width) + 15 * np.sin(np.linspace(0, 9, height))[:, None]
    rng = np.random.default_rng(0)
    pictures = []
    for n in range(_PICTURES):
        with blank.get_frame(0) as frame:
            picture = frame.copy()
        luma = np.roll(shade, 8 * n, 1) + rng.integers(-8, 8, shape := (height, width))
        np.copyto(np.asarray(picture[0]), luma.clip(16, 235).astype(np.uint8))
        for plane in (1, 2):
            target = np.asarray(picture[plane])
            chroma = 118 + 10 * plane + rng.integers(-3, 3, shape)[::2, ::2]
            np.copyto(target, chroma.astype(np.uint8))
        pictures.append(picture)
    base = blank * frames
    return base.std.ModifyFrame(base, lambda n, f: pictures[n % _PICTURES])  # noqa: ARG005


def zimg_to_pq(clip: vs.VideoNode) -> vs.VideoNode:
    """Return zimg's own SDR to PQ conversion, at the same white and EOTF."""
    clip = clip.std.SetFrameProp(props.TRANSFER, intval=EOTF_TRANSFERS["gamma22"])
    return clip.resize.Bicubic(
        format=vs.YUV420P10,
        matrix=int(vs.MATRIX_BT2020_NCL),
        transfer=int(vs.TRANSFER_ST2084),
        primaries=int(vs.PRIMARIES_BT2020),
        nominal_luminance=203,
    )


def measure(case: Case) -> Row:
    """Time one case in this process."""
    width, height = SIZES[case.size]
    bound_freed()
    bound_cache(width, height)
    # Each round and each seek is at a place of its own, which no cache holds.
    step = _LEAD + case.frames
    source = grainy_clip(width, height, step * (case.rounds + _SEEKS + 2))
    hdr = sdr_to_hdr10(source, model=case.model, measure=True, **case.options)
    graphs = {"zimg": zimg_to_pq(source), case.model: hdr}
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in graphs}
    for n in range(case.rounds):
        for name, graph in graphs.items():
            times[name].append(_milliseconds(graph, n * step + _LEAD, case.frames))
    seeks = []
    for n in random.Random(0).sample(range(case.rounds + 1, case.rounds + 1 + _SEEKS), _SEEKS):
        started = time.perf_counter()
        hdr.get_frame(n * step).close()
        seeks.append((time.perf_counter() - started) * 1000)
    (zimg_ms, zimg_cpu), (ms, cpu) = (
        [statistics.median(column) for column in zip(*rows, strict=True)] for rows in times.values()
    )
    return Row(
        size=case.size,
        model=case.model,
        fps=round(1000 / ms, 1),
        ms=round(ms, 2),
        cpu_ms=round(cpu, 2),
        zimg_ms=round(zimg_ms, 2),
        ratio=round(ms / zimg_ms, 2),
        cpu_ratio=round(cpu / zimg_cpu, 2),
        seek_ms=round(statistics.median(seeks), 1),
        peak_mb=_peak_megabytes(),
    )


def _milliseconds(graph: vs.VideoNode, first: int, frames: int) -> tuple[float, float]:
    """Return milliseconds a frame, by the clock and of CPU time, as an encoder asks for frames."""
    # What is set up once, and the window of the frame before, are no cost of a frame.
    graph.get_frame(first - 1).close()
    clock, cpu = time.perf_counter(), time.process_time()
    for frame in frames_in_order(graph[first : first + frames]):
        frame.close()
    scale = 1000 / frames
    return (time.perf_counter() - clock) * scale, (time.process_time() - cpu) * scale


def _peak_megabytes() -> float | None:
    """Return the peak of this process's resident memory, where Linux's /proc gives it."""
    status = Path("/proc/self/status")
    found = re.search(r"VmHWM:\s*(\d+) kB", status.read_text()) if status.exists() else None
    return round(int(found[1]) * 1024 / 1e6) if found else None


def measure_apart(cases: Sequence[Case]) -> list[Row]:
    """Time cases one after the other, each in a new process.

    Raises:
        vs.Error: the filter refuses an option.
        GainMapError: an option names what is not installed.
    """
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawn, max_tasks_per_child=1) as pool:
        return list(pool.map(measure, cases))


def format_table(rows: Sequence[Row]) -> str:
    """Format rows as text."""
    titles = ("fps", "ms", "CPU ms", "zimg ms", "x zimg", "CPU x", "seek ms", "peak MB")
    lines = [f"{'size':8}{'model':8}" + "".join(f"{title:>10}" for title in titles)]
    for row in rows:
        size, model, *values = asdict(row).values()
        lines.append(f"{size:8}{model:8}" + "".join(f"{v if v else '-':>10}" for v in values))
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmark and print a table; --json also writes it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--sizes", nargs="+", choices=SIZES, default=list(SIZES))
    parser.add_argument("--models", nargs="+", choices=MODELS, default=["fast"])
    parser.add_argument("--frames", type=int, default=48, help="timed in a round (48)")
    parser.add_argument("--rounds", type=int, default=3, help="in turn with zimg alone (3)")
    parser.add_argument("--device", help="of the network: cuda, mps or cpu")
    parser.add_argument("--dtype", help="of the network: float32, float16, bfloat16 or int8")
    parser.add_argument("--backend", help="what runs the network: torch, ov, ort or ncnn")
    parser.add_argument("--json", type=Path, help="also write the figures here")
    args = parser.parse_args(argv)
    given = {name: getattr(args, name) for name in ("device", "dtype", "backend")}
    options = {name: value for name, value in given.items() if value is not None}
    try:
        Inference(**options)
    except OptionError as error:
        parser.error(str(error))
    cases = [
        Case(size=size, model=model, frames=args.frames, rounds=args.rounds, options=options)
        for size in args.sizes
        for model in args.models
    ]
    try:
        rows = measure_apart(cases)
    except (vs.Error, GainMapError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    machine = f"{platform.processor() or platform.machine()}, {vs.core.num_threads} threads"
    print(f"{machine}; {args.frames} frames, {args.rounds} rounds\n{format_table(rows)}")
    if args.json:
        args.json.write_text(
            json.dumps({"machine": machine, "rows": [asdict(row) for row in rows]}, indent=1)
        )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

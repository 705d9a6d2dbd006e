"""Time `sdr_to_hdr10` beside zimg's own SDR to PQ: `python -m vs_gainmap.bench`.

Every case runs in a process of its own, in which both take turns: absolute times on a shared
machine mean little, their ratio more. CPU time, over all threads, depends least on what else the
machine does.

With --gpu both networks run in every precision, with fewer and more streams and in tiles, and
each case is compared with the same network on the CPU in float32.
"""

from __future__ import annotations

import argparse
import json
import math
import platform
import random
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import vapoursynth as vs

from vs_gainmap import sdr_to_hdr10
from vs_gainmap.errors import GainMapError, OptionError
from vs_gainmap.filters import props
from vs_gainmap.filters.linear import EOTF_TRANSFERS
from vs_gainmap.filters.memory import bound_cache, bound_freed, frames_in_order
from vs_gainmap.filters.options import Inference
from vs_gainmap.models.inference import DTYPES, choose_device

SIZES = {
    "180p": (320, 180), "540p": (960, 540), "1080p": (1920, 1080), "2160p": (3840, 2160),
}  # fmt: skip
MODELS = ("fast", "gmnet")
USUAL_SIZES = ("540p", "1080p", "2160p")
GPU_SIZES = ("1080p", "2160p")
# Beside the default, which is 3 on CUDA.
GPU_STREAMS = (1, 2, 6)
GPU_SECONDS = 350
# PQ-PSNR from float32 on the CPU. Errors add in squares: this far away, a picture that is 40 dB
# from its truth loses 0.1 dB.
LEAST_PARITY_DB = 56
_BT709 = {
    props.MATRIX: 1, props.TRANSFER: 1, props.PRIMARIES: 1, props.RANGE: 0,
    props.CHROMA_LOCATION: 0,
}  # fmt: skip
_PICTURES = 4
_SEEKS = 5
# Frames before each timed part, so that its temporal window is full. GMNet has as few as it needs.
_LEAD = 100


class CaseError(Exception):
    """A case could not be measured."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """What one process times: a model at a size; `options` are further ones of the filter."""

    size: str
    model: str
    frames: int
    rounds: int
    options: dict[str, Any]
    parity: bool = False
    """Whether to compare a frame with the CPU's."""

    def __str__(self) -> str:
        parts = [f"{name}={value}" for name, value in self.options.items() if name != "device"]
        return " ".join([self.size, self.model, *parts])


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """Medians over the rounds: milliseconds a frame by the clock and of CPU time.

    The ratios are to zimg alone in the same process. `seek_ms` is the time of a random frame;
    `peak_mb` and `gpu_mb` are the most memory that the process held, and PyTorch on a CUDA device,
    None where that is not known. `parity_db` is the PQ-PSNR of a frame from the CPU's in float32.
    """

    case: str
    fps: float
    ms: float
    cpu_ms: float
    zimg_ms: float
    ratio: float
    cpu_ratio: float
    seek_ms: float
    peak_mb: float | None
    gpu_mb: float | None
    parity_db: float | None


_TITLES = {
    "fps": "fps", "ms": "ms", "cpu_ms": "CPU ms", "zimg_ms": "zimg ms", "ratio": "x zimg",
    "cpu_ratio": "CPU x", "seek_ms": "seek ms", "peak_mb": "peak MB", "gpu_mb": "GPU MB",
    "parity_db": "dB to CPU",
}  # fmt: skip


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
        case=str(case),
        fps=round(1000 / ms, 1),
        ms=round(ms, 2),
        cpu_ms=round(cpu, 2),
        zimg_ms=round(zimg_ms, 2),
        ratio=round(ms / zimg_ms, 2),
        cpu_ratio=round(cpu / zimg_cpu, 2),
        seek_ms=round(statistics.median(seeks), 1),
        peak_mb=_peak_megabytes(),
        gpu_mb=_gpu_megabytes(),
        parity_db=_parity(source, case) if case.parity else None,
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


def _gpu_megabytes() -> float | None:
    """Return the most memory that PyTorch held on a CUDA device, if it used one."""
    if not torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        return None
    return round(torch.cuda.max_memory_reserved() / 1e6)


def _parity(source: vs.VideoNode, case: Case) -> float:
    """Return the PQ-PSNR of a frame from the same network's on the CPU in float32, at most 200."""
    one = {"model": case.model, "radius": 0, "format": vs.RGBS}
    pictures = []
    for options in (case.options, {"device": "cpu", "dtype": "float32"}):
        with sdr_to_hdr10(source, **options | one).get_frame(0) as frame:
            pictures.append(np.stack([np.asarray(frame[plane]) for plane in range(3)]))
    error = float(np.square(np.subtract(*pictures, dtype=np.float64)).mean())
    return round(-10 * math.log10(max(error, 1e-20)), 1) if math.isfinite(error) else 0.0


def measure_apart(case: Case, seconds: float | None = None) -> Row:
    """Time one case in a new process.

    Args:
        case: what to time.
        seconds: how long it may take; None sets no limit.

    Raises:
        CaseError: it failed, or took too long.
    """
    command = [sys.executable, "-m", "vs_gainmap.bench", "--case", json.dumps(asdict(case))]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds, check=False)
    except subprocess.TimeoutExpired as error:
        raise CaseError(f"not done in {seconds:.0f} s") from error
    if done.returncode:
        said = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
        raise CaseError(said[-1].removeprefix("bench: "))
    return Row(**json.loads(done.stdout.splitlines()[-1]))


def gpu_cases(
    sizes: Sequence[str], models: Sequence[str], *, device: str | None, frames: int, rounds: int
) -> list[Case]:
    """Return what --gpu measures: all precisions; streams at the first size, tiles at the last.

    Args:
        sizes: keys of `SIZES`.
        models: of `MODELS`.
        device: as for the filter.
        frames: timed in a round.
        rounds: in turn with zimg alone.

    Raises:
        DeviceError: there is no such device.
    """
    on_cpu = choose_device(device).type == "cpu"
    place = {} if device is None else {"device": device}
    cases = []
    for model in models:
        for size in sizes:
            variants: list[dict[str, Any]] = [{}]
            if model == "gmnet":
                # The CPU has no float16.
                variants = [{"dtype": name} for name in DTYPES if name != "float16" or not on_cpu]
            if size == sizes[0]:
                variants += [{"num_streams": count} for count in GPU_STREAMS]
            if size == sizes[-1] and model == "gmnet":
                # Four of a map at half the size.
                variants.append({"tile": SIZES[size][0] // 4})
            cases += [
                Case(
                    size=size,
                    model=model,
                    frames=frames,
                    rounds=rounds,
                    options={**place, **variant},
                    parity=True,
                )
                for variant in variants
            ]
    return cases


def format_titles(width: int, columns: Sequence[str]) -> str:
    """Return the first line of the table; `width` is of its first column."""
    return " " * width + "".join(f"{_TITLES[name]:>10}" for name in columns)


def format_row(row: Row, width: int, columns: Sequence[str]) -> str:
    """Return a line of the table."""
    cells = [getattr(row, name) for name in columns]
    texts = ["-" if cell is None else str(cell) for cell in cells]
    return f"{row.case:{width}}" + "".join(f"{text:>10}" for text in texts)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmark and print a table; --json also writes it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--sizes", nargs="+", choices=SIZES)
    parser.add_argument("--models", nargs="+", choices=MODELS)
    parser.add_argument("--frames", type=int, default=48, help="timed in a round (48)")
    parser.add_argument("--rounds", type=int, default=3, help="in turn with zimg alone (3)")
    parser.add_argument("--device", help="of the network: cuda, mps or cpu")
    parser.add_argument("--dtype", help="of the network: float32, float16, bfloat16 or int8")
    parser.add_argument("--backend", help="what runs the network: torch, ov, ort or ncnn")
    parser.add_argument(
        "--gpu", action="store_true",
        help="both models in every precision, with streams and tiles, against the CPU; six minutes",
    )  # fmt: skip
    parser.add_argument("--json", type=Path, help="also write the figures here")
    # A process of `measure_apart`.
    parser.add_argument("--case", type=json.loads, help=argparse.SUPPRESS)
    args = parser.parse_args(argv)
    given = {name: getattr(args, name) for name in ("device", "dtype", "backend")}
    options = {name: value for name, value in given.items() if value is not None}
    if args.gpu and options.keys() - {"device"}:
        parser.error("--gpu takes every precision of PyTorch: leave out --dtype and --backend")
    try:
        Inference(**options)
        if args.case:
            print(json.dumps(asdict(measure(Case(**args.case)))))
            return 0
        cases = _cases(args, options)
    except OptionError as error:
        parser.error(str(error))
    except (vs.Error, GainMapError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    return _report(cases, args)


def _cases(args: argparse.Namespace, options: dict[str, Any]) -> list[Case]:
    if args.gpu:
        sizes, models = args.sizes or GPU_SIZES, args.models or MODELS
        return gpu_cases(sizes, models, device=args.device, frames=args.frames, rounds=args.rounds)
    return [
        Case(size=size, model=model, frames=args.frames, rounds=args.rounds, options=options)
        for size in args.sizes or USUAL_SIZES
        for model in args.models or ("fast",)
    ]


def _report(cases: Sequence[Case], args: argparse.Namespace) -> int:
    """Measure cases, print a line for each, and last what is wrong; return 1 where something is."""
    deadline = time.monotonic() + GPU_SECONDS if args.gpu else math.inf
    rows: list[Row] = []
    wrong: list[str] = []
    width = max(len(str(case)) for case in cases) + 2
    columns = [name for name in _TITLES if args.gpu or name not in ("gpu_mb", "parity_db")]
    machine = _machine(args.device) if args.gpu else platform.processor() or platform.machine()
    machine = f"{machine}, {vs.core.num_threads} threads"
    print(f"{machine}; {args.frames} frames, {args.rounds} rounds")
    print(format_titles(width, columns), flush=True)
    for case in cases:
        left = deadline - time.monotonic()
        if left <= 0:
            wrong.append(f"{case}: left out, the time is over")
            continue
        try:
            row = measure_apart(case, left if args.gpu else None)
        except CaseError as error:
            wrong.append(f"{case}: {error}")
            continue
        rows.append(row)
        print(format_row(row, width, columns), flush=True)
        if row.parity_db is not None and row.parity_db < LEAST_PARITY_DB:
            wrong.append(f"{case}: {row.parity_db} dB from the CPU, less than {LEAST_PARITY_DB}")
    for line in wrong:
        print(f"bench: {line}", file=sys.stderr)
    if args.json:
        figures = {"machine": machine, "rows": [asdict(row) for row in rows], "wrong": wrong}
        args.json.write_text(json.dumps(figures, indent=1))
    return int(bool(wrong))


def _machine(device: str | None) -> str:
    """Return the name of the device, and PyTorch's version."""
    chosen = choose_device(device)
    name = torch.cuda.get_device_name(chosen) if chosen.type == "cuda" else chosen.type
    return f"{name}, PyTorch {torch.__version__}"


if __name__ == "__main__":
    raise SystemExit(main())

"""Time one network in every way that this machine has: `python -m vs_gainmap.bench_network CLIP`.

The ways take turns, so that a busy machine slows all of them alike; what counts is the ratio to
plain eager float32 PyTorch, which is the published code. Beside time on the clock stands the
time that the processors worked, which other programs disturb less, and how far the rendered
picture is from float32's.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
import vapoursynth as vs
from torch import Tensor

from vs_gainmap import open_clip
from vs_gainmap.backends import RunOptions, open_backend
from vs_gainmap.color.transfer import pq_inverse_eotf
from vs_gainmap.errors import GainMapError
from vs_gainmap.filters.color_props import ColorOverrides, tag_sdr_clip
from vs_gainmap.filters.seeing import network_picture
from vs_gainmap.gainmap import GainMapPreset, render_hdr
from vs_gainmap.models.gmnet import THUMBNAIL_SIZE
from vs_gainmap.models.weights import load_weights

Answer = tuple[Tensor, float]
EAGER = "torch float32, eager"
# Name, backend, precision.
WAYS = (
    ("torch bfloat16", "torch", "bfloat16"),
    ("ort float32", "ort", "float32"),
    ("ort int8", "ort", "int8"),
    ("ov float32", "ov", "float32"),
    ("ov bfloat16", "ov", "bfloat16"),
    ("ov int8", "ov", "int8"),
    # On a GPU, or what stands in for one: left out where there is none.
    ("ncnn float16", "ncnn", "float16"),
)


@dataclass(slots=True)
class Way:
    """One way to run the network, and what was measured of it."""

    run: Callable[[int], Answer]
    clock: list[float] = field(default_factory=list)
    work: list[float] = field(default_factory=list)
    squares: list[float] = field(default_factory=list)


def main(argv: list[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("input", type=Path, metavar="CLIP", help="an SDR file")
    parser.add_argument("--size", default="960x540", metavar="WxH", help="of the map (960x540)")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--weights", default="video")
    parser.add_argument(
        "--ways", nargs="+", choices=[name for name, *_ in WAYS], help="beside eager (all)"
    )
    parser.add_argument("--json", type=Path, help="also write the figures here")
    args = parser.parse_args(argv)

    width, height = (int(side) for side in args.size.split("x"))
    clip = tag_sdr_clip(open_clip(args.input), ColorOverrides(), "bench")
    clip = clip.resize.Bicubic(width, height)
    loaded = load_weights(args.weights)
    preset = loaded.preset
    step = max(1, clip.num_frames // (args.rounds + 1))
    frames = [number * step % clip.num_frames for number in range(args.rounds + 1)]
    signal = _stored(network_picture(clip, width, height), frames)
    thumbnail = _stored(network_picture(clip, THUMBNAIL_SIZE, THUMBNAIL_SIZE), frames)
    ways = _ways(signal, thumbnail, loaded.model, args.ways)
    for number in range(args.rounds + 1):
        truth: Tensor | None = None
        for way in ways.values():
            clock, work = time.perf_counter(), time.process_time()
            answer = way.run(number)
            times = time.perf_counter() - clock, time.process_time() - work
            with signal.get_frame(number) as frame:
                shown = _show(_tensor(frame), answer, preset)
            truth = shown if truth is None else truth
            # The first round warms up.
            if number:
                way.clock.append(times[0])
                way.work.append(times[1])
                way.squares.append(float(((shown - truth) ** 2).mean()))
    rows = _rows(ways)
    print(f"{platform.machine()}, {torch.get_num_threads()} threads, {args.size}")
    titles = f"{'s':>8}{'fastest':>9}{'slowest':>9}{'ratio':>8}{'CPU s':>8}{'ratio':>8}"
    print(f"{'way':24}{titles}{'PQ-PSNR from float32':>23}")
    for row in rows:
        print(
            f"{row['way']:24}{row['clock']:8.3f}{row['fastest']:9.3f}{row['slowest']:9.3f}"
            f"{row['clock_ratio']:8.2f}{row['work']:8.3f}"
            f"{row['work_ratio']:8.2f}{row['pq_psnr']:>20.1f} dB"
        )
    if args.json:
        args.json.write_text(json.dumps({"size": args.size, "rows": rows}, indent=1))
    return 0


def _ways(
    picture: vs.VideoNode, thumbnail: vs.VideoNode, model: Any, wanted: list[str] | None
) -> dict[str, Way]:
    @torch.inference_mode()
    def eager(n: int) -> Answer:
        with picture.get_frame(n) as large, thumbnail.get_frame(n) as small:
            gain_map, qmax_norm = model(_tensor(large), _tensor(small))
        return gain_map, float(qmax_norm)

    def graph(backend: str, device: str, dtype: str) -> Callable[[int], Answer]:
        network = open_backend(backend, model, RunOptions(device=device, dtype=dtype))
        features = _rows_of(network.analyze(thumbnail), network.features_size)
        made = network.local(picture, features)

        def run(n: int) -> Answer:
            with made.get_frame(n) as frame, features.get_frame(n) as row:
                gain_map = torch.from_numpy(np.array(frame[0]))[None, None]
                return gain_map, float(np.asarray(row[0])[0, -1])

        return run

    ways = {EAGER: Way(eager)}
    for name, backend, dtype in WAYS:
        if wanted is not None and name not in wanted:
            continue
        try:
            device = "gpu" if backend == "ncnn" else "cpu"
            ways[name] = Way(graph(backend, device, dtype))
        except GainMapError as error:
            print(f"{name}: left out: {error}")
    return ways


def _rows_of(judged: vs.VideoNode, size: int) -> vs.VideoNode:
    """Return the vectors that `analyze` made as one row a frame."""
    blank = vs.core.std.BlankClip(
        format=vs.GRAYS, width=size, height=1, length=judged.num_frames, keep=True
    )

    def row(n: int, f: list[vs.VideoFrame]) -> vs.VideoFrame:  # noqa: ARG001
        out = f[0].copy()
        np.copyto(np.asarray(out[0])[0], np.asarray(f[1][0]).reshape(-1)[:size])
        return out

    return blank.std.ModifyFrame([blank, judged], row)


def _stored(clip: vs.VideoNode, frames: list[int]) -> vs.VideoNode:
    """Return a clip of these frames that costs nothing to read."""
    kept = [clip.get_frame(n) for n in frames]
    base = vs.core.std.BlankClip(clip, length=len(kept), keep=True)
    return base.std.ModifyFrame(base, lambda n, f: kept[n])  # noqa: ARG005


def _tensor(frame: vs.VideoFrame) -> Tensor:
    planes = np.stack([np.asarray(frame[plane]) for plane in range(3)])
    return torch.from_numpy(planes)[None].clamp(0.0, 1.0)


def _show(signal: Tensor, answer: Answer, preset: GainMapPreset) -> Tensor:
    """Return the HDR picture in PQ, 0..1."""
    light = render_hdr(signal, answer[0], torch.tensor(answer[1]).view(1, 1, 1, 1), preset)
    return pq_inverse_eotf(light * preset.sdr_white)


def _rows(ways: dict[str, Way]) -> list[dict[str, float | str]]:
    rows: list[dict[str, float | str]] = []
    clock = statistics.median(ways[EAGER].clock)
    work = statistics.median(ways[EAGER].work)
    for name, way in ways.items():
        mean = statistics.mean(way.squares)
        rows.append(
            {
                "way": name,
                "clock": statistics.median(way.clock),
                "fastest": min(way.clock),
                "slowest": max(way.clock),
                "clock_ratio": clock / statistics.median(way.clock),
                "work": statistics.median(way.work),
                "work_ratio": work / statistics.median(way.work),
                "pq_psnr": -10 * float(np.log10(max(mean, 1e-12))),
            }
        )
    return rows


if __name__ == "__main__":
    raise SystemExit(main())

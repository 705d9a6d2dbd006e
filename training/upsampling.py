"""What a smaller map costs: `python -m training.upsampling --views FOLDER` or `--video FILES`.

The network sees the picture at 1/2, 1/4 and 1/8; the map goes up by the filters themselves,
bilinearly or guided; PQ-PSNR is against the truth, beside that of the full map. Time is the
process's own, of the network in PyTorch and of the way up, so that other programs don't count.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import torch
import vapoursynth as vs
from torch import Tensor

from training.evaluate import Item
from training.items import items_from_video, items_from_views
from training.metrics import pq_psnr
from training.pairs import make_thumbnail
from training.validate import split_views, to_nits
from training.views import read_index
from training.way_up import WayUp, as_clip, go_down, go_up, tagged
from vs_gainmap.filters.upsampling import guided_upsample
from vs_gainmap.gainmap import render_hdr
from vs_gainmap.weights import Weights, load_weights

SCALES = (2, 4, 8)
WAYS: tuple[WayUp, ...] = ("bilinear", "guided")
# Sides are cut to it, so that every scale gives even sizes.
STEP = 16
# Frames over which the way up is timed, the first left out.
UP_FRAMES = 5


class Cost(NamedTuple):
    """Of one picture: PQ-PSNR that it loses against the full map, dB, and CPU seconds."""

    loss: float
    seconds: float


Costs = dict[tuple[str, int], list[Cost]]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--weights", default="video")
    parser.add_argument("--views", type=Path, help="folder of views; its held-out scenes are used")
    parser.add_argument("--video", type=Path, nargs="*", default=[], help="HDR files")
    parser.add_argument("--count", type=int, default=2, help="views an operator, frames a file")
    parser.add_argument("--lines", type=int, default=540, help="video is shrunk to this height")
    parser.add_argument("--items", type=int, default=40, help="at most so many, evenly chosen")
    args = parser.parse_args()
    weights = load_weights(args.weights)
    items: list[Item] = []
    if args.views:
        _, held_out = split_views(read_index(args.views))
        items += items_from_views(held_out, weights.preset, args.count)
    if args.video:
        items += items_from_video(
            args.video, weights.preset, count=args.count, lines=args.lines, step=STEP, length=1
        )
    chosen = items[:: -(-len(items) // args.items)] if items else []
    if not chosen:
        parser.error("--views or --video is needed, with something to measure on")
    print(format_table(measure_costs(weights, chosen)))


def measure_costs(weights: Weights, items: Iterable[Item]) -> Costs:
    """Return, by way up and scale, what each item loses and takes; ("full", 1) is the full map."""
    keys = [("full", 1), *itertools.product(WAYS, SCALES)]
    found: Costs = {key: [] for key in keys}
    model: Any = weights.model
    for item in items:
        height, width = (side // STEP * STEP for side in item.sdr_signal.shape[-2:])
        signal = item.sdr_signal[:, :height, :width]
        truth = item.truth[:, :height, :width]
        with torch.inference_mode():
            # The same Qmax for all: what is measured is the map.
            features = model.analyze(make_thumbnail(signal[None]))
            whole, seconds = _timed(lambda: model.predict(signal[None], features))  # noqa: B023
            full = _score(weights, signal, whole, features.qmax_norm, truth)
            found["full", 1].append(Cost(0.0, seconds))
            for scale in SCALES:
                seen = go_down(signal, scale)
                small, seconds = _timed(lambda: model.predict(seen, features))  # noqa: B023
                for way in WAYS:
                    gain_map = go_up(small, signal, way)
                    score = _score(weights, signal, gain_map, features.qmax_norm, truth)
                    cost = Cost(full - score, seconds + time_up(small, signal, way))
                    found[way, scale].append(cost)
    return found


def time_up(small: Tensor, signal: Tensor, way: WayUp) -> float:
    """Return the CPU seconds a frame that the filters take to bring a map up."""
    stills = [as_clip(small[0], vs.GRAYS), tagged(signal)]
    for still in stills:
        still.std.SetVideoCache(mode=1)
    gain_map, picture = (still.std.Loop(UP_FRAMES) for still in stills)
    if way == "guided":
        large = guided_upsample(gain_map, picture)
    else:
        large = gain_map.resize.Bilinear(picture.width, picture.height)
    seconds = []
    for n in range(UP_FRAMES):
        _, taken = _timed(lambda: large.get_frame(n).close())  # noqa: B023
        seconds.append(taken)
    return statistics.median(seconds[1:])


def _timed[T](work: Callable[[], T]) -> tuple[T, float]:
    start = time.process_time()
    done = work()
    return done, time.process_time() - start


def format_table(found: Costs) -> str:
    """Return mean and worst loss, and the median of CPU time, as text."""
    lines = [
        f"{'way up':10}{'map':>6}{'mean loss':>12}{'worst':>9}"
        f"{'CPU time':>12}{'of full':>9}{'items':>7}"
    ]
    full = statistics.median(cost.seconds for cost in found["full", 1])
    for (way, scale), costs in found.items():
        losses = [cost.loss for cost in costs]
        seconds = statistics.median(cost.seconds for cost in costs)
        lines.append(
            f"{way:10}{f'1/{scale}':>6}{statistics.mean(losses):9.3f} dB{max(losses):6.2f} dB"
            f"{1000 * seconds:9.1f} ms{seconds / full:9.3f}{len(costs):7}"
        )
    return "\n".join(lines)


def _score(
    weights: Weights, signal: Tensor, gain_map: Tensor, qmax_norm: Tensor, truth: Tensor
) -> float:
    light = render_hdr(signal[None], gain_map, qmax_norm, weights.preset)
    return float(pq_psnr(to_nits(light, weights.preset)[0], truth))


if __name__ == "__main__":
    main()

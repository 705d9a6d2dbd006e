"""What a smaller map costs: `python -m training.upsampling --views FOLDER` or `--video FILES`.

The network sees the picture at 1/2, 1/4 and 1/8; the map goes up by the filters themselves,
bilinearly or guided; PQ-PSNR is against the truth, beside that of the full map.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import vapoursynth as vs
from torch import Tensor
from torch.nn import functional

from training.evaluate import Item
from training.items import items_from_video, items_from_views
from training.metrics import pq_psnr
from training.pairs import make_thumbnail, read_index
from training.validate import split_views, to_nits
from vs_gainmap.filters.upsampling import guided_upsample
from vs_gainmap.gainmap import render_hdr
from vs_gainmap.weights import Weights, load_weights

SCALES = (2, 4, 8)
# Sides are cut to it, so that every scale gives even sizes.
STEP = 16


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
            args.video, weights.preset, count=args.count, lines=args.lines, step=STEP
        )
    chosen = items[:: -(-len(items) // args.items)]
    print(format_table(losses(weights, chosen)))


def losses(weights: Weights, items: Iterable[Item]) -> dict[tuple[str, int], list[float]]:
    """Return, by way up and scale, what each item loses against the full map, in dB of PQ-PSNR."""
    found: dict[tuple[str, int], list[float]] = {
        key: [] for key in itertools.product(("bilinear", "guided"), SCALES)
    }
    model: Any = weights.model
    for item in items:
        height, width = (side // STEP * STEP for side in item.sdr_signal.shape[-2:])
        signal = item.sdr_signal[:, :height, :width]
        truth = item.truth[:, :height, :width]
        with torch.inference_mode():
            # The same Qmax for all: what is measured is the map.
            features = model.analyze(make_thumbnail(signal[None]))
            whole = model.predict(signal[None], features)
            full = _score(weights, signal, whole, features.qmax_norm, truth)
            for scale in SCALES:
                small = model.predict(_as_filters_do(signal, scale), features)
                for way, gain_map in (
                    ("bilinear", _bilinear(small, signal)),
                    ("guided", _guided(small, signal)),
                ):
                    score = _score(weights, signal, gain_map, features.qmax_norm, truth)
                    found[way, scale].append(full - score)
    return found


def format_table(found: dict[tuple[str, int], list[float]]) -> str:
    """Return mean and worst loss as text."""
    lines = [f"{'way up':12}{'map':>6}{'mean loss':>12}{'worst':>9}{'items':>7}"]
    for (way, scale), values in found.items():
        lines.append(
            f"{way:12}{f'1/{scale}':>6}{statistics.mean(values):9.3f} dB"
            f"{max(values):6.2f} dB{len(values):7}"
        )
    return "\n".join(lines)


def _score(
    weights: Weights, signal: Tensor, gain_map: Tensor, qmax_norm: Tensor, truth: Tensor
) -> float:
    light = render_hdr(signal[None], gain_map, qmax_norm, weights.preset)
    return float(pq_psnr(to_nits(light, weights.preset)[0], truth))


def _as_filters_do(signal: Tensor, scale: int) -> Tensor:
    """Return (1, 3, H / scale, W / scale), with the cubic filter that `predict` uses."""
    size = [side // scale for side in signal.shape[-2:]]
    return functional.interpolate(
        signal[None], size=size, mode="bicubic", align_corners=False, antialias=True
    ).clamp(0.0, 1.0)


def _bilinear(small: Tensor, signal: Tensor) -> Tensor:
    size = signal.shape[-2:]
    return functional.interpolate(small, size=size, mode="bilinear", align_corners=False)


def _guided(small: Tensor, signal: Tensor) -> Tensor:
    tags = {"_Matrix": int(vs.MATRIX_RGB), "_Range": int(vs.RANGE_FULL), "_Transfer": 1}
    picture = _clip(signal, vs.RGBS).std.SetFrameProps(**tags)
    with guided_upsample(_clip(small[0], vs.GRAYS), picture).get_frame(0) as frame:
        return torch.from_numpy(np.array(frame[0]))[None, None]


def _clip(planes: Tensor, format_id: int) -> vs.VideoNode:
    """Return one frame that shows (C, H, W)."""
    _, height, width = planes.shape
    blank = vs.core.std.BlankClip(format=format_id, width=width, height=height, length=1)

    def fill(n: int, f: vs.VideoFrame) -> vs.VideoFrame:  # noqa: ARG001
        out = f.copy()
        for index, plane in enumerate(planes):
            np.copyto(np.asarray(out[index]), plane.numpy())
        return out

    return blank.std.ModifyFrame(blank, fill)


if __name__ == "__main__":
    main()

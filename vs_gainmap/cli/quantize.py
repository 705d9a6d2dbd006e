"""`vs-gainmap quantize`: calibrate weights for 8-bit convolutions, once."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from vs_gainmap.cli.options import add_progressive_option, open_progressive
from vs_gainmap.cli.values import positive_int

if TYPE_CHECKING:
    import vapoursynth as vs
    from torch import Tensor

# Ranges hardly depend on the size; small frames make it a matter of seconds.
LONG_SIDE = 640


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Describe the command."""
    parser = subparsers.add_parser(
        "quantize",
        help="calibrate weights for --dtype int8",
        description="Measure the range of each convolution's input on a few frames, and keep it in "
        "the user's cache. From then on --backend ov or ort takes --dtype int8 with these weights.",
    )
    parser.add_argument(
        "inputs", type=Path, nargs="+", metavar="IN", help="SDR files that are to be converted"
    )
    parser.add_argument("--weights", default="video", metavar="NAME|FILE", help="which weights")
    parser.add_argument("--weights-preset", dest="preset", metavar="NAME", help="as for convert")
    parser.add_argument(
        "--frames", type=positive_int, default=24, metavar="N", help="of each, evenly spread (24)"
    )
    add_progressive_option(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Calibrate."""
    from vs_gainmap.backends.export import weights_digest
    from vs_gainmap.backends.quantize import calibrate, save_ranges
    from vs_gainmap.errors import BackendError
    from vs_gainmap.models import GMNet
    from vs_gainmap.models.weights import load_weights

    weights = load_weights(args.weights, preset=args.preset)
    if not isinstance(weights.model, GMNet):
        raise BackendError(f"quantize: {args.weights} is no GMNet; only that gains from it")
    clips = [open_progressive(path, args) for path in args.inputs]
    pictures = chain.from_iterable(_pictures(clip, args.frames) for clip in clips)
    path = save_ranges(weights_digest(weights.model), calibrate(weights.model, pictures))
    print(f"{path}: {args.weights} is calibrated; convert with --backend ov --dtype int8")
    return 0


def _pictures(clip: vs.VideoNode, count: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield evenly spread frames as the network gets them: picture and thumbnail."""
    import numpy as np
    import torch

    from vs_gainmap.filters.color_props import tag_sdr_clip
    from vs_gainmap.filters.network_input import network_picture, network_thumbnail
    from vs_gainmap.filters.options import InputColor

    def tensor(frame: vs.VideoFrame) -> Tensor:
        planes = np.stack([np.asarray(frame[plane]) for plane in range(3)])
        return torch.from_numpy(planes)[None].clamp(0.0, 1.0)

    tagged = tag_sdr_clip(clip, InputColor(), "quantize")
    shrink = min(1.0, LONG_SIDE / max(clip.width, clip.height))
    width, height = (max(16, round(side * shrink / 2) * 2) for side in (clip.width, clip.height))
    picture = network_picture(tagged, width, height)
    thumbnail = network_thumbnail(tagged)
    for i in range(min(count, clip.num_frames)):
        n = (2 * i + 1) * clip.num_frames // (2 * min(count, clip.num_frames))
        with picture.get_frame(n) as large, thumbnail.get_frame(n) as small:
            yield tensor(large), tensor(small)

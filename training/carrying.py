"""What carried maps cost: `python -m training.carrying FILES`.

Runs of frames of HDR video become SDR by a few operators; the filters make HDR of them with a map
of every frame, by PyTorch in float32, and with fewer, or otherwise; PQ-PSNR is against the truth.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import vapoursynth as vs
from numpy.typing import NDArray
from torch import Tensor

from training.flicker import watch
from training.grade import Master
from training.items import read_runs, sdr_of
from training.operators import OPERATORS
from training.pairs import show
from training.shots import SHOT_OPERATORS
from training.way_up import tagged
from vs_gainmap.filters import apply, predict
from vs_gainmap.gainmap import GainMapPreset
from vs_gainmap.weights import load_weights

# Sides are cut to it, so that maps of any scale have whole sizes.
STEP = 16
# The least peak of a master, cd/m2, whatever the frames reach.
_LEAST_PEAK = 300.0


class Moving(NamedTuple):
    """A run of frames both ways."""

    name: str
    sdr: list[Tensor]
    """(3, H, W), BT.709 signal, 0..1."""
    truth: list[Tensor]
    """(3, H, W), BT.2020, cd/m2."""

    @property
    def motion(self) -> float:
        """Return by how much samples change from frame to frame, 0..1."""
        return statistics.mean(float((b - a).abs().mean()) for a, b in itertools.pairwise(self.sdr))


class Loss(NamedTuple):
    """What a way lost of a run, dB: all its frames, and the worst."""

    mean: float
    worst: float


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("video", type=Path, nargs="+", metavar="FILES", help="HDR video")
    parser.add_argument("--weights", default="video")
    parser.add_argument("--places", type=int, default=2, help="runs a file (2)")
    parser.add_argument("--frames", type=int, default=13, help="of a run (13)")
    parser.add_argument("--lines", type=int, default=540, help="video is shrunk to this height")
    parser.add_argument("--every", type=int, nargs="+", default=[1, 2, 3, 4], metavar="N")
    parser.add_argument("--backend", default="torch", help="of what is compared (torch)")
    parser.add_argument("--dtype", default="float32", help="likewise (float32)")
    args = parser.parse_args()
    preset = load_weights(args.weights).preset
    runs = moving_runs(args.video, preset, places=args.places, frames=args.frames, lines=args.lines)
    how = {"backend": args.backend, "dtype": args.dtype}
    print(f"{'run':44}{'motion':>8}{'PQ-PSNR':>10}", end="")
    print("".join(f"{f'every {n}: mean, worst':>24}" for n in args.every))
    found: list[list[Loss]] = []
    for run in runs:
        own, losses = measure_losses(run, args.weights, args.every, how)
        found.append(losses)
        print(f"{run.name[:43]:44}{run.motion:8.4f}{own:10.2f}", end="")
        print("".join(f"{loss.mean:+16.3f}{loss.worst:+8.3f}" for loss in losses), flush=True)
    print(f"{'all':62}", end="")
    for column in zip(*found, strict=True):
        mean = statistics.mean(loss.mean for loss in column)
        print(f"{mean:+16.3f}{max(loss.worst for loss in column):+8.3f}", end="")
    print()


def moving_runs(
    paths: Iterable[Path], preset: GainMapPreset, *, places: int, frames: int, lines: int
) -> Iterator[Moving]:
    """Yield runs of consecutive frames of HDR video, each file's by one operator after another.

    Args:
        paths: HDR10 or HLG files.
        preset: SDR white and peak of the truth.
        places: runs a file.
        frames: of a run.
        lines: larger frames are shrunk to this height.
    """
    names = itertools.cycle(SHOT_OPERATORS)
    for path in paths:
        for place, run in enumerate(
            read_runs(path, places=places, length=frames, lines=lines, step=STEP)
        ):
            operator = next(names)
            peak = max(_LEAST_PEAK, *(float(p.max()) for p in run))
            masters = [Master(nits=p, peak_nits=peak) for p in run]
            make = OPERATORS[operator].usual[0]
            yield Moving(
                f"{path.stem}/{place}/{operator}",
                [sdr_of(m, make, wide=True) for m in masters],
                [show(m, preset, rolled=False) * preset.sdr_white for m in masters],
            )


def measure_losses(
    run: Moving, weights: str, every: Sequence[int], how: dict[str, Any]
) -> tuple[float, list[Loss]]:
    """Return the PQ-PSNR of a map of every frame by PyTorch in float32, and what others lose.

    Args:
        run: frames and their truth.
        weights: bundled name or file.
        every: `map_every` of what is compared.
        how: backend and dtype of it.
    """
    clip = vs.core.std.Splice([tagged(signal) for signal in run.sdr])
    own = _scores(clip, run.truth, weights, map_every=1, backend="torch", dtype="float32")
    losses = []
    for number in every:
        lost = own - _scores(clip, run.truth, weights, map_every=number, **how)
        losses.append(Loss(float(lost.mean()), float(lost.max())))
    return float(own.mean()), losses


def _scores(
    clip: vs.VideoNode, truth: Sequence[Tensor], weights: str, **how: Any
) -> NDArray[np.float64]:
    gain_map = predict(clip, weights=weights, survey=0, **how)
    return watch(apply(clip, gain_map, format=vs.RGBS), truth).psnr


if __name__ == "__main__":
    main()

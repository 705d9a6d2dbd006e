"""Pictures to measure on: held-out views, runs of video frames, and the paper's layout."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from pathlib import Path

from torch import Tensor
from torch.nn import functional

from training.data.encodings import PLAYER
from training.data.grade import Master
from training.data.operators import OPERATORS, Operator
from training.data.pairs import Conversion, show
from training.data.video import read_frames
from training.data.views import View
from training.evaluate import Item
from training.paper.layout import list_layout, render
from training.validate import make_examples, to_nits
from vs_gainmap.gainmap import GainMapPreset
from vs_gainmap.video.index import scan

# Frames of a run: two changes, and one more picture of the same place is hardly another picture.
RUN = 3
# Mean difference of SDR signals across which there is a cut, and no flicker.
CUT = 0.1


def items_from_views(views: list[View], preset: GainMapPreset, per_operator: int) -> Iterator[Item]:
    """Yield held-out views through every operator, as validation has them."""
    for number, example in enumerate(make_examples(views, preset, per_operator=per_operator)):
        yield Item(
            name=f"{example.scene}_{number:03d}",
            operator=example.operator,
            sdr_signal=example.sdr_signal.float(),
            truth=example.hdr.float() * preset.sdr_white,
        )


def read_runs(
    path: Path, *, places: int, length: int = 1, lines: int = 0, step: int = 8
) -> list[list[Tensor]]:
    """Read runs of consecutive frames, their places spread evenly over a video.

    Args:
        path: HDR10 or HLG.
        places: how many runs; fewer where the video is shorter than all of them.
        length: frames of a run.
        lines: larger frames are shrunk to this height, in light; 0 leaves them.
        step: sides are cut to multiples of it.

    Returns:
        Runs of (3, H, W), BT.2020, cd/m2.

    Raises:
        MediaError: there is no video in the file, or it is not HDR.
    """
    index = scan(path)
    total = len(index)
    places = max(min(places, total // length), 1)
    starts = [int((k + 0.5) * total / places - length / 2) for k in range(places)]
    numbers = [max(min(start + n, total - 1), 0) for start in starts for n in range(length)]
    frames = (_cut_to(_shrink(f, lines), step) for f in read_frames(path, numbers, index=index))
    return [list(run) for run in itertools.batched(frames, length)]


def items_from_video(
    paths: Iterable[Path],
    preset: GainMapPreset,
    *,
    count: int,
    lines: int = 0,
    step: int = 8,
    seed: int = 0,
    length: int = RUN,
) -> Iterator[Item]:
    """Yield frames of HDR video through every operator at its usual settings.

    Args:
        paths: HDR10 or HLG files.
        preset: SDR white and peak of the truth.
        count: runs of a file, spread over it; all metrics are of their first frames.
        lines: larger frames are shrunk to this height, in light; 0 leaves them.
        step: sides are cut to multiples of it.
        seed: 1 swaps the color space that each operator works in.
        length: frames of a run, between which flicker is measured.
    """
    for row, path in enumerate(paths):
        runs = read_runs(path, places=count, length=length, lines=lines, step=step)
        peak = max(300.0, *(float(p.max()) for run in runs for p in run))
        settings = [(name, o) for name, entry in OPERATORS.items() for o in entry.usual]
        for column, (name, operator) in enumerate(settings):
            wide = (row + column + seed) % 2 == 0
            for place, frames in enumerate(runs):
                before: Tensor | None = None
                for nits in frames:
                    master = Master(nits=nits, peak_nits=peak)
                    signal = sdr_of(master, operator, wide)
                    if before is not None and float((signal - before).abs().mean()) > CUT:
                        break
                    yield Item(
                        name=f"{path.stem}_{place:03d}",
                        operator=name,
                        sdr_signal=signal,
                        truth=show(master, preset, rolled=False) * preset.sdr_white,
                        sequence=f"{path.stem}/{name}/{column}/{place}" if length > 1 else None,
                        follows=before is not None,
                    )
                    before = signal


def sdr_of(master: Master, operator: Operator, wide: bool) -> Tensor:
    """Return the SDR that an operator makes of a master, (3, H, W), 0..1, in steps of 8 bits."""
    convert = Conversion(name="", operator=operator, encoding=PLAYER, wide=wide)
    return (convert(master) * 255).round() / 255


def _shrink(picture: Tensor, lines: int) -> Tensor:
    height, width = picture.shape[-2:]
    if lines == 0 or height <= lines:
        return picture
    size = (lines, round(width * lines / height))
    return functional.interpolate(picture[None], size=size, mode="area")[0]


def _cut_to(picture: Tensor, step: int) -> Tensor:
    height, width = (side // step * step for side in picture.shape[-2:])
    return picture[:, :height, :width]


def items_from_layout(folder: Path, preset: GainMapPreset) -> Iterator[Item]:
    """Yield the pictures of a folder in the paper's layout; the truth is their own map, rendered.

    Args:
        folder: such as ``.../test``.
        preset: the data's.

    Raises:
        MediaError: nothing there, or a part is missing.
    """
    for layout in list_layout(folder):
        image, coded, qmax, thumbnail = layout.load(preset)
        gain_map = functional.interpolate(
            coded[None], size=image.shape[-2:], mode="bilinear", align_corners=False
        )[0]
        yield Item(
            name=layout.image.stem,
            operator="layout",
            sdr_signal=image,
            truth=to_nits(render(image, gain_map, qmax, preset), preset),
            thumbnail=thumbnail,
        )

"""Pictures with known HDR to evaluate on: views, frames of video, and the paper's layout."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from torch import Tensor
from torch.nn import functional

from training.data.encodings import PLAYER
from training.data.grade import Master
from training.data.operators import OPERATORS
from training.data.pairs import Conversion, make_pair, show
from training.data.video import spread_frames
from training.data.views import View
from training.paper.layout import list_layout, render
from vs_gainmap.color.primaries import convert_primaries
from vs_gainmap.errors import MediaError
from vs_gainmap.gainmap import GainMapPreset

SEED = 2390


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """A picture to evaluate on.

    Attributes:
        name: of the picture.
        operator: name of what made its SDR.
        sdr_signal: (3, H, W), 0..1, BT.709.
        truth: (3, H, W), BT.2020, cd/m2.
        thumbnail: (3, 256, 256), where it is not made of `sdr_signal`.
        title: (1, H, W), bool, where the letters of a title are.
    """

    name: str
    operator: str
    sdr_signal: Tensor
    truth: Tensor
    thumbnail: Tensor | None = None
    title: Tensor | None = None


def items_from_views(
    views: list[View], preset: GainMapPreset, *, per_operator: int
) -> Iterator[Item]:
    """Yield the same pairs every time: `per_operator` views for each operator.

    Args:
        views: of held-out scenes, which are taken in turn.
        preset: SDR white and peak of the truth.
        per_operator: items for each operator.

    Raises:
        MediaError: there are no views.
    """
    if not views:
        raise MediaError(
            "training: no view is of a held-out scene; `render` two scenes or more, or name some"
        )
    scenes: dict[str, list[View]] = {}
    for view in views:
        scenes.setdefault(view.scene, []).append(view)
    names = sorted(scenes)
    for row, operator in enumerate(OPERATORS):
        for column in range(per_operator):
            rng = np.random.default_rng([SEED, row, column])
            number = row * per_operator + column
            choices = scenes[names[number % len(names)]]
            view = choices[int(rng.integers(len(choices)))]
            pair = make_pair(view, rng, preset, operator=operator)
            yield Item(
                name=f"{view.scene}_{number:03d}",
                operator=operator,
                sdr_signal=pair.sdr_signal,
                truth=pair.hdr * preset.sdr_white,
            )


def items_from_video(
    paths: Iterable[Path], preset: GainMapPreset, *, count: int, lines: int = 0, step: int = 8
) -> Iterator[Item]:
    """Yield frames of HDR video through every operator at its usual settings.

    Args:
        paths: HDR10 or HLG files.
        preset: SDR white and peak of the truth.
        count: frames of each file, spread over it.
        lines: larger frames are shrunk to this height, in light; 0 leaves them.
        step: sides are cut to multiples of it.

    Raises:
        MediaError: a file can't be read, or is not HDR.
    """
    for row, path in enumerate(paths):
        frames = [_fit(nits, lines, step) for nits in spread_frames(path, count=count)]
        peak = max(300.0, *(float(nits.max()) for nits in frames))
        settings = [(name, o) for name, entry in OPERATORS.items() for o in entry.usual]
        for column, (name, operator) in enumerate(settings):
            wide = (row + column) % 2 == 0
            convert = Conversion(name=name, operator=operator, encoding=PLAYER, wide=wide)
            for number, nits in enumerate(frames):
                master = Master(nits=nits, peak_nits=peak)
                yield Item(
                    name=f"{path.stem}_{number:03d}",
                    operator=name,
                    sdr_signal=(convert(master) * 255).round() / 255,
                    truth=show(master, preset, rolled=False) * preset.sdr_white,
                )


def _fit(picture: Tensor, lines: int, step: int) -> Tensor:
    """Shrink (3, H, W) to a height of at most `lines`, and cut it to multiples of `step`."""
    height, width = picture.shape[-2:]
    if 0 < lines < height:
        size = (lines, round(width * lines / height))
        picture = functional.interpolate(picture[None], size=size, mode="area")[0]
    height, width = (side // step * step for side in picture.shape[-2:])
    return picture[:, :height, :width]


def items_from_layout(
    folder: Path, preset: GainMapPreset, *, count: int | None = None
) -> Iterator[Item]:
    """Yield the pictures of a folder in the paper's layout; the truth is rendered from their map.

    Args:
        folder: such as ``.../test``.
        preset: of the data.
        count: how many, spread over the folder; None is all.

    Raises:
        MediaError: the folder is empty, or a part is missing.
    """
    layouts = list_layout(folder)
    few = min(len(layouts) if count is None else count, len(layouts))
    for number in range(few):
        layout = layouts[number * len(layouts) // few]
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


def to_nits(linear_bt709: Tensor, preset: GainMapPreset) -> Tensor:
    """Return BT.2020 light in cd/m2 of linear BT.709 light, 1.0 = SDR white."""
    return convert_primaries(linear_bt709, "bt709", "bt2020").clamp(min=0.0) * preset.sdr_white

"""Evaluate on gain map photos: a camera's own SDR, and the HDR that its map gives."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from torch import Tensor
from torch.nn import functional

from training.data.sources import PHOTO_SUFFIXES, read_still
from training.evaluate import Item, Method, Output
from training.validate import to_nits
from vs_gainmap.color.transfer import SDR_EOTFS, Eotf
from vs_gainmap.errors import GainMapError, MediaError
from vs_gainmap.gainmap import GainMapPreset
from vs_gainmap.models.weights import Weights
from vs_gainmap.photo.extract import as_sdr_base
from vs_gainmap.photo.predict import network_signal
from vs_gainmap.photo.read import read_photo

# The EOTF of photographs, whatever the weights were trained with.
PHOTO_EOTF: Eotf = "srgb"


def items_from_photos(
    folder: Path, preset: GainMapPreset, *, longest: int = 512, step: int = 8
) -> Iterator[Item]:
    """Yield every gain map photo in a folder, shrunk.

    Args:
        folder: with JPEG, AVIF or HEIC.
        preset: SDR white of the truth, and the peak at which it is clipped.
        longest: about how long the longer side is at most, in pixels.
        step: sides are multiples of it.

    Raises:
        MediaError: the folder is missing, or has no gain map photo.
    """
    if not folder.is_dir():
        raise MediaError(f"evaluate: no folder {folder} with photos")
    paths = sorted(p for p in folder.iterdir() if p.suffix.lower() in PHOTO_SUFFIXES)
    found = False
    for path in paths:
        try:
            signal = network_signal(as_sdr_base(read_photo(path)).picture)
            light = read_still(path).linear
        except GainMapError:
            continue  # A photo without a gain map.
        found = True
        height, width = signal.shape[-2:]
        share = min(longest / max(height, width), 1.0)
        size = tuple(max(round(side * share / step), 1) * step for side in (height, width))
        truth = _resize(light, size) * preset.sdr_white
        yield Item(
            name=path.stem,
            operator="photo",
            sdr_signal=_resize(signal, size).clamp(0.0, 1.0),
            truth=truth.clamp(0.0, preset.peak_nits),
        )
    if not found:
        raise MediaError(f"evaluate: no gain map photo in {folder}")


def for_photos(weights: Weights) -> Weights:
    """Return weights with the EOTF of photographs."""
    return replace(weights, preset=replace(weights.preset, eotf=PHOTO_EOTF))


def as_it_is(preset: GainMapPreset) -> Method:
    """Return plain SDR as a method: what a viewer without gain map support shows."""

    def run(item: Item) -> Output:
        return Output(nits=to_nits(SDR_EOTFS[PHOTO_EOTF](item.sdr_signal), preset))

    return run


def _resize(picture: Tensor, size: tuple[int, ...]) -> Tensor:
    return functional.interpolate(picture[None].float(), size=size, mode="area")[0]

"""Render a gain map photo to linear light, in bands of rows, so that memory stays bounded."""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vs_gainmap.color.primaries import PrimariesName, convert_primaries
from vs_gainmap.color.transfer import SDR_EOTFS, Eotf
from vs_gainmap.errors import MediaError
from vs_gainmap.gainmap import apply_gain_map
from vs_gainmap.photo.input import bands
from vs_gainmap.photo.options import Sampling
from vs_gainmap.photo.read import GainMapPhoto


def resample_rows(
    gain_map: NDArray[np.float32],
    size: tuple[int, int],
    start: int,
    stop: int,
    sampling: Sampling = "smooth",
) -> Tensor:
    """Sample rows of a map at a picture's size.

    Args:
        gain_map: (h, w, C).
        size: width and height of the picture.
        start: first row of the picture.
        stop: behind its last row.
        sampling: see `Sampling`.

    Returns:
        (C, stop - start, W), float32.
    """
    width, height = size
    if gain_map.shape[:2] == (height, width):
        return torch.from_numpy(np.ascontiguousarray(gain_map[start:stop])).movedim(-1, 0)
    source = torch.from_numpy(gain_map)
    if sampling == "smooth":
        down = _positions(source.shape[0] / height, start, stop, 0.5).clamp(0, source.shape[0] - 1)
        across = _positions(source.shape[1] / width, 0, width, 0.5).clamp(0, source.shape[1] - 1)
        (top, dy), (bottom, _) = _taps(source.shape[0], down)
        (left, dx), (right, _) = _taps(source.shape[1], across)
        rows = torch.lerp(source[top], source[bottom], dy[:, None, None])
        return torch.lerp(rows[:, left], rows[:, right], dx[None, :, None]).movedim(-1, 0)
    # libultrahdr has one scale for both axes, that of the widths. At the far edges both taps are
    # the last sample, and weigh by how far away that is.
    scale = source.shape[1] / width
    total = source.new_zeros(())
    result = source.new_zeros(())
    for row, dy in _taps(source.shape[0], _positions(scale, start, stop, 0.0)):
        for column, dx in _taps(source.shape[1], _positions(scale, 0, width, 0.0)):
            weight = 1 / torch.hypot(dy[:, None], dx[None, :]).clamp(min=1e-6)
            result = result + weight[..., None] * source[row][:, column]
            total = total + weight
    return (result / total[..., None]).movedim(-1, 0)


def _positions(scale: float, start: int, stop: int, shift: float) -> Tensor:
    """Return the places in the map of pixels' middles (`shift` 0.5) or corners (0)."""
    return (torch.arange(start, stop, dtype=torch.float64) + shift) * scale - shift


def _taps(source: int, positions: Tensor) -> list[tuple[Tensor, Tensor]]:
    """Return the two samples next to each position, and how far away they are."""
    first = positions.floor().long().clamp(max=source - 1)
    taps = (first, (first + 1).clamp(max=source - 1))
    return [(tap, (positions - tap).abs().float()) for tap in taps]


def upright[T: np.generic](pixels: NDArray[T], orientation: int) -> NDArray[T]:
    """Turn pixels upright by EXIF's orientation (CIPA DC-008, tag 274).

    Args:
        pixels: (H, W, C), as stored.
        orientation: 1..8.

    Returns:
        The picture upright, contiguous.
    """
    if orientation in (5, 6, 7, 8):
        pixels = pixels.swapaxes(0, 1)
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return np.ascontiguousarray(pixels)


def render_rows(
    photo: GainMapPhoto,
    start: int,
    stop: int,
    *,
    display_boost: float | None = None,
    primaries: PrimariesName | None = None,
    eotf: Eotf | None = None,
) -> Tensor:
    """Render a band of rows, as stored: the orientation is not applied.

    Args:
        photo: what `read_photo` returned.
        start: first row.
        stop: behind the last row.
        display_boost: how far over SDR white a display goes, as a ratio, 1 or more; None
            gives the HDR picture in full.
        primaries: of the result; None keeps the base's.
        eotf: decodes the base instead of its profile; "gamma22" is GMNet's form.

    Returns:
        (3, stop - start, W), float32, linear light, 1.0 = SDR white.

    Raises:
        MediaError: a display boost below 1.
    """
    metadata, picture = photo.metadata, photo.picture
    if display_boost is not None and not display_boost >= 1.0:
        raise MediaError(f"display boost must be 1 or more, got {display_boost}")
    if display_boost is None:
        weight = 0.0 if metadata.base_is_hdr else 1.0
    else:
        weight = metadata.weight(math.log2(display_boost))
    own = picture.profile.primaries
    within = photo.map_primaries or own
    height, width = picture.signal.shape[:2]
    band = picture.signal[start:stop]
    if eotf is None:
        base = picture.profile.to_linear(band)
    else:
        base = SDR_EOTFS[eotf](picture.profile.to_srgb_signal(band))
    gain_map = resample_rows(photo.gain_map, (width, height), start, stop, photo.sampling)
    base = convert_primaries(base, own, within)
    hdr = apply_gain_map(base, gain_map, metadata, weight=weight)
    return convert_primaries(hdr, within, own if primaries is None else primaries)


def render_photo(
    photo: GainMapPhoto,
    *,
    display_boost: float | None = None,
    primaries: PrimariesName | None = None,
    eotf: Eotf | None = None,
    turn: bool = True,
) -> NDArray[np.float32]:
    """Render a whole photo to linear light; see `render_rows`.

    Args:
        photo: what `read_photo` returned.
        display_boost: as `render_rows` has it.
        primaries: as `render_rows` has it.
        eotf: as `render_rows` has it.
        turn: apply the orientation.

    Returns:
        (H, W, 3), float32, linear light, 1.0 = SDR white.

    Raises:
        MediaError: a display boost below 1.
    """
    height, width = photo.picture.signal.shape[:2]
    out = np.empty((height, width, 3), dtype=np.float32)
    for start, stop in bands(height):
        band = render_rows(
            photo, start, stop, display_boost=display_boost, primaries=primaries, eotf=eotf
        )
        out[start:stop] = band.movedim(0, -1).numpy()
    return upright(out, photo.picture.orientation) if turn else out

"""Render a gain map photo to linear light, in bands of rows, so that memory stays bounded."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vs_gainmap.color import SDR_EOTFS, Eotf, Primaries, PrimariesName, convert_primaries
from vs_gainmap.errors import MediaError
from vs_gainmap.gainmap import apply_gain_map
from vs_gainmap.photo.read import GainMapPhoto

BAND_ROWS = 256

Sampling = Literal["centered", "libultrahdr"]
"""How a map smaller than its picture is read between its samples.

"centered" is bilinear with the two pictures' edges aligned, as encoders average and as Skia
(Chrome, Android) draws. "libultrahdr" repeats that decoder: inverse distance weights, the
first samples of both aligned, which shifts the map by half a cell.
"""


def resample_rows(
    gain_map: NDArray[np.float32],
    size: tuple[int, int],
    start: int,
    stop: int,
    sampling: Sampling = "centered",
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
    if sampling == "centered":
        top, bottom, down = _taps(source.shape[0], source.shape[0] / height, start, stop, 0.5)
        left, right, across = _taps(source.shape[1], source.shape[1] / width, 0, width, 0.5)
        rows = torch.lerp(source[top], source[bottom], down[:, None, None])
        return torch.lerp(rows[:, left], rows[:, right], across[None, :, None]).movedim(-1, 0)
    # libultrahdr has one scale for both axes, that of the widths.
    scale = source.shape[1] / width
    top, bottom, down = _taps(source.shape[0], scale, start, stop, 0.0)
    left, right, across = _taps(source.shape[1], scale, 0, width, 0.0)
    total = source.new_zeros(())
    result = source.new_zeros(())
    for row, dy in ((top, down), (bottom, 1 - down)):
        for column, dx in ((left, across), (right, 1 - across)):
            weight = 1 / torch.hypot(dy[:, None], dx[None, :]).clamp(min=1e-6)
            result = result + weight[..., None] * source[row][:, column]
            total = total + weight
    return (result / total[..., None]).movedim(-1, 0)


def _taps(
    source: int, scale: float, start: int, stop: int, shift: float
) -> tuple[Tensor, Tensor, Tensor]:
    position = (torch.arange(start, stop, dtype=torch.float64) + shift) * scale - shift
    position = position.clamp(0, source - 1)
    first = position.floor().long()
    return first, (first + 1).clamp(max=source - 1), (position - first).float()


def upright[T: np.generic](pixels: NDArray[T], orientation: int) -> NDArray[T]:
    """Turn pixels as EXIF's orientation says (CIPA DC-008, tag 274).

    Args:
        pixels: (H, W, C), as stored.
        orientation: 1..8.

    Returns:
        The picture as it is to be seen.
    """
    if orientation in (5, 6, 7, 8):
        pixels = pixels.swapaxes(0, 1)
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return np.ascontiguousarray(pixels)


def render_photo(
    photo: GainMapPhoto,
    *,
    display_boost: float | None = None,
    primaries: PrimariesName | None = None,
    eotf: Eotf | None = None,
    sampling: Sampling = "centered",
    turn: bool = True,
) -> NDArray[np.float32]:
    """Render a photo to linear light.

    Args:
        photo: what `read_photo` returned.
        display_boost: how far over SDR white a display goes, as a ratio, 1 or more; None
            gives the HDR picture in full.
        primaries: of the result; None keeps the base's.
        eotf: decodes the base otherwise than its profile says; "gamma22" is GMNet's form.
        sampling: how a smaller map is read between its samples.
        turn: apply the orientation.

    Returns:
        (H, W, 3), float32, linear light, 1.0 = SDR white.

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
    out = np.empty((height, width, 3), dtype=np.float32)
    for start in range(0, height, BAND_ROWS):
        stop = min(start + BAND_ROWS, height)
        band = picture.signal[start:stop]
        if eotf is None:
            base = picture.profile.to_linear(band)
        else:
            base = SDR_EOTFS[eotf](picture.profile.to_srgb_signal(band))
        gain_map = resample_rows(photo.gain_map, (width, height), start, stop, sampling)
        base = convert_primaries(base, own, within)
        hdr = apply_gain_map(base, gain_map, metadata, weight=weight)
        hdr = convert_primaries(hdr, within, _target(primaries, own))
        out[start:stop] = hdr.movedim(0, -1).numpy()
    return upright(out, picture.orientation) if turn else out


def _target(
    primaries: PrimariesName | None, own: PrimariesName | Primaries
) -> PrimariesName | Primaries:
    return own if primaries is None else primaries

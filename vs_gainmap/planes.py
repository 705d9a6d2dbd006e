"""Video planes to R'G'B' and back in PyTorch, on any device, as zimg does it on the CPU.

Chroma is resampled with Catmull-Rom, which is zimg's default bicubic, stretched where it is made
smaller.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaneFormat:
    """Integer Y'CbCr, non-constant luminance (ITU-R BT.601, BT.709, BT.2020, BT.2100)."""

    bits: int
    """8 to 16."""
    subsampling_w: int
    """log2 of luma's width over chroma's."""
    subsampling_h: int
    kr: float
    """Weight of R' in luma."""
    kb: float
    full_range: bool = False
    right: float = 0.0
    """How far chroma stands from the middle of its pixels, in pixels of luma; -0.5 is "left"."""
    down: float = 0.0

    @property
    def black(self) -> float:
        """Return the code of black."""
        return 0.0 if self.full_range else 16.0 * 2 ** (self.bits - 8)

    @property
    def luma_span(self) -> float:
        """Return codes between black and white."""
        return 2.0**self.bits - 1 if self.full_range else 219.0 * 2 ** (self.bits - 8)

    @property
    def chroma_span(self) -> float:
        """Return codes between the ends of chroma, -0.5 and 0.5."""
        return 2.0**self.bits - 1 if self.full_range else 224.0 * 2 ** (self.bits - 8)


def to_float(plane: Tensor) -> Tensor:
    """Return codes as float32; 16 bits may come as int16, by their pattern."""
    if plane.dtype == torch.int16:
        return (plane.to(torch.int32) & 0xFFFF).float()
    return plane.float()


def luma_of(plane: Tensor, layout: PlaneFormat) -> Tensor:
    """Return luma, 0..1 and what lies outside, of the first plane: (1, 1, H, W)."""
    return ((to_float(plane) - layout.black) / layout.luma_span)[None, None]


def decode_planes(planes: Sequence[Tensor], layout: PlaneFormat) -> Tensor:
    """Turn planes into R'G'B'.

    Args:
        planes: Y, Cb, Cr: (H, W) and two of chroma's size; uint8, or int16 with the pattern of
            unsigned codes.
        layout: what they are.

    Returns:
        (1, 3, H, W), float32, nominally 0..1; what overshoots stays.
    """
    y = luma_of(planes[0], layout)
    middle = 2.0 ** (layout.bits - 1)
    chroma = torch.stack([to_float(plane) for plane in planes[1:]])[:, None]
    chroma = (chroma - middle) / layout.chroma_span
    chroma = _enlarge(chroma, 1 << layout.subsampling_w, layout.right, 3)
    chroma = _enlarge(chroma, 1 << layout.subsampling_h, layout.down, 2)
    cb, cr = chroma[:1], chroma[1:]
    kr, kb = layout.kr, layout.kb
    red, blue = y + 2 * (1 - kr) * cr, y + 2 * (1 - kb) * cb
    green = (y - kr * red - kb * blue) / (1 - kr - kb)
    return torch.cat([red, green, blue], dim=1)


def encode_planes(signal: Tensor, layout: PlaneFormat) -> list[Tensor]:
    """Turn R'G'B' into planes, rounded.

    Args:
        signal: (1, 3, H, W), float32, nominally 0..1; sizes that subsampling divides.
        layout: what to make.

    Returns:
        Y, Cb, Cr: uint8, or int16 with the pattern of unsigned codes.
    """
    red, green, blue = signal[0]
    kr, kb = layout.kr, layout.kb
    y = kr * red + (1 - kr - kb) * green + kb * blue
    chroma = torch.stack([(blue - y) / (2 * (1 - kb)), (red - y) / (2 * (1 - kr))])[:, None]
    chroma = _reduce(chroma, 1 << layout.subsampling_w, layout.right, 3)
    chroma = _reduce(chroma, 1 << layout.subsampling_h, layout.down, 2)
    middle = 2.0 ** (layout.bits - 1)
    coded = [y * layout.luma_span + layout.black, *(chroma[:, 0] * layout.chroma_span + middle)]
    top = 2**layout.bits - 1
    kind = torch.uint8 if layout.bits == 8 else torch.int16
    # int16 holds codes above 32767 as negative numbers, by way of int32.
    return [plane.round().clamp(0, top).to(torch.int32).to(kind) for plane in coded]


def shrink(x: Tensor, height: int, width: int) -> Tensor:
    """Make pictures smaller with stretched Catmull-Rom, as the network is to see them.

    Args:
        x: (N, C, H, W), float32.
        height: at most H.
        width: at most W.
    """
    rows, columns = x.shape[-2:]
    if rows % height or columns % width:
        down, across = _weights(rows, height).to(x), _weights(columns, width).to(x)
        return down @ x @ across.T
    flat = x.reshape(-1, 1, rows, columns)
    small = _reduce(_reduce(flat, columns // width, 0.0, 3), rows // height, 0.0, 2)
    return small.reshape(*x.shape[:2], height, width)


@cache
def _weights(length: int, made: int) -> Tensor:
    """Return the (made, length) matrix that shrinks a line by any ratio, mirrored at its ends."""
    ratio = length / made
    matrix = torch.zeros(made, length, dtype=torch.float64)
    for row in range(made):
        center = (row + 0.5) * ratio - 0.5
        for tap in range(math.ceil(center - 2 * ratio), math.floor(center + 2 * ratio) + 1):
            place = tap % (2 * length)
            place = min(place, 2 * length - 1 - place)
            matrix[row, place] += _cubic((tap - center) / ratio)
    return matrix / matrix.sum(dim=1, keepdim=True)


def _cubic(distance: float) -> float:
    """Return Catmull-Rom's weight."""
    d = abs(distance)
    if d < 1:
        return 1.5 * d**3 - 2.5 * d**2 + 1
    return -0.5 * d**3 + 2.5 * d**2 - 4 * d + 2 if d < 2 else 0.0


def _enlarge(x: Tensor, factor: int, shift: float, dim: int) -> Tensor:
    """Enlarge (N, 1, H, W) along a dimension; samples stand `shift` off the middle of theirs."""
    if factor == 1:
        return x
    # Where each of the `factor` pixels of a sample lies, counted in samples from the sample.
    places = [(k - (factor - 1) / 2 - shift) / factor for k in range(factor)]
    reach = 3
    taps = torch.tensor(
        [[_cubic(place - tap) for tap in range(-reach, reach + 1)] for place in places]
    )
    made = _convolve(x, taps, reach, reach, 1, dim)
    # (N, factor, H, W): each kernel's results are every `factor`-th pixel.
    made = made.movedim(1, dim)
    shape = list(x.shape)
    shape[dim] *= factor
    return made.reshape(shape)


def _reduce(x: Tensor, factor: int, shift: float, dim: int) -> Tensor:
    """Make (N, 1, H, W) smaller along a dimension; samples stand `shift` off the middle."""
    if factor == 1:
        return x
    center = (factor - 1) / 2 + shift
    first, last = math.ceil(center - 2 * factor), math.floor(center + 2 * factor)
    weights = [_cubic((tap - center) / factor) for tap in range(first, last + 1)]
    taps = torch.tensor([weights]) / sum(weights)
    return _convolve(x, taps, -first, last - (factor - 1), factor, dim)


def _convolve(x: Tensor, taps: Tensor, before: int, after: int, step: int, dim: int) -> Tensor:
    length = x.shape[dim]
    # Mirrored, the edge sample twice, as zimg does it.
    near = x.narrow(dim, 0, min(before, length)).flip(dim)
    far = x.narrow(dim, length - min(after, length), min(after, length)).flip(dim)
    x = torch.cat([near, x, far], dim)
    along = dim == 3
    kernel = taps.to(x)[:, None, None, :] if along else taps.to(x)[:, None, :, None]
    return functional.conv2d(x, kernel, stride=(1, step) if along else (step, 1))

"""What the kernel has to know of a clip's color, as tuples of float32."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from vs_gainmap.color.primaries import PrimariesName, rgb_to_rgb_matrix
from vs_gainmap.color.transfer import PQ_PEAK_NITS
from vs_gainmap.fused.polynomials import HALF_STOPS, LOG, POWER, PQ

Floats = tuple[np.float32, ...]

# BT.2020 and BT.2100, non-constant luminance.
_TARGET_KR, _TARGET_KB = 0.2627, 0.0593
# Codes between black and white, and between the ends of chroma, of 10 bits in limited range.
_LUMA_CODES, _CHROMA_CODES, _BLACK, _MIDDLE = 876.0, 896.0, 64.0, 512.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Color:
    """How a picture comes in and goes out; hashable."""

    bits: int
    kr: float
    """Weight of R' in luma."""
    kb: float
    primaries: PrimariesName
    full_range: bool
    right: float
    """How far chroma stands from the middle of its pixels, in pixels of luma: -0.5 or 0."""
    down: float
    """-0.5, 0 or 0.5."""
    target_right: float
    target_down: float
    eotf: str
    """A name of `POWER`."""
    sdr_white: float
    """cd/m2."""


class Parameters(NamedTuple):
    """Numbers for the kernel."""

    luma: Floats
    """Code of black, and what a code counts."""
    small: Floats
    """The same of the small picture, which has 16 bits."""
    middle: np.float32
    """Code of no chroma."""
    across: tuple[Floats, Floats]
    """Weights of four chroma samples, from two before for an even column, from one before for
    an odd one."""
    along: tuple[Floats, Floats]
    """Likewise for rows."""
    chroma: Floats
    """Of a chroma code: Cr in R', Cb in G', Cr in G', Cb in B'."""
    power: Floats
    primaries: Floats
    """Row by row."""
    log: Floats
    """What a step of a float's bits counts, then the mantissa's polynomial."""
    pq: Floats
    weights: Floats
    """Of R', G' and B' in luma."""
    codes: Floats
    """Factor and offset of luma, factors of B' - Y' and R' - Y', offset of chroma."""
    shrink_across: Floats
    """Weights of eight pixels from three before to four after an even one."""
    shrink_along: Floats


def _cubic(distance: float) -> float:
    """Return Catmull-Rom's weight, as zimg resamples chroma."""
    d = abs(distance)
    if d < 1:
        return 1.5 * d**3 - 2.5 * d**2 + 1
    return -0.5 * d**3 + 2.5 * d**2 - 4 * d + 2 if d < 2 else 0.0


def _floats(values: Iterable[float]) -> Floats:
    return tuple(np.float32(value) for value in values)


def _enlarge(shift: float) -> tuple[Floats, Floats]:
    even, odd = ((k - 0.5 - shift) / 2 for k in (0, 1))
    return (
        _floats(_cubic(even - tap) for tap in range(-2, 2)),
        _floats(_cubic(odd - tap) for tap in range(-1, 3)),
    )


def _shrink(shift: float) -> Floats:
    weights = [_cubic((tap - 0.5 - shift) / 2) for tap in range(-3, 5)]
    return _floats(weight / sum(weights) for weight in weights)


@lru_cache(maxsize=64)
def parameters(color: Color) -> Parameters:
    """Return the numbers for a picture's color."""
    scale = 2.0 ** (color.bits - 8)
    span, chroma_span = 219 * scale, 224 * scale
    if color.full_range:
        span = chroma_span = 2.0**color.bits - 1
    kr, kb = color.kr, color.kb
    kg = 1 - kr - kb
    red, blue = 2 * (1 - kr) / chroma_span, 2 * (1 - kb) / chroma_span
    # t = log2(light) / HALF_STOPS + 1, where a float's bits count 2 ** -23 from -127 on.
    log = [value / HALF_STOPS for value in LOG]
    log[0] += (math.log2(color.sdr_white / PQ_PEAK_NITS) - 127) / HALF_STOPS + 1
    return Parameters(
        luma=_floats([0.0 if color.full_range else 16 * scale, 1 / span]),
        small=_floats([0.0, 1 / 65535] if color.full_range else [4096.0, 1 / 56064]),
        middle=np.float32(128 * scale),
        across=_enlarge(color.right),
        along=_enlarge(color.down),
        chroma=_floats([red, -blue * kb / kg, -red * kr / kg, blue]),
        power=_floats(POWER[color.eotf]),
        primaries=_floats(rgb_to_rgb_matrix(color.primaries, "bt2020").flatten().tolist()),
        log=_floats([2.0**-23 / HALF_STOPS, *log]),
        pq=_floats(PQ),
        weights=_floats([_TARGET_KR, 1 - _TARGET_KR - _TARGET_KB, _TARGET_KB]),
        # Half a code, since the kernel cuts off.
        codes=_floats(
            [
                _LUMA_CODES,
                _BLACK + 0.5,
                _CHROMA_CODES / (2 * (1 - _TARGET_KB)),
                _CHROMA_CODES / (2 * (1 - _TARGET_KR)),
                _MIDDLE + 0.5,
            ]
        ),
        shrink_across=_shrink(color.target_right),
        shrink_along=_shrink(color.target_down),
    )


def gain_parameters(
    low: float, high: float, headroom: float, stretch: float, strength: float
) -> Floats:
    """Return how the kernel makes t, see `polynomials`, of a map's value.

    Args:
        low: log gain at 0, in stops.
        high: log gain at 1.
        headroom: the largest log gain.
        stretch: factor on what is above SDR's own.
        strength: factor on all.

    Returns:
        Factor, offset, least and largest log gain, factor above zero, factor below.
    """
    unit = strength / HALF_STOPS
    return _floats([high - low, low, low, headroom, stretch * unit, unit])

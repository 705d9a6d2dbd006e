"""The kernel that renders: SDR planes and a gain map to PQ planes."""

from __future__ import annotations

from typing import Any

import numpy as np

from vs_gainmap.fused.parameters import Floats, Parameters
from vs_gainmap.fused.rows import (
    PAD,
    ZERO,
    F,
    Row,
    compiled,
    make_desk,
    mirror,
    open_row,
    power_light,
    pq_signal,
)

_TOP = F(1023)
# Rows that one row of chroma is made of; a power of two, so that rows find their place by bits.
_RING = 8


@compiled
def _convert(
    luma: Row, cb: Row, cr: Row, stops: Row, p: Parameters, out: Row, blue: Row, red: Row, n: int
) -> None:
    """Take half of a row to PQ: luma in codes, and B' - Y' and R' - Y', padded."""
    m, w = p.primaries, p.weights
    for k in range(n):
        b, r = cb[k], cr[k]
        red_light = power_light(luma[k] + p.chroma[0] * r, p.power)
        green_light = power_light(luma[k] + p.chroma[1] * b + p.chroma[2] * r, p.power)
        blue_light = power_light(luma[k] + p.chroma[3] * b, p.power)
        wide_red = m[0] * red_light + m[1] * green_light + m[2] * blue_light
        wide_green = m[3] * red_light + m[4] * green_light + m[5] * blue_light
        wide_blue = m[6] * red_light + m[7] * green_light + m[8] * blue_light
        red_signal = pq_signal(wide_red, stops[k], p.log, p.pq)
        green_signal = pq_signal(wide_green, stops[k], p.log, p.pq)
        blue_signal = pq_signal(wide_blue, stops[k], p.log, p.pq)
        y = w[0] * red_signal + w[1] * green_signal + w[2] * blue_signal
        out[k] = y * p.codes[0] + p.codes[1]
        blue[k + PAD] = blue_signal - y
        red[k + PAD] = red_signal - y


@compiled
def _write_luma(even: Row, odd: Row, out: Row, n: int) -> None:
    for k in range(n):
        out[2 * k] = np.uint16(np.int32(min(max(even[k], ZERO), _TOP)))
        out[2 * k + 1] = np.uint16(np.int32(min(max(odd[k], ZERO), _TOP)))


@compiled
def _shrink_row(even: Row, odd: Row, w: Floats, out: Row, n: int) -> None:
    """Make a row half as long."""
    for k in range(PAD):
        even[PAD - 1 - k], odd[PAD - 1 - k] = odd[PAD + k], even[PAD + k]
        even[n + PAD + k], odd[n + PAD + k] = odd[n + PAD - 1 - k], even[n + PAD - 1 - k]
    # Where chroma stands on even columns, the even ones beside it count nothing.
    here = w[1] == ZERO
    for k in range(n):
        total = w[0] * odd[k] + w[2] * odd[k + 1] + w[4] * odd[k + 2] + w[6] * odd[k + 3]
        total += w[3] * even[k + 2]
        if not here:
            total += w[1] * even[k + 1] + w[5] * even[k + 3] + w[7] * even[k + 4]
        out[k] = total


@compiled
def _write_chroma(
    ring: Row, row: int, rows: int, w: Floats, scale: Any, offset: Any, out: Row, n: int
) -> None:
    """Make a row of chroma of eight shrunk rows of luma's height."""
    a, b, c, d, e, f, g, h = (
        ring[mirror(row - 3, rows) % _RING], ring[mirror(row - 2, rows) % _RING],
        ring[mirror(row - 1, rows) % _RING], ring[row % _RING],
        ring[mirror(row + 1, rows) % _RING], ring[mirror(row + 2, rows) % _RING],
        ring[mirror(row + 3, rows) % _RING], ring[mirror(row + 4, rows) % _RING],
    )  # fmt: skip
    for k in range(n):
        first = w[0] * a[k] + w[1] * b[k] + w[2] * c[k] + w[3] * d[k]
        total = first + w[4] * e[k] + w[5] * f[k] + w[6] * g[k] + w[7] * h[k]
        out[k] = np.uint16(np.int32(min(max(total * scale + offset, ZERO), _TOP)))


@compiled
def render(
    source: tuple[Row, Row, Row],
    gain_map: Row,
    small: Row,
    target: tuple[Row, Row, Row],
    size: tuple[int, int, int, int],
    p: Parameters,
    gain: Floats,
    guided: bool,
    curve: Floats,
) -> None:
    """Turn SDR planes into PQ planes.

    Args:
        source: Y (H, at least W), Cb and Cr (H / 2, at least W / 2); uint8 or uint16, rows
            contiguous.
        gain_map: (h, at least w), float32.
        small: (h, at least w), uint16: luma of the picture at the map's size, in its own range
            spread to 16 bits. Only looked at when `guided`.
        target: of the same sizes, uint16; written, BT.2020 PQ codes of 10 bits.
        size: W and H, even and at least 8; w and h, at most W and H.
        p: from `parameters`.
        gain: from `gain_parameters`.
        guided: whether the map goes up as a curve over luma and what that leaves of it.
        curve: coefficients of the powers of 2 luma - 1, nine of them.
    """
    width, height, map_width, _ = size
    n = width // 2
    desk = make_desk(n, map_width)
    line = np.empty((2, n), np.float32)
    padded = np.empty((4, n + 2 * PAD), np.float32)
    ring = np.empty((2, _RING, n), np.float32)
    made, other_made = line[0], line[1]
    blue, other_blue, red, other_red = padded[0], padded[1], padded[2], padded[3]
    even, odd = desk.even, desk.odd
    # A row of chroma is made when the last row of luma that it needs is there.
    for y in range(height + 3):
        if y < height:
            open_row(source, gain_map, small, y, size, p, gain, guided, curve, desk)
            _convert(even.luma, even.blue, even.red, even.stops, p, made, blue, red, n)
            _convert(
                odd.luma, odd.blue, odd.red, odd.stops, p, other_made, other_blue, other_red, n
            )
            _write_luma(made, other_made, target[0][y], n)
            _shrink_row(blue, other_blue, p.shrink_across, ring[0, y % _RING], n)
            _shrink_row(red, other_red, p.shrink_across, ring[1, y % _RING], n)
        if y >= 4 and y % 2 == 0:
            row, w = y - 4, p.shrink_along
            _write_chroma(ring[0], row, height, w, p.codes[2], p.codes[4], target[1][row >> 1], n)
            _write_chroma(ring[1], row, height, w, p.codes[3], p.codes[4], target[2][row >> 1], n)

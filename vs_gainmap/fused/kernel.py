"""The kernel. Rows are taken apart into even and odd columns, so that every loop over columns
reads and writes memory in order and LLVM makes vector code of it.

Loops must not write into what they read: that, too, keeps LLVM from vectors.
"""  # noqa: D205

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import numba
import numpy as np
from numpy.typing import NDArray

from vs_gainmap.color import BRIGHTEST_SIGNAL
from vs_gainmap.fused.parameters import Floats, Parameters

Row = NDArray[Any]
_F = np.float32
_ZERO, _ONE = _F(0), _F(1)
_TOP = _F(1023)
_BRIGHTEST = _F(BRIGHTEST_SIGNAL)
# Rows that one row of chroma is made of; a power of two, so that rows find their place by bits.
_RING = 8
# Samples kept before and after a row, of what it shows in a mirror.
_PAD = 2
_MANTISSA, _EXPONENT_0 = np.int32(0x7FFFFF), np.int32(0x3F800000)


def _compiled[F: Callable[..., Any]](function: F) -> F:
    compiler = numba.njit(nogil=True, fastmath=True, error_model="numpy", cache=True)
    return cast(F, compiler(function))


def _inlined[F: Callable[..., Any]](function: F) -> F:
    compiler = numba.njit(nogil=True, fastmath=True, error_model="numpy", inline="always")
    return cast(F, compiler(function))


@_inlined
def _light(x: Any, c: Floats) -> Any:
    x = min(max(x, _ZERO), _BRIGHTEST)
    r = np.sqrt(x)
    high = c[3] + r * (c[4] + r * (c[5] + r * c[6]))
    return x * r * (c[0] + r * (c[1] + r * (c[2] + r * high)))


@_inlined
def _pq(light: Any, stops: Any, log: Floats, c: Floats) -> Any:
    bits = np.float32(light).view(np.int32)
    m = np.int32((bits & _MANTISSA) | _EXPONENT_0).view(np.float32)
    t = log[1] + m * (log[2] + m * (log[3] + m * (log[4] + m * log[5])))
    t = _F(bits) * log[0] + t + stops
    t = min(max(t, -_ONE), _ONE)
    high = c[4] + t * (c[5] + t * (c[6] + t * (c[7] + t * (c[8] + t * c[9]))))
    return c[0] + t * (c[1] + t * (c[2] + t * (c[3] + t * high)))


@_inlined
def _stops(value: Any, g: Floats) -> Any:
    stops = min(max(value * g[0] + g[1], g[2]), g[3])
    return max(stops, _ZERO) * g[4] + min(stops, _ZERO) * g[5]


@_compiled
def _mirror(i: int, length: int) -> int:
    """Return the place of the sample that is seen at a place beyond an edge."""
    if i < 0:
        return -1 - i
    return 2 * length - 1 - i if i >= length else i


@_compiled
def _read_luma(codes: Row, luma: Floats, even: Row, odd: Row, n: int) -> None:
    for k in range(n):
        even[k] = (_F(codes[2 * k]) - luma[0]) * luma[1]
        odd[k] = (_F(codes[2 * k + 1]) - luma[0]) * luma[1]


@_compiled
def _read_chroma(
    plane: Row, first: int, rows: int, w: Floats, middle: Any, out: Row, n: int
) -> None:
    """Filter four rows of chroma to one of a row of luma."""
    a, b = plane[_mirror(first, rows)], plane[_mirror(first + 1, rows)]
    c, d = plane[_mirror(first + 2, rows)], plane[_mirror(first + 3, rows)]
    for k in range(n):
        total = w[0] * _F(a[k]) + w[1] * _F(b[k]) + w[2] * _F(c[k]) + w[3] * _F(d[k])
        out[k + _PAD] = total - middle
    for k in range(_PAD):
        out[_PAD - 1 - k], out[n + _PAD + k] = out[_PAD + k], out[n + _PAD - 1 - k]


@_compiled
def _find_places(width: int, first: int, n: int) -> tuple[Row, Row]:
    """Return where every second column, from the first on, lies in a padded row of a map."""
    left, share = np.empty(n, np.uint32), np.empty(n, np.float32)
    for k in range(n):
        place = (2 * k + first + 0.5) * width / (2 * n) + 0.5
        left[k] = np.uint32(place)
        share[k] = _F(place - np.floor(place))
    return left, share


@_compiled
def _spread(padded: Row, places: tuple[Row, Row], out: Row) -> None:
    left, share = places
    for k in range(len(out)):
        a = padded[left[k]]
        out[k] = a + share[k] * (padded[left[k] + np.uint32(1)] - a)


@_compiled
def _read_map(
    row: Row, width: int, places: tuple[Row, Row], other_places: tuple[Row, Row], padded: Row,
    even: Row, odd: Row,
) -> None:  # fmt: skip
    """Bring a row of the map to the picture's width, linearly between the middles of samples."""
    n = len(even)
    if width == 2 * n:
        for k in range(n):
            even[k], odd[k] = row[2 * k], row[2 * k + 1]
        return
    for k in range(width):
        padded[k + 1] = row[k]
    padded[0], padded[width + 1] = row[0], row[width - 1]
    if width == n:
        # Usual, and without looking places up.
        near, far = _F(0.75), _F(0.25)
        for k in range(n):
            even[k] = far * padded[k] + near * padded[k + 1]
            odd[k] = near * padded[k + 1] + far * padded[k + 2]
        return
    _spread(padded, places, even)
    _spread(padded, other_places, odd)


@_compiled
def _find_stops(a: Row, b: Row, share: Any, gain: Floats, out: Row, n: int) -> None:
    for k in range(n):
        out[k] = _stops(a[k] + share * (b[k] - a[k]), gain)


@_compiled
def _find_guided_stops(
    a: Row, b: Row, share: Any, luma: Row, c: Floats, gain: Floats, out: Row, n: int
) -> None:
    for k in range(n):
        x = min(max(luma[k], _ZERO), _ONE) * _F(2) - _ONE
        high = c[4] + x * (c[5] + x * (c[6] + x * (c[7] + x * c[8])))
        curve = c[0] + x * (c[1] + x * (c[2] + x * (c[3] + x * high)))
        out[k] = _stops(a[k] + share * (b[k] - a[k]) + curve, gain)


@_compiled
def _convert(
    luma: Row, cb: Row, cr: Row, stops: Row, h: Floats, p: Parameters,
    out: Row, blue: Row, red: Row, n: int,
) -> None:  # fmt: skip
    """Take half of a row to PQ: luma in codes, and B' - Y' and R' - Y', padded."""
    m, w = p.primaries, p.weights
    # Columns on which chroma stands: half of all, mostly.
    here = h[2] == _ONE
    for k in range(n):
        if here:
            b, r = cb[k + 2], cr[k + 2]
        else:
            b = h[0] * cb[k] + h[1] * cb[k + 1] + h[2] * cb[k + 2] + h[3] * cb[k + 3]
            r = h[0] * cr[k] + h[1] * cr[k + 1] + h[2] * cr[k + 2] + h[3] * cr[k + 3]
        red_light = _light(luma[k] + p.chroma[0] * r, p.power)
        green_light = _light(luma[k] + p.chroma[1] * b + p.chroma[2] * r, p.power)
        blue_light = _light(luma[k] + p.chroma[3] * b, p.power)
        wide_red = m[0] * red_light + m[1] * green_light + m[2] * blue_light
        wide_green = m[3] * red_light + m[4] * green_light + m[5] * blue_light
        wide_blue = m[6] * red_light + m[7] * green_light + m[8] * blue_light
        red_signal = _pq(wide_red, stops[k], p.log, p.pq)
        green_signal = _pq(wide_green, stops[k], p.log, p.pq)
        blue_signal = _pq(wide_blue, stops[k], p.log, p.pq)
        y = w[0] * red_signal + w[1] * green_signal + w[2] * blue_signal
        out[k] = y * p.codes[0] + p.codes[1]
        blue[k + _PAD] = blue_signal - y
        red[k + _PAD] = red_signal - y


@_compiled
def _write_luma(even: Row, odd: Row, out: Row, n: int) -> None:
    for k in range(n):
        out[2 * k] = np.uint16(np.int32(min(max(even[k], _ZERO), _TOP)))
        out[2 * k + 1] = np.uint16(np.int32(min(max(odd[k], _ZERO), _TOP)))


@_compiled
def _shrink_row(even: Row, odd: Row, w: Floats, out: Row, n: int) -> None:
    """Make a row half as long."""
    for k in range(_PAD):
        even[_PAD - 1 - k], odd[_PAD - 1 - k] = odd[_PAD + k], even[_PAD + k]
        even[n + _PAD + k], odd[n + _PAD + k] = odd[n + _PAD - 1 - k], even[n + _PAD - 1 - k]
    # Where chroma stands on even columns, the even ones beside it count nothing.
    here = w[1] == _ZERO
    for k in range(n):
        total = w[0] * odd[k] + w[2] * odd[k + 1] + w[4] * odd[k + 2] + w[6] * odd[k + 3]
        total += w[3] * even[k + 2]
        if not here:
            total += w[1] * even[k + 1] + w[5] * even[k + 3] + w[7] * even[k + 4]
        out[k] = total


@_compiled
def _write_chroma(
    ring: Row, row: int, rows: int, w: Floats, scale: Any, offset: Any, out: Row, n: int
) -> None:
    """Make a row of chroma of eight shrunk rows of luma's height."""
    a, b, c, d, e, f, g, h = (
        ring[_mirror(row - 3, rows) % _RING], ring[_mirror(row - 2, rows) % _RING],
        ring[_mirror(row - 1, rows) % _RING], ring[row % _RING],
        ring[_mirror(row + 1, rows) % _RING], ring[_mirror(row + 2, rows) % _RING],
        ring[_mirror(row + 3, rows) % _RING], ring[_mirror(row + 4, rows) % _RING],
    )  # fmt: skip
    for k in range(n):
        first = w[0] * a[k] + w[1] * b[k] + w[2] * c[k] + w[3] * d[k]
        total = first + w[4] * e[k] + w[5] * f[k] + w[6] * g[k] + w[7] * h[k]
        out[k] = np.uint16(np.int32(min(max(total * scale + offset, _ZERO), _TOP)))


@_compiled
def render(
    source: tuple[Row, Row, Row],
    gain_map: Row,
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
        target: of the same sizes, uint16; written, BT.2020 PQ codes of 10 bits.
        size: W and H, even and at least 8; w and h, at most W and H.
        p: from `parameters`.
        gain: from `gain_parameters`.
        guided: whether the map is only what a curve leaves.
        curve: coefficients of the powers of 2 luma - 1, nine of them.
    """
    width, height, map_width, map_height = size
    n, rows = width // 2, height // 2
    line = np.empty((6, n), np.float32)
    padded = np.empty((6, n + 2 * _PAD), np.float32)
    map_rows = np.empty((2, 2, n), np.float32)
    map_row = np.empty(map_width + 2, np.float32)
    held = np.full(2, -1)
    places, other_places = _find_places(map_width, 0, n), _find_places(map_width, 1, n)
    ring = np.empty((2, _RING, n), np.float32)
    even, odd, stops, other_stops, made, other_made = (
        line[0], line[1], line[2], line[3], line[4], line[5]
    )  # fmt: skip
    cb, cr, blue, other_blue, red, other_red = (
        padded[0], padded[1], padded[2], padded[3], padded[4], padded[5]
    )  # fmt: skip
    # A row of chroma is made when the last row of luma that it needs is there.
    for y in range(height + 3):
        if y < height:
            along, first = p.along[y & 1], (y >> 1) - 2 + (y & 1)
            _read_chroma(source[1], first, rows, along, p.middle, cb, n)
            _read_chroma(source[2], first, rows, along, p.middle, cr, n)
            place = (y + 0.5) * map_height / height - 0.5
            above = int(np.floor(place))
            share = _F(place - above)
            below, above = min(above + 1, map_height - 1), max(above, 0)
            for row in (above, below):
                if held[row & 1] != row:
                    held[row & 1] = row
                    kept = map_rows[row & 1]
                    _read_map(
                        gain_map[row], map_width, places, other_places, map_row, kept[0], kept[1]
                    )
            a, b = map_rows[above & 1], map_rows[below & 1]
            _read_luma(source[0][y], p.luma, even, odd, n)
            if guided:
                _find_guided_stops(a[0], b[0], share, even, curve, gain, stops, n)
                _find_guided_stops(a[1], b[1], share, odd, curve, gain, other_stops, n)
            else:
                _find_stops(a[0], b[0], share, gain, stops, n)
                _find_stops(a[1], b[1], share, gain, other_stops, n)
            _convert(even, cb, cr, stops, p.across[0], p, made, blue, red, n)
            _convert(
                odd,
                cb[1:],
                cr[1:],
                other_stops,
                p.across[1],
                p,
                other_made,
                other_blue,
                other_red,
                n,
            )
            _write_luma(made, other_made, target[0][y], n)
            _shrink_row(blue, other_blue, p.shrink_across, ring[0, y % _RING], n)
            _shrink_row(red, other_red, p.shrink_across, ring[1, y % _RING], n)
        if y >= 4 and y % 2 == 0:
            row, w = y - 4, p.shrink_along
            _write_chroma(ring[0], row, height, w, p.codes[2], p.codes[4], target[1][row >> 1], n)
            _write_chroma(ring[1], row, height, w, p.codes[3], p.codes[4], target[2][row >> 1], n)

"""Rows of a picture and of its gain map, as the kernels read them.

Rows are taken apart into even and odd columns, so that every loop over columns reads and writes
memory in order and LLVM makes vector code of it. Loops must not write into what they read: that,
too, keeps LLVM from vectors.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, cast

import numba
import numpy as np
from numpy.typing import NDArray

from vs_gainmap.color.transfer import BRIGHTEST_SIGNAL
from vs_gainmap.fused.parameters import Floats, Parameters

Row = NDArray[Any]
# float32, as every number in a kernel must be.
F = np.float32
ZERO, ONE = F(0), F(1)
# Samples kept before and after a row, of what it shows in a mirror.
PAD = 2
_BRIGHTEST = F(BRIGHTEST_SIGNAL)
_MANTISSA, _EXPONENT_0 = np.int32(0x7FFFFF), np.int32(0x3F800000)


def compiled[T: Callable[..., Any]](function: T) -> T:
    """Compile a function of rows."""
    compiler = numba.njit(nogil=True, fastmath=True, error_model="numpy", cache=True)
    return cast(T, compiler(function))


def inlined[T: Callable[..., Any]](function: T) -> T:
    """Compile a function of samples into those that call it."""
    compiler = numba.njit(nogil=True, fastmath=True, error_model="numpy", inline="always")
    return cast(T, compiler(function))


@inlined
def power_light(x: Any, c: Floats) -> Any:
    """Return the light of a signal; see `polynomials`."""
    x = min(max(x, ZERO), _BRIGHTEST)
    r = np.sqrt(x)
    high = c[3] + r * (c[4] + r * (c[5] + r * c[6]))
    return x * r * (c[0] + r * (c[1] + r * (c[2] + r * high)))


@inlined
def pq_signal(light: Any, stops: Any, log: Floats, c: Floats) -> Any:
    """Return the PQ signal of light with a log gain; see `polynomials`."""
    bits = np.float32(light).view(np.int32)
    m = np.int32((bits & _MANTISSA) | _EXPONENT_0).view(np.float32)
    t = log[1] + m * (log[2] + m * (log[3] + m * (log[4] + m * log[5])))
    t = F(bits) * log[0] + t + stops
    t = min(max(t, -ONE), ONE)
    high = c[4] + t * (c[5] + t * (c[6] + t * (c[7] + t * (c[8] + t * c[9]))))
    return c[0] + t * (c[1] + t * (c[2] + t * (c[3] + t * high)))


@inlined
def gain_stops(value: Any, g: Floats) -> Any:
    """Return the log gain of a map's value; see `gain_parameters`."""
    stops = min(max(value * g[0] + g[1], g[2]), g[3])
    return max(stops, ZERO) * g[4] + min(stops, ZERO) * g[5]


@compiled
def mirror(i: int, length: int) -> int:
    """Return the place of the sample that is seen at a place beyond an edge."""
    if i < 0:
        return -1 - i
    return 2 * length - 1 - i if i >= length else i


@compiled
def read_luma(codes: Row, luma: Floats, even: Row, odd: Row, n: int) -> None:
    """Take a row of luma apart, 0..1."""
    for k in range(n):
        even[k] = (F(codes[2 * k]) - luma[0]) * luma[1]
        odd[k] = (F(codes[2 * k + 1]) - luma[0]) * luma[1]


@compiled
def read_chroma(
    plane: Row, first: int, rows: int, w: Floats, middle: Any, out: Row, n: int
) -> None:
    """Filter four rows of chroma to one of a row of luma."""
    a, b = plane[mirror(first, rows)], plane[mirror(first + 1, rows)]
    c, d = plane[mirror(first + 2, rows)], plane[mirror(first + 3, rows)]
    for k in range(n):
        total = w[0] * F(a[k]) + w[1] * F(b[k]) + w[2] * F(c[k]) + w[3] * F(d[k])
        out[k + PAD] = total - middle
    for k in range(PAD):
        out[PAD - 1 - k], out[n + PAD + k] = out[PAD + k], out[n + PAD - 1 - k]


@compiled
def find_places(width: int, first: int, n: int) -> tuple[Row, Row]:
    """Return where every second column, from the first on, lies in a padded row of a map."""
    left, share = np.empty(n, np.uint32), np.empty(n, np.float32)
    for k in range(n):
        place = (2 * k + first + 0.5) * width / (2 * n) + 0.5
        left[k] = np.uint32(place)
        share[k] = F(place - np.floor(place))
    return left, share


@compiled
def spread(padded: Row, places: tuple[Row, Row], out: Row) -> None:
    """Read a row of the map at places, linearly."""
    left, share = places
    for k in range(len(out)):
        a = padded[left[k]]
        out[k] = a + share[k] * (padded[left[k] + np.uint32(1)] - a)


@compiled
def read_map(
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
        near, far = F(0.75), F(0.25)
        for k in range(n):
            even[k] = far * padded[k] + near * padded[k + 1]
            odd[k] = near * padded[k + 1] + far * padded[k + 2]
        return
    spread(padded, places, even)
    spread(padded, other_places, odd)


@inlined
def curve_value(luma: Any, c: Floats) -> Any:
    """Return the value of a curve over luma, 0..1 and what lies outside."""
    x = min(max(luma, ZERO), ONE) * F(2) - ONE
    high = c[4] + x * (c[5] + x * (c[6] + x * (c[7] + x * c[8])))
    return c[0] + x * (c[1] + x * (c[2] + x * (c[3] + x * high)))


@compiled
def take_curve(row: Row, codes: Row, luma: Floats, c: Floats, out: Row) -> None:
    """Leave of a row of the map what the curve over the small picture's luma does not explain."""
    for k in range(len(out)):
        out[k] = row[k] - curve_value((F(codes[k]) - luma[0]) * luma[1], c)


@compiled
def find_stops(a: Row, b: Row, share: Any, gain: Floats, out: Row, n: int) -> None:
    """Make the log gain of what lies between two rows of the map."""
    for k in range(n):
        out[k] = gain_stops(a[k] + share * (b[k] - a[k]), gain)


@compiled
def find_guided_stops(
    a: Row, b: Row, share: Any, luma: Row, c: Floats, gain: Floats, out: Row, n: int
) -> None:
    """Make it with the curve over luma added."""
    for k in range(n):
        rest = a[k] + share * (b[k] - a[k])
        out[k] = gain_stops(rest + curve_value(luma[k], c), gain)


@compiled
def place_chroma(row: Row, first: int, h: Floats, out: Row, n: int) -> None:
    """Bring a padded row of chroma to every second column of luma, from the first on."""
    if h[2] == ONE:
        # Columns on which chroma stands: half of all, mostly.
        for k in range(n):
            out[k] = row[k + first + 2]
        return
    for k in range(n):
        near = h[0] * row[k + first] + h[1] * row[k + first + 1]
        out[k] = near + h[2] * row[k + first + 2] + h[3] * row[k + first + 3]


class Half(NamedTuple):
    """Every second column of a row."""

    luma: Row
    """0..1 and what lies outside."""
    blue: Row
    """Cb, in codes from no chroma."""
    red: Row
    stops: Row
    """Log gain, as `gain_parameters` has it."""


class Desk(NamedTuple):
    """What lies open while a picture is gone through."""

    even: Half
    odd: Half
    chroma: Row
    """A row of chroma, padded."""
    map_rows: Row
    """(2, 2, n): two rows of the map, even and odd columns."""
    map_row: Row
    """One, padded."""
    rest: Row
    """What the curve leaves of it."""
    held: Row
    """Which rows these are."""
    places: tuple[Row, Row]
    """Of even columns in a row of the map."""
    other_places: tuple[Row, Row]


@compiled
def make_desk(n: int, map_width: int) -> Desk:
    """Return a desk for rows of 2 n columns."""
    line = np.empty((8, n), np.float32)
    return Desk(
        Half(line[0], line[1], line[2], line[3]),
        Half(line[4], line[5], line[6], line[7]),
        np.empty(n + 2 * PAD, np.float32),
        np.empty((2, 2, n), np.float32),
        np.empty(map_width + 2, np.float32),
        np.empty(map_width, np.float32),
        np.full(2, -1),
        find_places(map_width, 0, n),
        find_places(map_width, 1, n),
    )


@compiled
def open_colors(
    source: tuple[Row, Row, Row], y: int, height: int, p: Parameters, desk: Desk
) -> None:
    """Read row y of a picture onto the desk; arguments as for `render`."""
    even, odd, chroma, n = desk.even, desk.odd, desk.chroma, len(desk.even.luma)
    along, first = p.along[y & 1], (y >> 1) - 2 + (y & 1)
    read_luma(source[0][y], p.luma, even.luma, odd.luma, n)
    read_chroma(source[1], first, height // 2, along, p.middle, chroma, n)
    place_chroma(chroma, 0, p.across[0], even.blue, n)
    place_chroma(chroma, 1, p.across[1], odd.blue, n)
    read_chroma(source[2], first, height // 2, along, p.middle, chroma, n)
    place_chroma(chroma, 0, p.across[0], even.red, n)
    place_chroma(chroma, 1, p.across[1], odd.red, n)


@compiled
def open_row(
    source: tuple[Row, Row, Row], gain_map: Row, small: Row, y: int,
    size: tuple[int, int, int, int], p: Parameters, gain: Floats, guided: bool, curve: Floats,
    desk: Desk,
) -> None:  # fmt: skip
    """Read row y of a picture and of its map onto the desk; arguments as for `render`."""
    width, height, map_width, map_height = size
    n, even, odd = width // 2, desk.even, desk.odd
    open_colors(source, y, height, p, desk)
    place = (y + 0.5) * map_height / height - 0.5
    above = int(np.floor(place))
    share = F(place - above)
    below, above = min(above + 1, map_height - 1), max(above, 0)
    for row in (above, below):
        if desk.held[row & 1] != row:
            desk.held[row & 1] = row
            kept = desk.map_rows[row & 1]
            if guided:
                take_curve(gain_map[row], small[row], p.small, curve, desk.rest)
            else:
                desk.rest[:] = gain_map[row, :map_width]
            read_map(
                desk.rest, map_width, desk.places, desk.other_places, desk.map_row, kept[0],
                kept[1],
            )  # fmt: skip
    a, b = desk.map_rows[above & 1], desk.map_rows[below & 1]
    if guided:
        find_guided_stops(a[0], b[0], share, even.luma, curve, gain, even.stops, n)
        find_guided_stops(a[1], b[1], share, odd.luma, curve, gain, odd.stops, n)
    else:
        find_stops(a[0], b[0], share, gain, even.stops, n)
        find_stops(a[1], b[1], share, gain, odd.stops, n)

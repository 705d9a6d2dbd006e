"""The kernel that looks: what `smooth` compares of SDR planes and a gain map, in one pass."""

from __future__ import annotations

from typing import Any

import numpy as np

from vs_gainmap.fused.parameters import Floats, Parameters
from vs_gainmap.fused.rows import (
    ONE,
    ZERO,
    F,
    Row,
    compiled,
    make_desk,
    open_row,
    power_light,
    pq_signal,
)

# Into so many bins the few samples are sorted that may be the level.
_FINE = 8192
# Bins of the tally on either side of where it says that the level is: it is of a quarter.
_AROUND = 2


@compiled
def _see(luma: Row, cb: Row, cr: Row, stops: Row, p: Parameters, out: Row, n: int) -> None:
    """Make the HDR's PQ signal of half of a row."""
    m, w = p.primaries, p.weights
    red_weight = w[0] * m[0] + w[1] * m[3] + w[2] * m[6]
    green_weight = w[0] * m[1] + w[1] * m[4] + w[2] * m[7]
    blue_weight = w[0] * m[2] + w[1] * m[5] + w[2] * m[8]
    for k in range(n):
        b, r = cb[k], cr[k]
        red = power_light(luma[k] + p.chroma[0] * r, p.power)
        green = power_light(luma[k] + p.chroma[1] * b + p.chroma[2] * r, p.power)
        blue = power_light(luma[k] + p.chroma[3] * b, p.power)
        light = red_weight * red + green_weight * green + blue_weight * blue
        out[k] = pq_signal(light, stops[k], p.log, p.pq)


@compiled
def _add(row: Row, sums: Row, n: int) -> None:
    for k in range(n):
        sums[k] += row[k]


@compiled
def _share_out(sums: Row, ends: Row, cells: Row) -> None:
    """Add columns up to cells, and begin anew."""
    for c in range(len(cells)):
        cells[c] += sums[ends[c] : ends[c + 1]].sum()
    sums[:] = ZERO


@compiled
def _count(row: Row, counts: Row, n: int) -> None:
    bins = len(counts)
    for k in range(n):
        counts[min(max(int(row[k] * F(bins)), 0), bins - 1)] += 1


@compiled
def _count_near(row: Row, ends: Row, low: Any, scale: Any, near: Row) -> None:
    """Count half of a row by bins, in each cell."""
    bins = near.shape[0]
    for c in range(len(ends) - 1):
        top = -ONE
        for k in range(ends[c], ends[c + 1]):
            top = max(top, row[k])
        if top < low:
            continue
        for k in range(ends[c], ends[c + 1]):
            place = np.floor((row[k] - low) * scale)
            if place >= 0 and place < bins:
                near[int(place), c] += ONE


@compiled
def _sort(signal: Row, ends: Row, low: float, high: float, fine: Row) -> int:
    """Count samples between two values by bins, and return how many are above."""
    above, scale = 0, len(fine) / (high - low)
    fine[:] = 0
    for i in range(len(signal)):
        for c in range(len(ends) - 1):
            top = -ONE
            for k in range(ends[c], ends[c + 1]):
                top = max(top, signal[i, k])
            if top < low:
                continue
            for k in range(ends[c], ends[c + 1]):
                x = signal[i, k]
                if x >= high:
                    above += 1
                elif x >= low:
                    fine[min(int((x - low) * scale), len(fine) - 1)] += 1
    return above


@compiled
def _find_level(signal: Row, ends: Row, counts: Row, wanted: int) -> float:
    """Return the value that so many samples are above."""
    bins, fine = len(counts), np.empty(_FINE, np.int64)
    share, seen, near = wanted / signal.size * counts.sum(), 0, bins - 1
    while near > 0 and seen + counts[near] <= share:
        seen += counts[near]
        near -= 1
    low, high, above, around = 0.0, 0.0, 0, _AROUND
    # At last everything is looked at.
    while around < 4 * bins:
        # Beyond the ends, where all that is left counts.
        low = (near - around) / bins if around <= near else -1.0
        high = (near + 1 + around) / bins if near + 1 + around < bins else 2.0
        above = _sort(signal, ends, low, high, fine)
        if above <= wanted < above + fine.sum():
            break
        around *= 4
    place = _FINE - 1
    # Where samples are no numbers, there are fewer than are wanted.
    while place > 0 and above + fine[place] <= wanted:
        above += fine[place]
        place -= 1
    inside = min(max((wanted - above + 0.5) / max(fine[place], 1), 0.0), 1.0)
    level: float = low + (place + 1 - inside) * (high - low) / _FINE
    return level


@compiled
def look(
    source: tuple[Row, Row, Row],
    gain_map: Row,
    cells: Row,
    near: Row,
    counts: Row,
    size: tuple[int, int, int, int],
    step: int,
    wanted: int,
    reach: float,
    p: Parameters,
    gain: Floats,
    guided: bool,
    curve: Floats,
) -> float:
    """Look at a picture and its map.

    Args:
        source: as for `kernel.render`, as are all arguments of the same names.
        gain_map: likewise.
        cells: (2, rows, columns), float64; written: mean luma, and the HDR's mean PQ signal. At
            most as many as there are pairs of pixels to look at.
        near: (bins, rows, columns), float32; written: samples by PQ signal, around the level.
        counts: (bins,), int64; written: every second sample of every second row by PQ signal.
        size: likewise.
        step: 1 to look at every pixel, 2 for every second of every second row.
        wanted: how many samples are above the level.
        reach: PQ signal, how far from the level `near` goes.
        p: likewise.
        gain: likewise.
        guided: likewise.
        curve: likewise.

    Returns:
        The level, PQ signal, within a few thousandths of a step of 10 bits.
    """
    width, height, map_width, _ = size
    n, rows, columns = width // 2, cells.shape[1], cells.shape[2]
    count, sides = (height + step - 1) // step, 3 - step
    desk = make_desk(n, map_width)
    even, odd = desk.even, desk.odd
    signal = np.empty((count * sides, n), np.float32)
    ends = np.array([c * n // columns for c in range(columns + 1)])
    sums, amounts = np.zeros((2, n), np.float32), np.zeros(rows)
    cells[:], near[:], counts[:] = 0, 0, 0
    for i in range(count):
        y = i * step
        row = y * rows // height
        open_row(source, gain_map, y, size, p, gain, guided, curve, desk)
        seen = signal[i * sides]
        _see(even.luma, even.blue, even.red, even.stops, p, seen, n)
        _add(even.luma, sums[0], n)
        _add(seen, sums[1], n)
        if i % 2 == 0:
            _count(seen, counts, n)
        if step == 1:
            seen = signal[i * sides + 1]
            _see(odd.luma, odd.blue, odd.red, odd.stops, p, seen, n)
            _add(odd.luma, sums[0], n)
            _add(seen, sums[1], n)
        amounts[row] += sides
        if i + 1 == count or (y + step) * rows // height > row:
            _share_out(sums[0], ends, cells[0, row])
            _share_out(sums[1], ends, cells[1, row])
    for row in range(rows):
        for c in range(columns):
            amount = amounts[row] * (ends[c + 1] - ends[c])
            cells[0, row, c] /= amount
            cells[1, row, c] /= amount
    level = _find_level(signal, ends, counts, wanted)
    scale = F(len(near) / (2 * reach))
    for i in range(count * sides):
        row = i // sides * step * rows // height
        _count_near(signal[i], ends, F(level - reach), scale, near[:, row])
    return level

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
# Parts of a picture's sides in which places are told.
_PLACES = 65536


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
def _gather(
    row: Row, ends: Row, level: Any, reach: Any, side: int, where: int, near: Row, places: Row,
    kept: int, pace: int, met: int,
) -> tuple[int, int, int]:  # fmt: skip
    """Take down which samples of half a row are near the level.

    Args:
        row: PQ signal.
        ends: where cells end.
        level: of highlights.
        reach: how far from it is near.
        side: 0 for even columns, 1 for odd ones.
        where: the row, as `places` has it.
        near: of `look`.
        places: likewise.
        kept: how many are in it.
        pace: every how many-th is taken.
        met: how many there were.

    Returns:
        The last three, as they are now.
    """
    low, high, width = level - reach, level + reach, 2 * len(row)
    for c in range(len(ends) - 1):
        top = -ONE
        for k in range(ends[c], ends[c + 1]):
            top = max(top, row[k])
        if top <= low:
            continue
        for k in range(ends[c], ends[c + 1]):
            if low < row[k] < high:
                if met % pace == 0:
                    if kept == len(near):
                        for n in range(kept // 2):
                            near[n], places[n] = near[2 * n], places[2 * n]
                        kept, pace = kept // 2, 2 * pace
                    if met % pace == 0:
                        near[kept] = row[k] - level
                        places[kept, 0] = (2 * (2 * k + side) + 1) * _PLACES // (2 * width)
                        places[kept, 1] = where
                        kept += 1
                met += 1
    return kept, pace, met


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
    small: Row,
    cells: Row,
    near: Row,
    places: Row,
    counts: Row,
    size: tuple[int, int, int, int],
    step: int,
    wanted: int,
    reach: float,
    p: Parameters,
    gain: Floats,
    guided: bool,
    curve: Floats,
) -> tuple[float, int]:
    """Look at a picture and its map.

    Args:
        source: as for `kernel.render`, as are all arguments of the same names.
        gain_map: likewise.
        small: likewise.
        cells: (2, rows, columns), float64; written: mean luma, and the HDR's mean PQ signal. At
            most as many as there are pairs of pixels to look at.
        near: (K,), float32, K even; written: PQ signal of samples near the level, less it. Of more
            than K every second, fourth ...
        places: (K, 2), uint16; written: their columns and rows, in 65536ths of the picture.
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
        The level, PQ signal, within a few thousandths of a step of 10 bits, and how many samples
        are in `near`.
    """
    width, height, map_width, _ = size
    n, rows, columns = width // 2, cells.shape[1], cells.shape[2]
    count, sides = (height + step - 1) // step, 3 - step
    desk = make_desk(n, map_width)
    even, odd = desk.even, desk.odd
    signal = np.empty((count * sides, n), np.float32)
    ends = np.array([c * n // columns for c in range(columns + 1)])
    sums, amounts = np.zeros((2, n), np.float32), np.zeros(rows)
    cells[:], counts[:] = 0, 0
    for i in range(count):
        y = i * step
        row = y * rows // height
        open_row(source, gain_map, small, y, size, p, gain, guided, curve, desk)
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
    kept, pace, met = 0, 1, 0
    for i in range(count * sides):
        y, side = i // sides * step, i % sides
        where = (2 * y + 1) * _PLACES // (2 * height)
        kept, pace, met = _gather(
            signal[i], ends, F(level), F(reach), side, where, near, places, kept, pace, met
        )
    return level, kept

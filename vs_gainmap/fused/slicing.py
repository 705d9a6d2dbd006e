"""The kernel that slices a bilateral grid with a picture; see `models.gridnet`."""

from __future__ import annotations

from typing import Any

import numpy as np

from vs_gainmap.fused.rows import ONE, ZERO, F, Row, compiled, inlined
from vs_gainmap.models.statistics import LUMA

_RED, _GREEN, _BLUE = (F(weight) for weight in LUMA)
_HALF, _NEXT = F(0.5), np.uint32(1)


@inlined
def _cell(place: int, length: int, cells: int) -> tuple[Any, Any]:
    """Return the cell whose center is before a sample's, and how far beyond it the sample is."""
    at = (F(place) + _HALF) * F(cells) / F(length) - _HALF
    at = min(max(at, ZERO), F(cells - 1))
    first = min(np.uint32(at), np.uint32(cells - 2))
    return first, at - F(first)


@inlined
def _between(table: Row, first: Any, part: Any) -> Any:
    # Unsigned places, here and below: signed ones may count from the end, which takes time.
    here, there = table[first], table[np.uint32(first + _NEXT)]
    return here + part * (there - here)


@compiled
def slice_grid(red: Row, green: Row, blue: Row, grid: Row, curve: Row, out: Row) -> None:
    """Slice a grid, as `GridNet.predict` does for a whole picture.

    Args:
        red: (H, W), float32, contiguous; SDR signal, full range, clamped to 0..1.
        green: likewise.
        blue: likewise.
        grid: (BINS, CELLS, CELLS), float32: the map's value by luma and place.
        curve: (BINS,), float32: what max(R, G, B) adds.
        out: (H, W), float32; written, the map, not clamped.
    """
    bins, rows, columns = grid.shape
    height, width = red.shape
    table = np.empty((columns, bins), np.float32)
    flat = table.reshape(-1)
    cell, part = np.empty(width, np.uint32), np.empty(width, np.float32)
    for x in range(width):
        first, part[x] = _cell(x, width, columns)
        cell[x] = first * np.uint32(bins)
    scale, most, across = F(bins - 1), np.uint32(bins - 2), np.uint32(bins)
    for y in range(height):
        above, down = _cell(y, height, rows)
        below = np.uint32(above + _NEXT)
        for c in range(columns):
            for b in range(bins):
                table[c, b] = grid[b, above, c] + down * (grid[b, below, c] - grid[b, above, c])
        reds, greens, blues, made = red[y], green[y], blue[y], out[y]
        for x in range(width):
            r = min(max(reds[x], ZERO), ONE)
            g = min(max(greens[x], ZERO), ONE)
            b = min(max(blues[x], ZERO), ONE)
            luma = (r * _RED + g * _GREEN + b * _BLUE) * scale
            low = min(np.uint32(luma), most)
            above_low = luma - F(low)
            left = np.uint32(cell[x] + low)
            value = _between(flat, left, above_low)
            right = _between(flat, np.uint32(left + across), above_low)
            top = max(r, max(g, b)) * scale
            bin_ = min(np.uint32(top), most)
            made[x] = value + part[x] * (right - value) + _between(curve, bin_, top - F(bin_))

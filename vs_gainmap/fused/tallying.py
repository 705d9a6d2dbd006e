"""The kernel that measures a thumbnail's histograms, as `models.measuring.statistics` does."""

from __future__ import annotations

from typing import Any

import numpy as np

from vs_gainmap.fused.rows import ZERO, F, Row, compiled, inlined
from vs_gainmap.models.statistics import (
    LEAST_SHARE,
    LOG_FLOOR,
    LUMA,
    LUMA_BINS,
    MAX_BINS,
    MEAN_BINS,
    MIN_BINS,
    TOP_BINS,
    TOP_FROM,
)

_RED, _GREEN, _BLUE = (F(weight) for weight in LUMA)
_QUARTER, _FLOOR = F(0.25), F(LOG_FLOOR)
_FROM, _TOP_SCALE = F(TOP_FROM), F((TOP_BINS - 1) / (1 - TOP_FROM))
# Where each histogram begins in what is tallied: how often, by luma, maximum and minimum, then
# by few bins how often and how much, by luma and by maximum.
_BY_MAX = LUMA_BINS
_BY_MIN = _BY_MAX + MAX_BINS
_BY_TOP = _BY_MIN + MIN_BINS
_COUNTS = _BY_TOP + TOP_BINS
_SUMS = _COUNTS + 2 * MEAN_BINS
_END = _SUMS + 3 * MEAN_BINS


@inlined
def _place(value: Any, bins: int) -> tuple[Any, Any]:
    """Return the bin under a value, counted in bins, and its share of the bin above."""
    value = min(max(value, ZERO), F(bins - 1))
    # What is no number ends in some bin, too, and not outside.
    low = min(np.uint32(value), np.uint32(bins - 2))
    return np.intp(low), np.float64(value - F(low))


@inlined
def _add(tally: Row, first: int, low: Any, part: Any, amount: Any) -> None:
    above = amount * part
    tally[first + low] += amount - above
    tally[first + low + 1] += above


@compiled
def _halve(picture: Row, small: Row) -> None:
    for c in range(3):
        for y in range(small.shape[1]):
            even, odd, out = picture[c, 2 * y], picture[c, 2 * y + 1], small[c, y]
            for x in range(len(out)):
                total = even[2 * x] + even[2 * x + 1] + odd[2 * x] + odd[2 * x + 1]
                out[x] = total * _QUARTER


@compiled
def measure(picture: Row, small: Row, out: Row) -> None:
    """Halve a thumbnail and measure it.

    Args:
        picture: (3, 2H, 2W), float32, R'G'B', 0..1.
        small: (3, H, W), float32; written, means of 2x2.
        out: (STATISTICS,), float32; written, as `statistics` returns them.
    """
    _halve(picture, small)
    _, height, width = small.shape
    tally, log = np.zeros(_END, np.float64), np.empty(width, np.float32)
    for y in range(height):
        reds, greens, blues = small[0, y], small[1, y], small[2, y]
        for x in range(width):
            log[x] = np.log(reds[x] * _RED + greens[x] * _GREEN + blues[x] * _BLUE + _FLOOR)
        for x in range(width):
            r, g, b = reds[x], greens[x], blues[x]
            luma = r * _RED + g * _GREEN + b * _BLUE
            top, bottom = max(r, max(g, b)), min(r, min(g, b))
            saturation = np.float64(top - bottom)
            contrast = np.float64(abs(log[x] - log[x - 1])) if x > 0 else 0.0
            low, part = _place(luma * F(LUMA_BINS - 1), LUMA_BINS)
            _add(tally, 0, low, part, 1.0)
            low, part = _place(top * F(MAX_BINS - 1), MAX_BINS)
            _add(tally, _BY_MAX, low, part, 1.0)
            low, part = _place(bottom * F(MIN_BINS - 1), MIN_BINS)
            _add(tally, _BY_MIN, low, part, 1.0)
            low, part = _place((top - _FROM) * _TOP_SCALE, TOP_BINS)
            _add(tally, _BY_TOP, low, part, 1.0)
            low, part = _place(luma * F(MEAN_BINS - 1), MEAN_BINS)
            _add(tally, _COUNTS, low, part, 1.0)
            _add(tally, _SUMS, low, part, saturation)
            _add(tally, _SUMS + MEAN_BINS, low, part, contrast)
            low, part = _place(top * F(MEAN_BINS - 1), MEAN_BINS)
            _add(tally, _COUNTS + MEAN_BINS, low, part, 1.0)
            _add(tally, _SUMS + 2 * MEAN_BINS, low, part, saturation)
    pixels = height * width
    for k in range(_COUNTS):
        out[k] = np.sqrt(max(tally[k] / pixels, LEAST_SHARE))
    for k in range(MEAN_BINS):
        by_luma = tally[_COUNTS + k] + 1.0
        out[_COUNTS + k] = tally[_SUMS + k] / by_luma
        out[_COUNTS + MEAN_BINS + k] = tally[_SUMS + MEAN_BINS + k] / by_luma
        by_max = tally[_COUNTS + MEAN_BINS + k] + 1.0
        out[_COUNTS + 2 * MEAN_BINS + k] = tally[_SUMS + 2 * MEAN_BINS + k] / by_max

"""The level of a picture's highlights, and how a gain map is bent so that it holds.

Grain, and the sharpness that changes from one coded frame to the next, move the tail of a picture's
distribution, though no region's mean changes. Highlights are therefore held as a whole: what
1 % of the picture is brighter than.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from vs_gainmap.color import pq_eotf
from vs_gainmap.temporal import Level, Vector

# What share of the picture is darker.
SHARE = 0.99
# Highlights end so many stops under that level; from here on all is shifted alike, as far as
# grain reaches, or the level itself would not follow.
FULL_STOPS = 0.4
ZERO_STOPS = 1.2
# No more than this, in stops, as for cells.
MAX_STOPS = 0.1
# What the rest may be shifted the other way, so that the mean stays.
MAX_REST_STOPS = 0.02
# Signal that counts as black, for powers and logarithms.
DARKEST = 1e-6
# Pixels from which on half the size is looked at, which is what an eye sees of so many.
_MANY = 1 << 19

BINS = 256
_CENTERS = (np.arange(BINS) + 0.5) / BINS
_LOG_LIGHT = np.log2(pq_eotf(torch.from_numpy(_CENTERS)).numpy())
# Change of the signal by a stop.
_SLOPE = np.gradient(_CENTERS, _LOG_LIGHT)


Counts = NDArray[np.integer] | NDArray[np.floating]


class Shift(NamedTuple):
    """By how much the log gain changes, by light."""

    rest: float
    """Stops, at `zero` and below."""
    top: float
    """Stops, at `full` and above; between the two a straight line."""
    zero: float
    """Logarithm of light to base 2, of cd/m2."""
    full: float


def top_place(size: int) -> int:
    """Return which of so many sorted samples, counted from 0, is the level."""
    return int(SHARE * (size - 1))


def top_level(signal: Vector) -> float:
    """Return the PQ signal that `SHARE` of a plane's samples are not above.

    Args:
        signal: (H, W).
    """
    above = signal.size - 1 - top_place(signal.size)
    # Exact, but sorting is for the few that may be it.
    few = signal[::4, ::4].reshape(-1)
    guess = int((1 - 3 * (1 - SHARE)) * (few.size - 1))
    bright = signal[signal >= np.partition(few, guess)[guess]]
    if bright.size <= above:
        bright = signal.reshape(-1)
    place = bright.size - 1 - above
    return float(np.partition(bright, place)[place])


def seen_size(width: int, height: int) -> tuple[int, int]:
    """Return width and height at which levels are looked for: half of a picture of many pixels."""
    return (width, height) if width * height <= _MANY else (-(-width // 2), -(-height // 2))


def tally(signal: Vector) -> NDArray[np.integer]:
    """Return how many of a plane's samples, every second of every second row, are in each bin.

    Args:
        signal: (H, W), PQ signal.

    Returns:
        (BINS,), over 0..1.
    """
    codes = np.clip(signal[::2, ::2] * BINS, 0, BINS - 1).astype(np.uint8)
    return np.bincount(codes.reshape(-1), minlength=BINS)


def hold_top(own: float, counts: Counts, wanted: Level) -> Shift:
    """Return the shift that brings a picture's highlights to a level and leaves its mean.

    Args:
        own: `top_level`.
        counts: from `tally`.
        wanted: what `top_level` is to be. What share of the way is gone, is how sure that is:
            `own` is measured with cells held, and a level that no other frame has a say in would
            only take that back.
    """
    level = float(np.interp(own, _CENTERS, _LOG_LIGHT))
    slope = float(np.interp(own, _CENTERS, _SLOPE))
    shift = Shift(0.0, 1.0, level - ZERO_STOPS, level - FULL_STOPS)
    top = wanted.sure * min(max((wanted.value - own) / slope, -MAX_STOPS), MAX_STOPS)
    moved = counts * _SLOPE
    part = added(shift, _LOG_LIGHT)
    # The mean moves by what the highlights do, and by the rest the other way.
    balance = float((moved * part).sum()) / max(float((moved * (1 - part)).sum()), 1e-9)
    rest = min(max(-top * balance, -MAX_REST_STOPS), MAX_REST_STOPS)
    return Shift(rest, top, shift.zero, shift.full)


def added(shift: Shift, log_light: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return what a shift adds, stops, to light of a logarithm."""
    part = np.clip((log_light - shift.zero) / (shift.full - shift.zero), 0, 1)
    return np.asarray(shift.rest + (shift.top - shift.rest) * part)

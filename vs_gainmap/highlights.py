"""The level of a picture's highlights, and how a gain map is bent so that it holds.

Grain, and the sharpness that changes from one coded frame to the next, move the tail of a picture's
distribution, though no region's mean changes. Highlights are therefore held as a whole: what
1 % of the picture is brighter than.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from vs_gainmap.color.transfer import pq_eotf
from vs_gainmap.filters.temporal import Level, Vector

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
# Samples so near to the level may move it, PQ signal: more than cells are shifted by.
NEAR_LEVEL = 1 / 256
# Of more than so many, every second, fourth ... is kept. An even number, and the most that
# OpenCV's `remap` takes in a row.
MOST_NEAR = (1 << 15) - 2
# Where they are is counted in such parts of the picture's width and height.
PLACES = 1 << 16
# Of more pixels than 1080p has, every second of every second row is looked at. Not the mean of
# four: grain would be another.
_MANY = 1 << 21
_FEW = 1 << 20

BINS = 256
_CENTERS = (np.arange(BINS) + 0.5) / BINS
_LOG_LIGHT = np.log2(pq_eotf(torch.from_numpy(_CENTERS)).numpy())
# Change of the signal by a stop.
_SLOPE = np.gradient(_CENTERS, _LOG_LIGHT)


Counts = NDArray[np.integer] | NDArray[np.floating]
Floats = NDArray[np.float64]


class Highlights(NamedTuple):
    """Where the highlights of a picture are."""

    level: float
    """PQ signal that `SHARE` of the samples are not above."""
    near: Vector
    """(K,), K at most `MOST_NEAR`: samples within `NEAR_LEVEL` of it, less it."""
    places: NDArray[np.uint16]
    """(K, 2): their columns and rows, in parts of the picture."""
    counts: Counts
    """(BINS,), from `tally`."""


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


def is_large(width: int, height: int) -> bool:
    """Say whether a picture has so many pixels that every second, each way, will do."""
    return width * height > _MANY


def is_small(width: int, height: int) -> bool:
    """Say whether a picture has so few pixels that what cells do to its level must be looked at.

    With more of them, the mean of what is done to those near it tells.
    """
    return width * height < _FEW


def tally(signal: Vector) -> NDArray[np.integer]:
    """Return how many of a plane's samples, every second of every second row, are in each bin.

    Args:
        signal: (H, W), PQ signal.

    Returns:
        (BINS,), over 0..1.
    """
    codes = np.clip(signal[::2, ::2] * BINS, 0, BINS - 1).astype(np.uint8)
    return np.bincount(codes.reshape(-1), minlength=BINS)


def find_highlights(signal: Vector) -> Highlights:
    """Return where a picture's highlights are.

    Args:
        signal: (H, W), PQ signal.
    """
    level = top_level(signal)
    height, width = signal.shape
    found = np.flatnonzero(np.abs(signal - level) < NEAR_LEVEL)
    pace = 1
    while -(-len(found) // pace) > MOST_NEAR:
        pace *= 2
    found = found[::pace]
    y, x = np.divmod(found, width)
    middles = [(2 * x + 1) * PLACES // (2 * width), (2 * y + 1) * PLACES // (2 * height)]
    near = signal.reshape(-1)[found] - np.float32(level)
    return Highlights(level, near, np.stack(middles, axis=-1).astype(np.uint16), tally(signal))


def moved_level(seen: Highlights, stops: Vector) -> float:
    """Return where the level goes when cells are shifted: again as many samples are above it.

    Exactly, as long as none comes from farther than `NEAR_LEVEL`.

    Args:
        seen: of the picture.
        stops: (rows, columns), what cells are shifted by; between their middles, by straight lines.
    """
    if not len(seen.near):
        return seen.level
    rows, columns = stops.shape
    across, along = (seen.places.T.astype(np.float32) + 0.5) / PLACES
    at = (across * columns - 0.5)[None], (along * rows - 0.5)[None]
    added = cv2.remap(stops, *at, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)[0]
    slope = np.float32(np.interp(seen.level, _CENTERS, _SLOPE))
    above = min(int((seen.near > 0).sum()), len(seen.near) - 1)
    place = len(seen.near) - 1 - above
    before, after = (np.partition(x, place)[place] for x in (seen.near, seen.near + slope * added))
    return seen.level + float(after) - float(before)


def hold_top(own: float, counts: Counts, wanted: Level) -> Shift:
    """Return the shift that brings a picture's highlights to a level and leaves its mean.

    Args:
        own: where the level is, with cells held.
        counts: from `tally`.
        wanted: where it is to be. What share of the way is gone, is how sure that is: a level
            that no other frame has a say in would only take back what cells do.
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


def added(shift: Shift, log_light: Floats) -> Floats:
    """Return what a shift adds, stops, to light of a logarithm."""
    part = np.clip((log_light - shift.zero) / (shift.full - shift.zero), 0, 1)
    return np.asarray(shift.rest + (shift.top - shift.rest) * part)

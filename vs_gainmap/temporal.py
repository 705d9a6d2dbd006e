"""Steadiness in time: how much each neighbor counts, as a pure function of a window.

A network that judges each frame alone follows noise, grain and the encoder's breathing. What
it derives from the whole picture is therefore averaged over the frames around that look alike:
a bilateral window. Frames weigh less the more they differ, so that a flash keeps its own
value, a fade is followed without lag, and nothing crosses a cut.
"""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float32]

# Pictures are compared as grids of this many cells a side, mean R, G and B, gamma-coded.
GRID = 8
SIGNATURE_SIZE = GRID * GRID * 3
MAX_RADIUS = 24
# Distance, as mean absolute difference of the grids, at which a neighbor's weight is 1/e.
# Noise and coding artefacts average out of the cells to under 0.003, breathing of a step and a
# half of 8 bits is 0.006; a slow pan or a fade moves 0.01 a frame, a flash or a cut 0.1 and more.
# Less would follow breathing, too.
LIKENESS = 0.022
# A fade: the mean signal moves one way by this share of itself a frame. Half a second to black
# takes 8 %, three seconds 1.4 %.
FADE_STEP = 0.012
FADE_REACH = 3
# Mean signal that counts as black, for the share.
_BLACK = 0.05
# A cut: the step is this large, and this many times the steps around it. The second part
# tells a cut from fast motion, and from a flash, which has two such steps in a row.
CUT_STEP = 0.05
CUT_RATIO = 3.0
# Difference of two cells' mean luma, 0..1, at which one says 1/e as much about the other: two
# steps and a half of 8 bits. Grain moves a cell by a third of a step, motion mostly by more.
CELL_LIKENESS = 0.01


def signature(thumbnail: list[Vector]) -> Vector:
    """Return the grid of means that pictures are compared by.

    Args:
        thumbnail: three planes R, G, B, (S, S) with S a multiple of `GRID`, signal 0..1.

    Returns:
        (SIGNATURE_SIZE,), signal 0..1.
    """
    cells = []
    for plane in thumbnail:
        side = plane.shape[0] // GRID
        cells.append(plane.reshape(GRID, side, GRID, side).mean(axis=(1, 3), dtype=np.float32))
    return np.clip(np.stack(cells), 0.0, 1.0).reshape(-1)


def distance(a: Vector, b: Vector) -> float:
    """Return the mean absolute difference of two signatures, 0..1."""
    return float(_distances(a, b))


def find_cuts(steps: list[float]) -> list[bool]:
    """Say where a run of frames has cuts.

    Args:
        steps: distance of each frame to the one before it.

    Returns:
        As many values: whether the frame begins a new shot.
    """
    cuts = []
    for i, step in enumerate(steps):
        around = steps[max(i - 2, 0) : i] + steps[i + 1 : i + 3]
        cuts.append(step > CUT_STEP and step > CUT_RATIO * max(around, default=0.0))
    return cuts


class Window(NamedTuple):
    """How a frame stands among its neighbors."""

    weights: NDArray[np.float64]
    """How much each frame of the window counts; sums to 1."""
    begins_shot: bool
    """Whether the frame is the first after a cut."""


def look_around(signatures: list[Vector], center: int) -> Window:
    """Return how much each frame of a window counts for its center.

    Args:
        signatures: of consecutive frames, `center` in the middle but at a clip's ends.
        center: index of the frame in question.

    Returns:
        One weight a frame: a Gaussian over time, times likeness, zero beyond the nearest
        cuts. At the very rim a cut can't be told from a flash; only the rim's own small
        weights hang on that.
    """
    count = len(signatures)
    seen = np.stack(signatures)
    steps = [0.0, *_distances(seen[1:], seen[:-1]).tolist()]
    cuts = find_cuts(steps)
    first = max((i for i in range(center + 1) if cuts[i]), default=0)
    last = min((i for i in range(center + 1, count) if cuts[i]), default=count) - 1
    spread = max(center, count - 1 - center, 1) / 2
    shot = slice(first, last + 1)
    # A network may jump where a fade passes: frames of one say nothing about each other, or
    # about the frames before and after it.
    calm = 1 / (1 + (fading(seen[shot]) / FADE_STEP) ** 4)
    calm = np.minimum(calm, calm[center - first])
    unlike = _distances(seen[shot], seen[center]) / (LIKENESS * calm)
    weights = np.zeros(count)
    weights[shot] = np.exp(-0.5 * ((np.arange(count)[shot] - center) / spread) ** 2 - unlike**2)
    return Window(weights / weights.sum(), cuts[center])


def _distances(a: Vector, b: Vector) -> NDArray[np.float64]:
    return np.asarray(np.abs(a - b).mean(axis=-1, dtype=np.float64))


def fading(shot: Vector) -> NDArray[np.float64]:
    """Return by what share of itself the mean signal moves steadily around each frame.

    The largest step up and the largest down are left out, which are a flash's, and what goes up
    and down again, as breathing does, counts little.

    Args:
        shot: (frames, ...), signatures of consecutive frames without a cut.

    Returns:
        (frames,), a share a frame, not negative; 0 where there are too few frames.
    """
    levels = shot.reshape(len(shot), -1).mean(axis=1, dtype=np.float64).tolist()
    shares = np.zeros(len(shot))
    for i in range(len(shot)):
        near = levels[max(i - FADE_REACH, 0) : i + FADE_REACH + 1]
        steps = sorted(b - a for a, b in pairwise(near))[1:-1]
        moved = sum(abs(step) for step in steps)
        if len(steps) > 1 and moved > 0:
            net = abs(sum(steps))
            pace = net * (net / moved) ** 2 / len(steps)
            shares[i] = pace / max(sum(near) / len(near), _BLACK)
    return shares


def average(values: list[Vector], weights: NDArray[np.float64]) -> Vector:
    """Return the weighted mean of vectors, in float64 and then float32."""
    total = sum(w * v.astype(np.float64) for w, v in zip(weights, values, strict=True) if w > 0)
    return np.asarray(total, dtype=np.float32)


def steady_cells(luma: list[Vector], values: list[Vector], center: int) -> Vector:
    """Average values over time, cell by cell, where the picture stands still.

    Args:
        luma: mean luma of cells, (rows, columns) a frame, 0..1; consecutive frames.
        values: what to average, of the same shape.
        center: index of the frame in question.

    Returns:
        (rows, columns): the mean over frames of the same shot that look alike, each cell
        weighted by how alike it is itself.
    """
    window = look_around([cells.reshape(-1) for cells in luma], center).weights
    own = luma[center]
    total, weight = np.zeros(own.shape), np.zeros(own.shape)
    for cells, value, share in zip(luma, values, window, strict=True):
        if share > 0:
            alike = share * np.exp(-(((cells - own) / CELL_LIKENESS).astype(np.float64) ** 2))
            total += alike * value
            weight += alike
    return np.asarray(total / weight, dtype=np.float32)

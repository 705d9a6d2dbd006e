"""Steadiness in time: how much each neighbor counts, as a pure function of a window.

A network that judges each frame alone follows noise, grain and the encoder's breathing. What
it derives from the whole picture is therefore averaged over the frames around that look alike:
a bilateral window. Frames weigh less the more they differ, so that a flash keeps its own
value, a fade is followed without lag, and nothing crosses a cut.
"""

from __future__ import annotations

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
# Mean signal under which a picture is dark: the same step then says more, down to a share. In
# the last frames of a fade to black, neighbors differ by half and yet by hardly any signal.
DARK = 0.25
DARKEST_SHARE = 0.1
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
    return float(np.abs(a - b).mean(dtype=np.float64))


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
    steps = [0.0] + [distance(signatures[i - 1], signatures[i]) for i in range(1, count)]
    cuts = find_cuts(steps)
    first = max((i for i in range(center + 1) if cuts[i]), default=0)
    last = min((i for i in range(center + 1, count) if cuts[i]), default=count) - 1
    spread = max(center, count - 1 - center, 1) / 2
    tolerance = LIKENESS * _darkness(signatures[center])
    weights = np.zeros(count)
    for i in range(first, last + 1):
        step = distance(signatures[i], signatures[center]) / tolerance
        weights[i] = np.exp(-0.5 * ((i - center) / spread) ** 2 - step**2)
    return Window(weights / weights.sum(), cuts[center])


def _darkness(signature: Vector) -> float:
    """Return 1 for a picture that is not dark, less for one that is."""
    return min(max(float(signature.mean(dtype=np.float64)) / DARK, DARKEST_SHARE), 1.0)


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

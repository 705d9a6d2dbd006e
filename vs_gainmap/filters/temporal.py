"""The temporal window: how much each frame around counts, as a pure function of the window.

A network that takes each frame by itself follows noise, grain and the encoder's breathing. Its
global features are therefore averaged over the frames around that are alike: a bilateral window.
Frames weigh less the more they differ, so that a flash keeps its own value, a fade is followed
without lag, and nothing crosses a cut.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float32]

# Pictures are compared as grids of this many cells a side, mean R, G and B, gamma-coded.
GRID = 8
SIGNATURE_SIZE = GRID * GRID * 3
# Up to so many frames away frames count that are alike; beyond, those that are the same.
NEAR = 8
# Distance, as mean absolute difference of the grids, at which a neighbor's weight is 1/e.
# Noise and coding artefacts average out of the cells to under 0.003, breathing of a step and a
# half of 8 bits is 0.006; a slow pan or a fade moves 0.01 a frame, a flash or a cut 0.1 and more.
# Less would follow breathing, too.
LIKENESS = 0.022
# The same for frames farther away than those near: whoever is asked about a second of video must
# show the same picture, to a step of 8 bits or two. With a steep falloff, so that breathing of
# the whole picture by a step is averaged as well.
STILLNESS = 0.008
# Their spread over time, in frames.
FAR_SPREAD = 18.0
# So many times as unlike, a frame shows another picture.
_OTHER_PICTURE = 2.0
# So many times as unlike, a frame counts for nothing; more would overflow.
_FAR_OFF = 5.0
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
    """Find the cuts in a run of frames.

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
    """How a frame relates to the frames around it."""

    weights: NDArray[np.float64]
    """(frames,), how much each frame of the window counts; sums to 1."""
    begins_shot: bool
    """Whether the frame is the first after a cut."""


def window_weights(
    signatures: Sequence[Vector] | Vector, center: int, *, near: int = NEAR
) -> Window:
    """Return how much each frame of a window counts for one of them.

    Frames up to `near` away count by a Gaussian over time, times likeness. Frames farther away
    count only where the picture stands still, and there nearly alike.

    Args:
        signatures: (frames, SIGNATURE_SIZE), of consecutive frames.
        center: index of the frame in question.
        near: how many frames on either side count by likeness.

    Returns:
        Weights that are zero beyond the nearest cuts. At the very rim a cut can't be told
        from a flash; only the rim's own small weights depend on that.
    """
    pictures, count = np.asarray(signatures), len(signatures)
    away = np.arange(count) - center
    first, last = max(center - near, 0), min(center + near, count - 1)
    run = pictures[first : last + 1]
    cuts = find_cuts([0.0, *_distances(run[1:], run[:-1]).tolist()])
    starts = [first + i for i, cut in enumerate(cuts) if cut]
    # Beyond a cut there is another shot, though it may come back to the same picture.
    earliest = max((i for i in starts if i <= center), default=0)
    latest = min((i for i in starts if i > center), default=count)
    shot = slice(earliest, latest)
    # A network may jump where a fade passes: frames of one are no measure of each other, or
    # about the frames before and after it.
    calm = np.ones(count)
    calm[shot] = 1 / (1 + (fading(pictures[shot]) / FADE_STEP) ** 4)
    unlike = _distances(pictures, pictures[center]) / np.minimum(calm, calm[center])
    weights = np.zeros(count)
    close = slice(max(earliest, first), min(latest, last + 1))
    spread = max(center - first, last - center, 1) / 2
    alike = np.minimum(unlike / LIKENESS, _FAR_OFF) ** 2
    weights[close] = np.exp(-0.5 * (away / spread) ** 2 - alike)[close]
    still = np.minimum(unlike / STILLNESS, _FAR_OFF)
    standing = np.exp(-0.5 * (away / FAR_SPREAD) ** 2 - still**4)
    for side in (range(last + 1, latest), range(first - 1, earliest - 1, -1)):
        for i in _same_shot(side, still):
            weights[i] = standing[i]
    return Window(weights / weights.sum(), center in starts)


def _same_shot(side: Iterable[int], still: NDArray[np.float64]) -> Iterator[int]:
    """Yield the frames of one side, outwards, up to where two in a row are of another picture.

    One alone is a flash.
    """
    other = 0
    for i in side:
        other = other + 1 if still[i] > _OTHER_PICTURE else 0
        if other > 1:
            return
        yield i


def _distances(a: Vector, b: Vector) -> NDArray[np.float64]:
    return np.asarray(np.abs(a - b).mean(axis=-1, dtype=np.float64))


def fading(pictures: Vector) -> NDArray[np.float64]:
    """Return by what share of itself the mean signal moves steadily around each frame.

    The largest step up and the largest down are left out, which are a flash's or a cut's, and
    what goes up and down again, as breathing does, counts little.

    Args:
        pictures: (frames, SIGNATURE_SIZE), of consecutive frames.

    Returns:
        (frames,), a share a frame, not negative; 0 where there are too few frames.
    """
    levels = pictures.reshape(len(pictures), -1).mean(axis=1, dtype=np.float64).tolist()
    paces = [b - a for a, b in pairwise(levels)]
    shares = np.zeros(len(pictures))
    for i in range(len(pictures)):
        start = max(i - FADE_REACH, 0)
        steps = sorted(paces[start : i + FADE_REACH])[1:-1]
        around = levels[start : i + FADE_REACH + 1]
        moved = sum(abs(step) for step in steps)
        if len(steps) > 1 and moved > 0:
            net = abs(sum(steps))
            pace = net * (net / moved) ** 2 / len(steps)
            shares[i] = pace / max(sum(around) / len(around), _BLACK)
    return shares


def average(values: Sequence[Vector], weights: NDArray[np.float64]) -> Vector:
    """Return the weighted mean of vectors, in float64 and then float32."""
    total = sum(w * v.astype(np.float64) for w, v in zip(weights, values, strict=True) if w > 0)
    return np.asarray(total, dtype=np.float32)

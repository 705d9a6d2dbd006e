"""Where a film is cut into chunks, each to be encoded by itself."""

from __future__ import annotations

import hashlib
import json
from bisect import bisect_left
from collections.abc import Sequence
from fractions import Fraction
from typing import NamedTuple

from vs_gainmap.video.index import VideoIndex

CHUNK_SECONDS = 15.0
# A chunk begins at the key frame that is nearest, if one is within this share of its length.
_SHORTEST, _LONGEST = Fraction(2, 3), Fraction(4, 3)
# What is left at the end is one chunk up to this length.
_LAST = Fraction(3, 2)


class Run(NamedTuple):
    """Frames of a clip: the number of the first, and how many."""

    first: int
    frames: int


def plan_runs(
    index: VideoIndex, first: int, count: int, *, seconds: float = CHUNK_SECONDS
) -> tuple[Run, ...]:
    """Cut frames of a file into runs of about equal length.

    Each begins at a key frame, where a decoder can begin, if there is one nearby. Only the index
    decides, so that the same file is always cut at the same frames.

    Args:
        index: of the file.
        first: its first frame that is taken.
        count: how many are.
        seconds: how long a run is to be; frames up to one and a half times that are one run.

    Returns:
        The runs, counted from `first`.
    """
    length, stop = Fraction(seconds), first + count
    keys = sorted({bisect_left(index.pts, pts) for pts, _ in index.keyframes})
    end = index.seconds(stop - 1) + index.duration(stop - 1)
    runs, at = [], first
    while end - index.seconds(at) > length * _LAST:
        start = index.seconds(at)
        low, high = (
            bisect_left(range(stop), start + length * share, key=index.seconds)
            for share in (_SHORTEST, _LONGEST)
        )
        near = keys[bisect_left(keys, max(low, at + 1)) : bisect_left(keys, high)]
        wanted = max(bisect_left(range(stop), start + length, key=index.seconds), at + 1)
        following = min(near, key=lambda n: abs(index.seconds(n) - start - length), default=wanted)
        if following >= stop:
            break
        runs.append(Run(at - first, following - at))
        at = following
    runs.append(Run(at - first, stop - at))
    return tuple(runs)


def plan_equal_runs(frames: int, rate: Fraction) -> tuple[Run, ...]:
    """Cut so many frames into runs of equal length, but the last.

    Args:
        frames: of a clip.
        rate: frames a second.
    """
    length = max(round(rate * Fraction(CHUNK_SECONDS)), 1)
    firsts = range(0, max(frames - length // 2, 1), length)
    stops = (*firsts[1:], frames)
    return tuple(Run(first, stop - first) for first, stop in zip(firsts, stops, strict=True))


def key_of(identity: object, runs: Sequence[Run]) -> str:
    """Return what tells the chunks of one conversion from those of another."""
    return hashlib.sha256(json.dumps([identity, runs]).encode()).hexdigest()

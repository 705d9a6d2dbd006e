"""Exact times of frames: from frame numbers to a container's ticks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import accumulate

from av.rational import AVRational

# MP4 keeps a track's ticks per second in 32 bits, and FFmpeg computes with signed ones.
_MAX_TICKS = 2**31 - 1
_FALLBACK = Fraction(1, 705_600_000)


def exact(value: AVRational) -> Fraction:
    """Return a fraction of PyAV's as Python's own."""
    return Fraction(value.numerator, value.denominator)


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameTimes:
    """Presentation times of frames in ticks, with one more for the end of the last.

    Strictly increasing.
    """

    time_base: Fraction
    ticks: tuple[int, ...]

    @classmethod
    def from_durations(
        cls,
        durations: Sequence[Fraction],
        *,
        start: Fraction = Fraction(0),
        prefer: Fraction | None = None,
    ) -> FrameTimes:
        """Add up durations in seconds, exactly.

        The time base is `prefer` if all times are whole ticks of it, else the coarsest of
        which they are, unless that has more than 31 bits: then they are rounded to
        1/705,600,000 s.
        """
        times = list(accumulate(durations, initial=start))
        ticks = math.lcm(*{time.denominator for time in (start, *durations)})
        base = Fraction(1, ticks) if ticks <= _MAX_TICKS else _FALLBACK
        if prefer is not None and (base / prefer).denominator == 1:
            base = prefer
        return cls(time_base=base, ticks=tuple(round(time / base) for time in times))

    def __len__(self) -> int:
        return len(self.ticks) - 1

    def pts(self, n: int) -> int:
        """Return when frame n is shown."""
        return self.ticks[n]

    def dts(self, n: int) -> int:
        """Return when a decoder must have what it needs for the n-th time; n may be negative.

        An encoder that reorders starts decoding a few frames before it shows the first; those
        are given the duration of the first, so that times go on strictly increasing.
        """
        if n >= 0:
            return self.ticks[n]
        return self.ticks[0] + n * (self.ticks[1] - self.ticks[0])

    def duration(self, n: int) -> int:
        """Return for how long frame n is shown."""
        return self.ticks[n + 1] - self.ticks[n]

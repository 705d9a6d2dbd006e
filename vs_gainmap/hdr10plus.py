"""HDR10+ dynamic metadata (SMPTE ST 2094-40): what a scene's light is like, and its bytes.

Only what can be measured is written, which HDR10+ calls profile A: the scene's brightest
components, its average and the distribution of max(R, G, B). How to tone map is left to the
display.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from vs_gainmap.color.transfer import pq_eotf
from vs_gainmap.errors import MetadataError

# Histograms of max(R, G, B) have one bin for each 10-bit code of full-range PQ.
BINS = 1024
# ST 2094-40 has light in steps of 0.00001 of 10000 cd/m2, in 17 bits.
STEPS_PER_NIT = 10
MAX_STEPS = 100_000
# HDR10+ fixes nine percentages. Three of the values mean something else: 5 is the 99.99th
# percentile of the scene's brightest frame, 10 the percentage of pixels up to 100 cd/m2, and 99
# the 99.98th percentile.
PERCENTAGES = (1, 5, 10, 25, 50, 75, 90, 95, 99)
PERCENTILES = (1.0, 99.99, None, 25.0, 50.0, 75.0, 90.0, 95.0, 99.98)
DIFFUSE_NITS = 100.0
# ITU-T T.35: United States; Samsung Electronics America; ST 2094-40's number; application 4,
# version 1.
T35_HEADER = bytes([0xB5, 0x00, 0x3C, 0x00, 0x01, 4, 1])


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameLight:
    """What one frame's light is like.

    `max_rgb` and `average` (of max(R, G, B)) are cd/m2; `histogram` is (BINS,), pixels a
    PQ code.
    """

    max_rgb: tuple[float, float, float]
    average: float
    histogram: NDArray[np.uint32]


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneLight:
    """What a scene's light is like: cd/m2, but the third of `distribution`, a percentage."""

    max_rgb: tuple[float, float, float]
    average: float
    distribution: tuple[float, ...]

    def t35(self) -> bytes:
        """Return the ITU-T T.35 message, country code included (ST 2094-40, annex; profile A).

        Raises:
            MetadataError: not nine values.
        """
        if len(self.distribution) != len(PERCENTAGES):
            raise MetadataError(
                f"HDR10+: needs {len(PERCENTAGES)} values, got {len(self.distribution)}"
            )
        bits = _Bits()
        bits.put(1, 2)  # num_windows
        bits.put(0, 27)  # targeted_system_display_maximum_luminance: none in profile A
        bits.put(0, 1)  # targeted_system_display_actual_peak_luminance_flag
        for value in self.max_rgb:
            bits.put(_steps(value), 17)
        bits.put(_steps(self.average), 17)
        bits.put(len(PERCENTAGES), 4)
        for percentage, value in zip(PERCENTAGES, self.distribution, strict=True):
            bits.put(percentage, 7)
            share = percentage == PERCENTAGES[PERCENTILES.index(None)]
            bits.put(round(value) if share else _steps(value), 17)
        bits.put(0, 10)  # fraction_bright_pixels
        bits.put(0, 1)  # mastering_display_actual_peak_luminance_flag
        bits.put(0, 1)  # tone_mapping_flag
        bits.put(0, 1)  # color_saturation_mapping_flag
        return T35_HEADER + bits.to_bytes()


class SceneMeter:
    """Gathers frames, in order, into scenes; it holds one histogram at a time."""

    def __init__(self) -> None:
        self._done: list[tuple[int, SceneLight]] = []
        self.frames = 0
        self._first = 0
        self._open: _Sum | None = None

    def add(self, frame: FrameLight, *, begins_scene: bool) -> None:
        """Take the next frame in."""
        if begins_scene:
            self._close()
        if self._open is None:
            self._first, self._open = self.frames, _Sum()
        self._open.add(frame)
        self.frames += 1

    def scenes(self) -> list[tuple[int, SceneLight]]:
        """Return each scene's first frame and its light."""
        self._close()
        return self._done

    def _close(self) -> None:
        if self._open is not None:
            self._done.append((self._first, self._open.result()))
            self._open = None


class _Sum:
    def __init__(self) -> None:
        self.max_rgb = np.zeros(3)
        self.averages: list[float] = []
        self.histogram = np.zeros(BINS, np.uint64)
        self.brightest = 0.0

    def add(self, frame: FrameLight) -> None:
        self.max_rgb = np.maximum(self.max_rgb, frame.max_rgb)
        self.averages.append(frame.average)
        self.histogram += frame.histogram
        self.brightest = max(self.brightest, percentile_nits(frame.histogram, 99.99))

    def result(self) -> SceneLight:
        values = []
        for percentage, percentile in zip(PERCENTAGES, PERCENTILES, strict=True):
            if percentile is None:
                values.append(100 * _share_below(self.histogram, DIFFUSE_NITS))
            elif percentage == PERCENTAGES[1]:
                values.append(self.brightest)
            else:
                values.append(percentile_nits(self.histogram, percentile))
        red, green, blue = (float(v) for v in self.max_rgb)
        # A bin's middle may lie above the brightest pixel in it.
        top = max(red, green, blue)
        capped = [v if p is None else min(v, top) for v, p in zip(values, PERCENTILES, strict=True)]
        return SceneLight(
            max_rgb=(red, green, blue),
            average=float(np.mean(self.averages)),
            distribution=tuple(capped),
        )


def percentile_nits(histogram: NDArray[np.integer], percentile: float) -> float:
    """Return a percentile of light in cd/m2: the middle of the bin it falls into.

    Args:
        histogram: (BINS,), pixels a PQ code; not empty.
        percentile: 0..100.
    """
    total = np.cumsum(histogram, dtype=np.float64)
    code = int(np.searchsorted(total, total[-1] * percentile / 100))
    return float(pq_eotf(torch.tensor(min(code, BINS - 1) / (BINS - 1), dtype=torch.float64)))


def _share_below(histogram: NDArray[np.integer], nits: float) -> float:
    codes = torch.arange(BINS, dtype=torch.float64) / (BINS - 1)
    below = (pq_eotf(codes) <= nits).numpy()
    return float(histogram[below].sum() / histogram.sum())


def _steps(nits: float) -> int:
    return min(max(math.floor(nits * STEPS_PER_NIT + 0.5), 0), MAX_STEPS)


class _Bits:
    """Unsigned integers one after another, the most significant bit first."""

    def __init__(self) -> None:
        self._value, self._length = 0, 0

    def put(self, value: int, width: int) -> None:
        self._value = self._value << width | value
        self._length += width

    def to_bytes(self) -> bytes:
        """Return the bits, filled up with zeros to whole bytes."""
        fill = -self._length % 8
        return (self._value << fill).to_bytes((self._length + fill) // 8, "big")


def messages(scenes: Sequence[tuple[int, SceneLight]]) -> list[tuple[int, bytes]]:
    """Return each scene's first frame and its T.35 message."""
    return [(first, scene.t35()) for first, scene in scenes]

"""False color for stops and for nits, as tables that arrays and VapourSynth clips share."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from vs_gainmap.color.transfer import PQ_PEAK_NITS, pq_inverse_eotf

Rgb = NDArray[np.uint8]

# Black of an LCD, round numbers, SDR's white, reference white (BT.2408), the usual mastering
# peaks, and PQ's end.
NITS_TICKS = (0.1, 1.0, 10.0, 30.0, 100.0, 203.0, 400.0, 1000.0, 4000.0, 10000.0)
# Where scales end, unless there is more light than that: few masters go beyond.
USUAL_TOP = 4000.0


def pq_of(nits: float) -> float:
    """Return the PQ signal of a level in cd/m2."""
    return float(pq_inverse_eotf(torch.tensor(nits, dtype=torch.float64)))


def scale_top(brightest: float) -> float:
    """Return the end of a scale for light of up to `brightest` cd/m2."""
    # Light that was rounded up is no reason to lose a tenth of the scale.
    return USUAL_TOP if brightest <= USUAL_TOP * 1.001 else PQ_PEAK_NITS


def ticks_to(peak: float) -> list[float]:
    """Return the levels that a scale up to `peak` cd/m2 names."""
    return [nits for nits in NITS_TICKS if nits <= peak]


def _pick(table: Rgb, share: NDArray[np.floating]) -> Rgb:
    picked: Rgb = table[(np.clip(share, 0, 1) * 255).round().astype(int)]
    return picked


def _turbo() -> Rgb:
    ramp = np.arange(256, dtype=np.uint8)[None]
    return np.ascontiguousarray(cv2.applyColorMap(ramp, cv2.COLORMAP_TURBO)[0, :, ::-1])


@dataclass(frozen=True)
class StopsScale:
    """Colors of a log gain: blue darkens, gray is no change, orange to white brightens.

    Args:
        low: stops at the table's first entry, zero or below.
        high: stops at its last, above zero.
    """

    low: float
    high: float

    @cached_property
    def table(self) -> Rgb:
        """Return (256, 3), R, G, B."""
        stops = np.linspace(self.low, self.high, 256)
        inferno = cv2.applyColorMap(np.arange(256, dtype=np.uint8)[None], cv2.COLORMAP_INFERNO)
        hot = inferno[0, :, ::-1].astype(np.float64)
        neutral, cold = np.array([60.0, 60.0, 60.0]), np.array([40.0, 120.0, 255.0])
        up = np.clip(stops / self.high, 0, 1)
        warm = hot[(48 + up * 207).astype(int)]
        # From gray into inferno over the first tenth, so that zero can be found on the scale.
        blend = np.clip(up * 10, 0, 1)[:, None]
        colors = neutral * (1 - blend) + warm * blend
        down = np.clip(stops / min(self.low, -1e-9), 0, 1)[:, None]
        colors = np.where(stops[:, None] < 0, neutral * (1 - down) + cold * down, colors)
        return colors.round().astype(np.uint8)

    def paint(self, stops: NDArray[np.float32]) -> Rgb:
        """Return (H, W, 3) for (H, W) stops; what is outside takes the end's color."""
        share = (stops - self.low) / (self.high - self.low)
        return _pick(self.table, share)

    def ticks(self) -> list[tuple[float, str]]:
        """Return positions 0..1 on the scale, with their labels."""
        step = 1.0 if self.high - self.low > 2 else 0.5
        first = np.ceil(self.low / step) * step
        values = np.arange(first, self.high + 1e-6, step)
        return [((v - self.low) / (self.high - self.low), f"{v:+g}" if v else "0") for v in values]


@dataclass(frozen=True)
class NitsScale:
    """Colors of luminance: Turbo over the PQ signal, from 0.

    Args:
        peak: cd/m2 at the table's last entry.
    """

    peak: float = USUAL_TOP
    table: ClassVar[Rgb] = _turbo()

    @property
    def top(self) -> float:
        """Return the PQ signal of the last entry."""
        return pq_of(self.peak)

    def paint(self, nits: NDArray[np.float32]) -> Rgb:
        """Return (H, W, 3) for (H, W) cd/m2."""
        share = pq_inverse_eotf(torch.from_numpy(nits)).numpy() / self.top
        return _pick(self.table, share)

    def ticks(self) -> list[tuple[float, str]]:
        """Return positions 0..1 on the scale, with their labels."""
        return [(pq_of(v) / self.top, f"{v:g}") for v in ticks_to(self.peak)]

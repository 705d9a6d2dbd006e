"""The tone mapping of libplacebo: mpv, FFmpeg's ``libplacebo`` filter, and other players.

After libplacebo's ``tone_mapping.c`` and ``shaders/colorspace.c``: a curve over the intensity of
ICtCp, both sides in PQ, black at 1000:1 on the SDR side; color is desaturated with intensity.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, Self

import numpy as np
import torch
from torch import Tensor

from training.data.encodings import Encoding, log_uniform
from training.data.ictcp import ictcp_to_rgb, rgb_to_ictcp
from training.data.operators.base import Light
from vs_gainmap.color.primaries import convert_primaries
from vs_gainmap.color.transfer import pq_inverse_eotf

Curve = Literal["bt2390", "spline"]
Peak = Literal["unknown", "known", "detected"]

SDR_NITS = 203.0
# libplacebo's default contrast of a display.
CONTRAST = 1000.0
# The source peak where there are no metadata, cd/m2.
UNKNOWN_NITS = 5000.0
# Knee of the spline, as shares of the range of PQ: lowest, usual and highest, and how far it is
# from the source's brightness to the same share of the SDR's range.
KNEE_LEAST, KNEE_USUAL, KNEE_MOST, KNEE_ADAPTATION = 0.1, 0.4, 0.8, 0.4
SLOPE_TUNING, SLOPE_OFFSET = 1.5, 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Libplacebo:
    """libplacebo's tone mapping to an SDR display of 203 cd/m2.

    `peak` is where the source peak comes from: `UNKNOWN_NITS`, the metadata ("known") or the
    picture ("detected"). `contrast` is the spline's, and `adapts` whether its knee follows the
    picture's average. With the usual settings, and the usual encodings of `draw_encoding`, the
    SDR has a PSNR of 40 dB to libplacebo's own by the spline, 37 by BT.2390 and 34 by mpv's
    default.
    """

    curve: Curve = "spline"
    peak: Peak = "detected"
    contrast: float = 1.6
    adapts: bool = False
    source_black: float = 0.0005
    sdr_black: float = SDR_NITS / CONTRAST

    def __call__(self, light: Light) -> Tensor:
        """Return SDR light, (3, H, W), 0..1."""
        rgb = convert_primaries(light.rgb, light.primaries, "bt2020").clamp(min=0.0)
        ictcp = rgb_to_ictcp(rgb)
        before = ictcp[:1].clamp(min=1e-6)
        low, high = self._range(light)
        average = float(before.mean()) if self.adapts else None
        bottom, top = _pq(self.sdr_black), _pq(SDR_NITS)
        x = before.clamp(low, high)
        if high <= top:
            after = x
        elif self.curve == "bt2390":
            after = bt2390(x, low=low, high=high, bottom=bottom, top=top)
        else:
            after = spline(
                x, low=low, high=high, bottom=bottom, top=top, average=average, c=self.contrast
            )
        after = after.clamp(bottom, top)
        shrink = torch.minimum(before / after, _hull(after) / _hull(before)).clamp(max=1.0)
        mapped = torch.cat([after, ictcp[1:] * shrink])
        out = convert_primaries(ictcp_to_rgb(mapped), "bt2020", light.primaries)
        return (out / SDR_NITS).clamp(0.0, 1.0)

    def _range(self, light: Light) -> tuple[float, float]:
        low = _pq(self.source_black)
        if self.peak == "unknown":
            return low, _pq(UNKNOWN_NITS)
        if self.peak == "known":
            return low, _pq(light.peak_nits)
        peak = float(pq_inverse_eotf(light.rgb.amax(dim=0)).flatten().quantile(0.9999))
        return low, max(peak, _pq(SDR_NITS))

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Self:
        """Draw the curve and where the peak comes from: players detect it, converters don't."""
        if rng.random() < 0.35:
            return cls(
                curve="bt2390",
                peak="unknown" if rng.random() < 0.7 else "known",
                source_black=log_uniform(rng, 0.003, 0.03),
                sdr_black=log_uniform(rng, 0.001, 0.02),
            )
        return cls(
            peak="detected" if rng.random() < 0.5 else "known",
            contrast=rng.uniform(1.3, 1.8),
            adapts=bool(rng.random() < 0.25),
            source_black=log_uniform(rng, 0.0002, 0.02),
            sdr_black=log_uniform(rng, 0.15, 0.4),
        )

    def draw_encoding(self, rng: np.random.Generator) -> Encoding:
        """Draw what libplacebo's own SDR looks as if it were encoded by: its black is deeper."""
        if self.curve == "bt2390":
            return Encoding(black=log_uniform(rng, 0.0012, 0.003), power=rng.uniform(2.3, 2.5))
        return Encoding(black=log_uniform(rng, 0.003, 0.006), power=rng.uniform(2.5, 2.8))


def bt2390(x: Tensor, *, low: float, high: float, bottom: float, top: float) -> Tensor:
    """Map PQ by libplacebo's form of the EETF of ITU-R BT.2390-11, clause 5.4.1."""
    span = high - low
    black, white = (bottom - low) / span, (top - low) / span
    knee = 2 * white - 1
    e = (x - low) / span
    t = ((e - knee) / (1 - knee)).clamp(min=0.0)
    t2, t3 = t * t, t * t * t
    bent = (2 * t3 - 3 * t2 + 1) * knee + (t3 - 2 * t2 + t) * (1 - knee) + (3 * t2 - 2 * t3) * white
    e = torch.where(e < knee, e, bent)
    power = min(1 / black, 4.0) if black > 0 else 4.0
    lift = black * (1 - e).clamp(min=0.0) ** power
    gain = 1 / (1 + black / white * math.pow(1 - white, power))
    return (gain * (e + lift - black) + black) * span + low


def spline(
    x: Tensor,
    *,
    low: float,
    high: float,
    bottom: float,
    top: float,
    average: float | None,
    c: float,
) -> Tensor:
    """Map PQ by libplacebo's default: a parabola below a knee and a cubic above it.

    Args:
        x: PQ intensity.
        low: black of the source, PQ.
        high: peak of the source, PQ.
        bottom: black of SDR, PQ.
        top: white of SDR, PQ.
        average: PQ intensity of the picture; None where the knee does not follow it.
        c: contrast at the knee.
    """
    least, most = (low + share * (high - low) for share in (KNEE_LEAST, KNEE_MOST))
    knee = low + KNEE_USUAL * (high - low) if average is None else average
    knee = min(max(knee, least), most)
    share = (knee - low) / (high - low)
    tuning = 1 - _smoothstep(KNEE_MOST, KNEE_USUAL, share) * _smoothstep(
        KNEE_LEAST, KNEE_USUAL, share
    )
    adaptation = KNEE_ADAPTATION + (1 - KNEE_ADAPTATION) * tuning
    out = knee + adaptation * (bottom + share * (top - bottom) - knee)
    least, most = (bottom + part * (top - bottom) for part in (KNEE_LEAST, KNEE_MOST))
    out = min(max(out, least), most)
    ratio = min(max(SLOPE_TUNING * (high / top - 1), SLOPE_OFFSET), 1 + SLOPE_OFFSET)
    slope = ((out - bottom) / (knee - low)) ** ((1 - c) * ratio)
    below, above, down, up = low - knee, high - knee, bottom - out, top - out
    square = (down - slope * below) / below**2
    cubic = (slope * above - up) / (2 * above**3)
    bend = -3 * (slope * above - up) / (2 * above**2)
    y = x - knee
    return out + torch.where(y > 0, ((cubic * y + bend) * y + slope) * y, (square * y + slope) * y)


def _hull(intensity: Tensor) -> Tensor:
    """Return about how much chroma fits into PQ at an intensity."""
    return ((intensity - 6) * intensity + 9) * intensity


def _pq(nits: float) -> float:
    return float(pq_inverse_eotf(torch.tensor(nits, dtype=torch.float64)))


def _smoothstep(edge0: float, edge1: float, x: float) -> float:
    t = min(max((x - edge0) / (edge1 - edge0), 0.0), 1.0)
    return t * t * (3 - 2 * t)

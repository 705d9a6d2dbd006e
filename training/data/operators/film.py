"""Global operators of converters and games: Reinhard, Hable, Moebius and fits of ACES."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, Self

import numpy as np
import torch
from torch import Tensor

from training.data.operators.base import TINY, Light, Spread, draw_spread, mix, scalar, spread
from vs_gainmap.color.primaries import luminance

FfmpegCurve = Literal["hable", "mobius"]


def hable(x: Tensor) -> Tensor:
    """Apply Hable's filmic curve (J. Hable, "Uncharted 2: HDR Lighting", GDC 2010)."""
    a, b, c, d, e, f = 0.15, 0.50, 0.10, 0.20, 0.02, 0.30
    return (x * (x * a + b * c) + d * e) / (x * (x * a + b) + d * f) - e / f


def mobius(x: Tensor, *, peak: float, join: float = 0.3) -> Tensor:
    """Keep light below `join`; above it a Moebius transform maps `peak` to 1."""
    if peak <= 1:
        return x
    a = -join * join * (peak - 1) / (join * join - 2 * join + peak)
    b = (join * join - 2 * join * peak + peak) / (peak - 1)
    bent = (b * b + 2 * b * join + join * join) / (b - a) * (x + a) / (x + b)
    return torch.where(x <= join, x, bent)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ffmpeg:
    """FFmpeg's ``tonemap`` filter after ``zscale=t=linear:npl=<white_nits>``.

    It scales RGB by one factor from max(RGB). `desaturate` is the filter's option, which mixes
    light above it with its luminance. The filter takes the metadata's peak in units of 100 cd/m2,
    whatever npl is (libavfilter/vf_tonemap.c).
    """

    curve: FfmpegCurve = "hable"
    white_nits: float = 100.0
    desaturate: float = 0.0

    def __call__(self, light: Light) -> Tensor:
        """Return SDR light, (3, H, W), 0..1."""
        peak = light.peak_nits / 100
        rgb = light.rgb / self.white_nits
        if self.desaturate > 0:
            y = luminance(rgb, light.primaries).clamp(min=TINY)
            over = (y - self.desaturate).clamp(min=0.0) / y
            rgb = rgb + over * (y - rgb)
        norm = rgb.amax(dim=0, keepdim=True).clamp(min=TINY)
        if self.curve == "hable":
            mapped = hable(norm) / scalar(hable, peak)
        else:
            mapped = mobius(norm, peak=peak)
        return (rgb * (mapped / norm)).clamp(0.0, 1.0)

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Self:
        """Draw npl (100 or 203) and the desaturation of guides (0) or the default (2)."""
        return cls(
            white_nits=float(rng.choice((100.0, 203.0))),
            desaturate=float(rng.choice((0.0, 0.0, 2.0))),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class FfmpegHable(Ffmpeg):
    """``tonemap=hable``, which most guides use."""

    curve: FfmpegCurve = "hable"


@dataclass(frozen=True, slots=True, kw_only=True)
class FfmpegMobius(Ffmpeg):
    """``tonemap=mobius`` with its default parameter."""

    curve: FfmpegCurve = "mobius"


@dataclass(frozen=True, slots=True, kw_only=True)
class Filmic:
    """Hable's curve as in games: an exposure, then a white that maps to 1."""

    exposure: float = 2.0
    white: float = 11.2
    white_nits: float = 203.0
    over: Spread = "channel"

    def __call__(self, light: Light) -> Tensor:
        """Return SDR light, (3, H, W), 0..1."""
        top = scalar(hable, self.white)

        def curve(nits: Tensor) -> Tensor:
            return hable(nits / self.white_nits * self.exposure) / top

        return spread(light, curve, self.over)

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Self:
        """Draw around the published exposure of 2 and white of 11.2."""
        return cls(exposure=rng.uniform(1.6, 3.0), white=rng.uniform(5, 14), over=draw_spread(rng))


@dataclass(frozen=True, slots=True, kw_only=True)
class Reinhard:
    """Reinhard et al., "Photographic Tone Reproduction", SIGGRAPH 2002, eq. 3 and 4.

    `white_nits` is 1.0; `burn` is the light in that unit that becomes white (eq. 4).
    """

    white_nits: float = 203.0
    burn: float = math.inf
    over: Spread = "luminance"

    def __call__(self, light: Light) -> Tensor:
        """Map x to x (1 + x / burn^2) / (1 + x)."""
        scale = 1 / self.white_nits

        def curve(nits: Tensor) -> Tensor:
            x = nits * scale
            return x * (1 + x / self.burn**2) / (1 + x)

        return spread(light, curve, self.over)

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Self:
        """Draw simple or extended, exposed by key or by a fixed white."""
        return cls(
            white_nits=203.0 * 2 ** rng.uniform(-0.2, 0.4),
            burn=rng.uniform(4, 10) if rng.random() < 0.4 else math.inf,
            over=draw_spread(rng),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class AcesNarkowicz:
    """K. Narkowicz's fit of the ACES filmic curve (2015), per channel, with an exposure."""

    exposure: float = 1.0
    white_nits: float = 203.0

    def __call__(self, light: Light) -> Tensor:
        """Map x (2.51 x + 0.03) / (x (2.43 x + 0.59) + 0.14)."""

        def curve(nits: Tensor) -> Tensor:
            x = nits / self.white_nits * self.exposure
            return x * (2.51 * x + 0.03) / (x * (2.43 * x + 0.59) + 0.14)

        return spread(light, curve, "channel")

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Self:
        """Draw the exposure around the 0.6 that the author suggests."""
        return cls(exposure=rng.uniform(0.5, 0.9))


HILL_BEFORE = (
    (0.59719, 0.35458, 0.04823),
    (0.07600, 0.90834, 0.01566),
    (0.02840, 0.13383, 0.83777),
)
HILL_AFTER = (
    (1.60475, -0.53108, -0.07367),
    (-0.10208, 1.10813, -0.00605),
    (-0.00327, -0.07276, 1.07602),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class AcesHill:
    """S. Hill's fit of the ACES reference and output transforms, in BT.709 (2016)."""

    exposure: float = 1.0
    white_nits: float = 203.0

    def __call__(self, light: Light) -> Tensor:
        """Mix channels, bend, and mix back."""
        x = mix(torch.tensor(HILL_BEFORE), light.rgb / self.white_nits * self.exposure)
        bent = (x * (x + 0.0245786) - 0.000090537) / (x * (0.983729 * x + 0.4329510) + 0.238081)
        return mix(torch.tensor(HILL_AFTER), bent).clamp(0.0, 1.0)

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Self:
        """Draw the exposure around 1.4, which keeps middle grey."""
        return cls(exposure=rng.uniform(0.8, 2.0))

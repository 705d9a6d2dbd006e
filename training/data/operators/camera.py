"""Operators of cameras: S-curves, knees, and a knee with local contrast."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import cv2
import numpy as np
import torch
from torch import Tensor

from training.data.encodings import log_uniform
from training.data.operators.base import Light, Spread, draw_spread, spread
from vs_gainmap.color.primaries import luminance


def soft_knee(x: Tensor, knee: float, top: float) -> Tensor:
    """Bend light above `knee` by a hyperbola with slope 1 at the knee; `top` becomes 1."""
    room, span = 1 - knee, top - knee
    if span <= room:
        return x
    over = (x - knee).clamp(min=0.0)
    # k chosen so that span maps to room.
    k = span * room / (span - room)
    return torch.where(x <= knee, x, knee + over * k / (over + k))


def base_layer(log_light: Tensor, *, stops: float, sigma: float) -> Tensor:
    """Smooth (H, W) log2 light by a bilateral filter.

    Args:
        log_light: (H, W), stops.
        stops: edges that are larger stay.
        sigma: reach as a share of the longer side.
    """
    reach = sigma * max(log_light.shape)
    return torch.from_numpy(
        cv2.bilateralFilter(log_light.numpy().astype(np.float32), -1, stops, reach)
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class SoftKnee:
    """The knee of a broadcast camera: keeps mid-tones and compresses highlights.

    `white_nits` is SDR white before the knee. Light above `knee` (a share of white) is bent so
    that `source` (in units of white; None is the source peak) becomes white.
    """

    white_nits: float = 203.0
    knee: float = 0.7
    source: float | None = None
    over: Spread = "channel"

    def __call__(self, light: Light) -> Tensor:
        """Bend by a hyperbola with slope 1 at the knee."""
        top = self.source or light.peak_nits / self.white_nits
        return spread(light, lambda n: soft_knee(n / self.white_nits, self.knee, top), self.over)

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Self:
        """Draw white around 203 cd/m2 and a knee from half to nearly white."""
        return cls(
            white_nits=203.0 * 2 ** float(np.clip(rng.normal(0.4, 0.25), 0.0, 1.0)),
            knee=rng.uniform(0.4, 0.9),
            source=rng.uniform(2, 6) if rng.random() < 0.4 else None,
            over=draw_spread(rng),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalKnee:
    """A knee on the base layer of max(RGB), as in the local tone mapping of phones.

    A bilateral filter splits off the base layer (Durand and Dorsey, SIGGRAPH 2002). The picture
    is scaled as `SoftKnee` scales the base, so detail in highlights keeps its contrast.
    """

    white_nits: float = 203.0
    knee: float = 0.4
    sigma: float = 0.02

    def __call__(self, light: Light) -> Tensor:
        """Return SDR light, (3, H, W), 0..1."""
        norm = light.rgb.amax(dim=0, keepdim=True).clamp(min=0.005)
        log_norm = torch.log2(norm)[0]
        base = torch.exp2(base_layer(log_norm, stops=1.0, sigma=self.sigma))[None]
        bent = soft_knee(base / self.white_nits, self.knee, light.peak_nits / self.white_nits)
        return (light.rgb * (bent / base)).clamp(0.0, 1.0)

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Self:
        """Draw white around 203 cd/m2, as exposure differs, and a low knee."""
        return cls(
            white_nits=203.0 * 2 ** float(np.clip(rng.normal(0.4, 0.25), 0.0, 1.0)),
            knee=rng.uniform(0.15, 0.5),
            sigma=rng.uniform(0.01, 0.03),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Camera:
    """A consumer camera: exposure, log-sigmoid curve and saturation.

    The curve is x^c / (x^c + m^c), with c = `contrast`. It maps `grey_nits` to `grey`, and
    `white` times reference white to 1.
    """

    grey_nits: float = 26.0
    grey: float = 0.1
    contrast: float = 1.3
    white: float = 4.0
    saturation: float = 1.1
    over: Spread = "channel"

    def __call__(self, light: Light) -> Tensor:
        """Return SDR light, (3, H, W), 0..1."""
        c = self.contrast
        top = self.white * 203.0 / self.grey_nits
        # Solve the half-saturation m for f(1) / f(top) = grey.
        tc = top**c
        mc = (1 - self.grey) * tc / max(self.grey * tc - 1, 1e-3)

        def curve(nits: Tensor) -> Tensor:
            xc = (nits / self.grey_nits).pow(c)
            bent: Tensor = xc / (xc + mc) * ((tc + mc) / tc)
            return bent

        sdr = spread(light, curve, self.over)
        y = luminance(sdr, light.primaries)
        return (y + self.saturation * (sdr - y)).clamp(0.0, 1.0)

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Self:
        """Draw mid-tones up to 1.2 stops darker than reference white puts them."""
        return cls(
            grey_nits=26.0,
            grey=26.0 / 203.0 * 2 ** -float(np.clip(rng.normal(0.3, 0.25), 0.0, 1.0)),
            contrast=rng.uniform(0.8, 1.05),
            white=log_uniform(rng, 4.0, 20.0),
            saturation=rng.uniform(0.85, 1.2),
            over=draw_spread(rng),
        )

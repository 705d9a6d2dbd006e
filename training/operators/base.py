"""What every tone mapping operator shares: its input, and ways to spread a curve over RGB."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol, Self, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from vs_gainmap.color.primaries import PrimariesName, luminance

Spread = Literal["max", "channel", "luminance"]
Curve = Callable[[Tensor], Tensor]

TINY = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class Light:
    """What an operator gets: display light of a master.

    `rgb` is (3, H, W), cd/m2, not negative, in `primaries`; `peak_nits` is the source peak
    that the operator is told (MaxCLL or the mastering display's maximum).

    Operators that expose for what they see were made for single pictures. In film, adaptation
    lags behind and makes up for a part of what a shot is darker or lighter than the film (Kang
    et al., "High Dynamic Range Video", SIGGRAPH 2003; Krawczyk et al., "Perceptual Effects in
    Real-Time Tone Mapping", SCCG 2005): `usual_nits` is the film's usual log-average (None:
    a single picture), `adapting` that part, 0..1, as a share of stops.
    """

    rgb: Tensor
    peak_nits: float
    primaries: PrimariesName = "bt2020"
    usual_nits: float | None = None
    adapting: float = 1.0

    def luminance(self) -> Tensor:
        """Return (1, H, W), cd/m2."""
        return luminance(self.rgb, self.primaries)

    def log_average(self) -> float:
        """Return the picture's own log-average, cd/m2, at least 0.02 (Reinhard et al. 2002)."""
        return max(float(torch.exp(torch.log(self.luminance() + 0.01).mean())), 0.02)

    def adaptation(self) -> float:
        """Return the log-average that is exposed for, cd/m2."""
        own = self.log_average()
        if self.usual_nits is None:
            return own
        return math.pow(own, self.adapting) * math.pow(self.usual_nits, 1 - self.adapting)


@runtime_checkable
class Operator(Protocol):
    """A tone mapping operator with its settings.

    Calling it gives (3, H, W) linear SDR light in the same primaries, 0..1, 1.0 = SDR white.
    """

    def __call__(self, light: Light) -> Tensor:
        """Map HDR light to SDR light."""
        ...

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Self:
        """Draw settings that are in use."""
        ...


def spread(light: Light, curve: Curve, over: Spread) -> Tensor:
    """Apply a curve of light to RGB: per channel, or as one factor from max(RGB) or Y.

    Args:
        light: cd/m2.
        curve: from cd/m2 to SDR light, 0..1.
        over: what the curve sees.

    Returns:
        (3, H, W), SDR light, clamped to 0..1.
    """
    if over == "channel":
        return curve(light.rgb).clamp(0.0, 1.0)
    norm = light.rgb.amax(dim=0, keepdim=True) if over == "max" else light.luminance()
    norm = norm.clamp(min=TINY)
    return (light.rgb * (curve(norm) / norm)).clamp(0.0, 1.0)


def mix(matrix: Tensor, rgb: Tensor) -> Tensor:
    """Multiply (3, H, W) by a 3x3 matrix, pixel by pixel."""
    mixed: Tensor = torch.tensordot(matrix.to(rgb), rgb, dims=1)
    return mixed


def draw_spread(rng: np.random.Generator) -> Spread:
    """Draw with equal weight."""
    choices: tuple[Spread, ...] = ("max", "channel", "luminance")
    return choices[int(rng.integers(len(choices)))]


def scalar(function: Curve, value: float) -> float:
    """Evaluate a curve at one point in double precision."""
    return float(function(torch.tensor(value, dtype=torch.float64)))

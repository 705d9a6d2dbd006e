"""The input of tone mapping operators, and ways to apply a curve to RGB."""

from __future__ import annotations

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
    """The input of an operator: display light of a master.

    Attributes:
        rgb: (3, H, W), cd/m2, at least 0.
        peak_nits: source peak in the metadata (MaxCLL or the mastering display's).
        primaries: of `rgb`.
    """

    rgb: Tensor
    peak_nits: float
    primaries: PrimariesName = "bt2020"

    def luminance(self) -> Tensor:
        """Return (1, H, W), cd/m2."""
        return luminance(self.rgb, self.primaries)


@runtime_checkable
class Operator(Protocol):
    """A tone mapping operator with its settings.

    It returns linear SDR light in the same primaries, (3, H, W), 0..1, 1.0 = SDR white.
    """

    def __call__(self, light: Light) -> Tensor:
        """Map HDR light to SDR light."""
        ...

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Self:
        """Draw settings that people use."""
        ...


def spread(light: Light, curve: Curve, over: Spread) -> Tensor:
    """Apply a curve of light to RGB: per channel, or as one factor from max(RGB) or Y.

    Args:
        light: cd/m2.
        curve: from cd/m2 to SDR light, 0..1.
        over: what the curve is applied to.

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

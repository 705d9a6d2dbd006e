"""Encode SDR light as a signal, and draw the curve."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Self

import numpy as np
from torch import Tensor

from vs_gainmap.color.transfer import srgb_inverse_eotf

# Share of sRGB, of a pure power, and, the rest, of BT.1886 with a black level.
STRAIGHT_FOOT, PURE_POWER = 0.6, 0.2


def log_uniform(rng: np.random.Generator, least: float, most: float) -> float:
    """Draw a number whose logarithm is evenly spread."""
    return math.exp(rng.uniform(math.log(least), math.log(most)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoding:
    """The inverse EOTF of ITU-R BT.1886, with the display's black level, or that of sRGB."""

    power: float = 2.4
    black: float = 0.0
    """Light of the display's black, as a share of its white."""
    srgb: bool = False

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Self:
        """Draw a curve of cameras, editors and converters."""
        kind = rng.random()
        if kind < STRAIGHT_FOOT:
            return cls(power=2.2, srgb=True)
        if kind < STRAIGHT_FOOT + PURE_POWER:
            return cls(power=2.2 if rng.random() < 0.8 else 2.4)
        return cls(black=log_uniform(rng, 0.0005, 0.002))

    def __call__(self, linear: Tensor) -> Tensor:
        """Encode linear light, 0..1, as a signal, 0..1."""
        if self.srgb:
            return srgb_inverse_eotf(linear)
        foot = math.pow(self.black, 1 / self.power)
        return (linear.clamp(min=self.black) ** (1 / self.power) - foot) / (1 - foot)


SRGB = Encoding(power=2.2, srgb=True)
# Of players, for an SDR display with a contrast of 1000.
PLAYER = Encoding(black=0.001)

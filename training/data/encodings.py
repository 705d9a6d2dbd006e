"""How SDR light becomes a signal, and how often training meets which curve."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Self

import numpy as np
from torch import Tensor

from vs_gainmap.color.transfer import srgb_inverse_eotf

# Share of BT.1886 with a black level, of a pure power, and of sRGB.
BLACK_LEVEL, PURE_POWER = 0.65, 0.15


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoding:
    """The inverse EOTF of ITU-R BT.1886, with the display's black level, or that of sRGB."""

    power: float = 2.4
    black: float = 0.0
    """Light of the display's black, as a share of its white."""
    srgb: bool = False

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Self:
        """Draw: mostly BT.1886 at a contrast of a few hundred to a thousand, as players have it.

        No picture tells which it was. Between pure powers of 2.2 and 2.4 lies half a stop in the
        shadows; the black level and sRGB's straight foot make more of it there.
        """
        kind = rng.random()
        if kind < BLACK_LEVEL:
            black = math.exp(rng.uniform(math.log(0.0015), math.log(0.006)))
            return cls(power=rng.uniform(2.3, 2.8), black=black)
        if kind < BLACK_LEVEL + PURE_POWER:
            return cls(power=2.2 if rng.random() < 0.8 else 2.4)
        return cls(power=2.2, srgb=True)

    def __call__(self, linear: Tensor) -> Tensor:
        """Encode linear light, 0..1, as a signal, 0..1."""
        if self.srgb:
            return srgb_inverse_eotf(linear)
        foot = self.black ** (1 / self.power)
        return (linear.clamp(min=self.black) ** (1 / self.power) - foot) / (1 - foot)


SRGB = Encoding(power=2.2, srgb=True)
# What players make for an SDR display of 1000:1.
PLAYER = Encoding(black=0.001)

"""Tone mapping between two operators: graders and tools have curves of their own.

A network that meets a dozen operators learns a dozen curves, and takes any other for one of
them. What made a film that somebody has is none of these as a rule, but seldom outside what they
span.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from torch import Tensor

from training.operators import OPERATORS, Light, Operator, OperatorEntry, draw_operator
from vs_gainmap.color import bt1886_eotf, bt1886_inverse_eotf

LEAST, MOST = 0.2, 0.8


@dataclass(frozen=True, slots=True, kw_only=True)
class Between:
    """The mean of what two operators make of a picture, in SDR signal (BT.1886)."""

    one: Operator
    other: Operator
    share: float
    """Of the other, 0..1."""

    def __call__(self, light: Light) -> Tensor:
        """Map by both."""
        one, other = (bt1886_inverse_eotf(make(light)) for make in (self.one, self.other))
        return bt1886_eotf(one.lerp(other, self.share))

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Self:
        """Draw two operators for video."""
        return cls.of(draw_operator(rng)[1], rng, OPERATORS)

    @classmethod
    def of(
        cls, one: Operator, rng: np.random.Generator, operators: dict[str, OperatorEntry]
    ) -> Self:
        """Draw the other operator, which training may see, and its share."""
        other = draw_operator(rng, operators)[1]
        return cls(one=one, other=other, share=rng.uniform(LEAST, MOST))

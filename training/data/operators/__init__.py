"""The table of tone mapping operators, with the weights at which training draws them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from training.data.operators.base import Light, Operator, Spread
from training.data.operators.camera import Camera, LocalKnee, SoftKnee
from training.data.operators.film import (
    AcesHill,
    AcesNarkowicz,
    FfmpegHable,
    FfmpegMobius,
    Filmic,
    Reinhard,
)
from training.data.operators.itu import Bt2446A, Bt2446C, HardClip
from training.data.operators.libplacebo import Libplacebo


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorEntry:
    """An operator in the table.

    Attributes:
        make: its class.
        usual: settings that people leave it at; `USUAL_SHARE` of the draws take one of them.
        weight: how often training draws it.
        held_out: whether it is for validation only.
    """

    make: type[Operator]
    usual: tuple[Operator, ...]
    weight: float = 1.0
    held_out: bool = False

    def draw(self, rng: np.random.Generator) -> Operator:
        """Draw settings."""
        if rng.random() < USUAL_SHARE:
            return self.usual[int(rng.integers(len(self.usual)))]
        return self.make.draw(rng)


# SDR white is at 203 cd/m2 everywhere, and no operator leaves SDR lighter than the master there.
OPERATORS: dict[str, OperatorEntry] = {
    "libplacebo": OperatorEntry(
        make=Libplacebo,
        usual=(
            Libplacebo(),
            Libplacebo(peak="known"),
            Libplacebo(curve="bt2390", peak="unknown", source_black=0.005, sdr_black=0.001),
        ),
        weight=7.0,
    ),
    "clip": OperatorEntry(make=HardClip, usual=(HardClip(),), weight=0.1),
    "bt2446a": OperatorEntry(make=Bt2446A, usual=(Bt2446A(), Bt2446A(hdr_nits=1000.0)), weight=0.2),
    "bt2446c": OperatorEntry(make=Bt2446C, usual=(Bt2446C(),), weight=0.0, held_out=True),
    "hable": OperatorEntry(make=FfmpegHable, usual=(FfmpegHable(),), weight=0.3),
    "mobius": OperatorEntry(
        make=FfmpegMobius, usual=(FfmpegMobius(white_nits=203.0),), weight=0.0, held_out=True
    ),
    "reinhard": OperatorEntry(
        make=Reinhard,
        usual=(Reinhard(), Reinhard(over="channel"), Reinhard(over="max")),
        weight=1.0,
    ),
    "filmic": OperatorEntry(make=Filmic, usual=(Filmic(),), weight=0.5),
    "aces_narkowicz": OperatorEntry(
        make=AcesNarkowicz, usual=(AcesNarkowicz(exposure=0.6),), weight=0.0, held_out=True
    ),
    "aces_hill": OperatorEntry(
        make=AcesHill, usual=(AcesHill(exposure=1.4),), weight=0.0, held_out=True
    ),
    "soft_knee": OperatorEntry(make=SoftKnee, usual=(SoftKnee(),), weight=0.2),
    "local_knee": OperatorEntry(make=LocalKnee, usual=(LocalKnee(),), weight=0.4),
    "camera": OperatorEntry(make=Camera, usual=(Camera(),), weight=5.0),
}
USUAL_SHARE = 0.4


def draw_operator(rng: np.random.Generator) -> tuple[str, Operator]:
    """Draw an operator that is not held out, with settings; return its name, too."""
    names = [name for name, entry in OPERATORS.items() if not entry.held_out]
    weights = np.array([OPERATORS[name].weight for name in names])
    name = names[int(rng.choice(len(names), p=weights / weights.sum()))]
    return name, OPERATORS[name].draw(rng)


__all__ = [
    "OPERATORS",
    "Light",
    "Operator",
    "OperatorEntry",
    "Spread",
    "draw_operator",
]

"""Tone mapping operators: how SDR is made from HDR, by name, with the weight each is drawn at."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from training.operators.base import Light, Operator, Spread
from training.operators.camera import Bilateral, Camera, LocalKnee, LocalReinhard, SoftKnee
from training.operators.film import (
    AcesHill,
    AcesNarkowicz,
    Drago,
    FfmpegHable,
    FfmpegMobius,
    FfmpegReinhard,
    Filmic,
    Reinhard,
    Spline,
)
from training.operators.itu import Bt2390, Bt2446A, Bt2446C, HardClip


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorEntry:
    """An operator, how often training draws it, and whether validation keeps it to itself.

    `usual` are the settings that people leave it at: `USUAL_SHARE` of the draws take one of
    them, the rest take `make.draw`.
    """

    make: type[Operator]
    usual: tuple[Operator, ...]
    weight: float = 1.0
    held_out: bool = False

    def draw(self, rng: np.random.Generator) -> Operator:
        """Draw settings: mostly usual ones."""
        if rng.random() < USUAL_SHARE:
            return self.usual[int(rng.integers(len(self.usual)))]
        return self.make.draw(rng)


USUAL_SHARE = 0.7

# Nearly the same weight for every operator: which one made a picture is what a network has to
# guess, and a mix that leans to operators that darken mid-tones teaches it to brighten SDR
# that was left alone (clip, BT.2390) by as much as it gains elsewhere. docs/experiments.md has
# the measurements. White stands at 203 cd/m2 for most and at 100 for some: SDR masters were
# graded at 100, and tools that map light for light (npl=100, BT.2446 C) keep it there.
OPERATORS: dict[str, OperatorEntry] = {
    "clip": OperatorEntry(
        make=HardClip, usual=(HardClip(), HardClip(white_nits=100.0)), weight=1.5
    ),
    "bt2390": OperatorEntry(
        make=Bt2390,
        usual=(
            Bt2390(),
            Bt2390(over="channel"),
            Bt2390(over="luminance"),
            Bt2390(target_nits=100.0),
            Bt2390(target_nits=100.0, over="channel"),
        ),
        weight=1.8,
    ),
    "bt2446a": OperatorEntry(make=Bt2446A, usual=(Bt2446A(), Bt2446A(hdr_nits=1000.0)), weight=1.5),
    "bt2446c": OperatorEntry(make=Bt2446C, usual=(Bt2446C(),), weight=0.0, held_out=True),
    "hable": OperatorEntry(make=FfmpegHable, usual=(FfmpegHable(),), weight=2.0),
    "ffmpeg_reinhard": OperatorEntry(make=FfmpegReinhard, usual=(FfmpegReinhard(),)),
    "mobius": OperatorEntry(make=FfmpegMobius, usual=(FfmpegMobius(),), weight=0.0, held_out=True),
    "spline": OperatorEntry(make=Spline, usual=(Spline(), Spline(average_known=False)), weight=1.5),
    "reinhard": OperatorEntry(
        make=Reinhard,
        usual=(
            Reinhard(),
            Reinhard(over="channel"),
            Reinhard(white_nits=100.0),
            Reinhard(white_nits=100.0, over="channel"),
        ),
        weight=1.5,
    ),
    "filmic": OperatorEntry(make=Filmic, usual=(Filmic(),)),
    "aces_narkowicz": OperatorEntry(make=AcesNarkowicz, usual=(AcesNarkowicz(exposure=0.6),)),
    "aces_hill": OperatorEntry(
        make=AcesHill, usual=(AcesHill(exposure=1.4),), weight=0.0, held_out=True
    ),
    "drago": OperatorEntry(make=Drago, usual=(Drago(),), weight=0.0, held_out=True),
    "soft_knee": OperatorEntry(
        make=SoftKnee, usual=(SoftKnee(), SoftKnee(), SoftKnee(white_nits=100.0))
    ),
    "camera": OperatorEntry(make=Camera, usual=(Camera(),), weight=1.5),
    "bilateral": OperatorEntry(make=Bilateral, usual=(Bilateral(),), weight=0.8),
    "local_reinhard": OperatorEntry(make=LocalReinhard, usual=(LocalReinhard(),), weight=0.8),
}


# What phones and raw developers do whose SDR stands beside a gain map: mid-tones of both are the
# same light but for an exposure, highlights are bent, and the bending looks at the neighborhood.
PHOTO_OPERATORS: dict[str, OperatorEntry] = {
    "local_knee": OperatorEntry(
        make=LocalKnee, usual=(LocalKnee(), LocalKnee(knee=0.6)), weight=3.0
    ),
    "soft_knee": OperatorEntry(
        make=SoftKnee, usual=(SoftKnee(over="max"), SoftKnee(over="max", knee=0.5)), weight=2.0
    ),
    "bt2390": OperatorEntry(make=Bt2390, usual=(Bt2390(), Bt2390(over="luminance"))),
    "clip": OperatorEntry(make=HardClip, usual=(HardClip(),)),
    "reinhard": OperatorEntry(make=Reinhard, usual=(Reinhard(), Reinhard(over="channel"))),
    "camera": OperatorEntry(make=Camera, usual=(Camera(),)),
}


def draw_operator(
    rng: np.random.Generator, operators: dict[str, OperatorEntry] = OPERATORS
) -> tuple[str, Operator]:
    """Draw an operator that training may see, with settings."""
    names = [name for name, entry in operators.items() if not entry.held_out]
    weights = np.array([operators[name].weight for name in names])
    name = names[int(rng.choice(len(names), p=weights / weights.sum()))]
    return name, operators[name].draw(rng)


__all__ = [
    "OPERATORS",
    "PHOTO_OPERATORS",
    "Light",
    "Operator",
    "OperatorEntry",
    "Spread",
    "draw_operator",
]

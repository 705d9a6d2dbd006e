"""Tone mapping operators: how SDR is made from HDR, by name, with the weight each is drawn at."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from training.operators.base import Light, Operator, Spread
from training.operators.camera import Bilateral, Camera, LocalReinhard, SoftKnee
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
    """An operator, how often training draws it, and whether validation keeps it to itself."""

    make: type[Operator]
    weight: float
    held_out: bool = False


# Weights follow what people's SDR comes from: players and FFmpeg guides (Hable, BT.2390,
# spline), broadcast down-mapping (BT.2446, knee), graded trims and cameras. Where SDR white
# stands is what one picture tells badly, so the draws agree on 203 cd/m2 where the operator
# leaves it open: with whites of 70 to 400 the mean log gain of pictures had a standard
# deviation of 0.9 stops, of which 300 steps of training explained a third (r = 0.57).
OPERATORS: dict[str, OperatorEntry] = {
    "clip": OperatorEntry(make=HardClip, weight=0.7),
    "bt2390": OperatorEntry(make=Bt2390, weight=1.5),
    "bt2446a": OperatorEntry(make=Bt2446A, weight=5.0),
    "bt2446c": OperatorEntry(make=Bt2446C, weight=0.0, held_out=True),
    "hable": OperatorEntry(make=FfmpegHable, weight=6.0),
    "ffmpeg_reinhard": OperatorEntry(make=FfmpegReinhard, weight=1.0),
    "mobius": OperatorEntry(make=FfmpegMobius, weight=0.0, held_out=True),
    "spline": OperatorEntry(make=Spline, weight=4.0),
    "reinhard": OperatorEntry(make=Reinhard, weight=3.0),
    "filmic": OperatorEntry(make=Filmic, weight=1.0),
    "aces_narkowicz": OperatorEntry(make=AcesNarkowicz, weight=0.7),
    "aces_hill": OperatorEntry(make=AcesHill, weight=0.0, held_out=True),
    "drago": OperatorEntry(make=Drago, weight=0.0, held_out=True),
    "soft_knee": OperatorEntry(make=SoftKnee, weight=0.7),
    "camera": OperatorEntry(make=Camera, weight=1.5),
    "bilateral": OperatorEntry(make=Bilateral, weight=0.2),
    "local_reinhard": OperatorEntry(make=LocalReinhard, weight=0.2),
}


def draw_operator(rng: np.random.Generator) -> tuple[str, Operator]:
    """Draw an operator that training may see, with settings."""
    names = [name for name, entry in OPERATORS.items() if not entry.held_out]
    weights = np.array([OPERATORS[name].weight for name in names])
    name = names[int(rng.choice(len(names), p=weights / weights.sum()))]
    return name, OPERATORS[name].make.draw(rng)


__all__ = ["OPERATORS", "Light", "Operator", "OperatorEntry", "Spread", "draw_operator"]

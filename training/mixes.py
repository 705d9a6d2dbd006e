"""What a set of weights is for: the operators and encodings that its training meets."""

from __future__ import annotations

from typing import Literal, NamedTuple

from training.encodings import PHOTO_ENCODINGS, VIDEO_ENCODINGS, Encoding
from training.operators import OPERATORS, PHOTO_OPERATORS, OperatorEntry

MixName = Literal["video", "photo"]


class Mix(NamedTuple):
    """What films are made by, and how often."""

    operators: dict[str, OperatorEntry]
    encodings: dict[Encoding, float]
    between: float = 0.0
    """Share of the films in training that are made by something between two operators."""


MIXES: dict[str, Mix] = {
    "video": Mix(OPERATORS, VIDEO_ENCODINGS, between=0.5),
    "photo": Mix(PHOTO_OPERATORS, PHOTO_ENCODINGS),
}

"""What a set of weights is for: the operators and encodings that its training meets."""

from __future__ import annotations

from typing import Literal, NamedTuple

from training.data.encodings import PHOTO_ENCODINGS, VIDEO_ENCODINGS, Encoding
from training.operators import OPERATORS, PHOTO_OPERATORS, OperatorEntry

MixName = Literal["video", "photo"]


class Mix(NamedTuple):
    """Operators by name, and how often which encoding is drawn."""

    operators: dict[str, OperatorEntry]
    encodings: dict[Encoding, float]


MIXES: dict[str, Mix] = {
    "video": Mix(OPERATORS, VIDEO_ENCODINGS),
    "photo": Mix(PHOTO_OPERATORS, PHOTO_ENCODINGS),
}

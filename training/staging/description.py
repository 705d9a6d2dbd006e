"""What a staged scene holds, as plain values: drawn by `draw`, built by `parts` and `blender`.

Lengths are meters, z up, angles degrees. A person faces -y before being turned. Colors are
linear BT.2020: reflectance 0..1 for surfaces, a hue of about 1 for lamps and lights.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Color = tuple[float, float, float]
Pattern = Literal["plain", "stripes", "checks", "weave", "wood", "marble", "picture", "spots"]
HairStyle = Literal["bald", "cropped", "short", "bob", "long", "tied"]
Outfit = Literal["shirt", "suit", "sweater", "tee", "dress", "coat"]
Pose = Literal["hanging", "hip", "raised", "folded", "holding"]
ThingKind = Literal[
    "paper", "plate", "cup", "bottle", "glass", "vase", "chrome", "box", "ball", "toy", "car",
    "plant", "curtain", "book", "phone", "bulb", "candle", "neon", "screen", "tube", "shade",
]  # fmt: skip
LAMPS: tuple[ThingKind, ...] = ("bulb", "candle", "neon", "screen", "tube", "shade")


@dataclass(frozen=True, slots=True, kw_only=True)
class Surface:
    """What something is made of; `emission` is radiance over that of diffuse white."""

    color: Color
    roughness: float = 0.5
    metallic: float = 0.0
    transmission: float = 0.0
    coat: float = 0.0
    sheen: float = 0.0
    subsurface: float = 0.0
    emission: float = 0.0
    pattern: Pattern = "plain"
    second: Color = (0.0, 0.0, 0.0)
    """The pattern's other color."""
    scale: float = 20.0
    """Repeats of the pattern a meter."""
    bump: float = 0.0
    """Height of what is uneven, meters."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Skin:
    """Skin of one person; `tone` is its individual typology angle (see `tones`)."""

    tone: float
    color: Color
    roughness: float
    oil: float
    """Share of a smooth coat, 0..1."""
    mottle: float
    """How uneven the color is, 0..1."""
    pores: float
    """Height of bumps, meters."""
    lips: Color
    brow: Color
    beard: float
    """How dark shaven or grown hair makes chin and cheeks, 0..1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Eyes:
    """The white of the eyes is sclera; `gaze` are degrees to the side and up."""

    iris: Color
    gaze: tuple[float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadShape:
    """Factors on an average head, around 1; `open` is how far the eyes are open."""

    width: float
    jaw: float
    chin: float
    cheek: float
    brow: float
    nose_length: float
    nose_width: float
    lips: float
    open: float
    smile: float
    ears: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Hair:
    """Hair of the head; `length` in meters off the skull."""

    style: HairStyle
    color: Color
    length: float
    roughness: float
    parting: float
    seed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Clothes:
    """What a person wears; `inner` is the shirt under a suit or a coat."""

    outfit: Outfit
    top: Surface
    inner: Surface
    tie: Surface | None
    bottom: Surface
    shoes: Surface
    sleeves: float
    """How far sleeves reach, 0.3 (short) to 1 (the wrist)."""
    seed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """A standing figure; `look` turns the head to the side and up, against the body."""

    skin: Skin
    eyes: Eyes
    head: HeadShape
    hair: Hair
    clothes: Clothes
    height: float
    build: float
    """Girth over an average one."""
    place: tuple[float, float]
    turn: float
    look: tuple[float, float, float]
    poses: tuple[Pose, Pose]


@dataclass(frozen=True, slots=True, kw_only=True)
class Thing:
    """A thing that stands at `place` (its lowest point), `size` meters high or long."""

    kind: ThingKind
    place: tuple[float, float, float]
    turn: float
    size: float
    surface: Surface
    seed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class AreaLight:
    """A lamp of the film crew: it shines at the target from outside the picture.

    `strength` is what it adds to a white card at the target, over what the surroundings give.
    """

    azimuth: float
    """0 is where the camera stands, 90 to its right."""
    elevation: float
    distance: float
    size: float
    strength: float
    color: Color


@dataclass(frozen=True, slots=True, kw_only=True)
class Shot:
    """A camera; `fstop` is None where everything is sharp. The sensor is 36 mm wide."""

    focal: float
    position: tuple[float, float, float]
    target: tuple[float, float, float]
    roll: float
    fstop: float | None
    focus: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What else there is: a floor, a wall `wall_distance` behind the middle, a table."""

    floor: Surface | None
    wall: Surface | None
    wall_distance: float
    wall_turn: float
    window: bool
    table: Surface | None
    table_height: float
    table_place: tuple[float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Staging:
    """A whole scene; `turn` of the panorama around the vertical."""

    people: tuple[Person, ...]
    things: tuple[Thing, ...]
    lights: tuple[AreaLight, ...]
    shot: Shot
    setting: Setting
    turn: float
    seed: int

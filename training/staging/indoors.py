"""Rooms as meshes: walls, windows that let the sky in, furniture, lamps. The camera is at 0, 0."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from training.staging.description import Surface, ThingKind
from training.staging.draw_things import (
    FLOOR,
    LAMP_SIZES,
    TABLE,
    draw_floor,
    draw_thing,
    draw_wall,
    draw_wood,
)
from training.staging.shapes import Mesh, Part, blob, box, join, moved, placed, rotation, sheet
from training.staging.things import thing_parts
from training.staging.tones import hsv, mix

FRAME = Surface(color=(0.75, 0.75, 0.73), roughness=0.35)
CEILING = Surface(color=(0.82, 0.82, 0.8), roughness=0.9)
THICK = 0.25


@dataclass(frozen=True, slots=True, kw_only=True)
class _Room:
    wide: float
    deep: float
    high: float

    @classmethod
    def draw(cls, rng: np.random.Generator) -> _Room:
        """Draw a chamber, a living room or a hall."""
        size = float(rng.choice([1.0, 1.6, 3.0], p=[0.35, 0.45, 0.2]))
        return cls(
            wide=size * float(rng.uniform(3.4, 5.5)),
            deep=size * float(rng.uniform(3.4, 5.5)),
            high=float(rng.uniform(2.4, 3.2)) * size**0.6,
        )


def _wall(
    rng: np.random.Generator, wide: float, high: float, windows: int
) -> tuple[list[Mesh], list[Mesh]]:
    """Return a wall in the plane y = 0, as boxes around its windows, and these windows' bars."""
    if not windows:
        return [placed(box((wide, THICK, high)), to=(0, 0, high / 2))], []
    low = float(rng.choice([0.05, rng.uniform(0.6, 1.0)]))
    top = high - float(rng.uniform(0.2, 0.6))
    share = float(rng.uniform(0.35, 0.85))
    each = wide / windows
    solid = [
        placed(box((wide, THICK, low)), to=(0, 0, low / 2)),
        placed(box((wide, THICK, high - top)), to=(0, 0, (high + top) / 2)),
    ]
    bars: list[Mesh] = []
    for k in range(windows + 1):
        thick = each * (1 - share) * (0.5 if k in (0, windows) else 1.0)
        x = -wide / 2 + k * each + (thick / 2 if k == 0 else -thick / 2 if k == windows else 0.0)
        solid.append(placed(box((thick, THICK, top - low)), to=(x, 0, (low + top) / 2)))
    upright, across = box((0.05, 0.06, top - low)), box((each * share, 0.06, 0.05))
    for k in range(windows):
        x = -wide / 2 + (k + 0.5) * each
        middle = (low + top) / 2
        at = x + each * share * np.linspace(-0.5, 0.5, int(rng.integers(2, 4)))
        bars += [placed(upright, to=(float(bar), 0, middle)) for bar in at]
        bars += [placed(across, to=(x, 0, z)) for z in (low, (low + 2 * top) / 3, top)]
    return solid, bars


def _shell(rng: np.random.Generator, room: _Room, day: bool) -> list[Part]:
    """Return walls, floor and ceiling; by day one wall has windows at least."""
    paint = draw_wall(rng)
    glazed = {int(rng.integers(4))} | {k for k in range(4) if rng.random() < 0.15}
    if not day and rng.random() < 0.4:
        glazed = set()
    flat = box((room.wide + 1, room.deep + 1, 0.2))
    parts = [
        Part(shape=placed(flat, to=(0, 0, -0.1)), material=draw_floor(rng), flat=True),
        Part(shape=placed(flat, to=(0, 0, room.high + 0.1)), material=CEILING, flat=True),
    ]
    for side in range(4):
        along, away = (room.wide, room.deep) if side % 2 == 0 else (room.deep, room.wide)
        windows = int(rng.integers(1, max(round(along / 1.6), 2))) if side in glazed else 0
        solid, bars = _wall(rng, along + 2 * THICK, room.high, windows)
        made = [Part(shape=join(*solid), material=paint, flat=True)]
        if bars:
            made.append(Part(shape=join(*bars), material=FRAME, flat=True))
        turn = rotation(yaw=90.0 * side)
        parts += [moved(moved(part, to=(0, away / 2 + THICK / 2, 0)), turn=turn) for part in made]
    return parts


def _spot(
    rng: np.random.Generator, room: _Room, *, clear: float = 1.1
) -> tuple[float, float, float]:
    """Draw a place on the floor, not where the camera stands."""
    while True:
        x = float(rng.uniform(-0.42, 0.42)) * room.wide
        y = float(rng.uniform(-0.42, 0.42)) * room.deep
        if np.hypot(x, y) > clear:
            return x, y, 0.0


def _table(rng: np.random.Generator) -> list[Part]:
    """Return a table on the origin with things on it."""
    wide, deep, high = (float(rng.uniform(*r)) for r in ((0.9, 2.2), (0.6, 1.0), (0.42, 0.78)))
    wood = draw_wood(rng)
    legs = [placed(box((0.06, 0.06, high)), to=(sx * (wide / 2 - 0.06), sy * (deep / 2 - 0.06),
                                                high / 2))
            for sx in (-1, 1) for sy in (-1, 1)]  # fmt: skip
    top = placed(box((wide, deep, 0.04)), to=(0, 0, high))
    parts = [Part(shape=join(top, *legs), material=wood, flat=True)]
    kinds = list(TABLE)
    for _ in range(int(rng.integers(1, 6))):
        x, y = float(rng.uniform(-0.4, 0.4)) * wide, float(rng.uniform(-0.35, 0.35)) * deep
        kind = kinds[int(rng.integers(len(kinds)))]
        parts += thing_parts(draw_thing(rng, kind, (x, y, high + 0.021), TABLE))
    if rng.random() < 0.5:
        kind = ("shade", "candle", "screen")[int(rng.integers(3))]
        place = (0.3 * wide, 0.0, high + 0.021)
        parts += thing_parts(draw_thing(rng, kind, place, LAMP_SIZES))
    return parts


def _sofa(rng: np.random.Generator) -> list[Part]:
    color = hsv(float(rng.random()), float(rng.uniform(0, 0.7)), float(rng.uniform(0.1, 0.9)))
    cloth = Surface(color=color, second=mix(color, (0.0, 0.0, 0.0), 0.3), pattern="weave",
                    scale=30.0, roughness=0.9, sheen=0.3, bump=0.002)  # fmt: skip
    wide = float(rng.uniform(0.8, 2.3))
    pieces = [
        placed(blob((wide / 2, 0.42, 0.22), boxy=0.35), to=(0, 0, 0.24)),
        placed(blob((wide / 2, 0.14, 0.36), boxy=0.35), to=(0, 0.38, 0.55)),
        placed(blob((0.12, 0.42, 0.3), boxy=0.4), to=(-wide / 2, 0, 0.32)),
        placed(blob((0.12, 0.42, 0.3), boxy=0.4), to=(wide / 2, 0, 0.32)),
    ]
    return [Part(shape=join(*pieces), material=cloth)]


def _shelf(rng: np.random.Generator, high: float) -> list[Part]:
    """Return shelves of books."""
    wide = float(rng.uniform(0.8, 2.0))
    boards = [
        placed(box((wide, 0.3, 0.03)), to=(0, 0, float(z))) for z in np.arange(0.1, high, 0.36)
    ]
    boards += [placed(box((0.03, 0.3, high)), to=(s * wide / 2, 0, high / 2)) for s in (-1, 1)]
    parts = [Part(shape=join(*boards), material=draw_wood(rng), flat=True)]
    shades: list[list[Mesh]] = [[] for _ in range(5)]
    for z in np.arange(0.1, high - 0.3, 0.36):
        x = -wide / 2 + 0.04
        while x < wide / 2 - 0.1:
            thick, tall = float(rng.uniform(0.015, 0.06)), float(rng.uniform(0.18, 0.31))
            if rng.random() < 0.85:
                book = box((thick, 0.2, tall))
                shades[int(rng.integers(5))].append(
                    placed(book, to=(x + thick / 2, 0, float(z) + 0.016 + tall / 2))
                )
            x += thick + 0.002
    for meshes in shades:
        color = hsv(float(rng.random()), float(rng.uniform(0, 0.8)), float(rng.uniform(0.1, 0.9)))
        if meshes:
            parts.append(Part(shape=join(*meshes), material=Surface(color=color), flat=True))
    return parts


def _lamps(rng: np.random.Generator, room: _Room, count: int) -> list[Part]:
    parts: list[Part] = []
    hanging: tuple[ThingKind, ...] = ("bulb", "tube", "bulb", "neon")
    for _ in range(count):
        x, y, _ = _spot(rng, room, clear=0.3)
        kind = hanging[int(rng.integers(len(hanging)))]
        lamp = draw_thing(rng, kind, (x, y, room.high - 0.08), LAMP_SIZES)
        drop = 14 * lamp.size if kind == "bulb" else 0.0
        up = min(max(room.high - drop, 1.9), room.high - 0.1)
        parts += thing_parts(replace(lamp, place=(x, y, up)))
    return parts


def _pictures(rng: np.random.Generator, room: _Room) -> list[Part]:
    parts: list[Part] = []
    for _ in range(int(rng.integers(0, 5))):
        side = int(rng.integers(4))
        away = (room.deep if side % 2 == 0 else room.wide) / 2 - 0.02
        print_ = Surface(color=hsv(float(rng.random()), 0.4, 0.8), pattern="picture",
                         scale=float(rng.uniform(3, 9)))  # fmt: skip
        board = sheet(float(rng.uniform(0.3, 1.2)), float(rng.uniform(0.3, 1.0)))
        part = Part(shape=board, material=print_, flat=True)
        along = float(rng.uniform(-0.3, 0.3)) * (room.wide if side % 2 == 0 else room.deep)
        hung = moved(part, to=(along, away, float(rng.uniform(1.2, 1.6))))
        parts.append(moved(hung, turn=rotation(yaw=90.0 * side)))
    return parts


def draw_room(rng: np.random.Generator, night: bool) -> list[Part]:
    """Draw a room and build it; lamps are on at night, and for some by day.

    Args:
        rng: of everything drawn.
        night: whether windows, if there are any, are dark.
    """
    room = _Room.draw(rng)
    parts = _shell(rng, room, day=not night)
    area = room.wide * room.deep
    for _ in range(int(rng.integers(1, 2 + round(area / 12)))):
        turn, to = rotation(yaw=float(rng.uniform(0, 360))), _spot(rng, room, clear=1.4)
        parts += [moved(part, turn=turn, to=to) for part in _table(rng)]
    for _ in range(int(rng.integers(0, 2 + round(area / 15)))):
        turn, to = rotation(yaw=float(rng.uniform(0, 360))), _spot(rng, room, clear=1.6)
        parts += [moved(part, turn=turn, to=to) for part in _sofa(rng)]
    for _ in range(int(rng.integers(0, 3))):
        side = int(rng.integers(4))
        away = (room.deep if side % 2 == 0 else room.wide) / 2 - 0.18
        along = float(rng.uniform(-0.35, 0.35)) * (room.wide if side % 2 == 0 else room.deep)
        there = [moved(part, to=(along, away, 0.0)) for part in _shelf(rng, 0.75 * room.high)]
        parts += [moved(part, turn=rotation(yaw=90.0 * side)) for part in there]
    kinds = [kind for kind in FLOOR if kind != "car"]
    for _ in range(int(rng.integers(1, 5))):
        kind = kinds[int(rng.integers(len(kinds)))]
        parts += thing_parts(draw_thing(rng, kind, _spot(rng, room), FLOOR))
    parts += _pictures(rng, room)
    lit = night or rng.random() < 0.35
    if lit:
        parts += _lamps(rng, room, int(rng.integers(1, 3 + round(area / 15))))
    return parts

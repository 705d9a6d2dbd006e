"""Draw a staged scene from a seed: people, things, light and a camera that frames them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from training.staging.description import (
    AreaLight,
    Person,
    Setting,
    Shot,
    Staging,
    Thing,
    ThingKind,
)  # fmt: skip
from training.staging.draw_people import choose, draw_person, face_of
from training.staging.draw_things import (
    FLOOR,
    LAMP_SIZES,
    TABLE,
    draw_floor,
    draw_thing,
    draw_wall,
    draw_wood,
)  # fmt: skip
from training.staging.tones import black_body

PEOPLE = (0.30, 0.42, 0.19, 0.09)
"""Shares of views with 0, 1, 2 and 3 people."""
# Height of the frame at the subject in meters, from and to, and how often. A face of 0.23 m
# fills half a close-up.
FRAMES: dict[str, tuple[float, float, float]] = {
    "close": (0.36, 0.60, 0.42), "near": (0.60, 0.95, 0.26), "medium": (0.95, 1.4, 0.17),
    "knees": (1.4, 1.9, 0.08), "full": (1.9, 2.8, 0.07),
}  # fmt: skip
FOCAL = (20.0, 85.0)


@dataclass(frozen=True, slots=True)
class _Frame:
    """Where the camera is: on a circle around the subject, looking at `azimuth`'s opposite."""

    height: float
    """Of the picture at the subject, meters."""
    aspect: float
    focal: float
    azimuth: float
    """Degrees from -y, to the right."""

    @property
    def distance(self) -> float:
        return self.height * self.aspect * self.focal / 36

    def at(self, right: float, behind: float) -> tuple[float, float]:
        """Return a place `right` of the axis and `behind` the subject, meters."""
        a = math.radians(self.azimuth)
        x, y = (math.cos(a), math.sin(a)), (-math.sin(a), math.cos(a))
        return (right * x[0] + behind * y[0], right * x[1] + behind * y[1])

    def half_width(self, behind: float) -> float:
        """Return half the width of what is seen at a depth."""
        return (self.distance + behind) * 18 / self.focal


def _frame(rng: np.random.Generator, name: str, aspect: float) -> _Frame:
    low, high, _ = FRAMES[name]
    # Faces are not filmed from within arm's reach.
    least = {"close": 40.0, "near": 28.0}.get(name, FOCAL[0])
    focal = math.exp(rng.uniform(math.log(least), math.log(FOCAL[1])))
    return _Frame(float(rng.uniform(low, high)), aspect, focal, float(rng.normal(0, 14)))


def _people(rng: np.random.Generator, frame: _Frame, count: int) -> tuple[Person, ...]:
    """Draw the subject at the origin and others beside or behind, in the picture."""
    people: list[Person] = []
    for number in range(count):
        turn = frame.azimuth + float(np.clip(rng.normal(0, 28), -85, 85))
        place = (0.0, 0.0)
        if number:
            if rng.random() < 0.1:
                turn += 180
            behind = float(rng.choice([rng.uniform(0.0, 0.4), rng.uniform(0.8, 5.0)]))
            side = (-1.0) ** number * float(rng.choice([-1, 1]) if number == 1 else 1)
            right = side * max(0.52, float(rng.uniform(0.25, 0.9)) * frame.half_width(behind))
            place = frame.at(right, behind)
        people.append(draw_person(rng, place=place, turn=turn))
    return tuple(people)


def _shot(
    rng: np.random.Generator, frame: _Frame, look_at: tuple[float, float, float], open_lens: float
) -> Shot:
    """Return a camera that sees `look_at` somewhere near the middle of the picture."""
    shift = float(rng.normal(0, 0.13)) * frame.half_width(0)
    x, y = frame.at(shift, 0.0)
    target = (look_at[0] + x, look_at[1] + y, look_at[2])
    back = frame.at(0.0, -frame.distance)
    rise = float(np.clip(rng.normal(0.02, 0.1), -0.3, 0.4)) * frame.distance
    position = (target[0] + back[0], target[1] + back[1], max(target[2] + rise, 0.15))
    fstop = float(rng.choice([1.4, 2.0, 2.8, 4.0, 5.6])) if rng.random() < open_lens else None
    return Shot(
        focal=frame.focal,
        position=position,
        target=target,
        roll=float(rng.normal(0, 1.0)),
        fstop=fstop,
        focus=max(math.dist(position, look_at), 0.1),
    )


def _lights(rng: np.random.Generator, *, people: bool) -> tuple[AreaLight, ...]:
    """Draw key and rim lights, for some."""
    lights = []
    if rng.random() < (0.5 if people else 0.3):
        lights.append(
            (float(rng.choice([-1, 1]) * rng.uniform(25, 85)), rng.uniform(5, 50), (0.6, 6.0))
        )
    if rng.random() < (0.4 if people else 0.15):
        lights.append((float(180 + rng.uniform(-50, 50)), rng.uniform(15, 50), (1.0, 10.0)))
    return tuple(
        AreaLight(
            azimuth=azimuth,
            elevation=float(up),
            distance=float(rng.uniform(1.6, 4.0)),
            size=float(rng.uniform(0.15, 1.6)),
            strength=math.exp(rng.uniform(math.log(span[0]), math.log(span[1]))),
            color=black_body(float(rng.choice([rng.uniform(2600, 3600), rng.uniform(4500, 9000)]))),
        )
        for azimuth, up, span in lights
    )


def _on_table(rng: np.random.Generator, setting: Setting, count: int) -> list[Thing]:
    """Scatter things over the table so that they do not stand in one another."""
    kinds = dict.fromkeys(TABLE, 1.0) | {"paper": 1.6, "plate": 1.4, "plant": 0.5}
    taken: list[tuple[float, float]] = []
    things = []
    for _ in range(count):
        x, y = float(rng.uniform(-0.6, 0.6)), float(rng.uniform(-0.3, 0.3))
        if any(math.hypot(x - a, y - b) < 0.16 for a, b in taken):
            continue
        taken.append((x, y))
        place = (setting.table_place[0] + x, setting.table_place[1] + y, setting.table_height)
        lamp = rng.random() < 0.18
        kind: ThingKind = choose(
            rng, {"candle": 0.6, "shade": 0.2, "screen": 0.2} if lamp else kinds
        )
        turn = float(rng.normal(0, 25)) if kind in ("screen", "paper", "phone") else None
        things.append(draw_thing(rng, kind, place, LAMP_SIZES if lamp else TABLE, turn=turn))
    return things


def _around(
    rng: np.random.Generator, frame: _Frame, setting: Setting, *, cars: bool = True
) -> list[Thing]:
    """Stand things on the floor behind the subject; where there is none, what hides its foot."""
    kinds: dict[ThingKind, float] = {"plant": 1.0, "curtain": 0.3}
    kinds["car"] = 0.25 if cars and not setting.wall else 0.0
    if setting.floor is not None:
        kinds |= {"box": 0.6, "ball": 0.2, "vase": 0.5, "chrome": 0.3}
    things = []
    for _ in range(int(rng.integers(0, 4))):
        kind = choose(rng, kinds)
        deepest = setting.wall_distance - 0.4 if setting.wall else 7.0
        behind = (
            float(rng.uniform(4.0, 9.0))
            if kind == "car"
            else float(rng.uniform(0.7, max(deepest, 0.8)))
        )
        right = float(rng.uniform(-1.1, 1.1)) * frame.half_width(behind)
        if kind != "car" and abs(right) < 0.35 and behind < 1.2:
            continue
        x, y = frame.at(right, behind)
        turn = float(rng.normal(0, 15)) if kind == "curtain" else None
        things.append(draw_thing(rng, kind, (x, y, 0.0), FLOOR, turn=turn))
    return things


def _lamps(rng: np.random.Generator, frame: _Frame, setting: Setting, level: float) -> list[Thing]:
    """Hang lamps behind and beside the subject, where the camera sees them."""
    if rng.random() > 0.5:
        return []
    kinds: dict[ThingKind, float] = {"bulb": 0.34, "neon": 0.24, "screen": 0.24, "tube": 0.18}
    kind = choose(rng, kinds)
    things = []
    for _ in range(int(rng.integers(1, 7)) if kind == "bulb" else int(rng.integers(1, 3))):
        deepest = setting.wall_distance - 0.25 if setting.wall else 5.0
        behind = (
            deepest
            if setting.wall and kind in ("neon", "screen")
            else float(rng.uniform(0.4, max(deepest, 0.5)))
        )
        half = frame.half_width(behind)
        x, y = frame.at(float(rng.uniform(-0.95, 0.95)) * half, behind)
        z = level + float(rng.uniform(-0.15, 0.9)) * half / frame.aspect
        turn = frame.azimuth + float(rng.normal(0, 12))
        things.append(draw_thing(rng, kind, (x, y, max(z, 0.05)), LAMP_SIZES, turn=turn))
    return things


def _setting(rng: np.random.Generator, *, table: bool, floor: bool, people: bool) -> Setting:
    wall = rng.random() < 0.32
    return Setting(
        floor=draw_floor(rng) if floor or wall else None,
        wall=draw_wall(rng) if wall else None,
        wall_distance=float(rng.uniform(0.8, 3.5)),
        wall_turn=float(rng.normal(0, 18)),
        window=bool(rng.random() < 0.35),
        table=draw_wood(rng) if table else None,
        table_height=0.95 if people else float(rng.uniform(0.7, 0.8)),
        table_place=(float(rng.normal(0, 0.1)), -0.62 if people else 0.0),
    )


def _with_people(rng: np.random.Generator, aspect: float, count: int, seed: int) -> Staging:
    name = choose(rng, {key: value[2] for key, value in FRAMES.items()})
    frame = _frame(rng, name, aspect)
    people = _people(rng, frame, count)
    table = name in ("near", "medium", "knees") and rng.random() < 0.35
    setting = _setting(rng, table=table, floor=name in ("knees", "full") or table, people=True)
    face = face_of(people[0])
    # Eyes a third below the upper edge, or in the middle of a close-up.
    drop = {"close": 0.05, "near": 0.2}.get(name, 0.27) * frame.height
    level = 0.87 + float(rng.normal(0, 0.05)) if name == "full" else face[2] - drop
    look_at = (face[0], face[1], level)
    things = _around(rng, frame, setting, cars=count == 1)
    things += _lamps(rng, frame, setting, level)
    things += _on_table(rng, setting, int(rng.integers(2, 8))) if table else []
    lens = {"close": 0.75, "near": 0.7, "medium": 0.6}.get(name, 0.35)
    return Staging(
        people=people,
        things=tuple(things),
        lights=_lights(rng, people=True),
        shot=_shot(rng, frame, look_at, lens),
        setting=setting,
        turn=float(rng.uniform(0, 360)),
        seed=seed,
    )


def _with_things(rng: np.random.Generator, aspect: float, seed: int) -> Staging:
    still_life = rng.random() < 0.7
    height = float(rng.uniform(0.35, 0.9)) if still_life else float(rng.uniform(1.2, 2.6))
    focal = math.exp(rng.uniform(math.log(28.0), math.log(FOCAL[1])))
    frame = _Frame(height, aspect, focal, float(rng.normal(0, 30)))
    setting = _setting(rng, table=still_life, floor=True, people=False)
    level = setting.table_height + 0.3 * height if still_life else 0.45 * height
    things = _around(rng, frame, setting) + _lamps(rng, frame, setting, level)
    things += _on_table(rng, setting, int(rng.integers(5, 14))) if still_life else []
    if not still_life:
        main: dict[ThingKind, float] = {"car": 0.25, "plant": 0.35, "box": 0.2, "vase": 0.2}
        kind = choose(rng, main)
        things.append(draw_thing(rng, kind, (0.0, 0.0, 0.0), FLOOR))
    shot = _shot(rng, frame, (0.0, -0.1, level), 0.6)
    return Staging(
        people=(),
        things=tuple(things),
        lights=_lights(rng, people=False),
        shot=shot,
        setting=setting,
        turn=float(rng.uniform(0, 360)),
        seed=seed,
    )


def draw_staging(rng: np.random.Generator, *, aspect: float = 1.5) -> Staging:
    """Draw a scene.

    Args:
        rng: of everything drawn.
        aspect: width over height of the picture.
    """
    count = int(rng.choice(4, p=PEOPLE))
    seed = int(rng.integers(2**31))
    if count == 0:
        return _with_things(rng, aspect, seed)
    return _with_people(rng, aspect, count, seed)

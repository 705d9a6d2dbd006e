"""Outdoor places as meshes: a street, a square, open country, a shore. The camera is at 0, 0."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from training.staging.description import Color, Surface, ThingKind
from training.staging.draw_things import FLOOR, LAMP_SIZES, draw_thing
from training.staging.shapes import (
    Mesh,
    Part,
    blob,
    box,
    bumps,
    grid,
    join,
    luminous,
    moved,
    placed,
    rotation,
    sheet,
    tube,
)
from training.staging.things import thing_parts
from training.staging.tones import black_body, hsv, mix, srgb

ASPHALT = Surface(color=(0.05, 0.05, 0.052), second=(0.09, 0.09, 0.09), pattern="marble", scale=2.0,
                  roughness=0.8)  # fmt: skip
CONCRETE = Surface(color=(0.33, 0.32, 0.31), second=(0.24, 0.235, 0.23), pattern="marble",
                   scale=1.0, roughness=0.9)  # fmt: skip
GLASS = Surface(color=(0.012, 0.015, 0.018), roughness=0.03, coat=1.0)
WATER = Surface(color=(0.01, 0.03, 0.035), roughness=0.08, coat=1.0, bump=0.4)
METAL = Surface(color=(0.12, 0.12, 0.12), roughness=0.4, metallic=1.0)
BARK = Surface(color=(0.09, 0.065, 0.045), roughness=0.9, bump=0.03)
SNOW = Surface(color=(0.86, 0.88, 0.9), roughness=0.7, subsurface=0.3, bump=0.03)
# What stands about in a square.
STANDING: tuple[ThingKind, ...] = ("plant", "box", "ball", "vase", "chrome")
# What lies on open ground, and its second color.
GROUNDS: tuple[tuple[Color, Color], ...] = (
    (srgb(0.24, 0.33, 0.11), srgb(0.38, 0.42, 0.17)),  # grass
    (srgb(0.62, 0.55, 0.30), srgb(0.46, 0.42, 0.24)),  # dry grass
    (srgb(0.78, 0.68, 0.52), srgb(0.70, 0.58, 0.42)),  # sand
    (srgb(0.36, 0.27, 0.20), srgb(0.26, 0.2, 0.15)),  # earth
    (srgb(0.45, 0.43, 0.41), srgb(0.33, 0.32, 0.31)),  # rock
)
LEAVES: tuple[Color, ...] = (
    srgb(0.20, 0.33, 0.10), srgb(0.13, 0.24, 0.10), srgb(0.42, 0.46, 0.14), srgb(0.72, 0.45, 0.10),
    srgb(0.60, 0.22, 0.08),
)  # fmt: skip


def _ground(surface: Surface, half: float = 250.0) -> Part:
    flat = placed(sheet(2 * half, 2 * half), turn=rotation(pitch=-90.0), to=(0, -half, 0))
    return Part(shape=flat, material=surface, flat=True)


def _shaken(mesh: Mesh, rng: np.random.Generator, *, size: float, by: float) -> Mesh:
    """Move a mesh's vertices along the way from its middle, by bumps of a size."""
    middle = mesh.vertices.mean(0)
    out = mesh.vertices - middle
    moved_by = 1 + by * bumps(mesh.vertices, rng, size=size)
    return replace(mesh, vertices=(middle + out * moved_by[:, None]).astype(np.float32))


def _tree(rng: np.random.Generator, leaf: Color | None, high: float) -> list[Part]:
    """Return a tree on the origin; None has no leaves."""
    lean = rng.normal(0, 0.04 * high, 2)
    path = np.array([[0, 0, 0], [0.3 * lean[0], 0.3 * lean[1], 0.4 * high], [*lean, 0.8 * high]])
    trunk = tube(path, np.array([0.035, 0.022, 0.008]) * high, columns=8)
    limbs = []
    for _ in range(9 if leaf is None else 4):
        at = rng.uniform(0.35, 0.75)
        start = path[1] + (path[2] - path[1]) * at
        end = start + rng.normal(0, 1, 3) * np.array([0.2, 0.2, 0.08]) * high + [0, 0, 0.15 * high]
        limbs.append(tube(np.stack([start, (start + end) / 2, end]),
                          np.array([0.012, 0.008, 0.002]) * high, columns=6))  # fmt: skip
    parts = [Part(shape=join(trunk, *limbs), material=BARK)]
    if leaf is not None:
        crowns = []
        for _ in range(int(rng.integers(4, 9))):
            radius = high * rng.uniform(0.12, 0.24)
            crown = _shaken(blob((radius, radius, radius * 0.8), rows=18, columns=24), rng,
                            size=radius * 0.35, by=0.16)  # fmt: skip
            spot = rng.normal(0, 0.14, 3) * high
            crowns.append(placed(crown, to=(float(spot[0]), float(spot[1]),
                                            float(0.68 * high + 0.6 * spot[2]))))  # fmt: skip
        foliage = Surface(color=leaf, second=mix(leaf, (0.02, 0.03, 0.01), 0.6), pattern="spots",
                          scale=9.0, roughness=0.9, bump=0.15)  # fmt: skip
        parts.append(Part(shape=join(*crowns), material=foliage))
    return parts


def _trees(
    rng: np.random.Generator, count: int, near: float, far: float, leaf: Color | None
) -> list[Part]:
    parts = []
    for _ in range(count):
        away, turn = near + (far - near) * rng.random() ** 0.7, rng.uniform(0, 2 * np.pi)
        to = (float(away * np.cos(turn)), float(away * np.sin(turn)), -0.05)
        parts += [moved(part, to=to) for part in _tree(rng, leaf, float(rng.uniform(4, 14)))]
    return parts


def _windows(
    rng: np.random.Generator, wide: float, high: float, night: bool
) -> tuple[list[Mesh], list[Mesh]]:
    """Return a front's windows, dark ones and, at night, lit ones; in the plane y = 0."""
    across, floor = float(rng.uniform(1.4, 3.5)), float(rng.uniform(2.8, 3.8))
    share = float(rng.uniform(0.35, 0.8))
    busy = float(rng.uniform(0.1, 0.7)) if night else 0.0
    dark: list[Mesh] = []
    lit: list[Mesh] = []
    for z in np.arange(1.0, high - floor * 0.8, floor):
        for x in np.arange(-wide / 2 + across * 0.7, wide / 2 - across * 0.5, across):
            pane = placed(sheet(across * share, floor * 0.55), to=(float(x), 0.0, float(z)))
            (lit if rng.random() < busy else dark).append(pane)
    return dark, lit


def _building(rng: np.random.Generator, wide: float, high: float, night: bool) -> list[Part]:
    """Return a building whose front faces -y in the plane y = 0."""
    deep = 12.0
    tone = float(rng.uniform(0.25, 0.9))
    color = hsv(float(rng.uniform(0.0, 0.16)), float(rng.uniform(0.0, 0.45)), tone)
    wall = Surface(color=color, second=mix(color, (0.1, 0.1, 0.1), 0.35), scale=1.5, roughness=0.85,
                   pattern="marble" if rng.random() < 0.6 else "plain")  # fmt: skip
    parts = [Part(shape=placed(box((wide, deep, high)), to=(0, deep / 2, high / 2)), material=wall,
                  flat=True)]  # fmt: skip
    dark, lit = _windows(rng, wide, high, night)
    if dark:
        parts.append(moved(Part(shape=join(*dark), material=GLASS, flat=True), to=(0, -0.03, 0)))
    if lit:
        glow = luminous(black_body(float(rng.uniform(2500, 6000))), float(rng.uniform(0.6, 6)))
        parts.append(moved(Part(shape=join(*lit), material=glow, flat=True), to=(0, -0.03, 0)))
    if rng.random() < (0.6 if night else 0.3):
        shop = hsv(float(rng.random()), float(rng.uniform(0, 0.6)), 1.0)
        level = float(rng.uniform(4, 30)) if night else float(rng.uniform(0.3, 1.0))
        sign = Surface(color=shop, emission=level, pattern="picture", scale=2.0)
        board = sheet(wide * float(rng.uniform(0.3, 0.9)), float(rng.uniform(0.6, 2.5)))
        parts.append(moved(Part(shape=board, material=sign, flat=True), to=(0, -0.06, 0.6)))
    return parts


def _row(rng: np.random.Generator, at: float, night: bool, tallest: float) -> list[Part]:
    """Return a row of buildings along x whose fronts stand at y = `at` and face the camera."""
    parts: list[Part] = []
    x = -90.0
    while x < 90:
        wide = float(rng.uniform(8, 22))
        made = _building(rng, wide, float(rng.uniform(6, tallest)), night)
        turn = rotation(yaw=0.0 if at > 0 else 180.0)
        parts += [moved(part, turn=turn, to=(x + wide / 2, at, 0.0)) for part in made]
        x += wide + (float(rng.uniform(1, 9)) if rng.random() < 0.25 else 0.02)
    return parts


def _street_lamps(rng: np.random.Generator, ways: tuple[float, ...], night: bool) -> list[Part]:
    high, apart = float(rng.uniform(4, 7.5)), float(rng.uniform(12, 28))
    color = black_body(float(rng.choice([2100.0, 2800.0, 4000.0])))
    glow = (
        luminous(color, float(rng.uniform(150, 900))) if night else Surface(color=(0.8, 0.8, 0.8))
    )
    poles: list[Mesh] = []
    globes: list[Mesh] = []
    for y in ways:
        for x in np.arange(-70 + float(rng.uniform(0, apart)), 75, apart):
            line = np.array([[x, y, 0.0], [x, y, high / 2], [x, y, high]])
            poles.append(tube(line, np.full(3, 0.06), columns=8))
            globe = blob((0.18, 0.18, 0.14), rows=8, columns=12)
            globes.append(placed(globe, to=(float(x), y, high)))
    return [Part(shape=join(*poles), material=METAL), Part(shape=join(*globes), material=glow)]


def _cars(rng: np.random.Generator, count: int, lanes: tuple[float, ...]) -> list[Part]:
    parts: list[Part] = []
    for _ in range(count):
        x = float(rng.uniform(4, 45) * rng.choice([-1, 1]))
        place = (x, float(rng.choice(lanes)), 0.01)
        turn = float(rng.choice([0.0, 180.0]))
        parts += thing_parts(draw_thing(rng, "car", place, FLOOR, turn=turn))
    return parts


def _signs(rng: np.random.Generator, count: int, at: float) -> list[Part]:
    parts: list[Part] = []
    for _ in range(count):
        neon = draw_thing(rng, "neon", (0.0, 0.0, 0.0), LAMP_SIZES, turn=0.0)
        neon = replace(neon, size=float(rng.uniform(1, 4)))
        side = float(rng.choice([-1, 1]))
        to = (float(rng.uniform(-25, 25)), side * (at - 0.3), float(rng.uniform(2.5, 8)))
        turn = rotation(yaw=0.0 if side > 0 else 180.0)
        parts += [moved(part, turn=turn, to=to) for part in thing_parts(neon)]
    return parts


def _street(rng: np.random.Generator, night: bool) -> list[Part]:
    half = float(rng.uniform(6, 12))
    tallest = float(rng.choice([12.0, 22.0, 45.0]))
    ground = replace(ASPHALT, roughness=float(rng.choice([0.8, 0.12])))  # dry, or wet
    parts = [_ground(ground)]
    for side in (-1, 1):
        walk = placed(box((400, 3.0, 0.16)), to=(0, side * (half - 1.5), 0.08))
        parts.append(Part(shape=walk, material=CONCRETE, flat=True))
        parts += _row(rng, side * half, night, tallest)
    if half > 8:
        lines = [placed(box((2.5, 0.14, 0.01)), to=(float(x), 0.9, 0.006))
                 for x in np.arange(-80, 80, 6)]  # fmt: skip
        parts.append(Part(shape=join(*lines), material=Surface(color=(0.7, 0.7, 0.68)), flat=True))
    parts += _street_lamps(rng, (half - 2.5, 2.5 - half), night)
    parts += _cars(rng, int(rng.integers(0, 7)), (half - 4.0, 4.0 - half))
    parts += _signs(rng, int(rng.integers(2, 9)) if night else 0, half)
    if rng.random() < 0.4:
        leaf = LEAVES[int(rng.integers(len(LEAVES)))]
        for x in np.arange(-60, 61, float(rng.uniform(9, 20))):
            y = float(rng.choice([-1, 1])) * (half - 1.8)
            tree = _tree(rng, leaf, float(rng.uniform(5, 9)))
            parts += [moved(part, to=(float(x) + 2.0, y, 0.1)) for part in tree]
    return parts


def _square(rng: np.random.Generator, night: bool) -> list[Part]:
    """Return a square, or a yard: buildings on four sides, paving, things that stand about."""
    half = float(rng.uniform(14, 40))
    paving = float(rng.uniform(0.15, 0.6))
    stone = srgb(paving, paving * 0.97, paving * 0.92)
    floor = Surface(color=stone, second=mix(stone, (0.0, 0.0, 0.0), 0.35), pattern="checks",
                    scale=0.6, roughness=0.6)  # fmt: skip
    parts = [_ground(floor)]
    for quarter in range(4):
        if rng.random() < 0.85:
            row = _row(rng, half, night, float(rng.uniform(9, 30)))
            parts += [moved(part, turn=rotation(yaw=90.0 * quarter)) for part in row]
    parts += _street_lamps(rng, (half * 0.5, -half * 0.5), night)
    parts += _trees(rng, int(rng.integers(0, 8)), 6, half * 0.8, LEAVES[int(rng.integers(5))])
    for _ in range(int(rng.integers(1, 6))):
        away, turn = float(rng.uniform(3, 10)), float(rng.uniform(0, 2 * np.pi))
        kind = STANDING[int(rng.integers(len(STANDING)))]
        place = (away * np.cos(turn), away * np.sin(turn), 0.0)
        parts += thing_parts(draw_thing(rng, kind, place, FLOOR))
    parts += _signs(rng, int(rng.integers(1, 5)) if night else 0, half)
    return parts


def _hills(rng: np.random.Generator, surface: Surface, high: float) -> Part:
    """Return a ring of hills, flat where the camera stands."""
    away = np.concatenate([[0.0], np.geomspace(0.5, 900.0, 80)])[:, None]
    turn = np.linspace(0, 2 * np.pi, 180, endpoint=False)[None]
    x, y = away * np.cos(turn), away * np.sin(turn)
    flat = np.stack([x, y, np.zeros_like(x)], -1)
    rough = sum(bumps(flat, rng, size=size) * size for size in (160.0, 60.0, 22.0)) / 200.0
    rise = np.clip((away - 25.0) / 400.0, 0, 1) ** 1.2
    z = rise * high * np.maximum(rough + 0.5, 0) + 0.12 * bumps(flat, rng, size=6.0) - 0.1
    return Part(shape=grid(np.stack([x, y, z], -1), wrap=True), material=surface)


def _open_ground(rng: np.random.Generator) -> Surface:
    if rng.random() < 0.2:
        return SNOW
    color, second = GROUNDS[int(rng.integers(len(GROUNDS)))]
    return Surface(color=color, second=second, pattern="marble", scale=float(rng.uniform(0.2, 1)),
                   roughness=1.0, bump=0.12)  # fmt: skip


def _country(rng: np.random.Generator, night: bool) -> list[Part]:
    ground = _open_ground(rng)
    winter = ground is SNOW
    parts = [_hills(rng, ground, float(rng.uniform(5, 260)))]
    leaf = None if winter and rng.random() < 0.6 else LEAVES[int(rng.integers(len(LEAVES)))]
    parts += _trees(rng, int(rng.integers(3, 45)), 7, float(rng.uniform(40, 120)), leaf)
    for _ in range(int(rng.integers(0, 9))):
        radius, away = float(rng.uniform(0.2, 1.6)), float(rng.uniform(3, 25))
        turn = float(rng.uniform(0, 2 * np.pi))
        rock = _shaken(blob((radius, radius, 0.7 * radius), boxy=0.8), rng, size=radius, by=0.2)
        gray = Surface(color=srgb(0.5, 0.48, 0.46), second=srgb(0.35, 0.34, 0.33), roughness=0.95,
                       pattern="marble", scale=2.0, bump=0.05)  # fmt: skip
        to = (away * np.cos(turn), away * np.sin(turn), 0.0)
        parts.append(moved(Part(shape=rock, material=gray), to=to))
    if rng.random() < 0.4:
        house = _building(rng, float(rng.uniform(7, 14)), float(rng.uniform(3, 7)), night)
        yaw, to = rotation(yaw=float(rng.uniform(0, 360))), (0.0, float(rng.uniform(14, 30)), -0.1)
        parts += [moved(moved(part, to=to), turn=yaw) for part in house]
    if night:
        parts += _street_lamps(rng, (float(rng.uniform(3, 8)),), night)
    return parts


def _shore(rng: np.random.Generator, night: bool) -> list[Part]:
    parts = _country(rng, night)
    wide = placed(sheet(1800, 900), turn=rotation(pitch=-90.0), to=(0, 0, 0))
    edge = float(rng.uniform(4, 20))
    water = Part(shape=placed(wide, to=(0, edge, 0.35)), material=WATER, flat=True)
    return [*parts, moved(water, turn=rotation(yaw=float(rng.uniform(0, 360))))]


OUTDOORS: dict[str, Callable[[np.random.Generator, bool], list[Part]]] = {
    "street": _street, "square": _square, "country": _country, "shore": _shore,
}  # fmt: skip

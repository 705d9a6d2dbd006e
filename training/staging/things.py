"""Things and lamps as meshes; each stands on the origin, `size` meters high or long."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from training.staging.description import Surface, Thing, ThingKind
from training.staging.shapes import (
    Part,
    blob,
    box,
    bumps,
    curve,
    grid,
    join,
    lathe,
    luminous,
    moved,
    placed,
    rotation,
    sheet,
    tube,
)  # fmt: skip
from training.staging.tones import black_body, srgb

WHITE = Surface(color=(0.8, 0.8, 0.79), roughness=0.5)
METAL = Surface(color=(0.6, 0.57, 0.5), roughness=0.25, metallic=1.0)
DARK = Surface(color=(0.02, 0.02, 0.02), roughness=0.4)


def _paper(thing: Thing, rng: np.random.Generator) -> list[Part]:
    parts = []
    for k in range(int(rng.integers(1, 5))):
        page = sheet(thing.size * 0.7, thing.size, rows=8, columns=6)
        flat = placed(page, turn=rotation(pitch=-90.0))
        curl = 0.02 * thing.size * (bumps(flat.vertices, rng, size=0.3, waves=4) + 1)
        points = flat.vertices + np.stack([0 * curl, 0 * curl, curl + 0.002 * k], axis=-1)
        page = replace(flat, vertices=points.astype(np.float32))
        turn = rotation(yaw=float(rng.normal(0, 20)))
        shift = (float(rng.normal(0, 0.05)), float(rng.normal(0, 0.05)), 0.001)
        parts.append(moved(Part(shape=page, material=thing.surface), turn=turn, to=shift))
    return parts


def _turned(profile: list[tuple[float, float]], *, rounds: int = 2) -> Callable[..., list[Part]]:
    def make(thing: Thing, _: np.random.Generator) -> list[Part]:
        mesh = lathe([(r * thing.size, z * thing.size) for r, z in profile], round_by=rounds)
        return [Part(shape=mesh, material=thing.surface)]

    return make


PLATE = [(0, 0.02), (0.25, 0.02), (0.3, 0.03), (0.5, 0.09), (0.5, 0.1), (0.3, 0.05), (0, 0.04)]
CUP = [(0, 0), (0.28, 0), (0.4, 0.2), (0.44, 1.0), (0.41, 1.0), (0.36, 0.2), (0, 0.1)]
BOTTLE = [(0, 0.0), (0.15, 0.0), (0.15, 0.55), (0.14, 0.62), (0.05, 0.75), (0.045, 1.0),
          (0.035, 1.0), (0.035, 0.75), (0.12, 0.6), (0.135, 0.05), (0, 0.04)]  # fmt: skip
GLASS = [(0, 0), (0.22, 0), (0.22, 0.02), (0.03, 0.05), (0.03, 0.4), (0.2, 0.5), (0.27, 0.7),
         (0.22, 1.0), (0.205, 1.0), (0.25, 0.7), (0.18, 0.52), (0, 0.46)]  # fmt: skip
VASE = [(0, 0), (0.2, 0), (0.34, 0.3), (0.3, 0.6), (0.12, 0.85), (0.2, 1.0), (0.17, 1.0),
        (0.1, 0.84), (0, 0.8)]  # fmt: skip
POT = [
    (0, 0),
    (0.42, 0),
    (0.42, 0.05),
    (0.5, 0.55),
    (0.3, 0.75),
    (0.12, 0.8),
    (0.1, 0.86),
    (0, 0.9),
]


def _cup(thing: Thing, rng: np.random.Generator) -> list[Part]:
    parts = _turned(CUP)(thing, rng)
    ring = curve([(0.4, 0, 0.85), (0.7, 0, 0.75), (0.7, 0, 0.35), (0.38, 0, 0.25)], 16)
    handle = tube(ring * thing.size, np.full(16, 0.05 * thing.size), columns=10)
    tea = lathe([(0.0, 0.8), (0.40, 0.8)])
    drink = Surface(color=srgb(0.3, 0.15, 0.06), roughness=0.05)
    return [*parts, Part(shape=handle, material=thing.surface),
            Part(shape=placed(tea, scale=thing.size), material=drink)]  # fmt: skip


def _bottle(thing: Thing, rng: np.random.Generator) -> list[Part]:
    parts = _turned(BOTTLE)(thing, rng)
    label = lathe([(0.153, 0.15), (0.153, 0.45)])
    hue = srgb(*rng.uniform(0.3, 0.95, 3))
    return [*parts, Part(shape=placed(label, scale=thing.size),
                         material=Surface(color=hue, roughness=0.6))]  # fmt: skip


def _chrome(thing: Thing, rng: np.random.Generator) -> list[Part]:
    profile = PLATE if rng.random() < 0.2 else POT if rng.random() < 0.6 else VASE
    parts = _turned(profile)(thing, rng)
    if profile is POT:
        spout = curve([(0.44, 0, 0.25), (0.7, 0, 0.4), (0.8, 0, 0.75)], 14) * thing.size
        radius = np.linspace(0.09, 0.04, 14) * thing.size
        ring = curve([(-0.4, 0, 0.6), (-0.72, 0, 0.6), (-0.7, 0, 0.2), (-0.45, 0, 0.15)], 14)
        parts.append(Part(shape=tube(spout, radius), material=thing.surface))
        handle = tube(ring * thing.size, np.full(14, 0.04 * thing.size))
        parts.append(Part(shape=handle, material=DARK))
    return parts


def _box(thing: Thing, rng: np.random.Generator) -> list[Part]:
    size = thing.size * rng.uniform(0.4, 1.0, 3)
    mesh = blob((size[0] / 2, size[1] / 2, size[2] / 2), boxy=0.1, rows=40, columns=64)
    return [moved(Part(shape=mesh, material=thing.surface), to=(0, 0, size[2] / 2))]


def _ball(thing: Thing, _: np.random.Generator) -> list[Part]:
    half = thing.size / 2
    return [moved(Part(shape=blob((half,) * 3), material=thing.surface), to=(0, 0, half))]


def _toy(thing: Thing, rng: np.random.Generator) -> list[Part]:
    """Stack blocks, rings and balls of other hues."""
    parts, z = [], 0.0
    for _ in range(int(rng.integers(3, 6))):
        color = srgb(*np.roll([0.9, rng.uniform(0.02, 0.6), 0.03], int(rng.integers(3))))
        surface = replace(thing.surface, color=color)
        high = thing.size * rng.uniform(0.15, 0.3)
        wide = thing.size * rng.uniform(0.15, 0.3)
        shape = blob((wide, wide, high / 2), boxy=float(rng.choice([0.15, 0.5, 1.0])))
        turn = rotation(yaw=float(rng.uniform(0, 90)))
        parts.append(moved(Part(shape=shape, material=surface), turn=turn, to=(0, 0, z + high / 2)))
        z += high
    return parts


def _car(thing: Thing, _: np.random.Generator) -> list[Part]:
    """Return a car's body, windows, wheels and lights; `size` is its length."""
    s = thing.size / 4.4
    glass = Surface(color=(0.01, 0.012, 0.014), roughness=0.03, coat=1.0)
    tire = Surface(color=(0.015, 0.015, 0.015), roughness=0.8)
    pieces = [
        (blob((2.2, 0.88, 0.36), boxy=0.42, rows=40, columns=72), (0, 0, 0.6), thing.surface),
        (blob((1.25, 0.72, 0.42), boxy=0.6, rows=30, columns=60), (0.15, 0, 0.98), glass),
        (blob((1.05, 0.66, 0.12), boxy=0.5), (0.15, 0, 1.31), thing.surface),
        (blob((0.05, 0.86, 0.03), boxy=0.3), (-2.17, 0, 0.45), METAL),
        (blob((0.05, 0.16, 0.08)), (-2.14, 0.6, 0.68), luminous(black_body(5000), 40.0)),
        (blob((0.05, 0.16, 0.08)), (-2.14, -0.6, 0.68), luminous(black_body(5000), 40.0)),
        (blob((0.04, 0.16, 0.06)), (2.17, 0.6, 0.7), luminous(srgb(1.0, 0.03, 0.02), 25.0)),
        (blob((0.04, 0.16, 0.06)), (2.17, -0.6, 0.7), luminous(srgb(1.0, 0.03, 0.02), 25.0)),
    ]
    parts = [moved(Part(shape=m, material=w), to=to) for m, to, w in pieces]
    for x in (-1.35, 1.4):
        for y in (-0.82, 0.82):
            wheel = Part(shape=blob((0.33, 0.12, 0.33), boxy=0.9), material=tire)
            rim = Part(shape=blob((0.2, 0.14, 0.2), boxy=0.9), material=METAL)
            parts += [moved(wheel, to=(x, y, 0.33)), moved(rim, to=(x, y, 0.33))]
    return [moved(part, scale=s) for part in parts]


def _plant(thing: Thing, rng: np.random.Generator) -> list[Part]:
    """Return a pot with leaves on bent stalks."""
    pot = lathe(
        [(0, 0), (0.13, 0), (0.17, 0.26), (0.15, 0.26), (0.13, 0.22), (0, 0.22)], round_by=1
    )
    clays = (srgb(0.7, 0.4, 0.28), srgb(0.9, 0.9, 0.88), srgb(0.15, 0.15, 0.16))
    clay = Surface(color=clays[int(rng.integers(3))])
    leaves = []
    t, across = np.linspace(0, 1, 9)[:, None], np.linspace(-1, 1, 5)[None]
    broad = rng.uniform(0.04, 0.14)
    for _ in range(int(rng.integers(16, 40))):
        lean, yaw, long = rng.uniform(0.1, 1.3), rng.uniform(0, 360), rng.uniform(0.35, 0.85)
        angle = lean * (0.4 + 0.9 * t)
        width = broad * np.sin(np.pi * (0.08 + 0.9 * t) ** 0.8)
        line_y, line_z = long * t * np.sin(angle), 0.22 + long * t * np.cos(angle)
        points = np.stack(
            [width * across, line_y + 0 * across, line_z + 0.5 * width * across**2], -1
        )
        leaves.append(placed(grid(points), turn=rotation(yaw=float(yaw))))
    made = [Part(shape=pot, material=clay), Part(shape=join(*leaves), material=thing.surface)]
    return [moved(part, scale=thing.size) for part in made]


def _curtain(thing: Thing, rng: np.random.Generator) -> list[Part]:
    x, z = np.meshgrid(np.linspace(-0.5, 0.5, 160), np.linspace(0, 1.0, 14))
    wave = np.sin(x * 60 + 3 * np.sin(x * 9 + rng.uniform(0, 6))) * (0.03 + 0.012 * z)
    points = np.stack([x * thing.size, wave * thing.size * 0.6, z * 2.6], axis=-1)
    return [Part(shape=grid(points), material=thing.surface)]


def _book(thing: Thing, rng: np.random.Generator) -> list[Part]:
    parts, z = [], 0.0
    pages = Surface(color=(0.62, 0.58, 0.48), roughness=0.8)
    for _ in range(int(rng.integers(1, 5))):
        thick = thing.size * rng.uniform(0.08, 0.22)
        hue = srgb(*rng.uniform(0.03, 0.9, 3))
        cover = replace(thing.surface, color=hue)
        turn = rotation(yaw=float(rng.normal(0, 12)))
        for size, material in (((0.7, 1.0, 1.0), cover), ((0.715, 0.96, 0.78), pages)):
            shape = box((size[0] * thing.size, size[1] * thing.size, size[2] * thick))
            part = Part(shape=shape, material=material, flat=True)
            parts.append(moved(part, turn=turn, to=(0, 0, z + thick / 2)))
        z += thick
    return parts


def _panel(thing: Thing, *, lean: float, depth: float) -> list[Part]:
    """Return a screen: a dark case and a picture that shines."""
    wide, high = thing.size, thing.size * 0.58
    case = placed(box((wide * 1.04, depth, high * 1.07)), to=(0, depth / 2 + 0.002, high / 2))
    picture = placed(sheet(wide, high), to=(0, -0.001, 0))
    foot = placed(box((wide * 0.3, depth * 5, 0.01)), to=(0, depth * 2, -0.06 * wide))
    stand = placed(box((wide * 0.06, depth, 0.1 * wide)), to=(0, depth * 1.5, -0.03 * wide))
    made = [Part(shape=join(case, foot, stand), material=DARK, flat=True),
            Part(shape=picture, material=thing.surface, flat=True)]  # fmt: skip
    turn = rotation(pitch=lean)
    return [moved(part, turn=turn, to=(0, 0, 0.06 * wide)) for part in made]


def _screen(thing: Thing, _: np.random.Generator) -> list[Part]:
    return _panel(thing, lean=-6.0, depth=0.03)


def _phone(thing: Thing, _: np.random.Generator) -> list[Part]:
    half = thing.size / 2
    body = blob((half * 0.48, half, 0.004), boxy=0.2)
    picture = placed(sheet(half * 0.86, half * 1.8), turn=rotation(pitch=-90.0))
    return [
        moved(Part(shape=body, material=DARK), to=(0, 0, 0.005)),
        moved(Part(shape=picture, material=thing.surface, flat=True), to=(0, -half * 0.9, 0.0105)),
    ]


def _bulb(thing: Thing, _: np.random.Generator) -> list[Part]:
    """Return a bulb that hangs from a cable, its lowest point at the origin."""
    s = thing.size
    globe = lathe(
        [(0, 0), (0.3, 0.02), (0.5, 0.35), (0.42, 0.7), (0.2, 0.95), (0.19, 1.1)], round_by=2
    )
    socket = lathe([(0.2, 1.05), (0.22, 1.1), (0.22, 1.5), (0.05, 1.6), (0.03, 1.62), (0.03, 14.0)])
    return [Part(shape=placed(globe, scale=s), material=thing.surface),
            Part(shape=placed(socket, scale=s), material=DARK)]  # fmt: skip


def _candle(thing: Thing, rng: np.random.Generator) -> list[Part]:
    s, thick = thing.size, thing.size * rng.uniform(0.12, 0.4)
    wax = Surface(color=(0.75, 0.7, 0.6), roughness=0.5, subsurface=0.6)
    body = lathe([(0, 0), (thick, 0), (thick, s), (thick * 0.85, s * 0.99), (0, s * 0.97)])
    flame = lathe([(0, 0), (0.3, 0.12), (0.34, 0.3), (0.15, 0.7), (0, 1.0)], round_by=2)
    flame = placed(flame, scale=0.035, to=(0, 0, s + 0.006))
    return [Part(shape=body, material=wax), Part(shape=flame, material=thing.surface)]


def _neon(thing: Thing, rng: np.random.Generator) -> list[Part]:
    """Return a glass tube bent at random in an upright plane, as in signs."""
    parts = []
    for k in range(int(rng.integers(1, 4))):
        count = int(rng.integers(4, 8))
        x = np.linspace(-0.5, 0.5, count) + rng.normal(0, 0.06, count)
        z = 0.4 + 0.3 * k + rng.uniform(-0.25, 0.25, count)
        knots = [
            (float(a) * thing.size, -0.01 * k, float(b) * thing.size)
            for a, b in zip(x, z, strict=True)
        ]
        radius = np.full(60, 0.008)
        radius[[0, -1]] = 0.0
        hue = thing.surface.color if k % 2 == 0 else np.roll(thing.surface.color, 1)
        surface = replace(thing.surface, color=(float(hue[0]), float(hue[1]), float(hue[2])))
        parts.append(Part(shape=tube(curve(knots, 60), radius, columns=10), material=surface))
    return parts


def _tube(thing: Thing, _: np.random.Generator) -> list[Part]:
    line = np.linspace([-thing.size / 2, 0, 0], [thing.size / 2, 0, 0], 12)
    radius = np.full(12, 0.016)
    radius[[0, -1]] = 0.0
    tray = placed(box((thing.size * 1.03, 0.09, 0.03)), to=(0, 0, 0.045))
    return [Part(shape=tube(line, radius), material=thing.surface),
            Part(shape=tray, material=WHITE, flat=True)]  # fmt: skip


def _shade(thing: Thing, rng: np.random.Generator) -> list[Part]:
    """Return a table lamp; its cloth glows, its bulb can be seen from below and above."""
    s = thing.size
    foot = lathe(
        [(0, 0), (0.2, 0), (0.2, 0.03), (0.06, 0.08), (0.1, 0.25), (0.03, 0.45), (0.02, 0.6)],
        round_by=2,
    )
    cloth = lathe([(0.34, 0.5), (0.2, 0.98)])
    glow = replace(thing.surface, emission=thing.surface.emission * 0.02)
    stand = Surface(color=srgb(*rng.uniform(0.05, 0.9, 3)), roughness=0.2, coat=1.0)
    bulb = placed(blob((0.05, 0.05, 0.07)), to=(0, 0, 0.68))
    return [Part(shape=placed(foot, scale=s), material=stand),
            Part(shape=placed(cloth, scale=s), material=glow),
            Part(shape=placed(bulb, scale=s), material=thing.surface)]  # fmt: skip


MAKERS: dict[ThingKind, Callable[[Thing, np.random.Generator], list[Part]]] = {
    "paper": _paper, "plate": _turned(PLATE), "cup": _cup, "bottle": _bottle,
    "glass": _turned(GLASS), "vase": _turned(VASE), "chrome": _chrome, "box": _box,
    "ball": _ball, "toy": _toy, "car": _car,
    "plant": _plant, "curtain": _curtain, "book": _book, "phone": _phone, "bulb": _bulb,
    "candle": _candle, "neon": _neon, "screen": _screen, "tube": _tube, "shade": _shade,
}  # fmt: skip


def thing_parts(thing: Thing) -> list[Part]:
    """Return a thing at its place in the scene."""
    parts = MAKERS[thing.kind](thing, np.random.default_rng(thing.seed))
    turn = rotation(yaw=thing.turn)
    return [moved(part, turn=turn, to=thing.place) for part in parts]

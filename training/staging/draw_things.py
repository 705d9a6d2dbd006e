"""Draw things and lamps: what they are made of, how large, how bright."""

from __future__ import annotations

import numpy as np

from training.staging.description import LAMPS, Color, Pattern, Surface, Thing, ThingKind
from training.staging.draw_people import cloth, cloth_color
from training.staging.tones import black_body, hsv, srgb

# Meters, smallest and largest: of what stands on tables, then of what stands on floors.
TABLE: dict[ThingKind, tuple[float, float]] = {
    "paper": (0.2, 0.3), "plate": (0.16, 0.3), "cup": (0.08, 0.13), "bottle": (0.22, 0.34),
    "glass": (0.12, 0.22), "vase": (0.15, 0.35), "chrome": (0.12, 0.25), "box": (0.08, 0.3),
    "ball": (0.06, 0.2), "toy": (0.15, 0.35), "book": (0.18, 0.28), "plant": (0.3, 0.5),
    "phone": (0.14, 0.17),
}  # fmt: skip
FLOOR: dict[ThingKind, tuple[float, float]] = {
    "plant": (0.9, 1.9), "box": (0.4, 1.0), "ball": (0.3, 0.6), "vase": (0.5, 0.9),
    "car": (4.2, 4.6), "chrome": (0.4, 0.7), "curtain": (1.0, 2.0),
}  # fmt: skip
LAMP_SIZES: dict[ThingKind, tuple[float, float]] = {
    "bulb": (0.06, 0.12), "candle": (0.06, 0.22), "neon": (0.5, 1.6), "screen": (0.3, 1.3),
    "tube": (0.6, 1.5), "shade": (0.35, 0.6),
}  # fmt: skip
# Radiance over that of diffuse white. A candle's flame has about 10^4 cd/m2, a fluorescent tube
# 10^4, a frosted bulb 10^5, neon 10^3 to 10^4, a screen 10^2 to 10^3 (IES Lighting Handbook);
# white where they are seen in films has 3 to 300.
LAMP_LEVELS: dict[ThingKind, tuple[float, float]] = {
    "bulb": (200.0, 5000.0), "candle": (150.0, 2000.0), "neon": (20.0, 250.0),
    "screen": (20.0, 60.0), "tube": (40.0, 600.0), "shade": (150.0, 2500.0), "phone": (20.0, 40.0),
}  # fmt: skip
WALLPAPERS: tuple[Pattern, ...] = ("stripes", "checks", "spots")


def _between(rng: np.random.Generator, low: float, high: float) -> float:
    """Draw evenly over the logarithm."""
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def _lamp_surface(rng: np.random.Generator, kind: ThingKind) -> Surface:
    level = _between(rng, *LAMP_LEVELS[kind])
    if kind in ("screen", "phone"):
        return Surface(color=(1.0, 1.0, 1.05), emission=level, pattern="picture",
                       scale=float(rng.uniform(4, 14)))  # fmt: skip
    if kind == "neon":
        color = hsv(float(rng.random()), 1.0, 1.0)
    elif kind == "candle":
        color = black_body(1900.0)
    elif kind == "tube":
        color = black_body(float(rng.uniform(3500, 7000)))
    else:
        color = black_body(float(rng.uniform(2300, 3400)))
    return Surface(color=color, emission=level)


def _paint(rng: np.random.Generator) -> Color:
    value = float(rng.choice([0.92, 0.08, rng.uniform(0.3, 0.9)]))
    return hsv(float(rng.random()), float(rng.uniform(0, 0.95)), value)


def _glass(rng: np.random.Generator) -> Surface:
    tint = hsv(float(rng.choice([0.08, 0.3, 0.38, 0.6])), float(rng.choice([0.0, 0.5, 0.8])), 0.95)
    return Surface(color=tint, roughness=0.0, transmission=1.0)


def draw_surface(rng: np.random.Generator, kind: ThingKind) -> Surface:
    """Draw what a thing of a kind is made of."""
    if kind in LAMPS or kind == "phone":
        return _lamp_surface(rng, kind)
    white = srgb(*([float(rng.uniform(0.88, 0.95))] * 3))
    black = srgb(*([float(rng.uniform(0.04, 0.14))] * 3))
    if kind == "paper":
        return Surface(color=white, roughness=0.9)
    if kind in ("plate", "cup", "vase"):
        color = (white, black, _paint(rng))[int(rng.choice(3, p=[0.6, 0.1, 0.3]))]
        return Surface(color=color, roughness=0.25, coat=1.0)
    if kind in ("bottle", "glass"):
        return _glass(rng)
    if kind == "chrome":
        metal = ((0.9, 0.9, 0.9), (0.95, 0.75, 0.4), (0.9, 0.6, 0.45))[
            int(rng.choice(3, p=[0.7, 0.2, 0.1]))
        ]
        return Surface(color=metal, metallic=1.0, roughness=float(rng.choice([0.02, 0.15, 0.3])))
    if kind == "car":
        return Surface(
            color=_paint(rng), roughness=0.3, coat=1.0, metallic=float(rng.choice([0.0, 0.6]))
        )
    if kind == "plant":
        green = hsv(
            float(rng.uniform(0.2, 0.4)), float(rng.uniform(0.4, 0.9)), float(rng.uniform(0.2, 0.6))
        )
        return Surface(color=green, roughness=0.4, subsurface=0.2)
    if kind == "curtain":
        return cloth(rng, cloth_color(rng))
    if kind == "toy":
        return Surface(color=white, roughness=0.2, coat=float(rng.choice([0.0, 1.0])))
    color = (white, black, _paint(rng))[int(rng.choice(3, p=[0.25, 0.3, 0.45]))]
    return Surface(
        color=color, roughness=float(rng.uniform(0.1, 0.8)), coat=float(rng.choice([0, 0.8]))
    )


def draw_thing(
    rng: np.random.Generator,
    kind: ThingKind,
    place: tuple[float, float, float],
    sizes: dict[ThingKind, tuple[float, float]],
    *,
    turn: float | None = None,
) -> Thing:
    """Draw a thing of a kind that stands at a place."""
    return Thing(
        kind=kind,
        place=place,
        turn=float(rng.uniform(0, 360)) if turn is None else turn,
        size=_between(rng, *sizes[kind]),
        surface=draw_surface(rng, kind),
        seed=int(rng.integers(2**31)),
    )


def draw_wood(rng: np.random.Generator) -> Surface:
    """Draw wood, from birch to wenge, matt or varnished."""
    light = float(rng.uniform(0.15, 0.8))
    first = srgb(light, light * float(rng.uniform(0.6, 0.8)), light * float(rng.uniform(0.35, 0.6)))
    dark: Color = (first[0] * 0.5, first[1] * 0.42, first[2] * 0.36)
    return Surface(color=first, second=dark, pattern="wood", scale=float(rng.uniform(8, 25)),
                   roughness=float(rng.uniform(0.25, 0.6)), coat=float(rng.choice([0.0, 0.6])),
                   bump=0.0005)  # fmt: skip


def draw_wall(rng: np.random.Generator) -> Surface:
    """Draw a wall: paint, wallpaper, wood or plaster."""
    kind = rng.choice(["paint", "paper", "wood", "plaster"], p=[0.5, 0.2, 0.15, 0.15])
    if kind == "wood":
        return draw_wood(rng)
    color = hsv(float(rng.random()), float(rng.uniform(0, 0.5)), float(rng.uniform(0.15, 0.95)))
    if kind == "paper":
        pattern = WALLPAPERS[int(rng.integers(3))]
        return Surface(color=color, second=cloth_color(rng), scale=float(rng.uniform(4, 15)),
                       pattern=pattern, roughness=0.8)  # fmt: skip
    return Surface(color=color, roughness=0.8, bump=0.02 if kind == "plaster" else 0.0)


def draw_floor(rng: np.random.Generator) -> Surface:
    """Draw a floor: wood, stone, concrete, carpet or grass."""
    kind = rng.choice(["wood", "marble", "concrete", "grass"], p=[0.35, 0.2, 0.3, 0.15])
    if kind == "wood":
        return draw_wood(rng)
    if kind == "grass":
        green = srgb(0.2, 0.28, 0.09)
        return Surface(color=green, second=srgb(0.34, 0.36, 0.14), pattern="weave", scale=3.0,
                       roughness=1.0, bump=0.03)  # fmt: skip
    gray = float(rng.uniform(0.2, 0.7))
    color, second = srgb(gray, gray * 0.98, gray * 0.95), srgb(gray * 0.7, gray * 0.68, gray * 0.65)
    rough = 0.15 if kind == "marble" else 0.85
    return Surface(color=color, second=second, pattern="marble", scale=3.0, roughness=rough)

"""Draw people: skin of every tone, heads, hair and clothes, from a seed."""

from __future__ import annotations

import math

import numpy as np

from training.staging.description import (
    Clothes,
    Color,
    Eyes,
    Hair,
    HairStyle,
    HeadShape,
    Outfit,
    Pattern,
    Person,
    Pose,
    Skin,
    Surface,
)  # fmt: skip
from training.staging.tones import TONES, hsv, mix, skin_color, srgb

HAIR_STYLES: dict[HairStyle, float] = {
    "bald": 0.08, "cropped": 0.2, "short": 0.26, "bob": 0.14, "long": 0.18, "tied": 0.14,
}  # fmt: skip
OUTFITS: dict[Outfit, float] = {
    "shirt": 0.3, "suit": 0.25, "sweater": 0.13, "tee": 0.15, "dress": 0.1, "coat": 0.07,
}  # fmt: skip
POSES: dict[Pose, float] = {
    "hanging": 0.5, "hip": 0.12, "raised": 0.12, "folded": 0.12, "holding": 0.14,
}  # fmt: skip
CLOTHS: dict[Pattern, float] = {
    "plain": 0.45, "weave": 0.25, "stripes": 0.13, "checks": 0.1, "spots": 0.07,
}  # fmt: skip


def choose[T: str](rng: np.random.Generator, weights: dict[T, float]) -> T:
    """Draw a key by its weight."""
    names, shares = list(weights), np.array(list(weights.values()))
    return names[int(rng.choice(len(names), p=shares / shares.sum()))]


def _near(rng: np.random.Generator, spread: float, low: float = 0.6, high: float = 1.6) -> float:
    return float(np.clip(rng.normal(1, spread), low, high))


def draw_skin(rng: np.random.Generator) -> Skin:
    """Draw skin, its typology angle even over `TONES`: no tone is rare."""
    tone = float(rng.uniform(*TONES))
    color = skin_color(tone, red=float(rng.normal(0, 1.0)), yellow=float(rng.normal(0, 1.0)))
    made_up = rng.random() < 0.25
    lip_red = hsv(
        float(rng.uniform(-0.04, 0.02)), float(rng.uniform(0.5, 0.9)), float(rng.uniform(0.3, 0.75))
    )
    natural: Color = (color[0] * 0.85, color[1] * 0.58, color[2] * 0.60)
    dark = float(np.interp(tone, [-60, 20, 64], [0.5, 0.8, 1.6])) * float(rng.uniform(0.5, 1.5))
    return Skin(
        tone=tone,
        color=color,
        roughness=float(rng.uniform(0.32, 0.58)),
        oil=float(rng.choice([0.0, rng.uniform(0.05, 0.6)], p=[0.45, 0.55])),
        mottle=float(rng.uniform(0.2, 0.7)),
        pores=float(rng.uniform(0.0001, 0.0005)),
        lips=mix(natural, lip_red, 0.75) if made_up else natural,
        brow=(0.028 * dark, 0.021 * dark, 0.015 * dark),
        beard=0.0
        if made_up
        else float(
            rng.choice([0.0, rng.uniform(0.1, 0.5), rng.uniform(0.6, 1.0)], p=[0.5, 0.32, 0.18])
        ),
    )


def _head(rng: np.random.Generator) -> HeadShape:
    return HeadShape(
        width=_near(rng, 0.03, 0.92, 1.08),
        jaw=_near(rng, 0.06, 0.85, 1.15),
        chin=_near(rng, 0.1, 0.75, 1.3),
        cheek=_near(rng, 0.1, 0.75, 1.3),
        brow=_near(rng, 0.18, 0.5, 1.4),
        nose_length=_near(rng, 0.08, 0.82, 1.2),
        nose_width=_near(rng, 0.12, 0.75, 1.35),
        lips=_near(rng, 0.2, 0.65, 1.6),
        open=_near(rng, 0.15, 0.5, 1.3),
        smile=float(np.clip(rng.normal(0.15, 0.3), -0.4, 1.0)),
        ears=_near(rng, 0.07, 0.85, 1.15),
    )


def _hair_color(rng: np.random.Generator, tone: float) -> Color:
    """Draw a hair color: dark ones for all, fair ones rarely where skin is dark."""
    colors = [srgb(0.07, 0.06, 0.06), srgb(0.15, 0.1, 0.08), srgb(0.26, 0.17, 0.11),
              srgb(0.42, 0.29, 0.18), srgb(0.68, 0.52, 0.33), srgb(0.45, 0.2, 0.1),
              srgb(0.55, 0.54, 0.53), srgb(0.85, 0.84, 0.82)]  # fmt: skip
    fair = float(np.interp(tone, [-20, 40], [0.02, 1.0]))
    weights = np.array([2.0, 1.6, 1.2, 0.8 * fair, 0.9 * fair, 0.5 * fair, 0.5, 0.35])
    return colors[int(rng.choice(len(colors), p=weights / weights.sum()))]


def _hair(rng: np.random.Generator, tone: float) -> Hair:
    style = choose(rng, HAIR_STYLES)
    low, high = {"cropped": (0.003, 0.009), "tied": (0.005, 0.010), "short": (0.012, 0.030)}.get(
        style, (0.012, 0.024)
    )
    return Hair(
        style=style,
        color=_hair_color(rng, tone),
        length=float(rng.uniform(low, high)),
        roughness=float(rng.uniform(0.3, 0.5)),
        parting=float(rng.uniform(-1, 1)),
        seed=int(rng.integers(2**31)),
    )


def _eyes(rng: np.random.Generator, tone: float) -> Eyes:
    light = rng.random() < float(np.interp(tone, [0, 50], [0.0, 0.5]))
    pale = [srgb(0.35, 0.47, 0.58), srgb(0.36, 0.42, 0.3), srgb(0.45, 0.46, 0.45)]
    brown = [srgb(0.27, 0.16, 0.08), srgb(0.17, 0.1, 0.06), srgb(0.36, 0.24, 0.12)]
    choices = pale if light else brown
    gaze = (float(rng.normal(0, 9)), float(rng.normal(-2, 4)))
    return Eyes(iris=choices[int(rng.integers(3))], gaze=gaze)


def cloth_color(rng: np.random.Generator) -> Color:
    """Draw a color of cloth: grays, muted ones, and some that are as strong as dyes get."""
    if rng.random() < 0.25:
        return srgb(*([float(rng.uniform(0.05, 0.85))] * 3))
    strong = rng.random() < 0.3
    saturation = rng.uniform(0.7, 0.95) if strong else rng.uniform(0.1, 0.6)
    return hsv(float(rng.random()), float(saturation), float(rng.uniform(0.12, 0.85)))


def cloth(rng: np.random.Generator, color: Color, *, plain: bool = False) -> Surface:
    """Draw cloth of a color, patterned for some."""
    pattern: Pattern = "plain" if plain else choose(rng, CLOTHS)
    dim: Color = (color[0] * 0.55, color[1] * 0.55, color[2] * 0.55)
    return Surface(
        color=color,
        second=cloth_color(rng) if pattern in ("stripes", "checks", "spots") else dim,
        pattern=pattern,
        scale=float(rng.uniform(14, 60)),
        roughness=float(rng.uniform(0.6, 0.95)),
        sheen=float(rng.choice([0.0, rng.uniform(0.1, 0.5)])),
        bump=float(rng.uniform(0.0, 0.003)),
    )


def _white(rng: np.random.Generator) -> Color:
    value = float(rng.uniform(0.86, 0.94))
    return srgb(value, value, value * float(rng.uniform(0.96, 1.02)))


def _black(rng: np.random.Generator) -> Color:
    return srgb(*([float(rng.uniform(0.06, 0.16))] * 3))


def _clothes(rng: np.random.Generator) -> Clothes:
    outfit = choose(rng, OUTFITS)
    white, black = cloth(rng, _white(rng), plain=True), cloth(rng, _black(rng), plain=True)
    colored = cloth(rng, cloth_color(rng))
    if outfit == "shirt":
        top = white if rng.random() < 0.6 else colored
    elif outfit in ("suit", "coat"):
        top = black if rng.random() < 0.55 else colored
    else:
        top = (white, black, colored)[int(rng.choice(3, p=[0.2, 0.2, 0.6]))]
    tie = None
    if rng.random() < {"suit": 0.7, "shirt": 0.15}.get(outfit, 0.0):
        tie = Surface(color=cloth_color(rng), roughness=0.4, sheen=0.3)
    short = outfit == "tee" or (outfit in ("shirt", "dress") and rng.random() < 0.35)
    return Clothes(
        outfit=outfit,
        top=top,
        inner=white if rng.random() < 0.7 else cloth(rng, cloth_color(rng)),
        tie=tie,
        bottom=black if rng.random() < 0.5 else cloth(rng, cloth_color(rng)),
        shoes=Surface(color=_black(rng), roughness=0.3, coat=float(rng.random())),
        sleeves=float(rng.uniform(0.15, 0.4)) if short else 0.95,
        seed=int(rng.integers(2**31)),
    )


def draw_person(rng: np.random.Generator, *, place: tuple[float, float], turn: float) -> Person:
    """Draw a person who stands at `place` and is turned by `turn` degrees from facing -y."""
    skin = draw_skin(rng)
    look = (float(np.clip(rng.normal(0, 14), -40, 40)), float(np.clip(rng.normal(-1, 6), -18, 18)))
    return Person(
        skin=skin,
        eyes=_eyes(rng, skin.tone),
        head=_head(rng),
        hair=_hair(rng, skin.tone),
        clothes=_clothes(rng),
        height=float(np.clip(rng.normal(1.72, 0.09), 1.5, 1.95)),
        build=_near(rng, 0.09, 0.85, 1.3),
        place=place,
        turn=turn,
        look=(*look, float(rng.normal(0, 4))),
        poses=(choose(rng, POSES), choose(rng, POSES)),
    )


def face_of(person: Person) -> tuple[float, float, float]:
    """Return about where the middle of a person's face is, meters."""
    ahead = 0.09
    angle = math.radians(person.turn + person.look[0])
    x = person.place[0] + ahead * math.sin(angle)
    y = person.place[1] - ahead * math.cos(angle)
    return (x, y, person.height * 0.925)

"""Hair: a cap that grows out of the skull, and strands over it."""

from __future__ import annotations

import numpy as np

from training.staging.description import Hair, HeadShape, Person
from training.staging.head import surface
from training.staging.shapes import Part, Strands, blob, bumps, grid, moved

STRANDS = {"bald": 0, "cropped": 2600, "short": 3200, "bob": 3200, "long": 3800, "tied": 2400}
POINTS = 7


def scalp(points: np.ndarray, style: str) -> np.ndarray:
    """Return 0..1 where hair grows, for (..., 3) points of a head in centimeters."""
    x, y, z = np.abs(points[..., 0]), points[..., 1], points[..., 2]
    # The hairline: over the forehead, down the temples, around the ears, low in the neck.
    temple = np.clip((x - 4.0) / 2.5, 0, 1)
    brow_line = 5.6 - 0.25 * x + 0.5 * np.cos(x * 1.3) - 1.4 * temple
    side = np.interp(y, [-8.0, -5.5, -4.2, -2.6, -0.8, 2.2, 4.0, 11.0],
                     [brow_line.mean(), 4.0, 2.2, -0.8, 1.6, 1.2, -6.5, -7.5])  # fmt: skip
    line = np.where(y < -6.0, brow_line, np.minimum(side, brow_line))
    if style in ("bob", "long"):
        line = np.where(y > -4.5, line - 1.2, line)
    return np.asarray(np.clip((z - line) / 0.7 + 0.3, 0, 1))


def cap(hair: Hair, shape: HeadShape) -> Part:
    """Return the mass of the hair, in meters; where none grows it lies under the skin."""
    points, rays = surface(shape)
    grows = scalp(points, hair.style)
    rng = np.random.default_rng(hair.seed)
    lump = bumps(points / 100, rng, size=0.05) + 0.35 * bumps(points / 100, rng, size=0.012)
    thick = hair.length * 100 * (1 + 0.10 * lump)
    if hair.style not in ("cropped", "tied"):
        # Fuller on top, and a parting.
        top = np.clip(points[..., 2] / 9, 0, 1)
        part = np.exp(-(((points[..., 0] - 3.0 * hair.parting) / 0.7) ** 2)) * top
        thick = thick * (0.75 + 0.5 * top) * (1 - 0.4 * part)
    out = thick * grows**0.5 - 0.5 * (1 - grows)
    return Part(shape=grid((points + rays * out[..., None]) / 100, wrap=True), material=hair)


def _combed(roots: np.ndarray, rays: np.ndarray, hair: Hair) -> np.ndarray:
    """Return (S, 3) directions along the skull: away from the parting, then down and back."""
    away = np.sign(roots[:, :1] - 3.0 * hair.parting) * np.array([1.0, 0.0, 0.0])
    back = np.array([0.0, 1.0 if hair.style == "tied" else 0.45, 0.0])
    down = np.array([0.0, 0.0, -0.9])
    way = away * (0.25 if hair.style == "tied" else 0.9) + back + down
    way = way - (way * rays).sum(-1, keepdims=True) * rays
    return np.asarray(way / np.linalg.norm(way, axis=1, keepdims=True).clip(1e-6))


def strands(hair: Hair, shape: HeadShape) -> Part:
    """Return strands that follow the cap, in meters; long ones fall to the shoulders."""
    rng = np.random.default_rng([hair.seed, 1])
    points, rays = surface(shape)
    grows = scalp(points, hair.style).reshape(-1)
    flat, out = points.reshape(-1, 3), rays.reshape(-1, 3)
    # Rays crowd at the face and the poles: weigh by the area that a vertex stands for.
    area = np.cos(np.arcsin(out[:, 2].clip(-0.999, 0.999)))
    chance = (grows > 0.5) * area
    count = STRANDS[hair.style]
    pick = rng.choice(len(flat), size=count, p=chance / chance.sum())
    roots, normal = flat[pick], out[pick]
    way = _combed(roots, normal, hair)
    way = way + rng.normal(0, 0.18, way.shape)
    thick = hair.length * 100
    long = {"cropped": 0.8, "short": 3.2, "bob": 5.0, "long": 5.0, "tied": 6.0}[hair.style]
    step = long * rng.uniform(0.7, 1.2, (count, 1)) / (POINTS - 1)
    line = [roots + normal * thick * rng.uniform(0.5, 1.0, (count, 1))]
    middle = np.array([0.0, 0.5, 2.5])
    for _ in range(POINTS - 1):
        ahead = line[-1] + way * step
        # Stay on a sphere-like shell: keep the distance from the middle of the skull.
        radius = np.linalg.norm(line[-1] - middle, axis=1, keepdims=True)
        gap = ahead - middle
        line.append(middle + gap * (radius / np.linalg.norm(gap, axis=1, keepdims=True)))
        way = way + np.array([0.0, 0.0, -0.12])
    path = np.stack(line, axis=1) / 100
    return Part(shape=Strands(points=path.astype(np.float32), radius=0.0005), material=hair)


def curtain(hair: Hair, shape: HeadShape) -> list[Part]:
    """Return what hangs down: locks from the temples around the back, as a folded sheet."""
    low = {"bob": -9.5, "long": -24.0}.get(hair.style)
    if low is None:
        return []
    rng = np.random.default_rng([hair.seed, 2])
    # 0 is the face; hair hangs from one temple around the back to the other.
    angle = np.linspace(np.radians(62), np.radians(298), 110)
    z = np.linspace(4.0, low, 26)[:, None]
    open_up = 1 + 0.10 * np.clip((2.0 - z) / 12, 0, 1.5)
    fold = 0.3 * np.sin(angle * 23 + 2 * np.sin(angle * 5)) + 0.2 * np.sin(angle * 57 + 1)
    fold = fold[None] * np.clip((4 - z) / 6, 0.2, 1.0)
    rx = (7.6 * shape.width + hair.length * 60) * open_up + fold
    ry = (8.6 + hair.length * 60) * open_up + fold
    # Past the jaw hair lies against the neck and the back.
    inward = 1 - 0.10 * np.clip((-6 - z) / 6, 0, 1)
    x, y = rx * inward * np.sin(angle), -ry * inward * np.cos(angle) + 0.9
    outer = np.stack([x, y, np.broadcast_to(z, x.shape)], axis=-1)
    outer = outer + 0.25 * bumps(outer / 100, rng, size=0.03)[..., None]
    middle = np.array([0.0, 0.9, 0.0])
    # Ends thin out: the sheet closes where hair is cut, and a little unevenly.
    thin = np.interp(z, [low, low + 3.0, 4.0], [0.985, 0.90, 0.86])[..., None]
    inner = (outer - middle) * np.concatenate([thin, thin, np.ones_like(thin)], axis=-1) + middle
    ragged = 0.9 * np.sin(angle * 31) * np.clip((low + 4 - z) / 4, 0, 1)
    outer[..., 2] += ragged
    inner[..., 2] += ragged
    closed = np.concatenate([inner[:1], outer, inner[::-1]])
    return [Part(shape=grid(closed / 100), material=hair)]


def _knot(hair: Hair) -> Part:
    ball = Part(shape=blob((0.042, 0.035, 0.042)), material=hair)
    return moved(ball, to=(0.0, 0.125, 0.045))


def hair_parts(person: Person) -> list[Part]:
    """Return the hair of a head around the point between its pupils, meters."""
    hair, shape = person.hair, person.head
    if hair.style == "bald":
        return []
    parts = [cap(hair, shape), strands(hair, shape), *curtain(hair, shape)]
    if hair.style == "tied":
        parts.append(_knot(hair))
    return parts

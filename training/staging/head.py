"""A head: smooth unions of ellipsoids, met by rays from its middle.

Lengths in here are centimeters: x to the side, y backward (the face looks to -y), z up from
the line between the pupils; `head_parts` returns meters.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from training.staging.description import HeadShape, Person
from training.staging.shapes import Mesh, Part, blob, grid, moved, rotation

EYE = np.array([3.15, -7.55, 0.0])
EYE_RADIUS = 1.2
MIDDLE = np.array([0.0, -1.0, -0.5])
ROWS, COLUMNS = 130, 164


def _ellipsoid(p: np.ndarray, center: tuple[float, ...], radii: tuple[float, ...]) -> np.ndarray:
    r = np.asarray(radii, np.float32)
    q = (p - np.asarray(center, np.float32)) / r
    near = np.sqrt((q * q).sum(-1))
    slope = np.sqrt(((q / r) ** 2).sum(-1)).clip(1e-6)
    return np.asarray(near * (near - 1) / slope)


def _cone(
    p: np.ndarray, a: tuple[float, ...], b: tuple[float, ...], ra: float, rb: float
) -> np.ndarray:
    """Distance from a rod from `a` to `b` whose radius goes from `ra` to `rb`."""
    start, along = np.asarray(a, np.float32), np.asarray(b, np.float32) - np.asarray(a, np.float32)
    t = (((p - start) @ along) / (along @ along)).clip(0, 1)
    gap = p - start - t[..., None] * along
    return np.asarray(np.sqrt((gap * gap).sum(-1)) - (ra + (rb - ra) * t))


def _union(a: np.ndarray, b: np.ndarray, blend: float) -> np.ndarray:
    h = np.maximum(blend - np.abs(a - b), 0) / blend
    return np.asarray(np.minimum(a, b) - h * h * blend / 4)


def _without(a: np.ndarray, b: np.ndarray, blend: float) -> np.ndarray:
    return -_union(-a, b, blend)


@dataclass(frozen=True, slots=True)
class Skull:
    """Signed distance, centimeters, from the surface of a head of some shape."""

    shape: HeadShape

    def __call__(self, points: np.ndarray) -> np.ndarray:
        """Return (N,) of (N, 3); both sides of a head are alike."""
        p = points.copy()
        p[:, 0] = np.abs(p[:, 0])
        return self._mouth(p, self._nose(p, self._eyes(p, self._bones(p))))

    def _bones(self, p: np.ndarray) -> np.ndarray:
        s = self.shape
        d = _ellipsoid(p, (0, 0.9, 3.2), (7.5 * s.width, 9.5, 8.3))
        d = _union(d, _ellipsoid(p, (0, -2.2, -3.0), (6.2 * s.width, 6.5, 7.6)), 2.0)
        d = _union(d, _ellipsoid(p, (0, -3.0, -7.0), (5.3 * s.jaw, 5.2, 3.9)), 2.0)
        d = _union(d, _cone(p, (5.3 * s.jaw, 0.5, -5.5), (0, -7.2, -10.2), 1.2, 1.5), 2.0)
        d = _union(d, _ellipsoid(p, (0, -7.6, -10.2), (1.7 * s.chin, 1.6, 1.35)), 1.4)
        d = _union(d, _ellipsoid(p, (4.7 * s.width, -5.9, -2.7), (1.9, 1.9, 1.5 * s.cheek)), 2.2)
        d = _union(d, _ellipsoid(p, (3.2, -6.6, -4.6), (2.1, 1.7, 2.2)), 2.0)
        return _union(d, _cone(p, (0.9, -8.7, 1.5), (4.4, -7.0, 1.6), 0.75 * s.brow, 0.55), 1.5)

    def _eyes(self, p: np.ndarray, d: np.ndarray) -> np.ndarray:
        d = _without(d, _ellipsoid(p, (3.1, -9.6, -0.1), (1.9, 1.5, 1.35)), 1.6)
        d = _without(d, _ellipsoid(p, (1.6, -9.6, 0.0), (0.8, 1.3, 1.1)), 1.0)
        lids = _ellipsoid(p, tuple(EYE), (1.42, 1.36, 1.36))
        d = _union(d, lids, 0.5)
        # The fold over the upper lid.
        d = _without(d, _cone(p, (2.1, -8.5, 0.8), (4.3, -8.1, 0.75), 0.12, 0.1), 0.35)
        opening = _ellipsoid(p, (EYE[0], -9.0, -0.12), (1.52, 1.1, 0.47 * self.shape.open))
        return _without(d, opening, 0.12)

    def _nose(self, p: np.ndarray, d: np.ndarray) -> np.ndarray:
        s = self.shape
        tip = -3.4 * s.nose_length
        w = s.nose_width
        d = _union(d, _cone(p, (0, -8.6, 0.6), (0, -10.7, tip + 0.3), 0.62 * w, 0.85 * w), 1.1)
        d = _union(d, _ellipsoid(p, (0, -10.9, tip), (0.95 * w, 0.9, 0.85)), 0.6)
        d = _union(d, _ellipsoid(p, (1.25 * w, -9.7, tip - 0.35), (0.68 * w, 0.95, 0.66)), 0.5)
        return _without(d, _ellipsoid(p, (0.62 * w, -10.2, tip - 0.95), (0.34, 0.5, 0.3)), 0.2)

    def _mouth(self, p: np.ndarray, d: np.ndarray) -> np.ndarray:
        s = self.shape
        # The corners go up in a smile.
        p = p - np.stack([0 * p[:, 0], 0 * p[:, 0], s.smile * 0.12 * p[:, 0] ** 2], axis=1)
        d = _union(d, _ellipsoid(p, (0, -6.9, -6.3), (3.1, 2.4, 2.3)), 1.6)
        d = _without(d, _cone(p, (0, -10.0, -4.7), (0, -9.8, -5.6), 0.25, 0.3), 0.5)
        d = _union(d, _cone(p, (0.4, -9.15, -6.05), (2.55, -8.0, -6.4), 0.42 * s.lips, 0.16), 0.45)
        d = _union(d, _cone(p, (0, -9.1, -6.95), (2.3, -8.0, -6.6), 0.52 * s.lips, 0.18), 0.5)
        d = _without(d, _ellipsoid(p, (0, -9.2, -8.1), (1.6, 0.55, 0.4)), 0.7)
        return _without(d, _ellipsoid(p, (0, -9.5, -6.45), (2.75, 1.2, 0.12)), 0.14)


def _directions() -> np.ndarray:
    """Return (ROWS, COLUMNS, 3) unit rays, denser toward the face."""
    t = np.linspace(-np.pi, np.pi, COLUMNS, endpoint=False)
    longitude = t - 0.62 * np.sin(t)
    v = np.linspace(-1, 1, ROWS)
    latitude = np.pi / 2 * (0.985 * v - 0.16 * np.sin(np.pi * v))
    up = np.sin(latitude)[:, None] * np.ones(COLUMNS)
    flat = np.cos(latitude)[:, None]
    return np.stack([flat * np.sin(longitude), -flat * np.cos(longitude), up], axis=-1).astype(
        np.float32
    )


@lru_cache(maxsize=8)
def surface(shape: HeadShape) -> tuple[np.ndarray, np.ndarray]:
    """Return points (ROWS, COLUMNS, 3), centimeters, on a head, and the rays they lie on."""
    rays = _directions()
    flat = rays.reshape(-1, 3)
    skull = Skull(shape)
    reach = np.full(len(flat), 15.0, np.float32)
    live = np.arange(len(flat))
    start = MIDDLE.astype(np.float32)
    for step in range(28):
        gap = skull(start + flat[live] * reach[live, None])
        reach[live] -= 0.85 * gap.astype(np.float32)
        if step > 8:
            live = live[np.abs(gap) > 0.01]
            if not len(live):
                break
    reach = reach.clip(2.0, 15.0)
    return (start + flat * reach[:, None]).reshape(rays.shape), rays


def paint(points: np.ndarray, shape: HeadShape) -> np.ndarray:
    """Return (..., 4) weights of lips, brows, beard and blush at points of a head."""
    x, y, z = np.abs(points[..., 0]), points[..., 1], points[..., 2]
    zs = z - shape.smile * 0.12 * x**2
    front = y < -5.5
    middle = -6.5 - 0.06 * x
    lip = _inside((x / 2.75) ** 2 + ((zs - middle) / (0.95 * shape.lips)) ** 2, 0.25) * (y < -7.4)
    arch = 1.75 + 0.3 * np.sin((x - 0.9) / 3.6 * np.pi) * shape.brow
    brow = _inside(((x - 2.85) / 2.1) ** 2 + ((z - arch) / 0.42) ** 2, 0.5) * front
    low = np.clip((-4.5 - z) / 1.5, 0, 1) * np.clip((1.5 - y) / 2, 0, 1)
    side = (
        np.clip((x - 5.6) / 1.0, 0, 1)
        * np.clip((1.5 - z) / 2, 0, 1)
        * _inside(((y + 3.0) / 1.6) ** 2, 0.4)
    )
    beard = np.clip(np.maximum(low, side) - lip, 0, 1)
    cheek = _inside(((x - 4.4) / 2.6) ** 2 + ((z + 3.2) / 2.0) ** 2, 1.0) * front
    nose = _inside((x / 1.6) ** 2 + ((z + 3.2 * shape.nose_length) / 1.6) ** 2, 1.0) * (y < -9)
    return np.stack([lip, brow, beard, np.maximum(cheek, nose)], axis=-1).astype(np.float32)


def _inside(value: np.ndarray, edge: float) -> np.ndarray:
    """Return 1 where `value` is below 1, falling to 0 over `edge`."""
    return np.asarray(np.clip((1 + edge / 2 - value) / edge, 0, 1))


def _ears(shape: HeadShape) -> list[Mesh]:
    """Return two ears: a rim, a bowl and a lobe, as a bent plate."""
    u = np.linspace(0, 2 * np.pi, 28, endpoint=False)
    rings = []
    # Share of the outline and how far the plate stands off, from the head to the back again.
    for share, off in ((0.02, 0.15), (0.35, 0.1), (0.7, 0.35), (0.88, 0.95), (1.0, 0.9),
                       (0.97, 0.6), (0.8, 0.25), (0.4, -0.5)):  # fmt: skip
        long = 3.1 - 0.35 * np.cos(u - 0.6)
        z = share * long * np.sin(u) - 0.4
        y = share * 1.75 * np.cos(u) * (1 + 0.25 * np.sin(u)) + 0.35 * z / 3
        x = off + 0.35 * share * np.cos(u)
        rings.append(np.stack([x, y, z], axis=-1))
    plate = np.array(rings) * shape.ears
    plate = plate @ rotation(yaw=24.0).T + np.array([7.0 * shape.width, 1.0, -1.2])
    mirrored = plate * np.array([-1.0, 1.0, 1.0])
    return [grid(plate / 100, wrap=True), grid(mirrored[:, ::-1] / 100, wrap=True)]


def head_parts(person: Person) -> list[Part]:
    """Return skin, ears and eyes of a head around the point between its pupils, meters."""
    points, _ = surface(person.head)
    skin = grid(points / 100, wrap=True)
    painted = Mesh(
        vertices=skin.vertices,
        faces=skin.faces,
        rest=skin.rest,
        paint=paint(points, person.head).reshape(-1, 4),
    )
    parts = [Part(shape=painted, material=person.skin)]
    parts += [Part(shape=ear, material=person.skin) for ear in _ears(person.head)]
    for side in (-1.0, 1.0):
        ball = blob((EYE_RADIUS / 100,) * 3, rows=33, columns=32)
        # The poles of the ball lie along z; the pupil is to look to -y.
        tip = rotation(pitch=90.0)
        side_gaze, up_gaze = person.eyes.gaze
        eye = moved(Part(shape=ball, material=person.eyes), turn=tip)
        gaze = rotation(yaw=side_gaze, pitch=-up_gaze)
        center = (EYE[0] * side / 100, EYE[1] / 100, EYE[2] / 100)
        parts.append(moved(eye, turn=gaze, to=center))
    return parts

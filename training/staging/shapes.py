"""Meshes as arrays: grids of quads, lathed, swept and lofted. No Blender here."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from training.staging.description import Color, Eyes, Hair, Skin, Surface

Material = Surface | Skin | Eyes | Hair


@dataclass(frozen=True, slots=True, kw_only=True)
class Mesh:
    """Quads: `vertices` (V, 3) in meters, `faces` (F, 4).

    `rest` (V, 3) is where the vertices were when the mesh was made; patterns stick to it.
    `paint` (V, 4), 0..1, are weights that a material knows: skin has lips, brows, beard, blush.
    """

    vertices: np.ndarray
    faces: np.ndarray
    rest: np.ndarray
    paint: np.ndarray | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Strands:
    """Hair: `points` (S, K, 3), S strands of K points each, `radius` at the root, meters."""

    points: np.ndarray
    radius: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A shape and what it is made of; `flat` keeps the faces' edges."""

    shape: Mesh | Strands
    material: Material
    flat: bool = False


def grid(points: np.ndarray, *, wrap: bool = False) -> Mesh:
    """Span quads over (R, C, 3) points; `wrap` joins the last column to the first."""
    rows, columns = points.shape[:2]
    index = np.arange(rows * columns).reshape(rows, columns)
    if wrap:
        index = np.concatenate([index, index[:, :1]], axis=1)
    corners = (index[:-1, :-1], index[:-1, 1:], index[1:, 1:], index[1:, :-1])
    faces = np.stack([corner.ravel() for corner in corners], axis=1)
    flat = points.reshape(-1, 3).astype(np.float32)
    return Mesh(vertices=flat, faces=faces.astype(np.int32), rest=flat)


def join(*meshes: Mesh) -> Mesh:
    """Make one mesh of several, without paint."""
    starts = np.cumsum([0] + [len(mesh.vertices) for mesh in meshes[:-1]])
    return Mesh(
        vertices=np.concatenate([mesh.vertices for mesh in meshes]),
        faces=np.concatenate([m.faces + s for m, s in zip(meshes, starts, strict=True)]),
        rest=np.concatenate([mesh.rest for mesh in meshes]),
    )


def rotation(*, yaw: float = 0.0, pitch: float = 0.0, roll: float = 0.0) -> np.ndarray:
    """Return (3, 3): roll about y, then pitch about x, then yaw about z, in degrees."""
    matrix = np.eye(3)
    for axis, angle in ((1, roll), (0, pitch), (2, yaw)):
        c, s = math.cos(math.radians(angle)), math.sin(math.radians(angle))
        i, j = (axis + 1) % 3, (axis + 2) % 3
        turn = np.eye(3)
        turn[i, i] = turn[j, j] = c
        turn[i, j], turn[j, i] = -s, s
        matrix = turn @ matrix
    return matrix


def placed(
    mesh: Mesh,
    *,
    turn: np.ndarray | None = None,
    about: tuple[float, float, float] = (0.0, 0.0, 0.0),
    scale: float = 1.0,
    to: tuple[float, float, float] = (0.0, 0.0, 0.0),
) -> Mesh:
    """Turn a mesh about a point, scale it from the origin, and move it."""
    return replace(mesh, vertices=_moved(mesh.vertices, turn, about, scale, to))


def moved(
    part: Part,
    *,
    turn: np.ndarray | None = None,
    about: tuple[float, float, float] = (0.0, 0.0, 0.0),
    scale: float = 1.0,
    to: tuple[float, float, float] = (0.0, 0.0, 0.0),
) -> Part:
    """Do with a part what `placed` does with a mesh."""
    shape = part.shape
    if isinstance(shape, Mesh):
        return replace(part, shape=placed(shape, turn=turn, about=about, scale=scale, to=to))
    points = _moved(shape.points, turn, about, scale, to)
    return replace(part, shape=replace(shape, points=points, radius=shape.radius * scale))


def _moved(
    points: np.ndarray,
    turn: np.ndarray | None,
    about: tuple[float, float, float],
    scale: float,
    to: tuple[float, float, float],
) -> np.ndarray:
    pivot = np.asarray(about)
    matrix = np.eye(3) if turn is None else turn
    turned = (points - pivot) @ matrix.T + pivot
    return np.asarray(turned * scale + np.asarray(to), np.float32)


def lathe(profile: list[tuple[float, float]], *, columns: int = 32, round_by: int = 0) -> Mesh:
    """Turn a profile of (radius, height) around z; `round_by` doublings smooth its corners."""
    line = np.array(profile, dtype=float)
    for _ in range(round_by):
        # Chaikin's corner cutting; the ends stay.
        quarter = 0.75 * line[:-1] + 0.25 * line[1:]
        three = 0.25 * line[:-1] + 0.75 * line[1:]
        inner = np.stack([quarter, three], axis=1).reshape(-1, 2)
        line = np.concatenate([line[:1], inner, line[-1:]])
    angle = np.linspace(0, 2 * np.pi, columns, endpoint=False)
    x, y = np.cos(angle) * line[:, :1], np.sin(angle) * line[:, :1]
    z = np.broadcast_to(line[:, 1:], x.shape)
    return grid(np.stack([x, y, z], axis=-1), wrap=True)


def tube(path: np.ndarray, radii: np.ndarray, *, columns: int = 16, flatten: float = 1.0) -> Mesh:
    """Sweep a circle along a path.

    Args:
        path: (N, 3).
        radii: (N,); 0 closes an end.
        columns: vertices around.
        flatten: height over width of the cross section.
    """
    path = np.asarray(path, dtype=float)
    tangent = np.gradient(path, axis=0)
    tangent /= np.linalg.norm(tangent, axis=1, keepdims=True).clip(1e-9)
    hint = np.array([0.0, 1.0, 0.0]) if abs(tangent[:, 1]).max() < 0.9 else np.eye(3)[0]
    side = np.cross(tangent, hint)
    side /= np.linalg.norm(side, axis=1, keepdims=True).clip(1e-9)
    up = np.cross(side, tangent)
    angle = np.linspace(0, 2 * np.pi, columns, endpoint=False)[None, :, None]
    around = np.cos(angle) * side[:, None] + flatten * np.sin(angle) * up[:, None]
    return grid(path[:, None] + around * np.asarray(radii)[:, None, None], wrap=True)


def curve(points: list[tuple[float, float, float]], count: int) -> np.ndarray:
    """Return `count` points, (count, 3), of a smooth line through `points` (Catmull-Rom)."""
    knots = np.array(points, dtype=float)
    padded = np.concatenate([2 * knots[:1] - knots[1:2], knots, 2 * knots[-1:] - knots[-2:-1]])
    at = np.linspace(0, len(knots) - 1, count)
    first = np.minimum(at.astype(int), len(knots) - 2)
    t = (at - first)[:, None]
    p0, p1, p2, p3 = (padded[first + k] for k in range(4))
    line = 2 * p1 + (p2 - p0) * t + (2 * p0 - 5 * p1 + 4 * p2 - p3) * t**2
    return np.asarray((line + (3 * p1 - p0 - 3 * p2 + p3) * t**3) / 2)


def blob(
    radii: tuple[float, float, float], *, boxy: float = 1.0, rows: int = 24, columns: int = 32
) -> Mesh:
    """Return a superellipsoid around the origin; `boxy` 1 is an ellipsoid, 0.1 nearly a box."""

    def power(value: np.ndarray) -> np.ndarray:
        return np.asarray(np.sign(value) * np.abs(value) ** boxy)

    u = np.linspace(-np.pi / 2, np.pi / 2, rows)[:, None]
    v = np.linspace(-np.pi, np.pi, columns, endpoint=False)[None]
    x, y = power(np.cos(u)) * power(np.cos(v)), power(np.cos(u)) * power(np.sin(v))
    z = np.broadcast_to(power(np.sin(u)), x.shape)
    return grid(np.stack([x, y, z], axis=-1) * np.asarray(radii), wrap=True)


def box(size: tuple[float, float, float]) -> Mesh:
    """Return a box around the origin with sharp edges."""
    half = np.array(size) / 2
    signs = np.array([[x, y, z] for z in (-1, 1) for y in (-1, 1) for x in (-1, 1)])
    sides = [[0, 2, 3, 1], [4, 5, 7, 6], [0, 1, 5, 4], [2, 6, 7, 3], [0, 4, 6, 2], [1, 3, 7, 5]]
    points = (signs * half).astype(np.float32)
    return Mesh(vertices=points, faces=np.array(sides, np.int32), rest=points)


def sheet(width: float, height: float, *, rows: int = 2, columns: int = 2) -> Mesh:
    """Return an upright rectangle in the plane y = 0 that stands on the origin, facing -y."""
    x = np.linspace(-width / 2, width / 2, columns)
    z = np.linspace(0, height, rows)
    xx, zz = np.meshgrid(x, z)
    return grid(np.stack([xx, np.zeros_like(xx), zz], axis=-1))


def bumps(
    points: np.ndarray, rng: np.random.Generator, *, size: float, waves: int = 10
) -> np.ndarray:
    """Return smooth noise of about -1..1 at (..., 3) points; `size` is a bump's, meters."""
    total = np.zeros(points.shape[:-1])
    for _ in range(waves):
        direction = rng.normal(size=3) * (np.pi / size / 1.7)
        total += np.sin(points @ direction + rng.uniform(0, 2 * np.pi))
    return total / math.sqrt(waves / 2)


def luminous(color: Color, times: float) -> Surface:
    """Return a lamp's surface that shines `times` as bright as diffuse white."""
    return Surface(color=color, emission=times, roughness=0.4)

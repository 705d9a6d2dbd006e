"""A head and its shirt as distance fields, and a mesher for them: numpy only.

Units are tenths of a meter in a right-handed frame: x to the sitter's left, the face
towards -y, z up. A head is about 2.4 high, from the chin at -1.15 to the crown at 1.2.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Field = Callable[[Array], Array]
Point = tuple[float, float, float]


def ellipsoid(p: Array, center: Point, radii: Point) -> Array:
    """Return the approximate signed distance of points (..., 3) to an ellipsoid."""
    r = np.asarray(radii)
    q = p - np.asarray(center)
    k0 = np.linalg.norm(q / r, axis=-1)
    k1 = np.linalg.norm(q / r**2, axis=-1)
    return k0 * (k0 - 1) / np.maximum(k1, 1e-9)


def capsule(p: Array, a: Point, b: Point, radius: float) -> Array:
    """Return the signed distance of points (..., 3) to a round-ended stick."""
    start, along = np.asarray(a), np.asarray(b) - np.asarray(a)
    t = np.clip((p - start) @ along / (along @ along), 0, 1)
    return np.linalg.norm(p - start - t[..., None] * along, axis=-1) - radius


def join(a: Array, b: Array, k: float) -> Array:
    """Return the union of two fields, blended over a width of `k`."""
    h = np.maximum(k - np.abs(a - b), 0) / k
    return np.minimum(a, b) - h * h * k / 4


def cut(a: Array, b: Array, k: float) -> Array:
    """Return `a` without `b`, blended over a width of `k`."""
    return -join(-a, b, k)


def _mirrored(p: Array) -> Array:
    """Fold x, so that one side's shapes make both: faces are symmetrical here."""
    return np.concatenate([np.abs(p[..., :1]), p[..., 1:]], axis=-1)


def head(p: Array) -> Array:
    """Return the distance to a head with closed eyes, and its neck."""
    p = _mirrored(p)
    d = ellipsoid(p, (0, 0.14, 0.36), (0.76, 0.92, 0.84))
    d = join(d, ellipsoid(p, (0, -0.2, -0.36), (0.53, 0.56, 0.74)), 0.35)
    d = join(d, ellipsoid(p, (0, -0.57, -0.96), (0.22, 0.19, 0.17)), 0.25)
    d = join(d, ellipsoid(p, (0.34, -0.5, -0.2), (0.2, 0.18, 0.18)), 0.25)
    d = join(d, capsule(p, (0.08, -0.74, 0.24), (0.4, -0.6, 0.25), 0.09), 0.16)
    d = cut(d, ellipsoid(p, (0.28, -0.9, 0.06), (0.2, 0.24, 0.13)), 0.14)
    d = join(d, ellipsoid(p, (0.28, -0.565, 0.03), (0.19, 0.19, 0.155)), 0.05)
    d = join(d, capsule(p, (0, -0.72, 0.16), (0, -0.93, -0.24), 0.07), 0.14)
    d = join(d, ellipsoid(p, (0, -0.95, -0.29), (0.1, 0.11, 0.095)), 0.09)
    d = join(d, ellipsoid(p, (0.095, -0.85, -0.325), (0.075, 0.1, 0.07)), 0.06)
    d = join(d, ellipsoid(p, (0, -0.66, -0.6), (0.26, 0.17, 0.2)), 0.2)
    d = cut(d, capsule(p, (0, -0.9, -0.4), (0, -0.9, -0.5), 0.035), 0.06)
    d = join(d, lips(p), 0.03)
    ear = cut(
        ellipsoid(p, (0.76, 0.14, -0.05), (0.085, 0.2, 0.3)),
        ellipsoid(p, (0.84, 0.08, -0.02), (0.08, 0.12, 0.19)),
        0.06,
    )
    d = join(d, ear, 0.08)
    return join(d, capsule(p, (0, 0.18, -0.8), (0, 0.3, -2.0), 0.42), 0.3)


def lips(p: Array) -> Array:
    """Return the distance to the lips of `head`."""
    p = _mirrored(p)
    upper = capsule(p, (0.04, -0.845, -0.585), (0.2, -0.785, -0.638), 0.04)
    lower = capsule(p, (0, -0.83, -0.70), (0.155, -0.79, -0.668), 0.05)
    return join(upper, lower, 0.01)


def brows(p: Array) -> Array:
    """Return the distance to the eyebrows and the lashes of `head`."""
    p = _mirrored(p)
    d = capsule(p, (0.13, -0.83, 0.265), (0.29, -0.79, 0.315), 0.026)
    d = join(d, capsule(p, (0.29, -0.79, 0.315), (0.45, -0.665, 0.27), 0.02), 0.02)
    lash = [
        (0.125, -0.69, -0.035),
        (0.2, -0.735, -0.07),
        (0.3, -0.735, -0.08),
        (0.42, -0.66, -0.03),
    ]
    for a, b in pairwise(lash):
        d = np.minimum(d, capsule(p, a, b, 0.017))
    return d


def hair(p: Array) -> Array:
    """Return the distance to short hair on `head`."""
    p = _mirrored(p)
    d = ellipsoid(p, (0, 0.2, 0.42), (0.83, 0.96, 0.89))
    d = join(d, ellipsoid(p, (0, 0.55, -0.2), (0.68, 0.5, 0.7)), 0.3)
    d = cut(d, ellipsoid(p, (0, -0.95, -0.25), (0.64, 0.72, 1.1)), 0.12)
    d = cut(d, ellipsoid(p, (0.95, -0.05, -0.35), (0.35, 0.42, 0.62)), 0.1)
    angle = np.arctan2(p[..., 1] - 0.3, p[..., 0])
    strands = np.sin(46 * angle + 7 * np.sin(2.5 * p[..., 2])) + np.sin(71 * angle - 5 * p[..., 2])
    return d + 0.011 * strands


def shirt(p: Array) -> Array:
    """Return the distance to the shoulders, cut flat at the chest, with a collar."""
    q = _mirrored(p)
    d = ellipsoid(q, (0, 0.35, -2.35), (1.15, 0.6, 0.85))
    d = join(d, ellipsoid(q, (1.1, 0.35, -2.3), (0.42, 0.4, 0.5)), 0.5)
    d = join(d, capsule(q, (0, 0.28, -1.42), (0, 0.3, -2.0), 0.48), 0.3)
    d = cut(d, capsule(q, (0, -0.1, -1.0), (0, 0.25, -1.55), 0.47), 0.05)
    folds = 0.012 * np.sin(9 * p[..., 0] + 5 * np.sin(2 * p[..., 2])) * np.sin(4 * p[..., 2])
    return np.maximum(d + folds, -2.8 - p[..., 2])


def mesh(field: Field, low: Point, high: Point, step: float) -> tuple[Array, NDArray[np.int64]]:
    """Turn a distance field into quads by surface nets.

    Args:
        field: maps points (..., 3) to signed distances, negative inside.
        low: the box's lower corner.
        high: the box's upper corner; the surface must stay inside the box.
        step: size of a grid cell.

    Returns:
        Vertices (V, 3), and faces (F, 4) that index them, seen counter-clockwise from outside.
    """
    axes = [np.arange(a, b + step, step) for a, b in zip(low, high, strict=True)]
    values = field(np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1))
    cells = np.array(values.shape) - 1

    def corner(o: tuple[int, ...]) -> Array:
        return values[tuple(slice(i, i + n) for i, n in zip(o, cells, strict=True))]

    total, count = np.zeros((*cells, 3)), np.zeros(cells)
    for axis in range(3):
        for u in (0, 1):
            for v in (0, 1):
                a = [u, v]
                a.insert(axis, 0)
                b = [u, v]
                b.insert(axis, 1)
                start, end = corner(tuple(a)), corner(tuple(b))
                crossed = (start < 0) != (end < 0)
                t = np.where(crossed, start / np.where(crossed, start - end, 1), 0)
                total += np.where(crossed[..., None], a + t[..., None] * np.eye(3)[axis], 0)
                count += crossed
    used = count > 0
    number = np.cumsum(used).reshape(used.shape) - 1
    vertices = (np.argwhere(used) + total[used] / count[used][:, None]) * step + np.asarray(low)

    faces = []
    for axis in range(3):
        inside = values < 0
        near = np.take(inside, range(values.shape[axis] - 1), axis)
        far = np.take(inside, range(1, values.shape[axis]), axis)
        at = np.argwhere(near != far)
        at = at[(np.delete(at, axis, 1) > 0).all(1)]
        at = at[(np.delete(at, axis, 1) < np.delete(cells, axis)).all(1)]
        e1, e2 = np.eye(3, dtype=int)[(axis + 1) % 3], np.eye(3, dtype=int)[(axis + 2) % 3]
        ring = np.stack([number[tuple((at - o).T)] for o in (e1 + e2, e2, 0 * e1, e1)], axis=1)
        outward = near[tuple(at.T)]
        faces.append(np.where(outward[:, None], ring, ring[:, ::-1]))
    return vertices, np.concatenate(faces)

"""A figure below the head: neck, torso in clothes, arms, hands and legs, for 1.75 m of height."""

from __future__ import annotations

import numpy as np

from training.staging.description import Clothes, Person, Pose, Surface
from training.staging.hair import hair_parts
from training.staging.head import head_parts
from training.staging.shapes import (
    Material,
    Part,
    blob,
    bumps,
    curve,
    grid,
    join,
    moved,
    placed,
    rotation,
    tube,
)

# Height, half width, half depth, middle of the depth; from the hips to the neck.
RINGS = np.array([
    (0.84, 0.172, 0.125, 0.010), (0.92, 0.176, 0.128, 0.012), (1.00, 0.165, 0.118, 0.008),
    (1.08, 0.152, 0.108, 0.000), (1.16, 0.156, 0.110, -0.004), (1.25, 0.170, 0.120, -0.006),
    (1.32, 0.178, 0.122, 0.000), (1.38, 0.184, 0.108, 0.010), (1.42, 0.176, 0.092, 0.020),
    (1.445, 0.150, 0.080, 0.026), (1.465, 0.112, 0.072, 0.028), (1.485, 0.074, 0.064, 0.026),
])  # fmt: skip
# Shoulder, elbow, wrist of the right arm, at x > 0.
ARMS: dict[Pose, list[tuple[float, float, float]]] = {
    "hanging": [(0.166, 0.015, 1.392), (0.245, 0.03, 1.11), (0.255, -0.05, 0.87)],
    "hip": [(0.166, 0.015, 1.392), (0.36, 0.06, 1.15), (0.19, -0.07, 1.02)],
    "raised": [(0.166, 0.015, 1.392), (0.27, -0.12, 1.16), (0.22, -0.27, 1.36)],
    "folded": [(0.166, 0.015, 1.392), (0.25, -0.10, 1.14), (-0.02, -0.21, 1.16)],
    "holding": [(0.166, 0.015, 1.392), (0.25, 0.0, 1.12), (0.14, -0.27, 1.13)],
}


def _rings(z: np.ndarray, build: float) -> np.ndarray:
    """Return (N, 3): half width, half depth and middle at heights."""
    rings = np.stack([np.interp(z, RINGS[:, 0], RINGS[:, k]) for k in (1, 2, 3)], axis=-1)
    girth = 1 + (build - 1) * np.interp(z, [0.9, 1.15, 1.40, 1.47], [0.8, 1.2, 0.5, 0.1])
    rings[:, :2] *= girth[:, None]
    return rings


def torso_points(z: np.ndarray, angle: np.ndarray, build: float, out: np.ndarray) -> np.ndarray:
    """Return (R, C, 3) points of the torso.

    Args:
        z: (R,), meters.
        angle: (R, C) or (C,), radians; 0 is the front, counted to the right.
        build: girth.
        out: how far cloth stands off, meters, (R, C) or broadcast.
    """
    rings = _rings(z, build)
    c, s = np.cos(angle), np.sin(angle)
    # A superellipse: chests are boxier than ellipses.
    squash = (np.abs(c) ** 2.5 + np.abs(s) ** 2.5) ** (-1 / 2.5)
    x = (rings[:, :1] + out) * s * squash
    y = -(rings[:, 1:2] + out) * c * squash + rings[:, 2:]
    return np.stack([x, y, np.broadcast_to(z[:, None], x.shape)], axis=-1)


def _folds(points: np.ndarray, rng: np.random.Generator, height: float) -> np.ndarray:
    """Return cloth's folds (..., ) in meters: sharp-crested and stretched."""
    stretched = points * np.array([1.0, 1.0, 0.55])
    broad = bumps(stretched, rng, size=0.07, waves=8)
    fine = bumps(points * np.array([0.6, 0.6, 1.3]), rng, size=0.035, waves=8)
    return np.asarray(height * (1 - np.abs(broad) + 0.4 * (1 - np.abs(fine))).clip(0))


def _torso(
    person: Person, surface: Surface, *, off: float, folds: float, low: float, neck: float = 1.485
) -> Part:
    rng = np.random.default_rng([person.clothes.seed, 1])
    z = np.linspace(low, neck, 60)
    angle = np.linspace(-np.pi, np.pi, 96, endpoint=False)
    still = torso_points(z, angle, person.build, np.zeros((len(z), 1)))
    cloth = off + _folds(still, rng, folds) * np.interp(z, [low, 1.4, 1.47], [1, 0.8, 0])[:, None]
    return Part(
        shape=grid(torso_points(z, angle, person.build, cloth), wrap=True), material=surface
    )


def _jacket(person: Person, surface: Surface, *, low: float) -> list[Part]:
    """Return an open jacket, its edges from the neck to a button, with lapels."""
    rng = np.random.default_rng([person.clothes.seed, 2])
    z = np.linspace(low, 1.478, 64)
    share = np.linspace(0, 1, 110)
    button = 1.10
    gap = np.interp(z, [low, button - 0.06, button, 1.40, 1.44, 1.478],
                    [0.30, 0.03, 0.015, 0.50, 0.75, 1.25])  # fmt: skip
    angle = gap[:, None] + share * (2 * np.pi - 2 * gap[:, None])
    still = torso_points(z, angle, person.build, np.zeros((len(z), 1)))
    calm = np.interp(z, [low, 1.4, 1.47], [1, 0.7, 0.2])[:, None]
    out = 0.016 + _folds(still, rng, 0.006) * calm
    shell = Part(shape=grid(torso_points(z, angle, person.build, out)), material=surface)
    lapels = []
    zl = np.linspace(button, 1.478, 40)
    inner = np.interp(z, z, gap)
    edge = np.interp(zl, z, inner)
    wide = np.interp(zl, [button, 1.30, 1.37, 1.372, 1.44, 1.478], [0, 0.42, 0.5, 0.36, 0.4, 0.2])
    for side in (-1.0, 1.0):
        across = edge[:, None] + np.linspace(-0.02, 1, 8) * wide[:, None]
        rise = 0.026 + 0.006 * np.sin(np.linspace(0, np.pi, 8))
        lapel = torso_points(zl, side * across, person.build, np.broadcast_to(rise, across.shape))
        lapels.append(Part(shape=grid(lapel), material=surface))
    return [shell, *lapels]


def _collar(surface: Surface) -> list[Part]:
    """Return a shirt's collar: a band around the neck that folds over, open in front."""
    angle = np.linspace(np.radians(9), np.radians(351), 60)
    rows = []
    for off, up in ((0.004, 0.0), (0.005, 0.028), (0.011, 0.034), (0.019, 0.012), (0.026, -0.012)):
        tip = 0.022 * np.exp(-((np.minimum(angle, 2 * np.pi - angle) / 0.45) ** 2))
        r = 0.064 + off
        x, y = r * np.sin(angle), -r * 0.98 * np.cos(angle) + 0.022
        down = tip * (up < 0.02) * (1 if off > 0.01 else 0)
        z = 1.475 + up + 0.012 * (y > 0.02) - down - 0.012 * np.cos(angle)
        rows.append(np.stack([x, y, z], axis=-1))
    return [Part(shape=grid(np.array(rows)), material=surface)]


def _tie(person: Person, surface: Surface) -> list[Part]:
    z = np.linspace(1.02, 1.455, 40)
    half = np.interp(z, [1.02, 1.06, 1.40, 1.43, 1.455], [0.002, 0.042, 0.02, 0.017, 0.024])
    front = torso_points(z, np.zeros(1), person.build, np.full((len(z), 1), 0.012))[:, 0]
    across = np.linspace(-1, 1, 7)
    strip = np.repeat(front[:, None], 7, axis=1)
    strip[..., 0] += across * half[:, None]
    strip[..., 1] -= 0.007 * (1 - across**2) + 0.012 * np.exp(-(((z - 1.44) / 0.02) ** 2))[:, None]
    return [Part(shape=grid(strip), material=surface)]


def _hand(wrist: np.ndarray, way: np.ndarray, side: float, skin: Material) -> Part:
    """Return palm, fingers and thumb as one mesh that reaches from the wrist along `way`."""
    pieces = [placed(blob((0.04, 0.016, 0.05)), to=(0, 0, 0.055))]
    for k, (x, long) in enumerate(
        ((-0.028, 0.062), (-0.010, 0.074), (0.010, 0.070), (0.027, 0.054))
    ):
        bend = -0.012 - 0.004 * k
        path = curve([(x, 0, 0.085), (x * 1.1, bend * 0.6, 0.09 + long * 0.55),
                      (x * 1.1, bend * 2.2, 0.088 + long)], 8)  # fmt: skip
        radius = np.array([0.009, 0.0095, 0.009, 0.009, 0.0085, 0.008, 0.007, 0.001])
        pieces.append(tube(path, radius, columns=10))
    thumb = curve([(-0.03, 0, 0.03), (-0.055, -0.012, 0.06), (-0.058, -0.022, 0.095)], 8)
    pieces.append(tube(thumb, np.array([0.013, 0.013, 0.012, 0.011, 0.011, 0.010, 0.008, 0.001])))
    z = way / np.linalg.norm(way)
    across = np.cross(np.array([0.0, -1.0, 0.15]), z) * side
    across /= np.linalg.norm(across)
    frame = np.stack([across, np.cross(z, across), z], axis=1)
    to = (float(wrist[0]), float(wrist[1]), float(wrist[2]))
    return moved(Part(shape=join(*pieces), material=skin), turn=frame, to=to)


def _arm(person: Person, pose: Pose, side: float, sleeve: Surface, width: float) -> list[Part]:
    joints = np.array(ARMS[pose]) * np.array([side, 1, 1])
    shift = (person.build - 1) * 0.06 * side
    joints[:, 0] += shift
    inside = joints[0] + np.array([-0.06 * side, 0, 0.012])
    path = curve([(float(x), float(y), float(z)) for x, y, z in (inside, *joints)], 40)
    bare = np.interp(
        np.linspace(0, 1, 40), [0, 0.3, 0.6, 0.72, 1], [0.044, 0.052, 0.042, 0.04, 0.027]
    )
    cut = 14 + round(24 * person.clothes.sleeves)
    # Only what cloth does not cover: it would come through where the sleeve bends.
    parts = [Part(shape=tube(path[cut - 3 :], bare[cut - 3 :]), material=person.skin)]
    way = joints[2] - joints[1]
    parts.append(_hand(joints[2] - 0.01 * way, way, side, person.skin))
    rng = np.random.default_rng([person.clothes.seed, 3 + int(side > 0)])
    wave = _folds(path[:cut], rng, 0.008) * np.linspace(0.0, 1, cut)
    around = bare[:cut] + width + wave
    around[-1] = around[-2] * 0.985
    parts.append(Part(shape=tube(path[:cut], around, columns=20), material=sleeve))
    return parts


def _legs(person: Person) -> list[Part]:
    clothes = person.clothes
    rng = np.random.default_rng([clothes.seed, 5])
    parts = []
    for side in (-1.0, 1.0):
        path = curve([(0.085 * side, 0.01, 0.92), (0.10 * side, -0.005, 0.50),
                      (0.115 * side, 0.03, 0.07)], 44)  # fmt: skip
        radius = np.interp(
            np.linspace(0, 1, 44), [0, 0.2, 0.5, 0.7, 1], [0.095, 0.092, 0.068, 0.066, 0.062]
        )
        radius = radius * (1 + 0.6 * (person.build - 1)) + _folds(path, rng, 0.006)
        if clothes.outfit == "dress":
            bare = np.interp(np.linspace(0, 1, 44), [0, 0.5, 0.7, 1], [0.08, 0.052, 0.052, 0.035])
            parts.append(Part(shape=tube(path, bare, columns=20), material=person.skin))
        else:
            parts.append(Part(shape=tube(path, radius, columns=20), material=clothes.bottom))
        shoe = Part(shape=blob((0.047, 0.135, 0.05), boxy=0.8), material=clothes.shoes)
        parts.append(moved(shoe, to=(0.118 * side, -0.045, 0.045)))
    return parts


def _skirt(person: Person) -> Part:
    rng = np.random.default_rng([person.clothes.seed, 6])
    z = np.linspace(0.45, 1.02, 40)
    angle = np.linspace(-np.pi, np.pi, 120, endpoint=False)
    flare = np.interp(z, [0.45, 0.9, 1.02], [0.11, 0.025, 0.008])[:, None]
    pleats = (
        0.014 * np.sin(angle * 14 + rng.uniform(0, 6)) * np.interp(z, [0.45, 1.0], [1, 0])[:, None]
    )
    rings = torso_points(np.maximum(z, 0.86), angle, person.build, flare + pleats)
    rings[..., 2] = z[:, None]
    return Part(shape=grid(rings, wrap=True), material=person.clothes.top)


def _neck(person: Person) -> Part:
    path = curve([(0, 0.028, 1.40), (0, 0.022, 1.48), (0, 0.012, 1.60)], 16)
    girth = np.interp(np.linspace(0, 1, 16), [0, 0.4, 1], [0.075, 0.059, 0.058])
    return Part(shape=tube(path, girth, columns=28, flatten=1.05), material=person.skin)


def _clothes(person: Person, clothes: Clothes) -> list[Part]:
    """Return what covers the torso."""
    if clothes.outfit in ("suit", "coat"):
        low = 0.80 if clothes.outfit == "suit" else 0.55
        inner = _torso(person, clothes.inner, off=0.004, folds=0.003, low=0.86)
        parts = [inner, *_jacket(person, clothes.top, low=max(low, 0.80))]
        parts += _collar(clothes.inner)
        return parts + (_tie(person, clothes.tie) if clothes.tie is not None else [])
    neck = {"shirt": 1.485, "sweater": 1.478, "tee": 1.462, "dress": 1.43}[clothes.outfit]
    folds = {"shirt": 0.007, "sweater": 0.005, "tee": 0.006, "dress": 0.003}[clothes.outfit]
    off = 0.014 if clothes.outfit == "sweater" else 0.006
    parts = [_torso(person, clothes.top, off=off, folds=folds, low=0.84, neck=neck)]
    if clothes.outfit == "shirt":
        parts += _collar(clothes.top)
        parts += _tie(person, clothes.tie) if clothes.tie is not None else []
    else:
        # Skin shows above the neckline.
        parts.append(_torso(person, clothes.top, off=0.0, folds=0.0, low=1.3))
        parts[-1] = Part(shape=parts[-1].shape, material=person.skin)
    if clothes.outfit == "dress":
        parts.append(_skirt(person))
    return parts


def body_parts(person: Person, *, legs: bool = True) -> list[Part]:
    """Return neck, clothes, arms and legs of a figure 1.75 m high that stands on the origin."""
    clothes = person.clothes
    width = {"suit": 0.014, "coat": 0.02, "sweater": 0.013}.get(clothes.outfit, 0.008)
    parts = [_neck(person), *_clothes(person, clothes)]
    for side, pose in zip((-1.0, 1.0), person.poses, strict=True):
        parts += _arm(person, pose, side, clothes.top, width)
    return parts + (_legs(person) if legs else [])


def person_parts(person: Person, *, legs: bool = True) -> list[Part]:
    """Return a whole figure in the scene: scaled, turned, at its place."""
    yaw, pitch, roll = person.look
    head = [
        moved(part, turn=rotation(yaw=yaw, pitch=-pitch, roll=roll), about=(0, 0.02, -0.08))
        for part in head_parts(person) + hair_parts(person)
    ]
    # Heads grow less than bodies do.
    grow = (1.75 / person.height) ** 0.5
    parts = [moved(part, scale=grow, to=(0.0, -0.005, 1.622)) for part in head]
    parts += body_parts(person, legs=legs)
    x, y = person.place
    return [
        moved(part, turn=rotation(yaw=person.turn), scale=person.height / 1.75, to=(x, y, 0.0))
        for part in parts
    ]

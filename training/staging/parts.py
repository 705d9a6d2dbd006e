"""A staging as meshes: people, things, floor, wall and table."""

from __future__ import annotations

import math

from training.staging.body import person_parts
from training.staging.description import Setting, Staging, Surface
from training.staging.shapes import Part, box, join, moved, placed, rotation, sheet
from training.staging.things import thing_parts

FLOOR = 60.0
"""Half a floor's side, meters: its edge lies about where the horizon does."""


def _wall(setting: Setting, surface: Surface) -> list[Part]:
    """Return a wall behind the scene, solid or with a window that shows the panorama."""
    wide, high, thick = 9.0, 3.2, 0.12
    frame = Surface(color=(0.75, 0.75, 0.73), roughness=0.35)
    if not setting.window:
        pieces = [Part(shape=placed(box((wide, thick, high)), to=(0, 0, high / 2)),
                       material=surface, flat=True)]  # fmt: skip
    else:
        left, right, low, top = -0.9, 0.9, 0.9, 2.3
        holes = [
            ((left + wide / 2, high), ((left - wide / 2) / 2, high / 2)),
            ((wide / 2 - right, high), ((right + wide / 2) / 2, high / 2)),
            ((right - left, low), (0.0, low / 2)),
            ((right - left, high - top), (0.0, (high + top) / 2)),
        ]
        solid = [placed(box((w, thick, h)), to=(x, 0, z)) for (w, h), (x, z) in holes]
        bars = [
            placed(box((0.05, 0.06, top - low)), to=(x, 0, (low + top) / 2))
            for x in (left, 0, right)
        ]
        bars += [placed(box((right - left, 0.06, 0.05)), to=(0, 0, z)) for z in (low, top)]
        pieces = [Part(shape=join(*solid), material=surface, flat=True),
                  Part(shape=join(*bars), material=frame, flat=True)]  # fmt: skip
    turn = rotation(yaw=setting.wall_turn)
    return [moved(p, turn=turn, to=(0.0, setting.wall_distance + thick / 2, 0.0)) for p in pieces]


def _table(setting: Setting, surface: Surface) -> list[Part]:
    x, y = setting.table_place
    z = setting.table_height
    top = placed(box((1.5, 0.75, 0.035)), to=(0, 0, -0.0175))
    legs = [
        placed(box((0.05, 0.05, z - 0.03)), to=(a, b, -0.03 - (z - 0.03) / 2))
        for a in (-0.68, 0.68)
        for b in (-0.3, 0.3)
    ]
    return [moved(Part(shape=join(top, *legs), material=surface, flat=True), to=(x, y, z))]


def setting_parts(setting: Setting) -> list[Part]:
    """Return floor, wall and table."""
    parts = []
    if setting.floor is not None:
        flat = placed(sheet(2 * FLOOR, 2 * FLOOR), turn=rotation(pitch=-90.0), to=(0, -FLOOR, 0))
        parts.append(Part(shape=flat, material=setting.floor, flat=True))
    if setting.wall is not None:
        parts += _wall(setting, setting.wall)
    if setting.table is not None:
        parts += _table(setting, setting.table)
    return parts


def staging_parts(staging: Staging) -> list[Part]:
    """Return everything that a scene holds; legs only where the camera may see them."""
    shot = staging.shot
    reach = math.dist(shot.position, shot.target)
    low = shot.target[2] - reach * 12 / shot.focal * 1.2
    parts = setting_parts(staging.setting)
    for person in staging.people:
        parts += person_parts(person, legs=low < 0.95)
    for thing in staging.things:
        parts += thing_parts(thing)
    return parts

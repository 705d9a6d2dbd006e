"""Which scenes are held out of training: ours by name, one in ten of other data."""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from fnmatch import fnmatchcase

from training.data.views import View

# Whole panoramas (and photographs) that are for validation and test only.
HELD_OUT_SCENES = frozenset(
    {
        "dreiassets__dikhololo_night",
        "dreiassets__st_fagans_interior",
        "egjsview3d__fireplace",
        "gkjohnson3d__chinese_garden",
        "gkjohnson3d__leadenhall_market",
        "gkjohnson3d__noon_grass",
        "pmndrsassets__royal_esplanade",
        "pmndrsassets__spruit_sunrise",
        "polygonjs__neon_photostudio",
        "polygonjs__preller_drive",
        "realismfx__snowy_field",
        "waymoviz__shanghai_bund",
        "bdhshifter__river_walk_1_2k",
        "bdhshifter__snowy_field_4k",
        "gainmapjs__spruit_sunrise_4k",
        "openexr__StillLife",
        "android_train_station_night",
    }
)
SHARE = 0.1


def choose_held_out(scenes: Collection[str], patterns: Collection[str] = ()) -> frozenset[str]:
    """Return which scenes are held out. The result depends on the names alone.

    These are the ones in `HELD_OUT_SCENES`. Where a data set has none of them, every scene whose
    name hashes into the lowest tenth is held out, so a scene stays on its side when others are
    added; of two or more scenes at least one is.

    Args:
        scenes: names of all scenes of a data set, of all its folders together.
        patterns: shell patterns, such as ``night_*``, that choose instead.
    """
    if patterns:
        return frozenset(s for s in scenes if any(fnmatchcase(s, one) for one in patterns))
    known = HELD_OUT_SCENES.intersection(scenes)
    if known or len(set(scenes)) < 2:
        return known
    low = frozenset(scene for scene in scenes if _place(scene) < SHARE)
    if len(low) == len(set(scenes)):
        # All of a few names fall into the tenth: one is needed to train on.
        return low - {max(low, key=_place)}
    return low or frozenset({min(scenes, key=_place)})


def _place(scene: str) -> float:
    """Return where a name's hash lies, 0..1."""
    digest = hashlib.sha256(scene.encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def split_views(
    views: list[View],
    *,
    scenes: Collection[str] | None = None,
    held_out: Collection[str] = (),
) -> tuple[list[View], list[View]]:
    """Return views of training scenes and of held-out scenes.

    Args:
        views: of one folder.
        scenes: names of all scenes of the data set, where it has more folders than this one.
        held_out: shell patterns of the scenes to hold out; see `choose_held_out`.
    """
    names = {view.scene for view in views} if scenes is None else scenes
    chosen = choose_held_out(names, held_out)
    train = [view for view in views if view.scene not in chosen]
    return train, [view for view in views if view.scene in chosen]

"""Which scenes training never sees: ours by name, a share of anyone else's."""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from fnmatch import fnmatchcase

# Fixed: whole panoramas (and photographs) that training never sees.
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
    """Return which of some scenes are held out; the same for the same names, in any order.

    Those of `HELD_OUT_SCENES`, or, where none of these is there, every scene whose name hashes
    into the lowest tenth, so that scenes stay on their side when others are added. With two
    scenes or more there is always one: where no name falls into that tenth, the lowest.

    Args:
        scenes: names of all scenes of a data set. One set's folders must be told of together,
            or what is held out of one may be trained on in another.
        patterns: shell patterns, such as ``night_*``, that choose instead.
    """
    if patterns:
        return frozenset(s for s in scenes if any(fnmatchcase(s, one) for one in patterns))
    known = HELD_OUT_SCENES.intersection(scenes)
    if known or len(set(scenes)) < 2:
        return known
    low = frozenset(scene for scene in scenes if _place(scene) < SHARE)
    if len(low) == len(set(scenes)):
        # A handful of names that all fall into the tenth: something is to be trained on.
        return low - {max(low, key=_place)}
    return low or frozenset({min(scenes, key=_place)})


def _place(scene: str) -> float:
    """Return where a name's hash lies, 0..1."""
    digest = hashlib.sha256(scene.encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64

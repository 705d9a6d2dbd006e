"""Make a data set in the paper's layout from views."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import numpy as np
from tqdm import tqdm

from training.config import PresetConfig
from training.data.pairs import make_pair
from training.data.splits import split_views
from training.data.views import View, read_index, view_size
from training.paper.layout import write_pair
from vs_gainmap.errors import MediaError
from vs_gainmap.gainmap import PRESETS, GainMapPreset
from vs_gainmap.photo.dataset import write_preset

# Option of each split's size.
OPTION = {"train": "count", "test": "test"}
LAYOUT_PRESETS: dict[str, GainMapPreset] = {**PRESETS, "video": PresetConfig().build()}


def make_layout(
    views: Path,
    out: Path,
    *,
    preset_name: str,
    count: int,
    test: int,
    seed: int = 0,
    held_out: Collection[str] = (),
) -> None:
    """Make train/ from training scenes, test/ from held-out ones, and `preset.json`.

    Stems have 7 characters, because the published loader joins the parts by the first seven.
    Everything is checked before `out` is touched.

    Args:
        views: folder that `render` wrote; sizes must be multiples of twice the map scale.
        out: must be empty or missing.
        preset_name: "synthetic", "real-world" or "video" (ours).
        count: training pictures.
        test: test pictures.
        seed: of grades, operators and degradations.
        held_out: shell patterns of the scenes for test/; see `splits.choose_held_out`.

    Raises:
        MediaError: `out` is not empty, the preset is unknown, a split has no scene, or the
            views' size is no multiple.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise MediaError(f"dataset: {out} is not an empty folder; name another one")
    if preset_name not in LAYOUT_PRESETS:
        known = ", ".join(LAYOUT_PRESETS)
        raise MediaError(f"dataset: preset must be one of {known}, got {preset_name}")
    preset = LAYOUT_PRESETS[preset_name]
    every = read_index(views)
    train_views, test_views = split_views(every, held_out=held_out)
    splits = (("train", train_views, count), ("test", test_views, test))
    for split, rows, number in splits:
        if number and not rows:
            raise MediaError(_no_views(every, split, held_out))
        check_sizes(rows if number else [], preset)
    out.mkdir(parents=True, exist_ok=True)
    write_preset(out, preset)
    for split, rows, number in splits:
        for index in tqdm(range(number), desc=split, disable=None):
            rng = np.random.default_rng([seed, split == "test", index])
            view: View = rows[int(rng.integers(len(rows)))]
            write_pair(
                make_pair(view, rng, preset),
                f"{index + 1:07d}",
                out / split,
                preset,
            )


def _no_views(views: list[View], split: str, held_out: Collection[str]) -> str:
    """Return what is missing and what to do."""
    scenes = {view.scene for view in views}
    if len(scenes) == 1:
        way = (
            f"all views are of one scene, {scenes.pop()}; render more, or give --{OPTION[split]} 0"
        )
    elif held_out:
        side = "none" if split == "test" else "every one"
        way = f"{side} of {len(scenes)} scenes fits --held-out {' '.join(held_out)}"
    else:
        way = f"every one of {len(scenes)} scenes is held out; choose with --held-out"
    return f"dataset: there are no views for {split}/: {way}"


def check_sizes(views: list[View], preset: GainMapPreset) -> None:
    """Check that every view's sides are multiples of twice the map scale.

    Raises:
        MediaError: they are not, or a view can't be read.
    """
    step = 2 * preset.map_scale
    for view in views:
        height, width = view_size(view.path)
        if height % step or width % step:
            raise MediaError(
                f"dataset: {view.path.name} is {width}x{height}, but this preset needs multiples "
                f"of {step}; render with another --size"
            )

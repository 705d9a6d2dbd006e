"""Write pairs in the paper's layout, for the published code or for `source = "layout"`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from tqdm import tqdm

from training.config import PresetConfig
from training.layout import write_pair, write_preset
from training.pairs import Film, View, make_pair, read_index
from training.validate import split_views
from vs_gainmap.errors import MediaError
from vs_gainmap.gainmap import PRESETS, GainMapPreset

LAYOUT_PRESETS: dict[str, GainMapPreset] = {**PRESETS, "video": PresetConfig().build()}


def make_layout(
    views: Path, out: Path, *, preset_name: str, count: int, test: int, seed: int = 0
) -> None:
    """Make train/ from training scenes and test/ from held-out ones, `preset.json` beside them.

    Stems are 7 characters long: the published loader joins the parts by the first seven.

    Args:
        views: folder that `render` wrote; sizes must be multiples of twice the map scale.
        out: must not exist, or be empty.
        preset_name: "synthetic", "real-world" or "video" (ours).
        count: training pictures.
        test: test pictures.
        seed: of grades, operators and degradations.

    Raises:
        MediaError: `out` has something in it, or the preset is unknown.
    """
    if out.exists() and any(out.iterdir()):
        raise MediaError(f"dataset: {out} is not empty; name another folder")
    if preset_name not in LAYOUT_PRESETS:
        known = ", ".join(LAYOUT_PRESETS)
        raise MediaError(f"dataset: preset must be one of {known}, got {preset_name}")
    preset = LAYOUT_PRESETS[preset_name]
    train_views, test_views = split_views(read_index(views))
    out.mkdir(parents=True, exist_ok=True)
    write_preset(out, preset)
    for split, rows, number in (("train", train_views, count), ("test", test_views, test)):
        if number and not rows:
            raise MediaError(f"dataset: {views} has no views for {split}/")
        for index in tqdm(range(number), desc=split):
            rng = np.random.default_rng([seed, split == "test", index])
            view: View = rows[int(rng.integers(len(rows)))]
            write_pair(
                make_pair(view, rng, preset, Film.draw(rng)),
                f"{index + 1:07d}",
                out / split,
                preset,
            )

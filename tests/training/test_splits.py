"""Which scenes are held out, and that a data set says what it lacks before it is made."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from training.__main__ import main
from training.data.splits import HELD_OUT_SCENES, choose_held_out, split_views
from training.data.views import View, read_index
from training.evaluation.items import items_from_views
from training.paper.layout import list_layout
from vs_gainmap.errors import MediaError
from vs_gainmap.gainmap import GainMapPreset

OURS = "polygonjs__neon_photostudio"
PRESET = GainMapPreset(sdr_white=203.0, peak=1000 / 203, map_scale=2, min_log_gain=-2.0)


def write_views(folder: Path, scenes: list[str], size: tuple[int, int] = (48, 32)) -> Path:
    """Write one view a scene, as `render` does."""
    folder.mkdir()
    rows = [{"file": f"{scene}.npy", "scene": scene, "graded": False} for scene in scenes]
    (folder / "index.json").write_text(json.dumps(rows))
    rng = np.random.default_rng(0)
    for row in rows:
        light = rng.random((3, size[1], size[0])).astype(np.float16)
        np.save(folder / str(row["file"]), light)
    return folder


def test_our_scenes_are_held_out_by_name_alone() -> None:
    scenes = [f"scene_{n}" for n in range(100)]
    assert choose_held_out([*scenes, OURS]) == {OURS}
    assert choose_held_out([*scenes, *HELD_OUT_SCENES]) == HELD_OUT_SCENES


def test_a_tenth_of_anyone_elses_is() -> None:
    scenes = [f"scene_{n}" for n in range(1000)]
    chosen = choose_held_out(scenes)
    assert 70 <= len(chosen) <= 130
    assert choose_held_out(list(reversed(scenes))) == chosen
    # A scene stays where it is when others come.
    assert choose_held_out(scenes[:500]) == chosen & set(scenes[:500])


def test_two_scenes_are_enough_and_one_is_not() -> None:
    for n in range(60):
        assert len(choose_held_out([f"a{n}", f"b{n}"])) == 1
    assert choose_held_out(["alone"]) == frozenset()
    assert choose_held_out([]) == frozenset()


def test_patterns_go_over_all_of_it() -> None:
    scenes = ["night_a", "night_b", "day", OURS]
    assert choose_held_out(scenes, ["night_*"]) == {"night_a", "night_b"}
    assert choose_held_out(scenes, ["dusk*"]) == frozenset()


def test_folders_of_one_set_agree() -> None:
    def views(*scenes: str) -> list[View]:
        return [View(path=Path(scene), scene=scene, graded=False) for scene in scenes]

    one, two = views(*"abcdef"), views(*"defgh")
    scenes = set("abcdefgh")
    held_out = choose_held_out(scenes)
    for folder in (one, two):
        train, test = split_views(folder, scenes=scenes)
        assert {view.scene for view in test} == held_out & {view.scene for view in folder}
        assert len(train) + len(test) == len(folder)


def test_own_scenes_make_a_data_set(tmp_path: Path) -> None:
    views = write_views(tmp_path / "views", ["kitchen", "garden", "street"])
    out = tmp_path / "out"
    assert main(["dataset", str(views), "--out", str(out), "--count", "2", "--test", "1"]) == 0
    assert len(list_layout(out / "train")) == 2
    assert len(list_layout(out / "test")) == 1
    _, held_out = split_views(read_index(views))
    first = next(items_from_views(held_out, PRESET, per_operator=1))
    assert first.name == f"{held_out[0].scene}_000"


def test_no_held_out_view_is_said_plainly() -> None:
    with pytest.raises(MediaError, match="no view is of a held-out scene"):
        next(items_from_views([], PRESET, per_operator=1))


@pytest.mark.parametrize(
    ("scenes", "size", "options", "message"),
    [
        (["kitchen"], (48, 32), [], "no views for test/: all views are of one scene, kitchen"),
        ([OURS], (48, 32), ["--test", "0"], "no views for train/"),
        (["a", "b"], (48, 32), ["--held-out", "c*"], "none of 2 scenes fits --held-out c*"),
        (["a", "b"], (48, 32), ["--held-out", "*"], "every one of 2 scenes fits --held-out *"),
        (["a", "b"], (50, 32), [], "is 50x32, but this preset needs multiples of 4"),
    ],
)
def test_what_is_lacking_is_said_before_anything_is_made(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    scenes: list[str],
    size: tuple[int, int],
    options: list[str],
    message: str,
) -> None:
    views, out = write_views(tmp_path / "views", scenes, size), tmp_path / "out"
    assert main(["dataset", str(views), "--out", str(out), "--count", "1", *options]) == 1
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1
    assert not out.exists()


def test_held_out_scenes_can_be_named(tmp_path: Path) -> None:
    views = write_views(tmp_path / "views", ["night_a", "day_a", "day_b"])
    out = tmp_path / "out"
    command = ["dataset", str(views), "--out", str(out), "--count", "1", "--test", "1"]
    assert main([*command, "--held-out", "night_*"]) == 0
    assert len(list_layout(out / "test")) == 1

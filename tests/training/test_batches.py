"""Which data a run gets, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import Dataset

from tests.training.small import command_of, error_line, views_data
from training.checkpoint import CHECKPOINT
from training.config import (
    Config,
    ConfigError,
    TrainingError,
    build,
    to_dict,
)
from training.data.batches import endless, open_data
from training.data.pairs import PairDataset


def test_views_may_lie_in_several_folders(tmp_path: Path) -> None:
    for name, scenes in (
        ("a", ("meadow", "polygonjs__neon_photostudio")),
        ("b", ("street", "realismfx__snowy_field")),
    ):
        (tmp_path / name).mkdir()
        rows = [{"file": f"{scene}.npy", "scene": scene, "graded": False} for scene in scenes]
        (tmp_path / name / "index.json").write_text(json.dumps(rows))
        for row in rows:
            np.save(tmp_path / name / str(row["file"]), np.full((3, 32, 48), 0.2, np.float16))
    names = [str(tmp_path / name) for name in "ab"]

    def opened(folder: str | list[str], *held_out: str) -> tuple[set[str], set[str], str]:
        data = {"folder": folder, "crop": 16, "held_out": list(held_out)}
        config = build(Config, {"data": data, "run": {"steps": 2}})
        pairs, held_out, digest = open_data(config, 1)
        assert isinstance(pairs, PairDataset)
        assert build(Config, to_dict(config)) == config  # as `export` reads a checkpoint's
        return {view.scene for view in pairs.views}, {view.scene for view in held_out}, digest

    seen, unseen, digest = opened(names)
    assert seen == {"meadow", "street"}
    assert unseen == {"polygonjs__neon_photostudio"}
    # Named ones instead; those of the first folder that has some are validated on.
    seen, unseen, _ = opened(names, "str*")
    assert seen == {"meadow", "polygonjs__neon_photostudio", "realismfx__snowy_field"}
    assert unseen == {"street"}
    with pytest.raises(ConfigError, match="no view of a scene that is not held out"):
        opened(names, "*")
    assert opened(names[0])[0] == {"meadow"}
    assert opened([names[0]])[2] == opened(names[0])[2] != digest

    for wrong in (3, [], [1]):
        with pytest.raises(ConfigError, match=r"data\.folder must be str or a list of str"):
            build(Config, {"data": {"folder": wrong}})
    with pytest.raises(ConfigError, match="one folder"):
        open_data(build(Config, {"data": {"source": "layout", "folder": names}}), 1)


def test_processes_share_a_step() -> None:
    config = build(Config, {"data": {"batch": 4, "workers": 0}, "run": {"steps": 5}})

    class Numbers(Dataset[dict[str, torch.Tensor]]):
        def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
            return {"n": torch.tensor(index)}

    def numbers(start: int, rank: int, world: int) -> list[list[int]]:
        return [
            batch["n"].tolist() for batch in endless(Numbers(), config, Path(), start, rank, world)
        ]

    assert numbers(3, 0, 1) == [[12, 13, 14, 15], [16, 17, 18, 19]]
    assert numbers(3, 1, 2) == [[28, 29, 30, 31], [36, 37, 38, 39]]


def test_crops_must_fit(
    layout: Path, views: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    of_views = {"data__source": '"views"', "data__folder": f'"{views}"'}
    command = command_of(layout, tmp_path, **of_views, data__crop="66")
    assert "is 96x64, smaller than data.crop = 66" in error_line(capsys, command)
    command = command_of(layout, tmp_path, **of_views, data__crop="34", data__shrink="2")
    assert "is 96x64, shrunk by 2, smaller than data.crop = 34" in error_line(capsys, command)
    assert "smaller than a crop of 66" in error_line(
        capsys, command_of(layout, tmp_path, data__crop="66")
    )
    assert "above 0" in error_line(capsys, command_of(layout, tmp_path, data__crop="0"))
    assert not (tmp_path / CHECKPOINT).exists()


def test_whole_pictures_must_have_one_even_size(views: Path, tmp_path: Path) -> None:
    for name, size in (("a", (32, 48)), ("b", (32, 50)), ("c", (33, 48))):
        (tmp_path / name).mkdir()
        row = f'[{{"file": "{name}.npy", "scene": "{name}", "graded": false}}]'
        (tmp_path / name / "index.json").write_text(row)
        np.save(tmp_path / name / f"{name}.npy", np.full((3, *size), 0.2, np.float16))

    def opened(kind: str, *names: str) -> None:
        folder = [str(tmp_path / name) for name in names]
        data = {"folder": folder, "crop": 0, "held_out": ["none"]}
        open_data(build(Config, {"data": data, "model": {"kind": kind}}), 1)

    opened("gmnet", "a")
    opened("grid", "c")
    with pytest.raises(ConfigError, match=r"several sizes need a data\.crop"):
        opened("grid", "a", "b")
    with pytest.raises(ConfigError, match="48x33: GMNet needs even sizes"):
        opened("gmnet", "c")
    with (tmp_path / "a/a.npy").open("r+b") as file:
        file.truncate(2000)
    with pytest.raises(Exception, match=r"a\.npy can't be read"):
        opened("gmnet", "a")
    (tmp_path / "a/a.npy").unlink()
    with pytest.raises(Exception, match=r"a\.npy is in the index, but not there"):
        opened("gmnet", "a")
    assert views.is_dir()


@pytest.mark.parametrize("workers", [0, 1])
def test_an_error_in_a_worker_is_one_line(views: Path, tmp_path: Path, workers: int) -> None:
    for path in views.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    data = {**views_data(tmp_path), "batch": 2, "workers": workers}
    config = build(Config, {"data": data, "run": {"steps": 2}})
    pairs, _, _ = open_data(config, 1)
    for path in tmp_path.glob("*.npy"):
        path.unlink()
    with pytest.raises(TrainingError) as caught:
        next(endless(pairs, config, tmp_path, 0, 0, 1))
    line = str(caught.value)
    assert "No such file" in line
    assert ".npy" in line
    assert "Traceback" not in line
    assert "\n" not in line

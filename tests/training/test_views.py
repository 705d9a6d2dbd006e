"""How views are loaded: whole from the file, shrunk from memory where there is room."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.training.small import command_of, error_line
from training.__main__ import main
from training.data.views import View, read_index
from vs_gainmap.errors import MediaError


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "view.npy"
    np.save(path, np.random.default_rng(0).random((3, 8, 12)).astype(np.float16))
    return path


def test_a_shrunk_view_is_the_mean_of_squares(file: Path) -> None:
    whole = View(path=file, scene="one", graded=False).load()
    small = View(path=file, scene="one", graded=False, shrink=2).load()
    assert small.dtype == torch.float32
    expected = whole.reshape(3, 4, 2, 6, 2).mean(dim=(2, 4))
    torch.testing.assert_close(small, expected, atol=5e-4, rtol=0)


def test_a_shrunk_view_is_read_once_and_changes_stay_outside(file: Path) -> None:
    view = View(path=file, scene="one", graded=False, shrink=4)
    first = view.load()
    before = first.clone()
    first.mul_(2)
    file.unlink()
    assert torch.equal(view.load(), before)
    with pytest.raises(MediaError, match=r"view\.npy"):
        View(path=file, scene="one", graded=False).load()


def npy(header: str) -> bytes:
    """Return a file of this header and 6 kB of data."""
    return np.lib.format.magic(1, 0) + b"v\0" + header.encode().ljust(117) + b"\n" + bytes(6144)


def filled(value: float) -> np.ndarray:
    view = np.full((3, 64, 96), 0.2, np.float16)
    view[1, 3, 3] = value
    return view


DAMAGED: dict[str, bytes | np.ndarray] = {
    "empty": b"",
    "no npy": b"\x93NUMPY",
    "picture": b"\x89PNG\r\n\x1a\n",
    "promise": npy("{'descr': '<f2', 'fortran_order': False, 'shape': (3, 9999999, 9999999), }"),
    "code": npy("{'descr': '<f2', 'fortran_order': False, 'shape': (__import__('os'),), }"),
    "deep": npy("(" * 100),
    "objects": npy("{'descr': '|O', 'fortran_order': False, 'shape': (3, 64, 96), }"),
    "no picture": np.zeros((64, 96, 3), np.float16),
    "flat": np.zeros((3, 0, 96), np.float16),
    "whole numbers": np.zeros((3, 64, 96), np.uint8),
    "nan": filled(float("nan")),
    "inf": filled(float("inf")),
    "negative": filled(-1.0),
}


@pytest.mark.parametrize("name", list(DAMAGED))
def test_damaged_views_are_one_line_that_names_them(
    name: str, views: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cache = tmp_path / "cache"
    shutil.copytree(views, cache)
    for path in sorted(cache.glob("*.npy")):
        content = DAMAGED[name]
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            np.save(path, content)
    of_views = {"data__source": '"views"', "data__folder": f'"{cache}"'}
    for command in (
        command_of(views, tmp_path / "run", **of_views, run__validation_views="0"),
        ["dataset", str(cache), "--out", str(tmp_path / "layout"), "--count", "1", "--test", "0"],
        ["evaluate", "fast", "--views", str(cache), "--out", str(tmp_path / "report")],
    ):
        if command[0] == "evaluate":
            command.append("--no-libplacebo")
        line = error_line(capsys, command)
        assert ".npy" in line
        assert str(cache) in line
        assert len(line) < 500


ROW = {"file": "a.npy", "scene": "a", "graded": False}


@pytest.mark.parametrize(
    "rows",
    ["", "[", "[" * 100_000, "{}x", "3", '"rows"', "[1]", "[[]]", "[{}]",
     json.dumps([ROW | {"file": 3}]), json.dumps([ROW | {"scene": None}]),
     json.dumps([ROW | {"graded": "no"}]), json.dumps([ROW | {"level": 1}]),
     json.dumps([ROW | {"level": "x", "scene_level": 1}]),
     json.dumps([ROW | {"level": float("nan"), "scene_level": 1}]),
     json.dumps([ROW | {"level": 0, "scene_level": 1}]),
     json.dumps([ROW | {"level": 1, "scene_level": -1}]), "\udcff"],
)  # fmt: skip
def test_a_damaged_index_is_one_line(
    rows: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "index.json").write_bytes(rows.encode(errors="surrogateescape"))
    line = error_line(capsys, ["mix", str(tmp_path)])
    assert "index.json is damaged" in line
    assert "run `render` again" in line
    assert len(line) < 400


def test_an_index_of_before_is_read(tmp_path: Path) -> None:
    rows = [ROW, ROW | {"level": 0.2, "scene_level": 0.1, "sdr": "a.png"}]
    (tmp_path / "index.json").write_text(json.dumps(rows))
    plain, full = read_index(tmp_path)
    assert plain.levels is plain.sdr is None
    assert full.levels is not None
    assert (full.levels.view, full.levels.scene, full.sdr) == (0.2, 0.1, tmp_path / "a.png")
    assert main(["mix", str(tmp_path / "none")]) == 1

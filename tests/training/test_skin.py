"""Skin's error is measured where skin is, with its sign."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from training.__main__ import main
from training.evaluate import Item, Output, format_table, summary
from training.operators import OPERATORS
from training.skin import measure_skin, skin_errors, with_skin
from training.staging.tones import skin_color
from training.views import read_index
from vs_gainmap.color import pq_eotf
from vs_gainmap.errors import MediaError
from vs_gainmap.gainmap import GainMapPreset

PRESET = GainMapPreset(sdr_white=203.0, peak=1000 / 203, map_scale=2, min_log_gain=-2.0)


@pytest.fixture(scope="module")
def staged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two views of held-out scenes, one with a face-like disk, one without anyone."""
    folder = tmp_path_factory.mktemp("staged")
    rng = np.random.default_rng(0)
    rows = []
    for number, name in enumerate(("gkjohnson3d__noon_grass", "polygonjs__neon_photostudio")):
        y, x = np.mgrid[:64, :96]
        mask = ((x - 40) ** 2 + (y - 30) ** 2 < 400) & (number == 0)
        light = cv2.resize(rng.random((8, 12, 3), dtype=np.float32) ** 3, (96, 64)) + 0.05
        light[mask] = np.array(skin_color(20.0), np.float32)
        np.save(folder / f"{name}.npy", light.transpose(2, 0, 1).astype(np.float16))
        cv2.imwrite(str(folder / f"{name}.png"), mask.astype(np.uint8) * 255)
        rows.append({"file": f"{name}.npy", "scene": name, "graded": False, "skin": f"{name}.png"})
    (folder / "index.json").write_text(json.dumps(rows))
    return folder


def test_errors_are_steps_of_ten_bits_with_a_sign() -> None:
    mask = torch.zeros(1, 4, 6, dtype=torch.bool)
    mask[..., :3] = True
    truth = pq_eotf(torch.full((3, 4, 6), 500 / 1023))
    signal = torch.full((3, 4, 6), 500 / 1023)
    signal[..., :3] += 8 / 1023
    signal[..., 3:] -= 4 / 1023
    signal[:, 0, 3:] += 8 / 1023
    values = skin_errors(pq_eotf(signal), truth, mask)
    assert values["skin_bias"] == pytest.approx(8, abs=0.05)
    assert values["skin_error"] == pytest.approx(8, abs=0.05)
    assert values["rest_bias"] == pytest.approx(-2, abs=0.05)
    assert values["rest_error"] == pytest.approx(4, abs=0.05)


def test_every_operator_is_judged_where_there_is_skin(staged: Path) -> None:
    views = read_index(staged)
    assert [view.scene for view, _ in with_skin(views)] == ["gkjohnson3d__noon_grass"]

    def true(item: Item) -> Output:
        return Output(nits=item.truth)

    def dim(item: Item) -> Output:
        return Output(nits=item.truth * 0.8)

    rows = measure_skin({"true": true, "dim": dim}, views, PRESET, 2)
    assert len(rows) == 2 * 2 * len(OPERATORS)
    methods = summary(rows, by=lambda row: row.method)
    assert all(value == pytest.approx(0, abs=1e-3) for value in methods["true"].values())
    assert methods["dim"]["skin_bias"] == pytest.approx(-methods["dim"]["skin_error"])
    assert -30 < methods["dim"]["skin_bias"] < -10
    assert set(summary(rows, by=lambda row: row.operator)) == set(OPERATORS)
    assert "skin_bias" in format_table(methods)


def test_no_skin_says_what_to_do(staged: Path) -> None:
    with pytest.raises(MediaError, match="run `stage` on held-out scenes"):
        with_skin(read_index(staged)[1:])


def test_the_command_prints_weights_beside_scaling(
    staged: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report = tmp_path / "skin.json"
    assert main(["skin", "fast", "--views", str(staged), "--count", "1", "--out", str(report)]) == 0
    printed = capsys.readouterr().out
    assert "scaling 203" in printed
    assert "bt2446c" in printed
    methods = json.loads(report.read_text())["methods"]
    assert methods["oracle map"]["skin_error"] < methods["scaling 100"]["skin_error"]


@pytest.mark.parametrize("command", ["skin", "evaluate"])
def test_which_scenes_are_held_out_can_be_told(
    command: str, staged: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "report"
    call = [command, "fast", "--views", str(staged), "--count", "1", "--out", str(out)]
    more = ["--no-libplacebo", "--subtitles"] if command == "evaluate" else []
    assert main([*call, *more, "--held-out", "gkjohnson3d__*"]) == 0
    report = out / "report.json" if command == "evaluate" else out
    written = json.loads(report.read_text())
    items = written["items"]
    assert ("title_error" in written["methods"]["fast"]) == (command == "evaluate")
    assert {item["item"].rpartition("_")[0] for item in items} <= {
        "gkjohnson3d__noon_grass",
        "gkjohnson3d__noon",
    }
    assert main([*call, *more, "--held-out", "nothing"]) == 1
    assert capsys.readouterr().err.count("\n") == 1

"""Flicker: its definitions on made-up levels, shots with a known truth, and the whole command."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from training.__main__ import main
from training.evaluation.flicker import (
    Measured,
    compare,
    excess_change,
    lag,
    levels,
    summary,
)
from training.evaluation.shots import Coding, Shot
from vs_gainmap.gainmap import GainMapPreset

PRESET = GainMapPreset(sdr_white=203.0, peak=1000 / 203, map_scale=2, min_log_gain=-2.0)
SIZE = (64, 48)


def test_levels_are_pq_codes() -> None:
    nits = torch.full((3, 10, 10), 203.0)
    nits[:, 0, :2] = 1000.0
    mean, top = levels(nits)
    assert top == pytest.approx(0.751827 * 1023, rel=1e-3)
    assert mean == pytest.approx((0.98 * 0.580689 + 0.02 * 0.751827) * 1023, rel=1e-4)


def test_only_what_goes_beyond_the_truth_counts() -> None:
    truth = np.array([0.0, 10.0, 10.0, 0.0])
    assert excess_change(truth * 0.8, truth).tolist() == [0, 0, 0]
    assert excess_change(np.array([0.0, 11.0, 10.5, 0.5]), truth).tolist() == [1.0, 0.5, 0]


def test_lag_is_an_averages_time_constant_and_nothing_for_a_shift() -> None:
    alone = np.concatenate([np.full(20, 100.0), np.full(20, 300.0)])
    assert lag(alone + 3.0, alone, (20,)) == pytest.approx(0)
    late = alone.copy()
    late[20:24] = [250, 280, 290, 300]
    assert lag(late, alone, (20,)) == pytest.approx((50 + 20 + 10) / 200)
    early = alone.copy()
    early[18:20] = [110, 140]
    assert lag(early, alone, (20,)) == pytest.approx(50 / 200)
    assert lag(alone, alone, ()) is None
    hardly = alone / 1000
    assert lag(hardly + np.linspace(0, 1, len(hardly)), hardly, (20,)) is None


def test_comparison_leaves_jumps_out_and_tells_the_loss() -> None:
    dark, lit = torch.full((3, 4, 4), 10.0), torch.full((3, 4, 4), 100.0)
    shot = Shot(
        kind="cut", scene="s", sdr=[dark] * 4, truth=[dark, dark, lit, lit], events=(2,),
        coding=Coding(),
    )  # fmt: skip
    truth = np.array([levels(n) for n in shot.truth])
    psnr = np.array([30.0, 30.0, 30.0, 30.0])
    alone = Measured(levels=truth + np.array([0, 0, 50, 52])[:, None], psnr=psnr)
    steady = Measured(levels=truth + 7, psnr=psnr - [0.0, 0.2, 0.0, 0.0])
    base = compare(shot, truth, "radius 0", alone, alone)
    made = compare(shot, truth, "radius 8", steady, alone)
    assert base.flicker == pytest.approx((1.0, 1.0))
    assert made.flicker == pytest.approx((0.0, 0.0))
    assert made.loss == pytest.approx(0.05)
    assert made.lasting_loss == pytest.approx(0.05)
    text = summary([base, made])
    assert "| cut | radius 0 | 1.000 | 1.00 |" in text
    assert "+0.050 | +0.050" in text


def test_a_loss_that_lasts_is_told_from_one_of_a_frame() -> None:
    nits = torch.full((3, 4, 4), 10.0)
    shot = Shot(
        kind="pan", scene="s", sdr=[nits] * 30, truth=[nits] * 30, events=(), coding=Coding()
    )
    truth = np.array([levels(n) for n in shot.truth])
    alone = Measured(levels=truth, psnr=np.full(30, 30.0))
    jitter, sag = np.zeros(30), np.zeros(30)
    jitter[::2], jitter[1::2] = 0.5, -0.5
    sag[10:19] = 0.3

    def lasting(loss: np.ndarray) -> float:
        measured = Measured(levels=truth, psnr=alone.psnr - loss)
        return compare(shot, truth, "radius 8", measured, alone).lasting_loss

    assert lasting(jitter) == pytest.approx(0.5 / 9)
    assert lasting(sag) == pytest.approx(0.3)


def test_the_command(
    panoramas: Path, tiny_weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report = tmp_path / "flicker.json"
    arguments = ["flicker", str(tiny_weights), "--hdr", str(panoramas), "--scenes", "2"]
    arguments += ["--size", "64", "48", "--length", "8", "--radius", "2", "--out", str(report)]
    assert main([*arguments, "--kind", "still", "flash"]) == 0
    table = capsys.readouterr().out
    rows = json.loads(report.read_text())
    assert {(r["kind"], r["variant"]) for r in rows} == {
        (kind, name) for kind in ("still", "flash") for name in ("radius 0", "SDR", "radius 2")
    }
    by = {(r["kind"], r["variant"]): r for r in rows}
    assert by["still", "radius 0"]["loss"] == 0
    assert by["still", "radius 2"]["flicker"][0] < by["still", "radius 0"]["flicker"][0]
    assert by["flash", "radius 2"]["lag"] < 0.05
    assert "| still | radius 2 |" in table
    assert main(["flicker", str(tiny_weights), "--hdr", str(tmp_path)]) == 1
    assert "no held-out panorama" in capsys.readouterr().err

"""Flicker: its definitions on made-up levels, shots with a known truth, and the whole command."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import vapoursynth as vs

from tests.clips import frame_props, planes
from training.__main__ import main
from training.data.splits import HELD_OUT_SCENES
from training.evaluation.flicker import (
    Course,
    compare,
    excess_change,
    frozen,
    lag,
    levels,
    summary,
)
from training.evaluation.shots import FADE_GAMMA, SHOTS, Delivery, Shot, deliver, make_shots
from vs_gainmap.errors import MediaError
from vs_gainmap.gainmap import GainMapPreset
from vs_gainmap.video import open_clip

PRESET = GainMapPreset(sdr_white=203.0, peak=1000 / 203, map_scale=2, min_log_gain=-2.0)
SIZE = (64, 48)


@pytest.fixture(scope="module")
def panoramas(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of two small panoramas whose scenes are held out, and one that isn't."""
    folder = tmp_path_factory.mktemp("panoramas")
    rng = np.random.default_rng(5)
    for name in [*sorted(HELD_OUT_SCENES)[:2], "somewhere_else"]:
        light = np.exp(cv2.resize(rng.normal(0, 1.5, (8, 16, 3)), (128, 64))).astype(np.float32)
        cv2.imwrite(str(folder / f"{name}.hdr"), light)
    return folder


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
        delivery=Delivery(),
    )  # fmt: skip
    truth = np.array([levels(n) for n in shot.truth])
    psnr = np.array([30.0, 30.0, 30.0, 30.0])
    alone = Course(levels=truth + np.array([0, 0, 50, 52])[:, None], psnr=psnr)
    steady = Course(levels=truth + 7, psnr=psnr - [0.0, 0.2, 0.0, 0.0])
    base = compare(shot, truth, "radius 0", alone, alone)
    made = compare(shot, truth, "radius 8", steady, alone)
    assert base.flicker == pytest.approx((1.0, 1.0))
    assert made.flicker == pytest.approx((0.0, 0.0))
    assert (made.loss, made.worst_loss) == (pytest.approx(0.05), pytest.approx(0.2))
    assert made.lasting_loss == pytest.approx(0.05)
    text = summary([base, made])
    assert "| cut | radius 0 | 1.000 | 1/1.0 |" in text
    assert "+0.050 | +0.050 | +0.200" in text


def test_a_loss_that_lasts_is_told_from_one_of_a_frame() -> None:
    nits = torch.full((3, 4, 4), 10.0)
    shot = Shot(
        kind="pan", scene="s", sdr=[nits] * 30, truth=[nits] * 30, events=(), delivery=Delivery()
    )
    truth = np.array([levels(n) for n in shot.truth])
    alone = Course(levels=truth, psnr=np.full(30, 30.0))
    jitter, sag = np.zeros(30), np.zeros(30)
    jitter[::2], jitter[1::2] = 0.5, -0.5
    sag[10:19] = 0.3

    def lasting(loss: np.ndarray) -> float:
        course = Course(levels=truth, psnr=alone.psnr - loss)
        return compare(shot, truth, "radius 8", course, alone).lasting_loss

    assert lasting(jitter) == pytest.approx(0.5 / 9)
    assert lasting(sag) == pytest.approx(0.3)


def test_shots_are_what_they_say(panoramas: Path) -> None:
    shots = list(make_shots(panoramas, PRESET, count=9, size=SIZE, length=12))
    scenes = {shot.scene for shot in shots if shot.kind == "pan"}
    assert scenes == set(sorted(HELD_OUT_SCENES)[:2])
    by_kind = {shot.kind: shot for shot in shots}
    assert set(by_kind) == {*SHOTS, "cut"}
    for shot in shots:
        assert len(shot.sdr) == len(shot.truth) == 12
        assert shot.sdr[0].shape == (3, SIZE[1], SIZE[0])
        assert min(float(s.min()) for s in shot.sdr) >= 0
        assert max(float(t.max()) for t in shot.truth) <= 1000.1
    assert torch.equal(by_kind["still"].truth[0], by_kind["still"].truth[11])
    pan = by_kind["pan"].truth
    assert all(not torch.equal(a, b) for a, b in pairwise(pan))
    fade = by_kind["fade"]
    share = float(fade.sdr[6].sum() / fade.sdr[0].sum())
    assert 0 < share < 1
    assert float(fade.truth[6].sum() / fade.truth[0].sum()) == pytest.approx(share**FADE_GAMMA)
    flash = by_kind["flash"]
    assert flash.events == (4, 5, 8, 11)
    bright = [float(t.mean()) for t in flash.truth]
    assert {n for n in range(12) if bright[n] > bright[0] * 1.2} == {4, 8, 9, 10}
    cut = by_kind["cut"]
    assert cut.events == (6,)
    assert not torch.equal(cut.truth[5], cut.truth[6])
    with pytest.raises(MediaError, match="no held-out panorama"):
        next(make_shots(panoramas / "none", PRESET, count=1))
    with pytest.raises(MediaError, match="kinds must be of"):
        next(make_shots(panoramas, PRESET, count=1, kinds=["swirl"]))


def test_only_panoramas_become_shots(panoramas: Path, tmp_path: Path) -> None:
    # A photograph of a held-out scene that comes first, and a video, which is no still.
    first, second = sorted(HELD_OUT_SCENES)[:2]
    cv2.imwrite(str(tmp_path / f"{first}.hdr"), np.ones((48, 64, 3), np.float32))
    (tmp_path / f"{first}.mkv").write_bytes(b"")
    (tmp_path / f"{second}.hdr").symlink_to(panoramas / f"{second}.hdr")
    shots = make_shots(tmp_path, PRESET, count=1, size=SIZE, length=4, kinds=["still"])
    assert [shot.scene for shot in shots] == [second]


def test_anyones_panoramas_become_shots(panoramas: Path, tmp_path: Path) -> None:
    for name in ("kitchen", "garden", "street"):
        (tmp_path / f"{name}.hdr").symlink_to(panoramas / "somewhere_else.hdr")
    ask = {"count": 4, "size": SIZE, "length": 4, "kinds": ["still"]}
    assert len(list(make_shots(tmp_path, PRESET, **ask))) == 1
    named = make_shots(tmp_path, PRESET, **ask, held_out=["k*", "s*"])
    assert [shot.scene for shot in named] == ["kitchen", "street"]


def test_delivery_is_bt709_video_with_its_grain(panoramas: Path, tmp_path: Path) -> None:
    (still,) = make_shots(panoramas, PRESET, count=1, size=SIZE, length=6, kinds=["still"])
    path = tmp_path / "still.mkv"
    deliver(still, path)
    clip = open_clip(path)
    assert (clip.num_frames, clip.width, clip.height) == (6, *SIZE)
    found = frame_props(clip)
    assert [found[n] for n in ("_Matrix", "_Transfer", "_Primaries", "_Range")] == [1, 1, 1, 0]
    back = clip.std.SetFrameProps(_ChromaLocation=1).resize.Bicubic(format=vs.RGBS)
    decoded = np.stack(planes(back, 0))
    assert np.abs(decoded - still.sdr[0].numpy()).mean() < 0.03
    assert not np.array_equal(planes(clip, 2)[0], planes(clip, 3)[0])


def test_a_frozen_map_is_the_mean_everywhere() -> None:
    blank = vs.core.std.BlankClip(format=vs.GRAYS, width=4, height=4, length=1)
    clip = blank.std.Expr("0.2").std.SetFrameProps(GainMapMax=1.0)
    clip += blank.std.Expr("0.6").std.SetFrameProps(GainMapMax=2.0)
    for n in range(2):
        assert planes(frozen(clip), n)[0] == pytest.approx(0.4)
        assert frame_props(frozen(clip), n)["GainMapMax"] == pytest.approx(1.5)


def test_the_command(
    panoramas: Path, tiny_weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report = tmp_path / "flicker.json"
    arguments = ["flicker", str(tiny_weights), "--hdr", str(panoramas), "--scenes", "2"]
    arguments += ["--size", "64", "48", "--length", "8", "--radius", "2", "--out", str(report)]
    assert main([*arguments, "--kind", "still", "cut"]) == 0
    table = capsys.readouterr().out
    rows = json.loads(report.read_text())
    assert {(r["kind"], r["way"]) for r in rows} == {
        *(("still", w) for w in ("radius 0", "SDR", "frozen map", "radius 2")),
        *(("cut", w) for w in ("radius 0", "SDR", "radius 2")),
    }
    by = {(r["kind"], r["way"]): r for r in rows}
    assert by["still", "radius 0"]["loss"] == 0
    assert by["still", "radius 2"]["flicker"][0] < by["still", "radius 0"]["flicker"][0]
    assert by["cut", "radius 2"]["lag"] < 0.05
    assert "| still | frozen map |" in table
    assert main(["flicker", str(tiny_weights), "--hdr", str(tmp_path)]) == 1
    assert "no held-out panorama" in capsys.readouterr().err

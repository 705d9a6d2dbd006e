"""Shots of panoramas: what each kind does, which panoramas are taken, how they are coded."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import vapoursynth as vs

from tests.clips import frame_props, planes
from training.data.splits import HELD_OUT_SCENES
from training.evaluation.shots import FADE_GAMMA, SHOTS, make_shots, write_shot
from vs_gainmap.errors import MediaError
from vs_gainmap.gainmap import GainMapPreset
from vs_gainmap.video import open_clip

PRESET = GainMapPreset(sdr_white=203.0, peak=1000 / 203, map_scale=2, min_log_gain=-2.0)
SIZE = (64, 48)


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
    write_shot(still, path)
    clip = open_clip(path)
    assert (clip.num_frames, clip.width, clip.height) == (6, *SIZE)
    found = frame_props(clip)
    assert [found[n] for n in ("_Matrix", "_Transfer", "_Primaries", "_Range")] == [1, 1, 1, 0]
    back = clip.std.SetFrameProps(_ChromaLocation=1).resize.Bicubic(format=vs.RGBS)
    decoded = np.stack(planes(back, 0))
    assert np.abs(decoded - still.sdr[0].numpy()).mean() < 0.03
    assert not np.array_equal(planes(clip, 2)[0], planes(clip, 3)[0])

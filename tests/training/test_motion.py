"""Moving cameras: what moves, and that a video's HDR is the master of its SDR."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
import torch

from training.__main__ import main
from training.grade import quantize_pq
from training.items import read_runs
from training.motion import VIDEOS, Motion, MotionWriter, write_pq
from training.scenes import INDEX, Camera
from training.sources import Still
from vs_gainmap.color import luminance, pq_inverse_eotf
from vs_gainmap.errors import MediaError


@pytest.fixture(scope="module")
def panoramas(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a panorama and a photograph."""
    folder = tmp_path_factory.mktemp("hdr")
    rng = np.random.default_rng(5)
    for name, size in (("meadow", (256, 128)), ("photo", (96, 64))):
        noise = rng.normal(0, 1.5, (16, 32, 1)) + rng.normal(0, 0.5, (16, 32, 3))
        light = (0.15 * np.exp(cv2.resize(noise, size))).astype(np.float32)
        cv2.imwrite(str(folder / f"{name}.hdr"), light)
    return folder


def test_a_camera_turns_and_zooms_at_its_speed() -> None:
    start = Camera(yaw=10, pitch=0, roll=0, fov=60)
    motion = Motion(start=start, yaw=12, pitch=-2, roll=0.5, zoom=-1, sway=0, pace=1)
    assert motion.at(0) == start
    assert motion.at(1) == Camera(yaw=22, pitch=-2, roll=0.5, fov=30)
    held = Motion(start=start, yaw=0, pitch=0, roll=0, zoom=0, sway=0.3, pace=1)
    yaws = [held.at(n / 24).yaw - 10 for n in range(24)]
    assert max(yaws) == pytest.approx(0.3)
    assert min(yaws) == pytest.approx(-0.3)


def test_motions_differ_in_field_of_view_and_speed() -> None:
    drawn = [Motion.draw(np.random.default_rng(n)) for n in range(200)]
    fovs = [motion.start.fov for motion in drawn]
    assert min(fovs) < 50
    assert max(fovs) > 95
    assert np.std([motion.yaw for motion in drawn]) == pytest.approx(12, rel=0.2)
    assert 40 < sum(motion.zoom != 0 for motion in drawn) < 95


def test_pq_comes_back_to_the_code(tmp_path: Path) -> None:
    torch.manual_seed(0)
    nits = [quantize_pq(torch.rand(3, 16, 32) ** 4 * 4000) for _ in range(3)]
    write_pq(nits, tmp_path / "a.mkv")
    for before, after in zip(
        nits, read_runs(tmp_path / "a.mkv", places=1, length=3)[0], strict=True
    ):
        codes = [pq_inverse_eotf(one) * 1023 for one in (before, after)]
        assert (codes[0] - codes[1]).abs().max() < 0.01


def _agreement(luma: np.ndarray, nits: torch.Tensor) -> float:
    """Return the rank correlation of luma and luminance."""
    light = luminance(nits, "bt2020").numpy().ravel()
    ranks = [np.argsort(np.argsort(values)) for values in (luma, light)]
    return float(np.corrcoef(*ranks)[0, 1])


def test_render_makes_stills_and_videos(panoramas: Path, tmp_path: Path) -> None:
    def render(out: Path, *, seed: int = 0) -> list[dict[str, str]]:
        command = ["render", str(panoramas), "--out", str(out), "--views", "4", "--seed"]
        more = ["--size", "64", "48", "--motion", "2", "--length", "6"]
        assert main([*command, str(seed), *more]) == 0
        rows: list[dict[str, str]] = json.loads((out / "motion" / VIDEOS).read_text())
        return rows

    rows = render(tmp_path / "a")
    assert len(json.loads((tmp_path / "a" / INDEX).read_text())) == 5  # four, and the photograph's
    assert [row["scene"] for row in rows] == ["meadow"] * 2
    videos = tmp_path / "a" / "motion"
    for row in rows:
        hdr = read_runs(videos / row["hdr"], places=1, length=6)[0]
        assert len(hdr) == 6
        assert hdr[0].shape == (3, 48, 64)
        assert float(torch.stack(hdr).max()) <= 4001
        changes = [float((one - two).abs().mean()) for one, two in itertools.pairwise(hdr)]
        assert min(changes) > 0
        with av.open(str(videos / row["sdr"])) as container:
            sdr = list(container.decode(video=0))
        assert len(sdr) == 6
        assert (int(sdr[0].color_primaries), int(sdr[0].color_trc)) == (1, 1)
        # The same picture both ways: where there is more light, there is more signal.
        luma = sdr[3].to_ndarray()[:48].astype(float).ravel()
        own, other = (_agreement(luma, picture) for picture in (hdr[3], hdr[3].flip(-1)))
        assert own > 0.8
        assert other < own - 0.3
    assert render(tmp_path / "b") == rows
    assert (videos / rows[0]["hdr"]).read_bytes()[-2000:] == (
        tmp_path / "b/motion" / rows[0]["hdr"]
    ).read_bytes()[-2000:]
    assert render(tmp_path / "c", seed=1)[0] != rows[0]


def test_only_panoramas_with_light_move(tmp_path: Path) -> None:
    writer = MotionWriter(tmp_path, count=1, length=2, size=(32, 16))
    black = torch.zeros(3, 32, 64)
    writer.add(Still(name="black", linear=black, graded=False, panorama=True))
    writer.add(Still(name="photo", linear=black + 1, graded=False, panorama=False))
    assert writer.rows == []
    with pytest.raises(MediaError, match="even size"):
        MotionWriter(tmp_path, count=1, length=2, size=(33, 16))

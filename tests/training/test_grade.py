"""Where diffuse white is: levels of views, and grades that go by them."""

from __future__ import annotations

import json
import math
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from training.data.grade import DARKEST, LIGHTEST, MOOD_NITS, Grade, Levels, draw_average
from training.data.scenes import INDEX, log_average, render_views
from training.data.views import read_index

SNOW = Levels(view=0.5, scene=0.5)
NIGHT = Levels(view=0.02, scene=0.03)


def test_a_panoramas_log_average_is_over_the_sphere() -> None:
    panorama = torch.ones(3, 180, 360)
    panorama[:, 60:120] = math.e  # within 30 degrees of the horizon: half of the sphere
    assert log_average(panorama, panorama=True) == pytest.approx(math.exp(0.5), rel=1e-3)
    assert log_average(panorama) == pytest.approx(math.exp(1 / 3), rel=1e-3)
    assert log_average(torch.zeros(3, 4, 8), panorama=True) == 0.0


def _render(folder: Path, scale: float) -> Path:
    """Render views of a drawn panorama whose numbers are `scale` times as large."""
    rng = np.random.default_rng(1)
    (folder / "hdr").mkdir(parents=True)
    panorama = cv2.resize(rng.random((8, 16, 3), dtype=np.float32) ** 2, (256, 128))
    cv2.imwrite(str(folder / "hdr/meadow.hdr"), panorama * np.float32(scale))
    render_views([folder / "hdr"], folder / "views", views=4, width=96, height=64)
    return folder / "views"


def test_the_index_keeps_what_normalising_takes(tmp_path: Path) -> None:
    once, four = (read_index(_render(tmp_path / str(k), k)) for k in (1, 4))
    for one, other in zip(once, four, strict=True):
        assert one.levels is not None
        assert other.levels is not None
        assert other.levels.view == pytest.approx(4 * one.levels.view, rel=0.01)
        assert other.levels.scene == pytest.approx(4 * one.levels.scene, rel=0.01)
        assert log_average(one.load()) == pytest.approx(log_average(other.load()), rel=0.01)
    views = [view.levels.view for view in once if view.levels]
    assert max(views) > 1.1 * min(views)
    assert all(0.5 < view / once[0].levels.scene < 2 for view in views if once[0].levels)


def test_a_scale_that_is_no_scale_is_not_gone_by(tmp_path: Path) -> None:
    folder = _render(tmp_path, 1000.0)
    assert "level" not in json.loads((folder / INDEX).read_text())[0]
    assert read_index(folder)[0].levels is None
    assert Levels.known(view=0.0, scene=0.2) is None
    assert Levels.known(view=0.1, scene=0.2) == Levels(view=0.1, scene=0.2)


def test_white_is_placed_between_the_scenes_exposure_and_one_anew() -> None:
    rng = np.random.default_rng(2)
    snow = [draw_average(SNOW, rng) for _ in range(400)]
    night = [draw_average(NIGHT, rng) for _ in range(400)]
    unknown = [draw_average(None, rng) for _ in range(400)]
    assert np.median(snow) > 1.5 * np.median(unknown) > 1.5 * np.median(night)
    assert np.log(unknown).mean() == pytest.approx(math.log(MOOD_NITS), abs=0.15)


def test_a_grade_keeps_within_what_a_colorist_leaves_a_picture_at() -> None:
    rng = np.random.default_rng(2)
    assert Grade.draw(rng, average_nits=30.0).average_nits == 30.0
    assert Grade.draw(rng, average_nits=1e-3).average_nits == DARKEST
    assert Grade.draw(rng, average_nits=1e5).average_nits == LIGHTEST

"""Where diffuse white is: levels of views, and grades that go by them."""

from __future__ import annotations

import json
import math
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from training.grade import (
    DARKEST,
    FILM_WHITE,
    LIGHTEST,
    SHOT_SPREAD,
    Grade,
    Levels,
    draw_white,
    place_white,
)
from training.pairs import Film, draw_master, read_index
from training.scenes import INDEX, log_average, render_views

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
    dark_corner = Levels(view=0.05, scene=0.2)
    placed = [place_white(dark_corner, 150.0, np.random.default_rng(n)) for n in range(200)]
    assert min(placed) >= 0.999 * 150 * 0.05
    assert max(placed) <= 150 * 0.2
    assert max(placed) > 2 * min(placed)
    even = Levels(view=0.2, scene=0.2)
    assert place_white(even, 150.0, np.random.default_rng(0)) == pytest.approx(30.0)


def test_grades_are_around_where_white_is_placed() -> None:
    rng = np.random.default_rng(2)
    drawn = [Grade.draw(rng, peak_nits=1000.0, placed_nits=40.0).average_nits for _ in range(800)]
    assert np.log(drawn).mean() == pytest.approx(math.log(40.0), abs=0.05)
    assert np.log(drawn).std() == pytest.approx(SHOT_SPREAD, rel=0.1)
    loose = [Grade.draw(rng, peak_nits=1000.0).average_nits for _ in range(800)]
    assert np.log(loose).std() > 2 * SHOT_SPREAD
    for placed in (1e-3, 1e5):
        assert Grade.draw(rng, peak_nits=1e3, placed_nits=placed).average_nits >= DARKEST
        assert Grade.draw(rng, peak_nits=1e3, placed_nits=placed).average_nits <= LIGHTEST
    whites = [draw_white(rng) for _ in range(800)]
    assert np.median(whites) == pytest.approx(FILM_WHITE, rel=0.05)


def test_snow_at_noon_is_lighter_than_a_street_at_night_in_one_film() -> None:
    view = torch.rand(3, 32, 48, generator=torch.Generator().manual_seed(0)) ** 2
    view *= 0.18 / log_average(view)
    film = Film.draw(np.random.default_rng(1))

    def average(levels: Levels | None, seed: int) -> float:
        rng = np.random.default_rng(seed)
        return log_average(draw_master(view, rng, film, graded=False, levels=levels).nits)

    seeds = range(40)
    snow, night = ([average(levels, n) for n in seeds] for levels in (SNOW, NIGHT))
    assert np.median(snow) > 8 * np.median(night)
    assert np.mean([s > n for s, n in zip(snow, night, strict=True)]) > 0.95
    assert 0.25 * film.white_nits < np.median(snow) < film.white_nits
    free = [average(None, n) for n in seeds]
    assert np.log(free).std() > 1.5 * np.log(snow).std()

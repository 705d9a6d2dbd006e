"""Where diffuse white is: levels of views, and grades that go by them."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor

from training.data.scenes import INDEX, log_average, render_views
from training.data.views import read_index
from training.grade import DARKEST, LIGHTEST, Grade, Master
from training.lighting import (
    KINDS,
    MOOD_SPREAD,
    PICTURE_SPREAD,
    PLACED,
    SHOT_SPREAD,
    USUAL_LEVEL,
    Levels,
    Lighting,
)
from training.operators import Light, Operator
from training.operators.camera import Bilateral, LocalReinhard
from training.operators.film import Drago, Reinhard
from training.pairs import Film, draw_master

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


def lighting(*, placed: bool = True) -> Lighting:
    return Lighting(white_nits=150.0, average_nits=12.0, placed=placed)


def test_white_is_placed_between_the_scenes_exposure_and_one_anew() -> None:
    dark_corner = Levels(view=0.05, scene=0.2)
    film = lighting()
    placed = [film.place_white(dark_corner, np.random.default_rng(n)) for n in range(200)]
    assert min(placed) >= 0.999 * 150 * 0.05
    assert max(placed) <= 150 * 0.2
    assert max(placed) > 2 * min(placed)
    even = Levels(view=0.2, scene=0.2)
    assert film.place_white(even, np.random.default_rng(0)) == pytest.approx(30.0)


def test_shots_are_around_where_white_is_placed_or_as_the_mood_wants_them() -> None:
    rng = np.random.default_rng(2)
    even = Levels(view=0.2, scene=0.2)
    placed = [lighting().draw_average(even, rng) for _ in range(800)]
    assert np.log(placed).mean() == pytest.approx(math.log(30.0), abs=0.05)
    assert np.log(placed).std() == pytest.approx(SHOT_SPREAD, rel=0.1)
    for film, levels in ((lighting(placed=False), even), (lighting(), None)):
        drawn = [film.draw_average(levels, rng) for _ in range(800)]
        assert np.log(drawn).mean() == pytest.approx(math.log(12.0), abs=0.1)
        assert np.log(drawn).std() == pytest.approx(PICTURE_SPREAD, rel=0.1)
    assert lighting(placed=False).usual_nits == 12.0
    assert lighting().usual_nits == pytest.approx(150 * USUAL_LEVEL)


def test_films_differ_in_where_they_have_their_light() -> None:
    rng = np.random.default_rng(3)
    films = [Lighting.draw(rng) for _ in range(3000)]
    assert sum(kind.share for kind in KINDS.values()) == pytest.approx(1)
    whites, averages = (
        sum(kind.share * math.log(kind[column]) for kind in KINDS.values()) for column in (1, 2)
    )
    assert np.log([film.white_nits for film in films]).mean() == pytest.approx(whites, abs=0.05)
    drawn = np.log([film.average_nits for film in films])
    assert drawn.mean() == pytest.approx(averages, abs=0.08)
    # Kinds lie farther apart than the films of one.
    assert drawn.std() > 1.4 * MOOD_SPREAD
    assert np.mean([film.placed for film in films]) == pytest.approx(PLACED, abs=0.04)


def test_a_grade_keeps_within_what_a_colorist_leaves_a_picture_at() -> None:
    rng = np.random.default_rng(2)
    assert Grade.draw(rng, peak_nits=1e3, average_nits=30.0).average_nits == 30.0
    assert Grade.draw(rng, peak_nits=1e3, average_nits=1e-3).average_nits == DARKEST
    assert Grade.draw(rng, peak_nits=1e3, average_nits=1e5).average_nits == LIGHTEST


def test_snow_at_noon_is_lighter_than_a_street_at_night_in_one_film() -> None:
    view = torch.rand(3, 32, 48, generator=torch.Generator().manual_seed(0)) ** 2
    view *= 0.18 / log_average(view)
    film = replace(Film.draw(np.random.default_rng(1)), lighting=lighting())

    def average(levels: Levels | None, seed: int) -> float:
        rng = np.random.default_rng(seed)
        return log_average(draw_master(view, rng, film, graded=False, levels=levels).nits)

    seeds = range(40)
    snow, night = ([average(levels, n) for n in seeds] for levels in (SNOW, NIGHT))
    assert np.median(snow) > 8 * np.median(night)
    assert np.mean([s > n for s, n in zip(snow, night, strict=True)]) > 0.95
    assert 0.25 * 150 < np.median(snow) < 150
    free = [average(None, n) for n in seeds]
    assert np.log(free).std() > 1.5 * np.log(snow).std()


ADAPTIVE = [Reinhard(key=0.18), LocalReinhard(), Drago(), Bilateral()]


@pytest.mark.parametrize("operator", ADAPTIVE, ids=lambda operator: type(operator).__name__)
def test_a_film_keeps_a_part_of_what_a_shot_is_darker(operator: Operator) -> None:
    noise = torch.rand(1, 32, 48, generator=torch.Generator().manual_seed(0))
    day = (20 * 4**noise).expand(3, -1, -1)

    def light(nits: Tensor, adapting: float, usual: float | None) -> float:
        lit = Light(rgb=nits, peak_nits=1000.0, usual_nits=usual, adapting=adapting)
        return log_average(operator(lit))

    usual = Light(rgb=day, peak_nits=1000.0).log_average()
    alone = light(day, 1.0, None)
    # The film's usual light is exposed as if alone, whatever adapts; so is all that adapts wholly.
    for adapting in (0.0, 0.5, 1.0):
        assert light(day, adapting, usual) == pytest.approx(alone, rel=1e-4)
    assert light(day / 8, 1.0, usual) == pytest.approx(light(day / 8, 1.0, None), rel=1e-4)
    whole, half, none = (light(day / 8, adapting, usual) for adapting in (1.0, 0.5, 0.0))
    assert whole > 1.3 * half > 1.5 * none


def test_a_light_adapts_by_a_share_of_stops() -> None:
    grey = torch.full((3, 4, 6), 5.0)
    for adapting, expected in ((1.0, 5.01), (0.0, 80.0), (0.5, math.sqrt(5.01 * 80))):
        lit = Light(rgb=grey, peak_nits=1e3, usual_nits=80.0, adapting=adapting)
        assert lit.adaptation() == pytest.approx(expected, rel=1e-4)
    assert Light(rgb=grey, peak_nits=1e3, adapting=0.3).adaptation() == pytest.approx(5.01)
    assert Light(rgb=0 * grey, peak_nits=1e3).adaptation() == 0.02


def test_what_came_graded_is_exposed_by_its_own_level() -> None:
    film = replace(
        Film.draw(np.random.default_rng(0)), operator=Reinhard(key=0.18), lighting=lighting(),
        adapting=0.0, wide=True,
    )  # fmt: skip
    bright, dim = (
        Master(nits=torch.full((3, 8, 12), nits), peak_nits=1000.0) for nits in (400.0, 4.0)
    )
    by_itself, by_the_film = (
        float(film.make_sdr(bright, graded=graded).mean()) for graded in (True, False)
    )
    assert by_the_film > by_itself + 0.2
    assert float(film.make_sdr(dim, graded=True).mean()) == pytest.approx(by_itself, abs=0.01)

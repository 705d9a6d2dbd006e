"""Films: where they are shot, and what their shots have in common."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from training import pairs
from training.data.views import View
from training.degrade import Degradation
from training.films import FEWEST, MOST, Locations
from training.grade import Grade
from training.pairs import Film, PairDataset, draw_master
from training.vary import Variation
from vs_gainmap.gainmap import GainMapPreset

PRESET = GainMapPreset(sdr_white=203.0, peak=1000 / 203, map_scale=2, min_log_gain=-2.0)


def views(**counts: int) -> list[View]:
    """Return views that nobody loads, so many a scene."""
    return [
        View(path=Path(f"{scene}_{n}.npy"), scene=scene, graded=False)
        for scene, count in counts.items()
        for n in range(count)
    ]


def test_a_film_is_shot_at_some_of_the_scenes() -> None:
    locations = Locations(views(**{f"scene{n}": 3 for n in range(200)}))
    rng = np.random.default_rng(1)
    films = [locations.draw(rng) for _ in range(2000)]
    counts = [len(places) for places in films]
    assert min(counts) == FEWEST
    assert MOST * 0.9 < max(counts) <= MOST
    # Evenly in the logarithm: half of the films have less than the geometric mean.
    assert np.median(counts) == pytest.approx((FEWEST * MOST) ** 0.5, rel=0.15)
    seen = {locations.draw_view(films[0], rng).scene for _ in range(400)}
    assert seen == set(films[0])
    assert len(set().union(*films)) == 200


def test_every_view_is_as_likely_as_any_other() -> None:
    locations = Locations(views(often=9, once=1))
    rng = np.random.default_rng(2)
    drawn = Counter(locations.draw_view(locations.draw(rng), rng).scene for _ in range(4000))
    assert drawn["once"] / 4000 == pytest.approx(0.1, abs=0.02)


def test_pictures_of_a_film_are_of_its_scenes(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[str] = []

    def make_pair(view: View, *_: object, **__: object) -> pairs.Pair:
        shown.append(view.scene)
        return pairs.Pair(torch.rand(3, 32, 48), torch.rand(3, 32, 48), "drawn")

    monkeypatch.setattr(pairs, "make_pair", make_pair)
    many = views(**{f"scene{n}": 2 for n in range(500)})
    data = PairDataset(many, PRESET, crop=0, seed=4, length=32 * 40, film=32)
    for n in range(len(data)):
        data[n]
    scenes = [len(set(shown[first : first + 32])) for first in range(0, len(shown), 32)]
    # With all 500 for every film, 32 pictures would be of 31.
    assert min(scenes) <= 3
    assert np.median(scenes) < 16
    assert max(scenes) > 20


def test_a_grade_goes_toward_the_look_and_keeps_its_light() -> None:
    own = Grade(average_nits=20.0, peak_nits=1000.0, contrast=0.9, balance=(1.2, 1.0, 0.8))
    look = Grade(
        average_nits=90.0, peak_nits=0.0, contrast=1.3, saturation=0.0, balance=(0.75, 1, 1.25),
        knee_nits=450.0, black_nits=0.02, hard=True,
    )  # fmt: skip
    assert own.toward(look, 0.0) == own
    whole = own.toward(look, 1.0)
    assert whole == replace(look, average_nits=20.0, peak_nits=1000.0)
    half = own.toward(look, 0.5)
    assert half.contrast == pytest.approx(1.1)
    assert half.saturation == pytest.approx(0.5)
    assert half.balance == pytest.approx((0.9**0.5, 1.0, 1.0), rel=1e-3)
    assert half.knee_nits == pytest.approx(300.0)
    assert not half.hard


def test_shots_of_a_film_look_alike_as_far_as_it_keeps_its_look(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    graded: list[Grade] = []

    def record(self: Grade, linear: torch.Tensor) -> torch.Tensor:
        graded.append(self)
        return linear

    monkeypatch.setattr(Grade, "__call__", record)
    film = Film.draw(np.random.default_rng(3), operator="clip")

    def spread(kept: float) -> float:
        graded.clear()
        for n in range(24):
            shots = replace(film, kept=kept)
            draw_master(torch.rand(3, 32, 48), np.random.default_rng(n), shots, graded=False)
        assert len({grade.average_nits for grade in graded}) == 24
        return float(np.std([grade.contrast for grade in graded]))

    assert spread(1.0) == pytest.approx(0.0)
    assert spread(0.5) == pytest.approx(spread(0.0) / 2)
    assert spread(0.0) > 0.1


def test_films_are_varied_more_and_less(monkeypatch: pytest.MonkeyPatch) -> None:
    varied: list[int] = []

    def draw(_: np.random.Generator) -> Variation:
        varied.append(1)
        return Variation()

    film = Film.draw(np.random.default_rng(3), operator="clip")
    assert len({Film.draw(np.random.default_rng(n)).varied > 0.5 for n in range(20)}) == 2
    monkeypatch.setattr(Variation, "draw", draw)
    monkeypatch.setattr(View, "load", lambda _: torch.rand(3, 32, 48) + 0.01)
    some = views(scene=3)
    for share, least, most in ((0.0, 0, 0), (0.5, 20, 44), (1.0, 64, 64)):
        varied.clear()
        for n in range(64):
            pairs.make_pair(
                some[0], np.random.default_rng(n), PRESET, replace(film, varied=share),
                vary_with=some,
            )  # fmt: skip
        assert least <= len(varied) <= most


def test_most_films_have_the_same_bars_and_grain_in_all_pictures(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    used: list[Degradation] = []

    def record(self: Degradation, signal: torch.Tensor, _: np.random.Generator) -> torch.Tensor:
        used.append(self)
        return signal

    monkeypatch.setattr(Degradation, "__call__", record)
    monkeypatch.setattr(View, "load", lambda _: torch.full((3, 32, 48), 0.2))
    films = [Film.draw(np.random.default_rng(n), operator="clip") for n in range(200)]
    assert sum(film.carried is not None for film in films) / 200 == pytest.approx(0.7, abs=0.1)
    alike, bars = [], set()
    for seed in (5, 7, 9, 11, None):
        used.clear()
        film = replace(films[0], carried=seed)
        heights = set()
        for n in range(40):
            pair = pairs.make_pair(views(scene=1)[0], np.random.default_rng(n), PRESET, film)
            heights.add(int((pair.hdr.amax((0, 2)) == 0).sum()))
        assert (len(heights) == 1) == (seed is not None)
        bars |= heights
        alike.append(len({repr(way) for way in used}))
    assert alike[:4] == [1] * 4
    assert alike[4] > 10
    assert len(bars) > 1

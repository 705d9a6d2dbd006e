"""The perceptron that says what a film's pictures tell of how its SDR was made."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from tests.training.small import make_views
from training.operators import OPERATORS
from training.telling import (
    NAMES,
    PIXELS,
    Films,
    draw_films,
    draw_heard,
    error,
    fit,
    main,
    measure,
    scaling,
)
from training.views import read_index
from vs_gainmap.color import pq_inverse_eotf
from vs_gainmap.gainmap import GainMapPreset
from vs_gainmap.models.gridnet import BINS
from vs_gainmap.models.measuring import STATISTICS

WIDE = GainMapPreset(sdr_white=203.0, peak=4.9, map_scale=4, min_log_gain=-2.0)


@pytest.fixture(scope="module")
def views(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_views(tmp_path_factory.mktemp("telling"))


def films(gains: list[float], *, seed: int = 0, pictures: int = 4) -> Films:
    """Return films of flat light, whose SDR is off by so many stops, which their second one tells.

    Of the statistics the first is the gain in every film's picture 1, the second is noise.
    """
    generator = torch.Generator().manual_seed(seed)
    count = len(gains)
    told = torch.zeros(count, pictures, STATISTICS)
    told[:, :, 1] = torch.randn(count, pictures, generator=generator)
    told[:, 1, 0] = torch.tensor(gains)
    y = torch.rand(count, pictures, PIXELS, generator=generator)
    truth = y**2.2 * torch.exp2(torch.tensor(gains))[:, None, None]
    return Films(told, torch.stack([y, y**2.2, truth], 2), torch.tensor([g > 0 for g in gains]) * 1)


def test_error_is_that_of_the_pq_signal() -> None:
    y = torch.linspace(0.1, 0.9, PIXELS)
    light = torch.stack([y, y**2.2, y**2.2 * 2])[None]
    assert error(torch.ones(1, BINS), light, WIDE).abs().max() < 1e-6
    ramp = torch.linspace(0, 1.5, BINS)[None]  # 1.5 stops times luma
    wrong = error(ramp, light, WIDE)[0]
    expected = pq_inverse_eotf(203 * y**2.2 * 2 ** (1.5 * y)) - pq_inverse_eotf(203 * y**2.2 * 2)
    torch.testing.assert_close(wrong, expected, atol=1e-4, rtol=0)


def test_hears_as_many_as_asked_and_itself() -> None:
    own = torch.tensor([3, 0, 5])
    heard = draw_heard(own, torch.tensor([1, 4, 6]), 6, torch.Generator().manual_seed(1))
    assert heard.sum(1).tolist() == [1, 4, 6]
    assert heard[torch.arange(3), own].all()


def test_who_hears_the_one_that_tells_is_right() -> None:
    known = films([-0.8, 0.8] * 24)
    network = fit(known, WIDE, steps=150, seed=0)
    other = films([-0.8, 0.8] * 8, seed=1)
    alone = measure(network, other, WIDE, heard=1).mean()
    surveyed = measure(network, other, WIDE, heard=4).mean()
    assert surveyed > alone + 5
    assert surveyed > scaling(other, WIDE).mean() + 10


def test_who_is_told_the_name_needs_nobody() -> None:
    known, other = films([-0.8, 0.8] * 24), films([-0.8, 0.8] * 8, seed=1)
    told = fit(known, WIDE, steps=150, seed=0, told=True)
    assert measure(told, other, WIDE, heard=1).mean() > scaling(other, WIDE).mean() + 10


def test_films_are_a_function_of_the_seed_and_drawn_as_asked(views: Path) -> None:
    every = read_index(views)
    one, again = (draw_films(every, WIDE, count=3, pictures=2, seed=7) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(one, again, strict=True))
    assert one.statistics.shape == (3, 2, STATISTICS)
    assert one.light.shape == (3, 2, 3, PIXELS)
    assert not any(OPERATORS[NAMES[int(n)]].held_out for n in one.operators)
    unseen = draw_films(every, WIDE, count=5, pictures=1, seed=7, every_operator=True)
    assert unseen.operators.tolist() == [0, 1, 2, 3, 4]
    light = unseen.light.float()
    assert np.isfinite(light.numpy()).all()
    assert 0 <= light[:, :, 0].min() < light[:, :, 0].max() <= 1.01


def test_prints_by_how_many_are_heard(views: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked = {"films": 3, "pictures": 3, "measured": 1, "steps": 2, "seeds": 5, "shrink": 1}
    main([str(views), *(f"--{name}={number}" for name, number in asked.items())])
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert rows[1][0] == "scaling"
    assert [row[2] for row in rows[2:]] == ["1", "2", "3"]
    assert all(0 < float(row[-1]) < 80 for row in rows[1:])

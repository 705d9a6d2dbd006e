"""Tone mapping between two operators: what it makes lies between theirs, and films draw it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from training.between import LEAST, MOST, Between
from training.operators import OPERATORS, Light, Operator
from training.operators.film import AcesNarkowicz, FfmpegHable
from training.operators.itu import HardClip
from training.pairs import Film
from vs_gainmap.color import bt1886_inverse_eotf

RAMP = Light(rgb=(torch.linspace(0, 1, 256) ** 3 * 1000).expand(3, 1, -1), peak_nits=1000.0)
HELD_OUT = tuple(type(e.usual[0]) for e in OPERATORS.values() if e.held_out)


@pytest.mark.parametrize("share", [0.25, 0.5, 0.8])
@pytest.mark.parametrize(
    ("one", "other"),
    [(FfmpegHable(), HardClip()), (HardClip(white_nits=100.0), AcesNarkowicz(exposure=0.6))],
)
def test_signal_is_the_weighted_mean_of_both(one: Operator, other: Operator, share: float) -> None:
    sdr = Between(one=one, other=other, share=share)(RAMP)
    signal, low, high = (bt1886_inverse_eotf(x) for x in (sdr, one(RAMP), other(RAMP)))
    torch.testing.assert_close(signal, (1 - share) * low + share * high, atol=1e-5, rtol=0)
    assert (low - high).abs().max() > 0.1  # or the mean would say nothing
    assert sdr[:, 0, 0].abs().max() < 1e-6
    assert (sdr[1, 0].diff() > -1e-5).all()


def test_draws_two_operators_that_training_may_see() -> None:
    rng = np.random.default_rng(0)
    drawn = [Between.draw(rng) for _ in range(300)]
    kinds = {type(operator) for each in drawn for operator in (each.one, each.other)}
    assert not kinds & set(HELD_OUT)
    assert len(kinds) == len({e.make for e in OPERATORS.values() if not e.held_out})
    shares = [each.share for each in drawn]
    assert LEAST <= min(shares) < 0.25
    assert 0.75 < max(shares) <= MOST


def films(operator: str | None = None, mix: str = "video") -> list[Film]:
    return [Film.draw(np.random.default_rng(n), operator=operator, mix=mix) for n in range(400)]


def test_half_of_the_films_for_video_are_made_between_two() -> None:
    made = films()
    between = [film for film in made if isinstance(film.operator, Between)]
    assert 160 < len(between) < 240
    for film in between:
        assert isinstance(film.operator, Between)
        assert type(film.operator.one) is OPERATORS[film.name].make


def test_films_of_a_named_operator_and_photographs_are_not() -> None:
    assert {type(film.operator) for film in films(operator="hable")} == {FfmpegHable}
    assert not any(isinstance(film.operator, Between) for film in films(mix="photo"))

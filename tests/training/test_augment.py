"""Variations: new scenes that are still pictures of light."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from training.data.augment import (
    CARDS,
    DIMMED,
    FADED,
    KNOTS,
    SUBTITLED,
    TITLED,
    Inset,
    Title,
    Variation,
    draw_dim,
    draw_fade,
)
from training.data.grade import draw_subtitles
from vs_gainmap.color.primaries import luminance


def scene(seed: int = 0) -> torch.Tensor:
    rng = np.random.default_rng(seed)
    light = np.exp2(rng.normal(0, 2, (3, 64, 96))).astype(np.float32)
    return torch.from_numpy(0.18 * light)


def log_average(view: torch.Tensor) -> float:
    return float(torch.exp(torch.log(luminance(view, "bt2020").clamp(min=1e-6)).mean()))


def test_drawn_variations_keep_the_log_average_and_stay_light() -> None:
    changed = 0
    for seed in range(40):
        variation = Variation.draw(np.random.default_rng(seed))
        view = scene()
        varied = variation(view, [scene(1)] * 4)
        assert varied.shape == view.shape
        assert torch.isfinite(varied).all()
        assert (varied >= 0).all()
        assert log_average(varied) == pytest.approx(log_average(view), rel=1e-3)
        assert torch.equal(varied, variation(scene(), [scene(1)] * 4))
        changed += not torch.allclose(varied, view, rtol=1e-3)
    assert 20 < changed < 40


def test_light_changes_smoothly_over_the_picture() -> None:
    flat = torch.full((3, 64, 96), 0.18)
    lit = Variation(light=((2.0, 0.0), (0.0, 0.0)))(flat)
    stops = torch.log2(lit[1])
    assert float(stops[0, 0] - stops[-1, -1]) == pytest.approx(2.0, abs=1e-3)
    assert float(stops.diff(dim=0).abs().max()) < 0.2
    assert torch.allclose(lit[0], lit[2])


def test_a_tone_scale_bends_luminance_and_leaves_color() -> None:
    view = scene()
    slopes = [1.0] * (len(KNOTS) - 1)
    assert torch.allclose(Variation(slopes=tuple(slopes))(view), view, rtol=1e-4)
    slopes[4] = 2.0  # from the log-average up to 1.5 stops over it
    bent = Variation(slopes=tuple(slopes))(view)
    before, after = luminance(view, "bt2020").flatten(), luminance(bent, "bt2020").flatten()
    order = before.argsort()
    assert (after[order].diff() >= -1e-6).all()
    assert torch.allclose(bent / after.view(1, 64, 96), view / before.view(1, 64, 96), rtol=1e-3)
    span = torch.log2(after.max() / after.min()) - torch.log2(before.max() / before.min())
    assert float(span) == pytest.approx(1.5, abs=0.01)


def test_an_inset_is_another_scene() -> None:
    view, other = torch.full((3, 64, 96), 0.18), torch.full((3, 64, 96), 7.0)
    varying = Variation(insets=(Inset(top=0.25, left=0.5, height=0.5, width=0.25, stops=3.0),))
    varied = varying(view, [other])
    inside = varied[:, 16:48, 48:72]
    assert torch.allclose(inside, inside.mean())
    assert float(inside.mean() / varied[0, 0, 0]) == pytest.approx(8, rel=1e-4)
    assert int((varied[0] > varied[0, 0, 0] * 1.1).sum()) == 32 * 24
    assert torch.allclose(varying(view), view)


def test_a_title_on_black_hides_the_picture_and_its_white_is_sdr_white() -> None:
    letters = torch.zeros(1, 64, 96)
    letters[:, 20:40, 30:60] = 1.0
    signal, truth = torch.full((3, 64, 96), 0.5), torch.full((3, 64, 96), 3.0)
    for card in (False, True):
        title = Title(letters=letters, signal=(1.0, 1.0, 1.0), card=card)
        sdr, hdr = title(signal, truth, 2.4)
        assert torch.allclose(hdr[:, 20:40, 30:60], torch.tensor(1.0), atol=1e-5)
        assert torch.allclose(sdr[:, 20:40, 30:60], torch.tensor(1.0))
        assert float(sdr[0, 0, 0]) == (0.0 if card else 0.5)
        assert float(hdr[0, 0, 0]) == (0.0 if card else 3.0)


def test_few_pictures_have_titles_and_subtitles_are_not_on_black() -> None:
    rng = np.random.default_rng(4)
    drawn = [Title.draw(rng, 64, 96) for _ in range(2000)]
    titles = [title for title in drawn if title is not None]
    assert len(titles) / 2000 == pytest.approx(TITLED, abs=0.03)
    cards = sum(title.card for title in titles) / len(titles)
    assert cards == pytest.approx((1 - SUBTITLED) * CARDS, abs=0.05)


def test_subtitles_are_small_and_centered_near_an_edge() -> None:
    rng = np.random.default_rng(5)
    near_the_top = 0
    for _ in range(60):
        letters = draw_subtitles(rng, 128, 192)
        assert letters.shape == (1, 128, 192)
        assert 0.5 < letters.max() <= 1
        assert 0.001 < letters.mean() < 0.08
        rows, columns = (torch.nonzero(letters[0].amax(dim)).flatten() for dim in (1, 0))
        assert float(columns.float().mean()) == pytest.approx(95.5, abs=8)
        assert len(rows) <= 2.7 * 1.6 * 0.06 * 128
        near_the_top += int(rows.max() < 64)
        assert rows.max() < 40 or rows.min() > 80
    assert 0 < near_the_top < 25


def test_few_scenes_are_dark_and_few_pictures_fade() -> None:
    rng = np.random.default_rng(3)
    dims, fades = (np.array([draw(rng) for _ in range(4000)]) for draw in (draw_dim, draw_fade))
    for drawn, share, least in ((dims, DIMMED, 2.0**-5), (fades, FADED, 0.02)):
        assert (drawn < 1).mean() == pytest.approx(share, abs=0.02)
        assert drawn.max() == 1
        assert least <= drawn.min() < 2 * least

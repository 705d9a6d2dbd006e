"""GridNet: histograms, slicing, windows and loading."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from vs_gainmap.gainmap import PRESETS
from vs_gainmap.models import GridNet
from vs_gainmap.models.gridnet import BINS, CELLS, GridFeatures
from vs_gainmap.models.statistics import (
    STATISTICS,
    luma,
    statistics,
    tally,
    tally_bins,
    tally_pixels,
)
from vs_gainmap.models.weights import load_weights, save_weights


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def flat_features(grid: Tensor | None = None, curve: Tensor | None = None) -> GridFeatures:
    return GridFeatures(
        torch.zeros(1, BINS, CELLS, CELLS) if grid is None else grid,
        torch.zeros(1, BINS, 1, 1) if curve is None else curve,
        torch.full((1, 1, 1, 1), 0.5),
    )


TALLIES = [tally_pixels, tally_bins]


@pytest.mark.parametrize("count", TALLIES)
def test_tally_splits_linearly_between_two_bins(count: Callable[..., list[Tensor]]) -> None:
    place = 4 * torch.tensor([[0.0, 0.25], [0.3, 1.0]]).view(2, 1, 1, 2)
    weight = torch.tensor([[1.0, 1.0], [1.0, 3.0]]).view(2, 1, 1, 2)
    ones, weighed = count(place, [torch.ones_like(place), weight], 5)
    expected = torch.tensor([[1, 1, 0, 0, 0], [0, 0.8, 0.2, 0, 1]]) / 2
    torch.testing.assert_close(ones, expected, atol=1e-6, rtol=0)
    expected[1, 4] *= 3
    torch.testing.assert_close(weighed, expected, atol=1e-6, rtol=0)


def test_both_tallies_agree() -> None:
    """One for a CPU, one for any other device."""
    place, weight = 23 * noise(3, 1, 32, 48), noise(3, 1, 32, 48, seed=1)
    for a, b in zip(*(count(place, [weight, 1 - weight], 24) for count in TALLIES), strict=True):
        torch.testing.assert_close(a, b, atol=1e-6, rtol=1e-5)


def test_tally_counts_what_is_outside_as_the_end() -> None:
    values = torch.tensor([0.2, 0.9, 0.95, 1.2]).view(1, 1, 1, 4)
    (votes,) = tally(values, [torch.ones_like(values)], 3, low=0.9)
    torch.testing.assert_close(votes, torch.tensor([[2.0, 1.0, 1.0]]) / 4, atol=1e-5, rtol=0)


def test_statistics_do_not_depend_on_where_things_are() -> None:
    picture = noise(1, 3, 32, 32)
    seen = statistics(picture)
    assert seen.shape == (1, STATISTICS)
    turned = statistics(picture.flip(2))
    torch.testing.assert_close(turned, seen, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("value", [0.0, 1 / (BINS - 1), 0.31, 0.5, 1.0])
def test_slicing_reads_the_curve_at_the_pixels_own_luma(value: float) -> None:
    knots = torch.linspace(0.2, 0.9, BINS) ** 2
    features = flat_features(knots.view(1, BINS, 1, 1).expand(1, BINS, CELLS, CELLS))
    picture = torch.full((1, 3, 8, 10), value)
    expected = np.interp(value, np.linspace(0, 1, BINS), knots.numpy())
    assert GridNet().predict(picture, features).numpy() == pytest.approx(expected, abs=1e-5)


def test_slicing_adds_the_curve_over_the_maximum() -> None:
    knots = torch.linspace(0.0, 1.0, BINS)
    picture = torch.tensor([0.1, 0.7, 0.3]).view(1, 3, 1, 1).expand(1, 3, 6, 6)
    out = GridNet().predict(picture, flat_features(curve=knots.view(1, BINS, 1, 1)))
    assert out.numpy() == pytest.approx(0.7, abs=1e-5)


def test_slicing_follows_the_place() -> None:
    grid = torch.zeros(1, BINS, CELLS, CELLS)
    grid[..., CELLS // 2 :] = 1.0
    out = GridNet().predict(torch.full((1, 3, 32, 64), 0.4), flat_features(grid))[0, 0]
    assert float(out[:, :24].max()) == 0.0
    assert float(out[:, 40:].min()) == 1.0


def test_a_window_is_a_cut_of_the_whole() -> None:
    features = flat_features(noise(1, BINS, CELLS, CELLS), noise(1, BINS, 1, 1, seed=1))
    picture = noise(1, 3, 40, 60, seed=2)
    whole = GridNet().predict(picture, features)
    window = torch.tensor([[10 / 40, 12 / 60, 30 / 40, 48 / 60]])
    part = GridNet().predict(picture[..., 10:30, 12:48], features, window)
    torch.testing.assert_close(part, whole[..., 10:30, 12:48], atol=1e-5, rtol=0)


def test_gray_has_one_luma() -> None:
    torch.testing.assert_close(luma(torch.full((1, 3, 2, 2), 0.42)), torch.full((1, 1, 2, 2), 0.42))


def test_the_start_is_what_was_set() -> None:
    model = GridNet().eval()
    model.set_start(0.4, 0.8)
    gain_map, qmax_norm = model(noise(1, 3, 32, 48), *model.measure(noise(1, 3, 256, 256)))
    assert gain_map.detach().numpy() == pytest.approx(0.4, abs=0.05)
    assert float(qmax_norm.detach()) == pytest.approx(0.8, abs=0.05)


def test_weights_go_to_a_file_and_back(tmp_path: Path) -> None:
    torch.manual_seed(3)
    model = GridNet(channels=32, hidden=48)
    model.eval()
    path = tmp_path / "grid.safetensors"
    save_weights(model, PRESETS["real-world"], path)
    loaded = load_weights(path)
    assert isinstance(loaded.model, GridNet)
    assert loaded.preset == PRESETS["real-world"]
    picture, thumbnail = noise(1, 3, 32, 48), noise(1, 3, 256, 256)
    measured = model.measure(thumbnail)
    for ours, theirs in zip(
        model(picture, *measured), loaded.model(picture, *measured), strict=True
    ):
        torch.testing.assert_close(ours, theirs)

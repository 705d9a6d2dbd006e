"""Scoring a lattice of pixels: every pixel once, each sliced where it was."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from training.thin import thin
from vs_gainmap.models import GridNet


def batch(height: int = 18, width: int = 30) -> dict[str, Tensor]:
    rng = torch.Generator().manual_seed(3)
    sdr = torch.rand(2, 3, height, width, generator=rng)
    return {
        "sdr": sdr,
        "hdr": 2 * sdr,
        "title": sdr[:, :1] - 1,
        "thumbnail": torch.rand(2, 3, 256, 256, generator=rng),
        "qmax": torch.rand(2, 1, 1, 1, generator=rng),
        "window": torch.tensor([[0.0, 0.0, 1.0, 1.0], [0.25, 0.1, 0.75, 0.6]]),
    }


def test_all_pixels_come_once_in_a_square_of_steps() -> None:
    whole = batch()
    parts = [thin(whole, 3, step) for step in range(100, 109)]
    seen = torch.cat([part["sdr"].flatten(2) for part in parts], dim=2)
    assert torch.equal(seen.sort(dim=2).values, whole["sdr"].flatten(2).sort(dim=2).values)
    for part in parts:
        assert torch.equal(part["hdr"], 2 * part["sdr"])
        assert torch.equal(part["title"], part["sdr"][:, :1] - 1)
        assert part["thumbnail"] is whole["thumbnail"]
        assert part["qmax"] is whole["qmax"]
    assert thin(whole, 1, 7) is whole


@pytest.mark.parametrize("every", [2, 3, 4])
@pytest.mark.parametrize(("height", "width"), [(18, 30), (17, 31)])
def test_the_network_says_the_same_of_a_pixel_with_the_others_and_without(
    every: int, height: int, width: int
) -> None:
    torch.manual_seed(1)
    model = GridNet(16, 32).eval()
    # Its own start says the same everywhere.
    torch.nn.init.normal_(model.curves.weight, std=0.3)
    torch.nn.init.normal_(model.places[-1].weight, std=0.3)
    whole = batch(height, width)
    with torch.inference_mode():
        expected, _ = model(whole["sdr"], whole["thumbnail"], None, whole["window"])
        assert expected.std() > 0.05
        for step in range(every**2):
            part = thin(whole, every, step)
            got, _ = model(part["sdr"], part["thumbnail"], None, part["window"])
            here = expected[..., step // every :: every, step % every :: every]
            torch.testing.assert_close(got, here, atol=1e-5, rtol=1e-5)


def test_pictures_without_a_window_are_whole() -> None:
    whole = batch()
    bare = {name: value for name, value in whole.items() if name != "window"}
    for step in range(4):
        placed = thin(bare, 2, step)["window"]
        assert torch.equal(placed[0], thin(whole, 2, step)["window"][0])
        assert torch.equal(placed[1], placed[0])

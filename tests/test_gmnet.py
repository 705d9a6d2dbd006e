"""GMNet against the published network's own output."""

from __future__ import annotations

import json
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch

from vs_gainmap.models import GMNet
from vs_gainmap.models.gmnet import HALO


def golden_state(shapes: dict[str, list[int]]) -> dict[str, torch.Tensor]:
    """Draw the golden weights, as ../shared/golden/README.md says."""
    state = {}
    for name, shape in shapes.items():
        rng = np.random.default_rng(zlib.crc32(name.encode()))
        values = rng.standard_normal(shape)
        if name.endswith("bias"):
            values *= 0.1
        else:
            scale = 0.5 if "conv1" in name or "conv2" in name else 1.3
            values *= scale * np.sqrt(2 / np.prod(shape[1:]))
        state[name] = torch.from_numpy(values.astype(np.float32))
    return state


@pytest.fixture(scope="module")
def published(shared: Path) -> tuple[GMNet, dict[str, torch.Tensor]]:
    shapes = json.loads((shared / "golden/gmnet_state_dict.json").read_text())
    model = GMNet.from_state_dict(golden_state(shapes)).eval()
    with np.load(shared / "golden/gmnet_upstream.npz") as arrays:
        return model, {name: torch.from_numpy(arrays[name]) for name in arrays}


def test_state_dict_is_the_published_one(shared: Path) -> None:
    shapes = json.loads((shared / "golden/gmnet_state_dict.json").read_text())
    ours = {name: list(value.shape) for name, value in GMNet().state_dict().items()}
    assert ours == shapes
    assert sum(p.numel() for p in GMNet().parameters()) == 1_921_827


@torch.inference_mode()
def test_agrees_with_published_output(published: tuple[GMNet, dict[str, torch.Tensor]]) -> None:
    model, golden = published
    gain_map, qmax_norm = model(golden["sdr"], golden["thumbnail"])
    scale = golden["gain_map"].std()
    assert (gain_map - golden["gain_map"]).abs().max() < 1e-4 * scale
    assert (qmax_norm - golden["qmax"]).abs().max() < 1e-4
    product = golden["qmax_gain_map"]
    assert (gain_map * qmax_norm - product).abs().max() < 1e-4 * product.std()


@torch.inference_mode()
def test_local_branch_reaches_no_farther_than_the_halo() -> None:
    torch.manual_seed(0)
    model = GMNet().eval()
    for parameter in model.parameters():
        parameter.mul_(10)  # at 0.1 Kaiming the far taps drown in rounding
    thumbnail = torch.rand(1, 3, 256, 256)
    features = model.analyze(thumbnail)
    picture = torch.rand(1, 3, 32, 2 * HALO + 4)
    changed = picture.clone()
    changed[..., -2:] = 1 - changed[..., -2:]
    difference = (model.predict(picture, features) - model.predict(changed, features)).abs()
    reach = 2 * HALO + 2 - int(difference.amax(dim=(0, 1, 2)).nonzero()[0])
    assert 60 < reach <= HALO


def test_initialisation_is_a_tenth_of_kaiming() -> None:
    torch.manual_seed(0)
    weight = GMNet().HRconv.weight
    assert weight.std().item() == pytest.approx(0.1 * (2 / (64 * 9)) ** 0.5, rel=0.02)
    assert GMNet().HRconv.bias.abs().max() == 0


def test_odd_size_is_refused() -> None:
    with pytest.raises(ValueError, match="must be even"):
        GMNet(4)(torch.zeros(1, 3, 15, 16), torch.zeros(1, 3, 256, 256))

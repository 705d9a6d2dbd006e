"""The measurement of what a smaller map costs."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch.nn import functional

from training.evaluate import Item
from training.pairs import make_thumbnail
from training.upsampling import SCALES, format_table, losses
from training.validate import to_nits
from vs_gainmap.gainmap import render_hdr
from vs_gainmap.weights import load_weights


def test_losses_are_against_the_full_map(tiny_weights: Path) -> None:
    weights = load_weights(tiny_weights)
    blobs = torch.rand(1, 3, 5, 7, generator=torch.Generator().manual_seed(0))
    signal = functional.interpolate(blobs, (130, 150), mode="bicubic").clamp(0, 1)[0]
    cut = signal[:, :128, :144]
    with torch.inference_mode():
        gain_map, qmax_norm = weights.model(cut[None], make_thumbnail(cut[None]))
        light = render_hdr(cut[None], gain_map, qmax_norm, weights.preset)
    truth = functional.pad(to_nits(light, weights.preset)[0], (0, 6, 0, 2))
    found = losses(weights, [Item(name="a", operator="clip", sdr_signal=signal, truth=truth)])
    assert set(found) == {(way, scale) for way in ("bilinear", "guided") for scale in SCALES}
    # The full map is the truth here, so whatever is smaller loses a lot.
    assert all(values[0] > 10 for values in found.values())
    assert f"{found['guided', 4][0]:.3f} dB" in format_table(found)


def test_other_ways_up_are_not_mistaken_for_bilinear(
    tiny_weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = load_weights(tiny_weights)
    signal = torch.rand(3, 64, 64, generator=torch.Generator().manual_seed(1))
    item = Item(name="a", operator="clip", sdr_signal=signal, truth=200 * signal)
    before = losses(weights, [item])
    monkeypatch.setattr(
        "training.upsampling.guided_upsample",
        lambda small, picture: small.resize.Point(picture.width, picture.height),
    )
    after = losses(weights, [item])
    assert after["bilinear", 4] == before["bilinear", 4]
    assert after["guided", 4] != before["guided", 4]

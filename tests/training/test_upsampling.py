"""The measurement of what a smaller map costs."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import vapoursynth as vs
from torch.nn import functional

import training.upsampling
from training.evaluate import Item
from training.pairs import make_thumbnail
from training.upsampling import SCALES, format_table, measure_costs, time_up
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
    item = Item(name="a", operator="clip", sdr_signal=signal, truth=truth)
    found = measure_costs(weights, [item])
    smaller = {(way, scale) for way in ("bilinear", "guided") for scale in SCALES}
    assert set(found) == smaller | {("full", 1)}
    assert found["full", 1][0].loss == 0
    # The full map is the truth here, so whatever is smaller loses a lot.
    assert all(found[key][0].loss > 10 for key in smaller)
    table = format_table(found)
    assert f"{found['guided', 4][0].loss:.3f} dB" in table
    assert f"{1000 * found['full', 1][0].seconds:.1f} ms    1.000" in table
    assert all(cost.seconds > 0 for costs in found.values() for cost in costs)


def test_the_way_up_is_timed_without_what_is_before_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A larger picture takes longer, and frames are not made anew for each."""
    made = []
    whole = training.upsampling.as_clip

    def counted(planes: torch.Tensor, format_id: int) -> vs.VideoNode:
        clip = whole(planes, format_id)

        def count(n: int, f: vs.VideoFrame) -> vs.VideoFrame:
            made.append(n)
            return f

        return clip.std.ModifyFrame(clip, count)

    monkeypatch.setattr("training.upsampling.as_clip", counted)
    small, large = torch.rand(3, 64, 64), torch.rand(3, 1024, 1024)
    gain_map = torch.rand(1, 1, 16, 16)
    for way in ("bilinear", "guided"):
        few = time_up(gain_map, small, way)  # type: ignore[arg-type]
        many = time_up(gain_map, large, way)  # type: ignore[arg-type]
        assert many > few
    assert len(made) == 4


def test_other_ways_up_are_not_mistaken_for_bilinear(
    tiny_weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = load_weights(tiny_weights)
    signal = torch.rand(3, 64, 64, generator=torch.Generator().manual_seed(1))
    item = Item(name="a", operator="clip", sdr_signal=signal, truth=200 * signal)
    before = measure_costs(weights, [item])
    monkeypatch.setattr(
        "training.way_up.guided_upsample",
        lambda small, picture: small.resize.Point(picture.width, picture.height),
    )
    after = measure_costs(weights, [item])
    assert after["bilinear", 4][0].loss == before["bilinear", 4][0].loss
    assert after["guided", 4][0].loss != before["guided", 4][0].loss

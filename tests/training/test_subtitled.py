"""Subtitles on pictures to measure on: where letters are, and how light they came out."""

from __future__ import annotations

import pytest
import torch

from training.evaluation.items import Item
from training.evaluation.measure import measure, summary
from training.evaluation.methods import Output, network_method
from training.evaluation.metrics import Scorer
from training.evaluation.subtitled import LEVELS, subtitled
from vs_gainmap.color.primaries import luminance
from vs_gainmap.color.transfer import bt1886_eotf, pq_eotf, pq_inverse_eotf
from vs_gainmap.gainmap import GainMapPreset
from vs_gainmap.models.weights import load_weights

PRESET = GainMapPreset(sdr_white=203.0, peak=1000 / 203, map_scale=2, min_log_gain=-2.0)


def dark_items(count: int) -> list[Item]:
    """Return dark pictures with a lamp, whose SDR was darkened by a stop."""
    torch.manual_seed(4)
    items = []
    for number in range(count):
        signal = 0.05 + 0.15 * torch.nn.functional.interpolate(
            torch.rand(1, 3, 9, 13), (128, 192), mode="bicubic"
        )[0].clamp(0, 1)
        signal[:, 20:30, 40 + 5 * number : 50 + 5 * number] = 1.0
        truth = bt1886_eotf(signal) * 2 * PRESET.sdr_white
        items.append(Item(name=str(number), operator="drawn", sdr_signal=signal, truth=truth))
    return items


def test_letters_are_sdr_white_and_everything_else_stays() -> None:
    before = dark_items(3)
    for old, new in zip(before, subtitled(before, PRESET), strict=True):
        assert new.title is not None
        assert 20 < int(new.title.sum()) < 1500
        level = new.sdr_signal[:, new.title[0]]
        assert LEVELS[0] * 0.8 - 0.02 < float(level.min()) <= float(level.max()) <= LEVELS[1]
        light = new.truth[:, new.title[0]]
        assert float(light.max()) <= PRESET.sdr_white * 1.001
        assert float(light.max() / (PRESET.sdr_white * bt1886_eotf(level.max()))) == pytest.approx(
            1, abs=0.03
        )
        top = slice(None), slice(20, 30)
        assert torch.allclose(new.sdr_signal[top], old.sdr_signal[top], atol=0.5 / 255)
        assert torch.equal(new.truth[top], old.truth[top])


def test_the_error_of_letters_is_in_steps_of_ten_bits_with_a_sign() -> None:
    def dim(item: Item) -> Output:
        signal = pq_inverse_eotf(luminance(item.truth, "bt2020"))
        ratio = pq_eotf((signal - 20 / 1023).clamp(min=0)) / luminance(item.truth, "bt2020")
        return Output(nits=item.truth * ratio)

    def true(item: Item) -> Output:
        return Output(nits=item.truth)

    methods = {"true": true, "dim": dim}
    scorer = Scorer(peak_nits=1000.0)
    rows = [r for r, *_ in measure(subtitled(dark_items(2), PRESET), methods, PRESET, scorer)]
    means = summary(rows, by=lambda row: row.method)
    assert means["true"]["title_error"] == 0
    assert means["dim"]["title_bias"] == pytest.approx(-20, abs=0.2)
    assert means["dim"]["title_error"] == pytest.approx(20, abs=0.2)
    plain = [r for r, *_ in measure(dark_items(1), methods, PRESET, scorer)]
    assert "title_error" not in plain[0].values


def test_the_bundled_fast_model_keeps_subtitles_at_sdr_white() -> None:
    # Sets that were trained without a term for titles have errors of 31 and more here.
    methods = {"fast": network_method(load_weights("fast"), map_scale=1)}
    items, scorer = subtitled(dark_items(5), PRESET), Scorer(peak_nits=1000.0)
    with torch.inference_mode():
        rows = [row for row, *_ in measure(items, methods, PRESET, scorer)]
    means = summary(rows, by=lambda row: row.method)["fast"]
    assert means["title_error"] < 26
    assert abs(means["title_bias"]) < 24

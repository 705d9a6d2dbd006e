"""The loss: zero for the true map, and its terms."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from tests.training.small import make_pair
from training.config import (
    Config,
    LossConfig,
)
from training.data.pairs import true_log_gain
from training.loss import gain_map_loss
from vs_gainmap.gainmap import GainMapPreset


def test_true_map_has_no_loss() -> None:
    config = Config()
    pair = make_pair(5)
    preset = GainMapPreset(sdr_white=203.0, peak=4.0, min_log_gain=-1.0)
    gain = true_log_gain(pair.sdr_signal, pair.hdr, preset)[None]
    batch = {
        "sdr": pair.sdr_signal[None],
        "hdr": pair.hdr[None],
        "qmax": torch.ones(1, 1, 1, 1),
    }
    gain_map = (gain + 1) / 3
    terms = gain_map_loss(gain_map, torch.ones(1, 1, 1, 1), batch, preset, config.loss)
    assert terms["log_gain"] < 1e-5
    assert terms["pq"] < 1e-3
    off = gain_map_loss(gain_map + 0.1, torch.ones(1, 1, 1, 1), batch, preset, config.loss)
    assert off["log_gain"].item() == pytest.approx(0.3, rel=0.1)
    assert off["total"] > 10 * terms["total"]


def test_the_title_term_is_the_error_where_letters_are() -> None:
    pair = make_pair(5)
    preset = GainMapPreset(sdr_white=203.0, peak=4.0, min_log_gain=-1.0)
    gain = true_log_gain(pair.sdr_signal, pair.hdr, preset)[None]
    letters = torch.zeros(1, 1, *gain.shape[-2:])
    letters[..., 8:16, 8:40] = 1.0
    batch = {
        "sdr": pair.sdr_signal[None],
        "hdr": pair.hdr[None],
        "title": letters,
        "qmax": torch.ones(1, 1, 1, 1),
    }
    weights = LossConfig(pq=0.0, log_gain=0.0, qmax=0.0, outside=0.0, title=3.0)

    def term(gain_map: Tensor) -> float:
        terms = gain_map_loss(gain_map, torch.ones(1, 1, 1, 1), batch, preset, weights)
        assert terms["total"].item() == pytest.approx(3 * terms["title"].item(), rel=1e-5)
        return terms["title"].item()

    right = (gain + 1) / 3
    assert term(right) < 1e-3
    assert term(right + 0.1 * (1 - letters)) < 1e-3
    # A tenth of three stops too bright, where a stop is 0.04 to 0.11 of the signal.
    there = term(right - 0.1 * letters)
    assert 0.01 < there < 0.04
    assert term(right - 0.1) == pytest.approx(there, rel=1e-4)
    batch["title"] = torch.zeros_like(letters)
    assert term(right - 0.1) == 0

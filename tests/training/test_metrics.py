"""Metrics against other implementations and known errors."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch
from torch.nn import functional

from training.data.ictcp import ictcp_to_rgb, rgb_to_ictcp
from training.evaluation.metrics import (
    Scorer,
    best_exposure,
    delta_e_itp,
    pq_psnr,
    psnr,
    ssim,
)
from vs_gainmap.color.transfer import pq_inverse_eotf


def test_color_difference_agrees_with_colour_science() -> None:
    colour = pytest.importorskip("colour")
    torch.manual_seed(0)
    a = torch.rand(3, 1, 20, dtype=torch.float64) * 800
    b = a * (0.7 + 0.6 * torch.rand_like(a))
    flat = [x.movedim(0, -1).reshape(-1, 3).numpy() for x in (a, b)]
    theirs = [colour.RGB_to_ICtCp(x, method="ITU-R BT.2100-2 PQ") for x in flat]
    assert np.allclose(rgb_to_ictcp(a).movedim(0, -1).reshape(-1, 3).numpy(), theirs[0], atol=1e-6)
    assert torch.allclose(ictcp_to_rgb(rgb_to_ictcp(a)), a, rtol=1e-6)
    expected = colour.difference.delta_E_ITP(*theirs)
    assert np.allclose(delta_e_itp(a, b).flatten().numpy(), expected, atol=1e-3)


def test_psnr_of_known_errors() -> None:
    truth = torch.full((3, 16, 16), 100.0)
    assert psnr(torch.zeros(4), torch.full((4,), 0.1)) == pytest.approx(20)
    assert psnr(truth, truth) == 100
    values = Scorer(peak_nits=1000.0)(truth + 10, truth)
    assert values["psnr"] == pytest.approx(40)
    assert values["norm_psnr"] == pytest.approx(20, abs=1e-4)
    step = float(pq_inverse_eotf(torch.tensor(110.0)) - pq_inverse_eotf(torch.tensor(100.0)))
    assert pq_psnr(truth * 1.1, truth) == pytest.approx(-20 * np.log10(step), abs=1e-3)


def test_ssim_is_one_for_the_same_and_falls() -> None:
    torch.manual_seed(0)
    truth = torch.rand(3, 32, 32) * 500
    assert ssim(truth, truth) == pytest.approx(1)
    assert ssim(truth + 50 * torch.rand_like(truth), truth) < 0.99


def test_best_exposure_is_the_one_that_a_picture_is_off_by() -> None:
    rng = np.random.default_rng(3)
    truth = torch.from_numpy(2.0 ** rng.uniform(-2, 8, (3, 64, 96)).astype(np.float32))
    assert best_exposure(truth, truth) == pytest.approx(0, abs=0.01)
    for stops in (-2.3, 0.37, 1.9):
        assert best_exposure(truth * 2**-stops, truth) == pytest.approx(stops, abs=0.01)
    values = Scorer(peak_nits=1000.0)(truth * 2**-0.75, truth)
    assert values["exposure_error"] == pytest.approx(0.75, abs=0.01)
    assert values["delta_e_exposed"] < 1 < 20 < values["delta_e_itp"]
    # A wrong curve stays wrong.
    bent = Scorer(peak_nits=1000.0)(truth**0.8, truth)
    assert bent["delta_e_exposed"] > 10


def test_color_video_vdp_is_ten_for_the_same_and_falls(in_ci: bool) -> None:
    if not in_ci:
        pytest.importorskip("pycvvdp", reason="ColorVideoVDP is in the extra cvvdp")
    torch.manual_seed(0)
    truth = functional.interpolate(torch.rand(1, 3, 16, 24) ** 3 * 800, (128, 192))[0]
    grain = torch.rand_like(truth) - 0.5
    scorer = Scorer(peak_nits=1000.0, color_video_vdp=True)
    same, little, more = (
        scorer((truth + nits * grain).clamp(min=0), truth)["cvvdp"] for nits in (0.0, 40.0, 200.0)
    )
    assert same == pytest.approx(10, abs=1e-3)
    assert 9.99 > little > more + 0.2 > 3
    # In light of a display: the same signals in the dark are told apart less.
    dark = scorer((truth + 200 * grain).clamp(min=0) / 1000, truth / 1000)["cvvdp"]
    assert dark > more


def test_color_video_vdp_that_is_not_there_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "pycvvdp", None)
    with pytest.raises(ImportError, match=r"pip install -e \.\[cvvdp\]"):
        Scorer(peak_nits=1000.0, color_video_vdp=True)

"""Tone mapping operators: end points, monotony, neutrality, and numbers from their sources."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from training.data.operators import OPERATORS, Light, Operator, draw_operator
from training.data.operators.camera import LocalKnee, SoftKnee
from training.data.operators.film import FfmpegHable, FfmpegMobius, hable, mobius
from training.data.operators.itu import (
    Bt2446A,
    Bt2446C,
    HardClip,
    method_c_nits,
    method_c_percent,
)
from training.data.operators.libplacebo import UNKNOWN_NITS, Curve, Libplacebo, Peak

LOCAL = {"local_knee"}
NAMES = list(OPERATORS)


def drawn(name: str, seed: int) -> Operator:
    return OPERATORS[name].make.draw(np.random.default_rng(seed))


def ramp(peak: float, steps: int = 256) -> torch.Tensor:
    """Grey from black to `peak`, even in the cube root of light: (3, 1, steps)."""
    return (torch.linspace(0, 1, steps) ** 3 * peak).expand(3, 1, -1).contiguous()


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("name", NAMES)
def test_stays_in_range_for_any_color(name: str, seed: int) -> None:
    torch.manual_seed(seed)
    rgb = torch.rand(3, 24, 32) ** 6 * 4000
    rgb[:, :4] = 0
    sdr = drawn(name, seed)(Light(rgb=rgb, peak_nits=1000.0))
    assert sdr.shape == rgb.shape
    assert torch.isfinite(sdr).all()
    assert sdr.min() >= 0
    assert sdr.max() <= 1
    assert sdr[:, :2].max() < 2e-3  # black stays black


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("name", [n for n in NAMES if n not in LOCAL])
def test_grey_stays_grey_and_in_order(name: str, seed: int) -> None:
    operator = drawn(name, seed)
    for primaries in ("bt2020", "bt709"):
        sdr = operator(Light(rgb=ramp(1000.0), peak_nits=1000.0, primaries=primaries))
        assert (sdr.amax(0) - sdr.amin(0)).max() < 2e-3
        assert (sdr[1].diff() > -1e-5).all()
        assert sdr[1, 0, -1] > 0.3


@pytest.mark.parametrize("name", sorted(LOCAL))
def test_local_operators_keep_flat_grey_flat(name: str) -> None:
    light = Light(rgb=torch.full((3, 32, 48), 80.0), peak_nits=1000.0)
    sdr = drawn(name, 0)(light)
    assert sdr.max() - sdr.min() < 1e-4
    assert sdr.min() > 0


def test_a_local_knee_keeps_mid_tones_and_the_contrast_of_highlights() -> None:
    torch.manual_seed(0)
    grain = torch.exp2(0.2 * torch.randn(1, 64, 96))
    sky, ground = 400.0 * grain, 30.0 * grain
    rgb = torch.cat([sky[:, :32], ground[:, 32:]], dim=1).expand(3, -1, -1).contiguous()
    local = LocalKnee()(Light(rgb=rgb, peak_nits=1000.0))[0]
    plain = SoftKnee(knee=0.4)(Light(rgb=rgb, peak_nits=1000.0))[0]
    assert torch.allclose(local[48:], rgb[0, 48:] / 203, rtol=0.02)
    assert float(local[8:24].mean()) == pytest.approx(float(plain[8:24].mean()), rel=0.05)

    def contrast(light: torch.Tensor) -> float:
        return float(torch.log2(light[8:24]).std())

    assert contrast(local) > 0.75 * contrast(rgb[0])
    assert contrast(local) > 2 * contrast(plain)


def test_clip_maps_its_white_to_one() -> None:
    light = Light(rgb=torch.tensor([50.75, 203.0, 900.0]).view(3, 1, 1), peak_nits=1000.0)
    assert HardClip(white_nits=203.0)(light).flatten().tolist() == pytest.approx([0.25, 1, 1])


def test_bt2446_a_end_points_and_joints() -> None:
    sdr = Bt2446A()(Light(rgb=ramp(1000.0), peak_nits=1000.0))[1, 0]
    # Luma of white is divided by 1.1 in the color part only: white is white.
    assert sdr[-1].item() == pytest.approx(1.0, abs=1e-4)
    assert sdr[0].item() == 0
    assert sdr.diff().abs().max() < 0.02  # the three pieces meet


def test_bt2446_a_of_reference_white() -> None:
    # By hand: rho 13.2598 and 5.6969, Y' 0.51460, Y'p 0.76912, Y'c 0.82793.
    sdr = Bt2446A(hdr_nits=1000.0)(Light(rgb=torch.full((3, 1, 1), 203.0), peak_nits=1000.0))
    assert float(sdr[1]) ** (1 / 2.4) == pytest.approx(0.6868, abs=2e-4)


def test_bt2446_c_has_the_constants_of_the_report() -> None:
    nits = torch.tensor([69.85, 100.0, 1000.0], dtype=torch.float64)
    percent = method_c_percent(nits)
    assert percent[0].item() == pytest.approx(58.535, abs=2e-3)
    assert percent[2].item() == pytest.approx(118.4, abs=0.1)
    assert method_c_nits(percent).tolist() == pytest.approx(nits.tolist(), rel=1e-9)


def test_bt2446_c_crosstalk_keeps_grey() -> None:
    light = Light(rgb=torch.full((3, 1, 1), 50.0), peak_nits=1000.0)
    sdr = Bt2446C(crosstalk=0.1)(light)
    assert sdr.flatten().tolist() == pytest.approx([0.41901] * 3, abs=1e-4)


def test_hable_curve() -> None:
    x = torch.tensor([0.0, 1.0, 11.2], dtype=torch.float64)
    # GDC 2010 slides: F(1) = 0.22 and F(11.2) = 0.73, with the constants as given.
    assert hable(x).tolist() == pytest.approx([0.0, 0.220657, 0.725128], abs=1e-5)


def test_ffmpeg_hable_at_100_nits_and_at_the_peak() -> None:
    grey = torch.tensor([100.0, 1000.0]).expand(3, 1, 2)
    sdr = FfmpegHable()(Light(rgb=grey, peak_nits=1000.0))[1, 0]
    assert sdr.tolist() == pytest.approx([0.220657 / 0.706431, 1.0], abs=1e-4)


def test_mobius_is_linear_below_the_joint_and_smooth() -> None:
    x = torch.linspace(0, 10, 100_001, dtype=torch.float64)
    y = mobius(x, peak=10.0)
    assert torch.equal(y[x <= 0.3], x[x <= 0.3])
    assert y[-1].item() == pytest.approx(1.0)
    slope = y.diff() / x.diff()
    assert slope.diff().abs().max() < 2e-3
    sdr = FfmpegMobius()(Light(rgb=torch.full((3, 1, 1), 20.0), peak_nits=1000.0))
    assert sdr.flatten().tolist() == pytest.approx([0.2] * 3)


def test_ffmpeg_desaturates_highlights_only() -> None:
    color = torch.tensor([900.0, 300.0, 100.0]).view(3, 1, 1)
    bright = Light(rgb=color, peak_nits=1000.0)
    dark = Light(rgb=color / 10, peak_nits=1000.0)
    plain, mixed = FfmpegHable(desaturate=0.0), FfmpegHable(desaturate=2.0)
    assert torch.allclose(plain(dark), mixed(dark))
    spread = [float(op(bright).amax() - op(bright).amin()) for op in (plain, mixed)]
    assert spread[1] < 0.8 * spread[0]


def test_soft_knee_has_slope_one_below_and_hits_white() -> None:
    operator = SoftKnee(white_nits=100.0, knee=0.6, source=5.0, over="channel")
    light = Light(rgb=torch.tensor([50.0, 60.0, 500.0]).view(3, 1, 1), peak_nits=1000.0)
    assert operator(light).flatten().tolist() == pytest.approx([0.5, 0.6, 1.0], abs=1e-5)


def test_held_out_operators_are_never_drawn() -> None:
    rng = np.random.default_rng(0)
    names = {draw_operator(rng)[0] for _ in range(600)}
    assert names == {name for name, entry in OPERATORS.items() if not entry.held_out}


@pytest.mark.parametrize("peak", ["unknown", "known", "detected"])
@pytest.mark.parametrize("curve", ["bt2390", "spline"])
def test_libplacebo_reaches_white_at_the_peak(curve: Curve, peak: Peak) -> None:
    top = UNKNOWN_NITS if peak == "unknown" else 1000.0
    sdr = Libplacebo(curve=curve, peak=peak)(Light(rgb=ramp(top), peak_nits=1000.0))[1, 0]
    assert sdr[-1] == pytest.approx(1.0, abs=0.02)


@pytest.mark.parametrize(
    ("operator", "codes"),
    [
        (Libplacebo(peak="known"), (7, 16, 29, 49, 73, 101, 133, 164)),
        (
            Libplacebo(curve="bt2390", peak="unknown", source_black=0.005, sdr_black=0.001),
            (12, 22, 36, 52, 73, 96, 122, 151),
        ),
    ],
)
def test_signal_is_libplacebos(operator: Libplacebo, codes: tuple[int, ...]) -> None:
    """8-bit codes of pixels of 1.1 to 140 cd/m2, medians over 16 pictures, by libplacebo."""
    nits = torch.tensor([1.1, 2.2, 4.5, 9, 18, 35, 70, 140]).expand(3, 1, 8).contiguous()
    rng = np.random.default_rng(0)
    signals = [
        operator.draw_encoding(rng)(operator(Light(rgb=nits, peak_nits=1000.0))) for _ in range(40)
    ]
    middle = 255 * torch.stack(signals)[:, 1, 0].median(dim=0).values
    assert middle.tolist() == pytest.approx(codes, abs=7)


def test_no_operator_leaves_sdr_lighter_than_the_master() -> None:
    """On average over its draws, in the mid-tones; SDR white is at 203 cd/m2."""
    nits = torch.full((3, 8, 8), 26.0)
    nits[:, 0] = 800.0
    for name, entry in OPERATORS.items():
        if entry.held_out:
            continue
        drawn_ = [entry.draw(np.random.default_rng(n)) for n in range(60)]
        light = Light(rgb=nits, peak_nits=1000.0)
        gains = [-math.log2(float(o(light)[1, 5, 5]) * 203 / 26) for o in drawn_]
        assert np.mean(gains) > -0.05, name

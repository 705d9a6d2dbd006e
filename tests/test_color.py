"""Curves: published values, inverses, monotony, and colour-science as a second opinion."""

from __future__ import annotations

import enum

import colour
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from vs_gainmap.color import h273, primaries, tone_map, transfer

RAMP = torch.linspace(0, 1, 4097, dtype=torch.float64)


@pytest.mark.parametrize(
    ("nits", "pq"), [(100, 0.508078), (203, 0.580689), (1000, 0.751827), (10000, 1.0)]
)
def test_pq_of_known_levels(nits: float, pq: float) -> None:
    """Values of SMPTE ST 2084 as ITU-R BT.2408 tabulates them."""
    level = torch.tensor(float(nits), dtype=torch.float64)
    assert transfer.pq_inverse_eotf(level).item() == pytest.approx(pq, abs=1e-6)
    assert transfer.pq_eotf(torch.tensor(pq, dtype=torch.float64)).item() == pytest.approx(
        nits, rel=1e-4
    )


def test_pq_agrees_with_colour_science() -> None:
    expected = colour.models.eotf_ST2084(RAMP.numpy())
    np.testing.assert_allclose(transfer.pq_eotf(RAMP).numpy(), expected, rtol=1e-9, atol=1e-12)


def test_hlg_agrees_with_colour_science() -> None:
    expected = colour.models.oetf_BT2100_HLG(RAMP.numpy())
    np.testing.assert_allclose(transfer.hlg_oetf(RAMP).numpy(), expected, atol=1e-7)


SDR_CURVES = [
    (transfer.gamma22_eotf, transfer.gamma22_inverse_eotf),
    (transfer.bt1886_eotf, transfer.bt1886_inverse_eotf),
    (transfer.srgb_eotf, transfer.srgb_inverse_eotf),
]
CURVES = [
    *SDR_CURVES,
    (transfer.pq_eotf, transfer.pq_inverse_eotf),
    (transfer.hlg_inverse_oetf, transfer.hlg_oetf),
]


@pytest.mark.parametrize(("forward", "inverse"), CURVES)
def test_inverse_of_forward_is_identity(forward, inverse) -> None:
    back = inverse(forward(RAMP))
    error = back - RAMP
    assert error.abs().max() < 2e-6
    assert error.mean().abs() < 1e-6


@pytest.mark.parametrize("curve", [c for pair in CURVES for c in pair])
def test_curves_rise_and_stay_finite(curve) -> None:
    values = curve(RAMP)
    assert (values.diff() >= 0).all()
    beyond = curve(torch.tensor([-1e4, -1.0, -1e-7, 0.0, 1e-7, 1.5, 1e5]))
    assert torch.isfinite(beyond).all()


@given(st.floats(-2, 2, width=32))
def test_sdr_curves_are_odd(value: float) -> None:
    x = torch.tensor(value)
    for curve in (curve for pair in SDR_CURVES for curve in pair):
        assert curve(-x).item() == pytest.approx(-curve(x).item(), abs=1e-7)


def test_hlg_ootf_inverts_and_reaches_the_peak() -> None:
    torch.manual_seed(0)
    scene = torch.rand(3, 8, 8, dtype=torch.float64)
    nits = transfer.hlg_ootf(scene)
    torch.testing.assert_close(transfer.hlg_inverse_ootf(nits), scene)
    white = transfer.hlg_ootf(torch.ones(3, 1, 1, dtype=torch.float64))
    assert white.flatten().tolist() == pytest.approx([1000.0] * 3)
    # BT.2408, table 1: HDR reference white is 203 cd/m2 at 75 % HLG.
    grey = transfer.hlg_inverse_oetf(torch.full((3, 1, 1), 0.75, dtype=torch.float64))
    assert transfer.hlg_ootf(grey).mean().item() == pytest.approx(203, abs=0.5)


def test_bt709_to_bt2020() -> None:
    """ITU-R BT.2087-0, clause 2.2 gives the first row."""
    matrix = primaries.rgb_to_rgb_matrix("bt709", "bt2020")
    assert matrix[0].tolist() == pytest.approx([0.627404, 0.329283, 0.043313], abs=1e-6)
    assert matrix.sum(axis=1).tolist() == pytest.approx([1.0, 1.0, 1.0])


def test_primaries_round_trip_and_keep_grey() -> None:
    torch.manual_seed(1)
    rgb = torch.rand(2, 3, 5, 5, dtype=torch.float64)
    there = primaries.convert_primaries(rgb, "bt709", "bt2020")
    torch.testing.assert_close(primaries.convert_primaries(there, "bt2020", "bt709"), rgb)
    grey = torch.full((3, 4, 4), 0.37)
    torch.testing.assert_close(primaries.convert_primaries(grey, "bt709", "bt2020"), grey)


def test_luminance_weights_are_bt709s() -> None:
    weights = [
        primaries.luminance(torch.eye(3, dtype=torch.float64)[i].view(3, 1, 1), "bt709").item()
        for i in range(3)
    ]
    assert weights == pytest.approx([0.2126, 0.7152, 0.0722], abs=1e-4)


@pytest.mark.parametrize(
    ("kind", "value", "code"),
    [
        ("matrix", "709", 1),
        ("matrix", "bt2020nc", 9),
        ("matrix", "GBR", 0),
        ("primaries", "smpte432", 12),
        ("primaries", "2020", 9),
        ("transfer", "bt709", 1),
        ("transfer", "iec61966-2-1", 13),
        ("transfer", "2020", 14),
        ("range", "pc", 1),
        ("range", "limited", 0),
        ("chroma_location", "topleft", 2),
        ("chroma_location", "top_left", 2),
        ("matrix", 9, 9),
        ("matrix", 2, 2),
    ],
)
def test_codes_by_every_name(kind: h273.Kind, value: str | int, code: int) -> None:
    """Names of zimg, FFmpeg and x265."""
    assert h273.find_code(kind, value) == code


def test_range_of_an_enum_goes_by_its_name() -> None:
    """The numbers of vstools' enum are the other way around."""
    flipped = enum.IntEnum("ColorRange", {"FULL": 0, "LIMITED": 1})
    assert h273.find_code("range", flipped.FULL) == 1
    assert h273.find_code("range", flipped.LIMITED) == 0


def test_a_typo_is_answered_with_the_name_that_was_meant() -> None:
    with pytest.raises(ValueError, match='did you mean "bt2020nc"'):
        h273.find_code("matrix", "bt2020ncc")
    with pytest.raises(ValueError, match="no code 99"):
        h273.find_code("primaries", 99)


def test_every_name_means_one_code() -> None:
    for kind, points in h273.TABLE.items():
        for point in points:
            assert h273.find_code(kind, point.name) == point.code
            if point.ffmpeg is not None:
                assert h273.find_code(kind, point.ffmpeg) == point.code


def test_primaries_with_another_white_keep_white() -> None:
    xyz = primaries.Primaries(red=(1, 0), green=(0, 1), blue=(0, 0), white=(1 / 3, 1 / 3))
    assert primaries.rgb_to_rgb_matrix(xyz, "bt2020").sum(axis=1) == pytest.approx([1, 1, 1])


def test_eetf_of_bt2390() -> None:
    nits = torch.tensor([0.0, 1.0, 20.0, 1000.0], dtype=torch.float64)
    mapped = tone_map.eetf(nits, source_peak=1000.0, target_peak=203.0)
    # Below the knee (PQ 1.5 * 0.7724 - 0.5 of the peak's signal, about 48 cd/m2) nothing moves.
    assert mapped[:3].tolist() == pytest.approx([0, 1, 20], rel=1e-9)
    assert mapped[3].item() == pytest.approx(203.0, rel=1e-9)
    assert torch.equal(tone_map.eetf(nits, source_peak=203.0, target_peak=203.0), nits)

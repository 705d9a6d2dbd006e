"""Linear light inside `apply`: our curve, and half floats where they do."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import vapoursynth as vs

from tests.clips import BT709, drawn, noise, planes
from tests.test_filters_apply import flat_map
from vs_gainmap import apply
from vs_gainmap.color import SDR_EOTFS
from vs_gainmap.filters import rendering
from vs_gainmap.filters.linear import EOTF_TRANSFERS, linear_light


@pytest.mark.parametrize("eotf", EOTF_TRANSFERS)
def test_curves_are_the_cores(eotf: str) -> None:
    """Every curve against `color`, from a quarter of an 8-bit code up to overshoots."""
    ramp = noise(1024, 16, 1, vs.RGBS, _Matrix=0, _Transfer=13, _Primaries=1, _Range=1)
    ramp = drawn(ramp, lambda _n, _p, s: np.broadcast_to(np.geomspace(1e-3, 1.2, s[1]), s))
    clip, expression = linear_light(ramp, eotf, vs.RGBS)
    got = planes(clip.akarin.Expr(expression))[1]
    want = SDR_EOTFS[eotf](torch.from_numpy(planes(ramp)[1]).double()).numpy()
    # zimg's own table has steps of 3e-5 in the signal.
    tolerance = 1e-4 if eotf == "gamma22" else 3e-2
    np.testing.assert_allclose(got, want, rtol=tolerance)


def test_the_curve_is_bounded_and_rises() -> None:
    ramp = noise(4096, 16, 1, vs.RGBS, _Matrix=0, _Transfer=13, _Primaries=1, _Range=1)
    ramp = drawn(ramp, lambda _n, _p, s: np.broadcast_to(np.linspace(-0.5, 2, s[1]), s))
    clip, expression = linear_light(ramp, "gamma22", vs.RGBS)
    got = planes(clip.akarin.Expr(expression))[0][0]
    assert np.all(np.diff(got) >= 0)
    assert got[0] == 0
    assert got[-1] == pytest.approx(1.5**2.2, rel=1e-4)


@pytest.mark.parametrize("strength", [0.0, 1.0, 3.0])
def test_half_floats_are_not_seen_in_ten_bits(
    strength: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Near black to peak: at most one code, and seldom, beside the same in floats."""
    clip = noise(256, 128, 1, vs.YUV444P10, **BT709)
    dark = [np.square(plane / 1023) * 1023 for plane in planes(clip)]
    clip = drawn(clip, lambda _n, p, _s: dark[p])
    gain_map = drawn(
        flat_map(clip, 0.0, 2.0, 2), lambda _n, _p, s: np.broadcast_to(np.linspace(0, 1, s[1]), s)
    )
    half = planes(apply(clip, gain_map, strength=strength))
    monkeypatch.setattr(rendering, "_half_is_enough", lambda *_: False)
    full = planes(apply(clip, gain_map, strength=strength))
    for got, want in zip(half, full, strict=True):
        difference = np.abs(got.astype(int) - want.astype(int))
        assert difference.max() <= 1
        assert (difference > 0).mean() < 0.1

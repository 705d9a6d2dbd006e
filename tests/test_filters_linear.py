"""Light inside `apply`: the curves that turn SDR into it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import vapoursynth as vs

from tests.clips import BT709, drawn, noise, planes
from tests.test_filters_apply import flat_map
from vs_gainmap import apply
from vs_gainmap.color.transfer import SDR_EOTFS
from vs_gainmap.filters.linear import EOTF_TRANSFERS, linear_light


@pytest.mark.parametrize("eotf", EOTF_TRANSFERS)
def test_curves_are_the_cores(eotf: str) -> None:
    """Every curve against `color`, from a quarter of an 8-bit code up to overshoots."""
    ramp = noise(1024, 16, 1, vs.RGBS, _Matrix=0, _Transfer=13, _Primaries=1, _Range=1)
    ramp = drawn(ramp, lambda _n, _p, s: np.broadcast_to(np.geomspace(1e-3, 1.2, s[1]), s))
    clip, expression = linear_light(ramp, eotf)
    got = planes(clip.akarin.Expr(expression))[1]
    want = SDR_EOTFS[eotf](torch.from_numpy(planes(ramp)[1]).double()).numpy()
    # zimg's own table has steps of 3e-5 in the signal; 1e-6 is 0.0002 cd/m2.
    tolerance = 1e-4 if eotf == "srgb" else 3e-2
    np.testing.assert_allclose(got, want, rtol=tolerance, atol=1e-6)


def test_the_curve_is_bounded_and_rises() -> None:
    ramp = noise(4096, 16, 1, vs.RGBS, _Matrix=0, _Transfer=13, _Primaries=1, _Range=1)
    ramp = drawn(ramp, lambda _n, _p, s: np.broadcast_to(np.linspace(-0.5, 2, s[1]), s))
    clip, expression = linear_light(ramp, "srgb")
    got = planes(clip.akarin.Expr(expression))[0][0]
    assert np.all(np.diff(got) >= 0)
    assert got[0] == 0
    assert got[-1] == pytest.approx(((1.5 + 0.055) / 1.055) ** 2.4, rel=1e-4)


def picture(source: vs.PresetVideoFormat) -> vs.VideoNode:
    """Return a smooth scene with saturated colors and an edge, from black to white."""
    blank = vs.core.std.BlankClip(format=vs.RGBS, width=256, height=128, length=1)
    y, x = np.mgrid[0:1:128j, 0:1:256j]
    colors = [x**2, np.where(y > 0.5, 0.8 * x, 0.1 + 0.9 * y), (1 - y) * (0.3 + 0.7 * x)]
    scene = drawn(blank, lambda _n, p, _s: colors[p])
    return scene.resize.Bicubic(format=source, matrix=1).std.SetFrameProps(**BT709)


def test_constant_luminance_goes_through_light() -> None:
    """Y'C of BT.2020's constant luminance is no sum of R'G'B': the gain must be on light."""
    clip = picture(vs.YUV444P8).resize.Bicubic(matrix=10, primaries=9, transfer=14)
    ncl = clip.resize.Bicubic(matrix=9, transfer=14, primaries=9)
    rows = [planes(apply(c, flat_map(c, 1.0, 1.5)))[0].astype(int) for c in (clip, ncl)]
    assert np.percentile(np.abs(rows[0] - rows[1]), 95) <= 12

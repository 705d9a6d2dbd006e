"""Whole renders against pictures kept in data/: what `apply` makes of every kind of clip.

The pictures are of a drawn clip and a drawn map, made by commit 5827eb9; 422p8, where that
approximated colors outside the gamut, by the same steps in float64, and 420p8_hlg by zimg.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import vapoursynth as vs
from numpy.typing import NDArray

from tests.clips import drawn, frame_props, planes
from vs_gainmap import apply

GOLDEN = Path(__file__).parent / "data" / "golden_renders.npz"
WIDTH, HEIGHT = 96, 64
# Name: format of the clip, scale of the map, arguments of `apply`.
CASES: dict[str, tuple[int, int, dict[str, object]]] = {
    "420p8": (vs.YUV420P8, 4, {}),
    "420p8_whole_map": (vs.YUV420P8, 1, {"strength": 0.8}),
    "420p10_bilinear": (vs.YUV420P10, 2, {"upsampling": "bilinear", "peak_nits": 600.0}),
    "422p8": (vs.YUV422P8, 2, {"format": vs.YUV422P10, "sdr_white": 150.0}),
    "444p16_bt1886": (vs.YUV444P16, 2, {"eotf": "bt1886"}),
    "rgb24_srgb": (vs.RGB24, 2, {"eotf": "srgb", "format": vs.RGB48}),
    "gray8": (vs.GRAY8, 2, {}),
    "444ps": (vs.YUV444PS, 2, {"format": vs.YUV444P12}),
    "420p8_hlg": (vs.YUV420P8, 2, {"output": "hlg"}),
    "420p8_linear": (vs.YUV420P8, 2, {"output": "linear", "format": vs.RGBS}),
}


def _pixels(n: int, p: int, shape: tuple[int, int]) -> NDArray[np.float64]:
    """Return ramps, edges and a little noise, 0..1, a pure function of frame and plane."""
    height, width = shape
    y, x = np.mgrid[0:height, 0:width] / [[[height]], [[width]]]
    ramp = (0.15 + 0.7 * x) if p == 0 else 0.5 + 0.3 * np.sin(5 * (x + p * y) + n)
    if p == 0:
        ramp = np.where((y > 0.5) & (x > 0.3) & (x < 0.6), 0.95 - 0.2 * y, ramp)
        ramp = np.where(y < 0.12, 0.0, ramp)
    noise = np.random.default_rng(10 * n + p).normal(0, 0.01, shape)
    return np.clip(ramp + noise, 0, 1)


def clip_of(clip_format: int) -> vs.VideoNode:
    blank = vs.core.std.BlankClip(format=clip_format, width=WIDTH, height=HEIGHT, length=2)
    kind = blank.format
    rgb, floating = kind.color_family == vs.RGB, kind.sample_type == vs.FLOAT

    def draw(n: int, p: int, shape: tuple[int, int]) -> NDArray[np.float64]:
        values = _pixels(n, p, shape)
        if floating:
            return values - (0.5 if p and not rgb else 0)
        if rgb:
            return np.round(values * (2**kind.bits_per_sample - 1))
        low, span = 16, 224 if p else 219
        return np.round((low + values * span) * 2 ** (kind.bits_per_sample - 8))

    tags = {"_Matrix": 0 if rgb else 1, "_Transfer": 13 if rgb else 1, "_Primaries": 1}
    tags |= {"_Range": int(rgb)}
    if kind.subsampling_w:
        tags["_ChromaLocation"] = 0
    return drawn(blank, draw).std.SetFrameProps(**tags)


def map_of(scale: int) -> vs.VideoNode:
    blank = vs.core.std.BlankClip(
        format=vs.GRAYS, width=WIDTH // scale, height=HEIGHT // scale, length=2
    )

    def draw(n: int, _: int, shape: tuple[int, int]) -> NDArray[np.float64]:
        y, x = np.mgrid[0 : shape[0], 0 : shape[1]] / [[[shape[0]]], [[shape[1]]]]
        return np.clip(x**2 * 1.1 - 0.2 * y + 0.05 * n, -0.1, 1.1)

    return drawn(blank, draw).std.SetFrameProps(
        GainMapMin=-0.5,
        GainMapMax=2.0,
        GainMapGamma=1.0,
        GainMapBaseOffset=0.0,
        GainMapAlternateOffset=0.0,
        GainMapBaseHeadroom=0.0,
        GainMapAlternateHeadroom=float(np.log2(1000 / 203)),
        GainMapSDRWhite=203.0,
        GainMapEOTF="gamma22",
        _Range=1,
    )


def render(name: str) -> vs.VideoNode:
    clip_format, scale, arguments = CASES[name]
    return apply(clip_of(clip_format), map_of(scale), measure=True, **arguments)


@pytest.mark.parametrize("name", CASES)
def test_renders_as_before(name: str) -> None:
    clip = render(name)
    integer = clip.format.sample_type == vs.INTEGER
    # One code of 10 bits; of linear light 0.3 % or 0.002 of SDR white.
    code = 2.0 ** (clip.format.bits_per_sample - 10)
    with np.load(GOLDEN) as kept:
        for n in range(clip.num_frames):
            for p, plane in enumerate(planes(clip, n)):
                want = kept[f"{name}.{n}.{p}"].astype(np.float64)
                tolerance = code if integer else 0.002 + 0.003 * np.abs(want)
                off = np.abs(plane.astype(np.float64) - want) - tolerance
                assert off.max() <= 1e-9, f"frame {n}, plane {p}: {np.abs(plane - want).max()}"
            found = frame_props(clip, n)
            light = [found["FrameMaxNits"], found["FrameAverageNits"]]
            np.testing.assert_allclose(light, kept[f"{name}.{n}.light"], rtol=0.01)

"""A small map's way up: edges stay, nothing overshoots, everything else is untouched."""

from __future__ import annotations

import random

import numpy as np
import pytest
import vapoursynth as vs
from numpy.typing import NDArray

from tests.clips import BT709, drawn, frame_props, noise, planes
from vs_gainmap import apply
from vs_gainmap.filters.upsampling import guided_upsample

Picture = NDArray[np.float64]
WIDTH, HEIGHT = 320, 192
MAP_PROPS = {
    "GainMapMin": 0.0,
    "GainMapMax": 2.3,
    "GainMapAlternateHeadroom": 2.3,
    "GainMapSDRWhite": 203.0,
    "GainMapEOTF": "gamma22",
}


def black_bars() -> Picture:
    """Letterbox around a bright sky with a little texture."""
    rng = np.random.default_rng(1)
    picture = 0.8 + 0.02 * rng.standard_normal((HEIGHT, WIDTH))
    picture[:26] = picture[-26:] = 0.0
    return picture


def subtitles() -> Picture:
    """White strokes three pixels wide on a dim scene."""
    picture = np.full((HEIGHT, WIDTH), 0.15) + np.linspace(0, 0.1, WIDTH)
    for x in range(40, 280, 11):
        picture[150:170, x : x + 3] = 0.95
    picture[158:161, 40:280] = 0.95
    return picture


def window_frames() -> Picture:
    """Dark bars, slanted and straight, before a bright window."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    bright = 0.9 - 0.1 * y / HEIGHT
    bars = ((x + y // 4) % 60 < 9) | (y % 70 < 8)
    return np.where(bars, 0.08, bright)


SCENES = [black_bars, subtitles, window_frames]


def clip_of(picture: Picture, format_id: int = vs.YUV420P8) -> vs.VideoNode:
    blank = noise(WIDTH, HEIGHT, 1, format_id, **BT709)
    code = 16 + 219 * np.clip(picture, 0, 1)
    return drawn(blank, lambda n, p, shape: np.full(shape, 128.0) if p else np.rint(code))  # noqa: ARG005


def gray(values: Picture) -> vs.VideoNode:
    blank = vs.core.std.BlankClip(
        format=vs.GRAYS, width=values.shape[1], height=values.shape[0], length=1
    )
    return drawn(blank, lambda n, p, shape: values).std.SetFrameProps(**MAP_PROPS)  # noqa: ARG005


def curve(luma: Picture) -> Picture:
    """Highlights are lifted, shadows hardly: what a map mostly is."""
    return 0.1 + 0.8 * np.clip(luma, 0, 1) ** 2


def errors(scene: Picture, scale: int) -> tuple[Picture, Picture]:
    """Return how far the map is off after each way up, bilinear and guided.

    The map is made, as a network makes it, of the small picture.
    """
    truth = curve(scene)
    small = gray(scene).resize.Bicubic(
        WIDTH // scale, HEIGHT // scale, filter_param_a=0, filter_param_b=0.5
    )
    small = gray(curve(planes(small)[0]))
    ways = small.resize.Bilinear(WIDTH, HEIGHT), guided_upsample(small, clip_of(scene))
    bilinear, guided = (planes(way)[0] - truth for way in ways)
    return bilinear, guided


@pytest.mark.parametrize("scene", SCENES)
@pytest.mark.parametrize("scale", [2, 4, 8])
def test_there_is_no_halo_at_hard_edges(scene: object, scale: int) -> None:
    picture = scene()  # type: ignore[operator]
    bilinear, guided = errors(picture, scale)
    # A halo is a wrong map beside an edge. Bilinear has one as wide as the map's samples are.
    assert np.abs(bilinear).max() > 0.2
    assert np.abs(guided).max() < 0.5 * np.abs(bilinear).max()
    assert np.mean(guided**2) < 0.25 * np.mean(bilinear**2)


def test_smooth_pictures_keep_their_map() -> None:
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    smooth = 0.5 + 0.3 * np.sin(x / 50) * np.cos(y / 40)
    bilinear, guided = errors(smooth, 4)
    assert np.abs(guided).max() < 0.02
    assert np.sqrt(np.mean(guided**2)) < 2 * np.sqrt(np.mean(bilinear**2)) + 0.002


def test_a_flat_picture_gets_the_map_as_it_is() -> None:
    """Where luma says nothing, the map is only smoothed: no noise is blown up."""
    rng = np.random.default_rng(0)
    flat = np.full((HEIGHT, WIDTH), 0.5) + rng.normal(0, 0.002, (HEIGHT, WIDTH))
    y, x = np.mgrid[: HEIGHT // 4, : WIDTH // 4]
    values = 0.3 + 0.4 * x / x.max() + 0 * y
    got = planes(guided_upsample(gray(values), clip_of(flat)))[0]
    want = planes(gray(values).resize.Bilinear(WIDTH, HEIGHT))[0]
    np.testing.assert_allclose(got[:, 20:-20], want[:, 20:-20], atol=0.01)


@pytest.mark.parametrize("format_id", [vs.YUV420P8, vs.YUV444P16, vs.RGB24, vs.RGBS, vs.GRAY8])
def test_every_format_guides(format_id: vs.PresetVideoFormat) -> None:
    source = clip_of(window_frames()).resize.Bicubic(WIDTH, HEIGHT, format=vs.RGB24)
    tags = {**BT709, "_Matrix": 0, "_Range": 1}
    source = source.std.SetFrameProps(**tags)
    if format_id != vs.RGB24:
        gray_or_yuv = vs.core.get_video_format(format_id).color_family != vs.RGB
        options = {"matrix": 1} if gray_or_yuv else {}
        source = source.resize.Bicubic(format=format_id, **options)
    small = gray(curve(window_frames())).resize.Bicubic(WIDTH // 4, HEIGHT // 4)
    got = planes(guided_upsample(small, source))[0]
    assert np.mean((got - curve(window_frames())) ** 2) < 0.003


def test_apply_guides_every_smaller_map() -> None:
    clip = clip_of(subtitles())
    full = gray(curve(subtitles()))
    small = full.resize.Bicubic(WIDTH // 4, HEIGHT // 4)
    want = planes(apply(clip, full))[0].astype(float)
    bilinear = planes(apply(clip, small, upsampling="bilinear"))[0].astype(float)
    guided = planes(apply(clip, small, upsampling="guided"))[0].astype(float)
    assert np.array_equal(guided, planes(apply(clip, small))[0])
    half = full.resize.Bicubic(WIDTH // 2, HEIGHT // 2)
    halves = [planes(apply(clip, half, **way))[0] for way in ({}, {"upsampling": "guided"})]
    assert np.array_equal(*halves)
    assert np.mean((guided - want) ** 2) < 0.15 * np.mean((bilinear - want) ** 2)
    # At full size there is no way up.
    assert np.array_equal(want, planes(apply(clip, full, upsampling="guided"))[0])
    assert frame_props(apply(clip, small, upsampling="guided")) == frame_props(apply(clip, small))


def test_apply_takes_integer_maps_and_any_order() -> None:
    clip = noise(128, 96, 6, **BT709)
    small = noise(32, 24, 6, vs.GRAY16, _Range=1).std.SetFrameProps(**MAP_PROPS)
    ordered = [planes(apply(clip, small, upsampling="guided"), n)[0] for n in range(6)]
    fresh = apply(clip, small, upsampling="guided")
    order = list(range(6)) * 2
    random.Random(1).shuffle(order)
    for n, future in [(n, fresh.get_frame_async(n)) for n in order]:
        with future.result() as frame:
            assert np.array_equal(np.asarray(frame[0]), ordered[n])


def test_bad_argument_is_one_clear_line() -> None:
    clip = clip_of(subtitles())
    with pytest.raises(vs.Error, match="apply: upsampling must be one of bilinear, guided"):
        apply(clip, gray(curve(subtitles())), upsampling="lanczos")

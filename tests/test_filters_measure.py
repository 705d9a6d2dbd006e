"""MaxCLL and MaxFALL: black bars, percentiles, and titles frame by frame."""

from __future__ import annotations

import numpy as np
import pytest
import vapoursynth as vs

from tests.clips import drawn, frame_props, noise, planes
from tests.test_filters_apply import flat_map
from vs_gainmap import apply, measure
from vs_gainmap.filters.measure import active_area
from vs_gainmap.hdr10 import ContentLight, LightMeter

PQ = {"_Matrix": 0, "_Transfer": 16, "_Primaries": 9, "_Range": 1}


def boxed(codes: np.ndarray) -> vs.VideoNode:
    """Return gray RGB48 PQ frames of (N, H, W) codes."""
    count, height, width = codes.shape
    clip = noise(width, height, count, vs.RGB48, **PQ)
    return drawn(clip, lambda n, p, shape: codes[n])  # noqa: ARG005


def test_bars_are_found_at_every_edge() -> None:
    light = np.zeros((40, 60), np.float32)
    assert active_area(light, 0.1) == (0, 0, 0, 0)
    light[10:30, 5:50] = 2.0
    assert active_area(light, 0.1) == (5, 10, 50, 30)
    light[0, 20] = 0.2  # one bright pixel is no bar
    assert active_area(light, 0.1) == (5, 0, 50, 30)
    assert active_area(light, 0.3) == (5, 10, 50, 30)
    assert active_area(np.ones((4, 6), np.float32), 0.1) == (0, 0, 6, 4)


def test_measure_tells_the_picture_without_bars() -> None:
    codes = np.zeros((2, 64, 96))
    codes[0, 8:56] = 0.58 * 65535
    found = frame_props(measure(boxed(codes)), 0)
    assert found["FrameActiveArea"] == [0, 8, 96, 56]
    # The average stays that of the whole frame: the bars are known when the title is.
    assert found["FrameAverageNits"] == pytest.approx(found["FrameMaxNits"] * 48 / 64, rel=1e-3)
    assert frame_props(measure(boxed(codes)), 1)["FrameActiveArea"] == [0, 0, 0, 0]


def test_bars_are_what_is_black_in_the_whole_title() -> None:
    meter = LightMeter(100, 80)
    meter.add(0.0, 0.0, (0, 0, 0, 0))  # fade in
    meter.add(400.0, 60.0, (0, 10, 100, 70))
    meter.add(50.0, 1.0, (40, 30, 60, 40))  # a face in the dark
    assert meter.active_area == (0, 10, 100, 70)
    assert meter.result() == ContentLight(max_cll=400, max_fall=80)
    meter.add(300.0, 50.0, (0, 0, 100, 80))  # the format opens
    assert meter.result() == ContentLight(max_cll=400, max_fall=60)


def test_unknown_areas_and_black_titles_count_whole() -> None:
    meter = LightMeter(100, 80)
    meter.add(200.0, 20.0, None)
    meter.add(100.0, 10.0, (0, 20, 100, 60))
    assert meter.result() == ContentLight(max_cll=200, max_fall=20)
    black = LightMeter(100, 80)
    black.add(0.0, 0.0, (0, 0, 0, 0))
    assert black.result() == ContentLight(max_cll=0, max_fall=0)
    assert black.active_area == (0, 0, 100, 80)


def test_a_percentile_leaves_a_few_pixels_out() -> None:
    codes = np.full((1, 100, 100), 0.508078 * 65535)  # 100 cd/m2
    codes[0, 50, :5] = 0.751827 * 65535  # five pixels of 1000
    clip = boxed(codes)
    assert frame_props(measure(clip))["FrameMaxNits"] == pytest.approx(1000, rel=1e-3)
    for percentile, want in ((99.96, 1000), (99.94, 100), (50, 100)):
        found = frame_props(measure(clip, percentile=percentile))
        assert found["FrameMaxNits"] == pytest.approx(want, rel=1e-3)
    with pytest.raises(vs.Error, match="measure: percentile must be above 0"):
        measure(clip, percentile=0)
    with pytest.raises(vs.Error, match="measure: percentile must be above 0"):
        measure(clip, percentile="x")  # type: ignore[arg-type]


def colors(clip_format: int, **said: int) -> vs.VideoNode:
    """Return two PQ frames of hard edges between saturated colors, as codes of a format."""
    known = {"_Matrix": 9, "_Transfer": 16, "_Primaries": 9, "_Range": 0, "_ChromaLocation": 0}
    rng = np.random.default_rng(5)
    blocks = rng.random((2, 3, 12, 20)) * 0.75
    picture = noise(160, 96, 2, vs.RGBS, **{**PQ, **said, "_Matrix": 0})
    picture = drawn(picture, lambda n, p, _: np.kron(blocks[n, p], np.ones((8, 8))))
    location = said.get("_ChromaLocation", 0)
    made = picture.resize.Bicubic(format=clip_format, matrix=9, range=0, chromaloc=location)
    return made.std.SetFrameProps(**{**known, **said})


@pytest.mark.parametrize("transfer", [16, 18])
def test_light_of_linear_planes(transfer: int) -> None:
    """The maximum and the mean of decoded light, of PQ and HLG."""
    clip = colors(vs.YUV444P16).resize.Bicubic(transfer=transfer)
    linear = clip.resize.Bicubic(format=vs.RGBS, transfer=8, nominal_luminance=100)
    for n in range(2):
        light = np.clip(np.max(planes(linear, n), axis=0), 0, 100) * 100
        found = frame_props(measure(clip), n)
        assert found["FrameMaxNits"] == pytest.approx(light.max(), rel=1e-3)
        assert found["FrameAverageNits"] == pytest.approx(light.mean(), rel=1e-3)


def test_bars_and_full_range() -> None:
    clip = colors(vs.YUV420P10)
    boxed_in = clip.std.Crop(top=16, bottom=24).std.AddBorders(
        top=16, bottom=24, color=[64, 512, 512]
    )
    assert frame_props(measure(boxed_in), 0)["FrameActiveArea"] == [0, 16, 160, 72]
    gray = vs.core.std.BlankClip(format=vs.YUV420P10, width=64, height=64, length=1)
    gray = gray.std.BlankClip(color=[round(0.508078 * 1023), 512, 512])
    gray = gray.std.SetFrameProps(
        _Matrix=9, _Transfer=16, _Primaries=9, _Range=1, _ChromaLocation=0
    )
    found = frame_props(measure(gray), 0)
    assert found["FrameMaxNits"] == pytest.approx(100, rel=5e-3)
    assert found["FrameAverageNits"] == pytest.approx(100, rel=5e-3)


def test_what_apply_measures_is_what_it_delivers() -> None:
    """Hard edges of color, whose brightest pixels are others in 4:2:0."""
    sdr = colors(vs.YUV420P8, _Matrix=1, _Transfer=1, _Primaries=1)
    gain_map = flat_map(sdr, 0.5, 1.0, 4)
    for clip_format in (vs.YUV420P10, vs.YUV422P10, vs.YUV444P12):
        hdr = apply(sdr, gain_map, format=clip_format, measure=True)
        for n in range(2):
            said, true = frame_props(hdr, n), frame_props(measure(hdr), n)
            assert said["FrameMaxNits"] == pytest.approx(true["FrameMaxNits"], rel=1e-3)
            assert said["FrameAverageNits"] == pytest.approx(true["FrameAverageNits"], rel=1e-3)

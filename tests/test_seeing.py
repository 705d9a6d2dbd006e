"""What a network is shown: the same as zimg makes at once, and made once a frame."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest
import vapoursynth as vs

from tests.clips import BT709, planes
from vs_gainmap.filters import predict
from vs_gainmap.filters.seeing import MOST_HELD, network_picture, see
from vs_gainmap.filters.upsampling import small_luma
from vs_gainmap.models.gmnet import THUMBNAIL_SIZE


def _scene(width: int, height: int, frames: int = 1, **color: int) -> vs.VideoNode:
    """Return a picture with large and small structures, YUV420P8."""
    rng = np.random.default_rng(3)
    layers = [rng.random((n, 2 * n, 3), dtype=np.float32) for n in (3, 12, 60)]
    rgb = sum(cv2.resize(layer, (width, height), interpolation=cv2.INTER_CUBIC) for layer in layers)
    rgb = np.clip(np.asarray(rgb) / 3, 0, 1)
    blank = vs.core.std.BlankClip(format=vs.RGBS, width=width, height=height, length=frames)

    def draw(n: int, f: vs.VideoFrame) -> vs.VideoFrame:  # noqa: ARG001
        out = f.copy()
        for plane in range(3):
            np.copyto(np.asarray(out[plane]), rgb[..., plane])
        return out

    drawn = blank.std.ModifyFrame(blank, draw)
    return drawn.resize.Bicubic(format=vs.YUV420P8, matrix=1).std.SetFrameProps(**color)


@pytest.mark.parametrize("full_range", [False, True])
def test_it_is_what_zimg_makes_at_once_in_floats(full_range: bool) -> None:
    clip = _scene(1280, 720, **BT709)
    if full_range:
        clip = clip.resize.Point(range=int(vs.RANGE_FULL))
    floats = clip.resize.Point(format=vs.YUV420PS)
    seen = see(clip, 640, 360, ahead=0)
    for made, meant in (
        (seen.picture, network_picture(floats, 640, 360)),
        (small_luma(seen.small, 640, 360), small_luma(floats, 640, 360)),
    ):
        assert made.format.id == meant.format.id
        for one, other in zip(planes(made), planes(meant), strict=True):
            np.testing.assert_allclose(one, other, atol=2e-4)
    # Shrunk twice instead of once: what is finest differs, by no more than this.
    size = (THUMBNAIL_SIZE, THUMBNAIL_SIZE)
    for one, other in zip(
        planes(seen.thumbnail), planes(network_picture(floats, *size)), strict=True
    ):
        assert one.shape == size
        assert abs(one - other).max() < 0.02
        assert abs(one.mean() - other.mean()) < 1e-4


@pytest.mark.parametrize("form", [vs.RGB24, vs.YUV444PS, vs.RGBS])
def test_other_formats_are_seen_in_floats(form: int) -> None:
    clip = _scene(640, 360, **BT709).resize.Bicubic(format=form)
    seen = see(clip, 320, 180, ahead=0)
    for one, other in zip(
        planes(seen.picture), planes(network_picture(clip, 320, 180)), strict=True
    ):
        np.testing.assert_array_equal(one, other)
    assert seen.small is None


def test_a_window_ahead_of_its_map_a_frame_is_made_small_once(tiny_weights: Path) -> None:
    """Thumbnails come from the small picture, which is kept until its map is asked for."""
    clip, asked = _scene(1024, 512, 40, **BT709), Counter[int]()

    def count(n: int, f: vs.VideoFrame) -> vs.VideoFrame:
        asked[n] += 1
        return f

    counted = clip.std.ModifyFrame(clip, count)
    vs.core.std.SetVideoCache(counted, mode=0)
    gain_map = predict(counted, weights=tiny_weights, scale=2, radius=12, survey=0)
    asked.clear()
    for frame in gain_map.frames(close=True, prefetch=2):
        assert frame.width == 512
    # Frame 0 was looked at while the filters were built, and is kept since.
    assert asked == Counter(range(1, 40))


def test_large_maps_are_not_kept() -> None:
    """A second of small pictures at half of 2160p is 400 MB: thumbnails come from the whole."""
    clip = _scene(2 * 1024, 2 * 768, 30, **BT709)
    assert MOST_HELD < 1024 * 768
    asked = Counter[int]()

    def count(n: int, f: vs.VideoFrame) -> vs.VideoFrame:
        asked[n] += 1
        return f

    counted = clip.std.ModifyFrame(clip, count)
    vs.core.std.SetVideoCache(counted, mode=0)
    seen = see(counted, 1024, 768, ahead=12)
    asked.clear()
    seen.thumbnail.get_frame(3).close()
    seen.picture.get_frame(3).close()
    assert asked[3] == 2

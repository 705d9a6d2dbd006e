"""`smooth`: still regions hold their light, and nothing else is touched."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
import vapoursynth as vs
from numpy.typing import NDArray

from tests.clips import BT709, drawn, frame_props, noise, planes
from vs_gainmap import apply, predict, sdr_to_hdr10, smooth
from vs_gainmap.filters.temporal import CELL_LIKENESS, steady_cells
from vs_gainmap.filters.window import Neighborhood, shifted

WIDTH, HEIGHT = 128, 96


def breathing(length: int = 14, *, moving: bool = False, jump: int | None = None) -> vs.VideoNode:
    """Return a ramp with grain whose luma breathes by half a step of 8 bits.

    A block moves over it, and at `jump` the picture changes, where asked.
    """
    clip = noise(WIDTH, HEIGHT, 1, vs.YUV420P16, **BT709) * length

    def draw(n: int, p: int, shape: tuple[int, int]) -> NDArray:
        if p:
            return np.full(shape, 128 * 256)
        rng = np.random.default_rng(n)
        luma = 50 + np.add.outer(np.arange(shape[0]), np.arange(shape[1])) * 0.7
        if jump is not None and n >= jump:
            luma = 230 - luma
        luma = luma + rng.normal(0.5 * (-1) ** n, 1.5, shape)
        if moving:
            luma[8:40, 8 * n : 8 * n + 24] = 180
        return np.clip(luma, 16, 235) * 256

    return drawn(clip, draw)


def flat_map(clip: vs.VideoNode, value: float = 0.5) -> vs.VideoNode:
    """Return a gain map of one value at half size, as `predict` would tag it."""
    blank = vs.core.std.BlankClip(
        format=vs.GRAYS,
        width=clip.width // 2,
        height=clip.height // 2,
        length=clip.num_frames,
        color=value,
    )
    return blank.std.SetFrameProps(
        GainMapMin=-2.0, GainMapMax=2.0, GainMapAlternateHeadroom=2.3, GainMapSDRWhite=203.0
    )


def mean_pq(clip: vs.VideoNode, gain_map: vs.VideoNode) -> NDArray[np.float64]:
    hdr = apply(clip, gain_map, format=vs.RGBS)
    return np.array([np.mean(planes(hdr, n)) for n in range(clip.num_frames)])


def test_a_still_shot_changes_at_least_five_times_less() -> None:
    clip = breathing()
    gain_map = flat_map(clip)
    alone, steady = mean_pq(clip, gain_map), mean_pq(clip, smooth(clip, gain_map))
    inner = slice(4, -4)
    assert np.abs(np.diff(alone)[inner]).mean() > 5 * np.abs(np.diff(steady)[inner]).mean()
    assert steady.mean() == pytest.approx(alone.mean(), abs=2e-4)


def test_grain_and_props_stay() -> None:
    clip = breathing()
    gain_map = flat_map(clip)
    steady = smooth(clip, gain_map)
    assert frame_props(steady, 5) == frame_props(gain_map, 5)
    before, after = (
        np.stack(planes(apply(clip, g, format=vs.RGBS), 5)) for g in (gain_map, steady)
    )
    grain = [np.diff(picture, axis=-1).std() for picture in (before, after)]
    assert grain[1] == pytest.approx(grain[0], rel=0.01)


def test_what_moves_is_left_alone() -> None:
    clip = breathing(moving=True)
    stops = (planes(smooth(clip, flat_map(clip)), 6)[0] - 0.5) * 4
    # Cells of 2x2 map pixels that the block covers now, and did not before or after.
    block = stops[8:18, 29:34]
    still = stops[28:44, :]
    assert np.abs(block).max() < 0.2 * np.abs(still).mean()
    assert np.abs(stops).max() < 0.1


def test_nothing_crosses_a_cut() -> None:
    whole = breathing(12, jump=6)
    maps = planes(smooth(whole, flat_map(whole)), 5)[0]
    first = whole[:6]
    np.testing.assert_allclose(maps, planes(smooth(first, flat_map(first)), 5)[0], atol=1e-6)


def test_a_frame_knows_twice_the_radius_and_no_more() -> None:
    clip = breathing(40)
    gain_map = flat_map(clip)
    whole = planes(smooth(clip, gain_map, radius=4), 20)[0]
    # Every third of the clip is looked at beyond the radius, so trims are of whole thirds.
    enough, less = (slice(20 - 8, 20 + 9), slice(20 - 5, 20 + 6))
    part = smooth(clip[enough], gain_map[enough], radius=4)
    np.testing.assert_array_equal(planes(part, 8)[0], whole)
    part = smooth(clip[less], gain_map[less], radius=4)
    assert np.abs(planes(part, 5)[0] - whole).max() > 1e-5


def test_any_order_gives_the_same_frames(tiny_weights: Path) -> None:
    clip = breathing(10)
    gain_map = predict(clip, weights=tiny_weights)
    want = [planes(smooth(clip, gain_map), n)[0] for n in range(10)]
    order = list(range(10)) * 2
    random.Random(3).shuffle(order)
    again = smooth(clip, predict(clip, weights=tiny_weights, streams=3))
    for n, future in [(n, again.get_frame_async(n)) for n in order]:
        with future.result() as frame:
            assert np.array_equal(np.asarray(frame[0]), want[n])


def test_radius_0_is_the_way_frame_by_frame(tiny_weights: Path) -> None:
    clip = breathing(4)
    gain_map = predict(clip, weights=tiny_weights, radius=0)
    assert smooth(clip, gain_map, radius=0) is gain_map
    whole = sdr_to_hdr10(clip, weights=tiny_weights, radius=0)
    parts = apply(clip, gain_map)
    for n in range(4):
        assert all(map(np.array_equal, planes(whole, n), planes(parts, n)))


def test_rgb_and_a_map_of_no_range_pass() -> None:
    clip = noise(64, 48, 3, vs.RGB24, _Matrix=0, _Transfer=13, _Primaries=1, _Range=1)
    none = flat_map(clip).std.SetFrameProps(GainMapMin=0.0, GainMapMax=0.0)
    np.testing.assert_array_equal(planes(smooth(clip, none), 1)[0], planes(none, 1)[0])


def test_refusals_say_what_to_do() -> None:
    clip = breathing(4)
    with pytest.raises(vs.Error, match="smooth: radius must be 0 to 24, got 25"):
        smooth(clip, flat_map(clip), radius=25)
    with pytest.raises(vs.Error, match="smooth: gain_map must be GRAYS"):
        smooth(clip, clip)
    with pytest.raises(vs.Error, match="smooth: gain_map has 4 frames and clip 3"):
        smooth(clip[:3], flat_map(clip))
    bare = flat_map(clip).std.RemoveFrameProps("GainMapMax")
    with pytest.raises(vs.Error, match="smooth: gain_map frame 0 has no GainMapMax"):
        smooth(clip, bare)


def test_cells_are_weighted_by_their_own_likeness() -> None:
    luma = np.full((5, 2, 3), 0.3, np.float32)
    values = np.arange(5, dtype=np.float32)[:, None, None] * np.ones((2, 3), np.float32)
    luma[3, 0, 0] += 3 * CELL_LIKENESS
    got = steady_cells(luma, values, np.full(5, 0.2), 2)
    assert got[1, 1] == pytest.approx(2, abs=0.02)
    assert got[0, 0] < 1.8  # frame 3 says nothing here


def test_a_window_shows_the_neighbors_and_holds_the_ends() -> None:
    clip = vs.core.std.BlankClip(format=vs.GRAY8, width=16, height=16, length=5)
    numbered = drawn(clip, lambda n, p, shape: np.full(shape, 10 * n))  # noqa: ARG005
    for offset in (-2, -1, 0, 1, 2):
        one = shifted(numbered, offset)
        got = [int(planes(one, n)[0][0, 0]) for n in range(5)]
        assert got == [10 * min(max(n + offset, 0), 4) for n in range(5)]


def test_far_frames_are_every_third() -> None:
    around = Neighborhood(12, 4)
    assert around.places(20, 40) == [9, 12, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 27, 30]
    assert around.places(21, 40) == [9, 12, 15, 17, 18, 19, 20, 21, 22, 23, 24, 25, 27, 30, 33]
    assert around.places(1, 9) == [0, 1, 2, 3, 4, 5, 6]
    assert Neighborhood(3, 8).places(5, 20) == [2, 3, 4, 5, 6, 7, 8]


@pytest.mark.parametrize("length", [1, 2, 3, 4, 5, 31, 32, 33])
def test_a_window_gets_its_places(length: int) -> None:
    clip = vs.core.std.BlankClip(format=vs.GRAY8, width=16, height=16, length=length)
    numbered = drawn(clip, lambda n, p, shape: np.full(shape, n))  # noqa: ARG005
    around, seen = Neighborhood(12, 4), {}

    def note(n: int, own: vs.VideoFrame, f: list[vs.VideoFrame]) -> vs.VideoFrame:
        seen[n] = [int(np.asarray(one[0])[0, 0]) for one in (own, *f)]
        return own

    made = around.modify(numbered, numbered, note)
    assert made.num_frames == length
    for n in range(length):
        assert planes(made, n)[0][0, 0] == n
        assert seen[n] == [n, *around.places(n, length)]

"""The level of highlights: measured exactly, and held where the picture stands still."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
import vapoursynth as vs
from numpy.typing import NDArray

from tests.clips import BT709, drawn, noise, planes
from tests.test_smoothing import flat_map
from vs_gainmap import apply, smooth
from vs_gainmap.color.transfer import pq_eotf, pq_inverse_eotf
from vs_gainmap.filters.temporal import Level, look_around, steady_level
from vs_gainmap.highlights import (
    BINS,
    MAX_REST_STOPS,
    MAX_STOPS,
    MOST_NEAR,
    NEAR_LEVEL,
    PLACES,
    SHARE,
    added,
    find_highlights,
    hold_top,
    is_large,
    moved_level,
    top_level,
)


def picture(seed: int = 0) -> NDArray[np.float32]:
    """Return a PQ signal: a ramp with grain, and lamps in 3 % of it."""
    rng = np.random.default_rng(seed)
    signal = np.linspace(0.2, 0.5, 160)[None] + rng.normal(0, 0.01, (120, 160))
    signal[10:34, 20:44] = 0.65 + rng.normal(0, 0.02, (24, 24))
    return signal.astype(np.float32)


def shifts_of_cells(
    seed: int, low: float, high: float, rows: int, columns: int
) -> NDArray[np.float32]:
    """Return stops that change slowly from cell to cell, as they do."""
    few = np.random.default_rng(seed).uniform(low, high, (3, 4)).astype(np.float32)
    return np.asarray(cv2.resize(few, (columns, rows)))


@pytest.mark.parametrize("kind", ["picture", "few", "all alike", "half white"])
def test_the_level_is_exact(kind: str) -> None:
    signal = picture()
    if kind == "few":
        signal = np.zeros((9, 11), np.float32)
        signal[4, 5] = 1.0
    elif kind == "all alike":
        signal[:] = 0.3
    elif kind == "half white":
        signal[60:] = 1.0
    expected = np.sort(signal.reshape(-1))[int(SHARE * (signal.size - 1))]
    assert top_level(signal) == expected


def test_of_1080p_everything_is_looked_at() -> None:
    assert not is_large(1920, 1088)
    assert is_large(2560, 1440)


@pytest.mark.parametrize("steps", [3.0, -4.0])
def test_a_shift_brings_the_level_and_leaves_the_mean(steps: float) -> None:
    signal = picture()
    own = top_level(signal)
    wanted = own + steps / 1023
    # Cells are shifted first, and highlights from where that puts them.
    stops = shifts_of_cells(1, -0.02, 0.03, 9, 16)
    seen = find_highlights(signal)
    shift = hold_top(moved_level(seen, stops), seen.counts, Level(wanted, 1.0))
    light = pq_eotf(torch.from_numpy(signal)).numpy()
    light = light * np.exp2(cv2.resize(stops, (160, 120)))
    held = pq_inverse_eotf(torch.from_numpy(light)).numpy()
    shifted = light * np.exp2(added(shift, np.log2(light)))
    now = pq_inverse_eotf(torch.from_numpy(shifted)).numpy().astype(np.float32)
    assert top_level(now) == pytest.approx(wanted, abs=0.1 / 1023)
    assert abs(float(now.mean() - held.mean())) < 0.03 * abs(steps) / 1023


def test_highlights_are_where_samples_are_near_their_level() -> None:
    signal = np.full((120, 160), 0.3, np.float32)
    signal[:30, :40] = 0.6
    signal[90:, 120:150] = 0.6 + 0.9 * NEAR_LEVEL
    signal[60, 80] = 0.9
    seen = find_highlights(signal)
    assert seen.level == np.float32(0.6 + 0.9 * NEAR_LEVEL)
    lamps = seen.near < -0.5 * NEAR_LEVEL
    assert (lamps.sum(), (~lamps).sum()) == (1200, 900)
    columns, rows = (seen.places.T + 0.5) / PLACES * [[160], [120]]
    assert (columns[lamps].min(), columns[lamps].max()) == pytest.approx((0.5, 39.5), abs=0.01)
    assert (rows[~lamps].min(), rows[~lamps].max()) == pytest.approx((90.5, 119.5), abs=0.01)


def test_of_many_highlights_some_stand_for_all() -> None:
    signal = np.linspace(0.3, 0.3 + NEAR_LEVEL, 720 * 1280, dtype=np.float32).reshape(720, 1280)
    seen = find_highlights(signal)
    assert MOST_NEAR / 2 < len(seen.near) <= MOST_NEAR
    stops = np.full((18, 32), 0.05, np.float32)
    light = pq_eotf(torch.from_numpy(signal)).numpy() * np.exp2(0.05)
    want = top_level(pq_inverse_eotf(torch.from_numpy(light)).numpy().astype(np.float32))
    assert moved_level(seen, stops) == pytest.approx(want, abs=0.02 / 1023)


@pytest.mark.parametrize("size", [(1024, 2048), (1080, 1920), (1, 32767)])
def test_a_flat_picture_is_all_highlights(size: tuple[int, int]) -> None:
    """Each of its pixels is near the level: as many as there is room for."""
    seen = find_highlights(np.full(size, 0.4, np.float32))
    assert MOST_NEAR / 2 <= len(seen.near) <= MOST_NEAR
    assert moved_level(seen, np.zeros((2, 2), np.float32)) == pytest.approx(0.4)
    assert moved_level(seen, np.full((2, 2), 0.05, np.float32)) > 0.4 + 1 / 1023


def test_where_the_level_goes_is_told_without_another_look() -> None:
    rng = np.random.default_rng(3)
    signal = np.clip(rng.normal(0.4, 0.1, (720, 1280)), 0, 1).astype(np.float32)
    # Lamps at the level itself, and cells that go up to the tenth of a stop that is allowed.
    signal[100:140, 200:400] = rng.normal(top_level(signal), 0.004, (40, 200))
    stops = shifts_of_cells(4, 0.2 * -MAX_STOPS, MAX_STOPS, 18, 32)
    seen = find_highlights(signal)
    light = pq_eotf(torch.from_numpy(signal)).numpy() * np.exp2(cv2.resize(stops, (1280, 720)))
    want = top_level(pq_inverse_eotf(torch.from_numpy(light)).numpy().astype(np.float32))
    assert abs(want - seen.level) > 1 / 1023
    assert moved_level(seen, stops) == pytest.approx(want, abs=0.05 / 1023)
    assert moved_level(seen, 0 * stops) == pytest.approx(seen.level, abs=0.01 / 1023)


def test_a_shift_has_bounds() -> None:
    counts = np.ones(BINS, np.int64)
    for wanted, sign in ((1.0, 1), (0.0, -1)):
        shift = hold_top(0.5, counts, Level(wanted, 1.0))
        assert shift.top == sign * MAX_STOPS
        assert abs(shift.rest) <= MAX_REST_STOPS
    assert hold_top(0.5, counts, Level(1.0, 0.0)).top == 0


def test_a_lamp_that_goes_on_is_no_breathing() -> None:
    places = list(range(9))
    still = [np.full(4, 0.5, np.float32)] * 9
    window = look_around(still, places, 4, near=4).still
    assert window == pytest.approx(np.full(9, 1 / 9))
    levels = np.array([0.6, 0.601, 0.6, 0.601, 0.6, 0.75, 0.75, 0.75, 0.75], np.float32)
    assert steady_level(levels, window, 4).value == pytest.approx(0.6004, abs=1e-5)
    assert steady_level(levels, window, 6).value == pytest.approx(0.75, abs=1e-5)
    assert steady_level(levels, window, 4).sure == 1
    alone = look_around([np.full(4, 0.1 * k, np.float32) for k in places], places, 4, near=4).still
    assert steady_level(levels, alone, 4).sure == pytest.approx(0, abs=1e-6)


def lamps(length: int = 30, *, moving: bool = False) -> vs.VideoNode:
    """Return a picture whose lamps are sharper in every second frame, as key frames are."""
    clip = noise(256, 144, 1, vs.YUV420P16, **BT709) * length

    def draw(n: int, p: int, shape: tuple[int, int]) -> NDArray:
        if p:
            return np.full(shape, 128 * 256)
        rows, columns = np.mgrid[0 : shape[0], 0 : shape[1]]
        luma = 60 + 0.3 * columns + (12 * n if moving else 0)
        # The same mean in each cell of 8x8; more or less contrast.
        checks = ((rows // 2 + columns // 2) % 2) * 2 - 1
        bright = (rows // 16 + columns // 16) % 4 == 0
        luma = luma + bright * (40 + checks * (10 + 2 * (n % 2)))
        return np.clip(luma, 16, 235) * 256

    return drawn(clip, draw)


def levels_of(clip: vs.VideoNode, gain_map: vs.VideoNode) -> NDArray[np.float64]:
    hdr = apply(clip, gain_map, format=vs.RGBS)
    return np.array([np.percentile(planes(hdr, n)[1], 99) for n in range(clip.num_frames)])


def test_lamps_that_change_their_sharpness_hold_their_level() -> None:
    clip = lamps()
    gain_map = flat_map(clip)
    alone, steady = levels_of(clip, gain_map), levels_of(clip, smooth(clip, gain_map))
    assert np.abs(np.diff(alone)).mean() > 0.5 / 1023
    assert np.abs(np.diff(alone)).mean() > 5 * np.abs(np.diff(steady)).mean()
    assert steady.mean() == pytest.approx(alone.mean(), abs=1 / 1023)


def test_highlights_of_a_picture_that_changes_are_left_alone() -> None:
    clip = lamps(12, moving=True)
    gain_map = flat_map(clip)
    steady = smooth(clip, gain_map)
    for n in range(clip.num_frames):
        np.testing.assert_allclose(planes(steady, n)[0], planes(gain_map, n)[0], atol=2e-4)

"""Steadiness in time: the window's weights, and the filter that uses them."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
import vapoursynth as vs
from numpy.typing import NDArray

from tests.clips import BT709, drawn, frame_props, noise, planes
from vs_gainmap import predict
from vs_gainmap.filters.temporal import SIGNATURE_SIZE, find_cuts, signature
from vs_gainmap.filters.temporal import window_weights as temporal_window

RADIUS = 4


def window_weights(signatures: list[NDArray[np.float32]], center: int) -> NDArray[np.float64]:
    return temporal_window(signatures, center, near=99).weights


def flat(level: float) -> NDArray[np.float32]:
    return np.full(SIGNATURE_SIZE, level, np.float32)


def test_signature_is_the_grid_of_means() -> None:
    plane = np.kron(np.arange(64).reshape(8, 8) / 64, np.ones((32, 32))).astype(np.float32)
    got = signature([plane, plane * 0, plane * 2])
    np.testing.assert_allclose(got[:64], np.arange(64) / 64, atol=1e-6)
    assert got[64:128].max() == 0
    assert got.max() == 1


def test_a_still_shot_is_averaged_over_the_whole_window_without_lag() -> None:
    weights = window_weights([flat(0.3)] * 9, 4)
    np.testing.assert_allclose(weights, weights[::-1])
    assert weights.sum() == pytest.approx(1)
    assert weights.min() > 0.02
    assert weights.argmax() == 4


def test_nothing_crosses_a_cut() -> None:
    shots = [flat(0.3)] * 4 + [flat(0.6)] * 5
    for center in range(9):
        weights = window_weights(shots, center)
        same = slice(0, 4) if center < 4 else slice(4, 9)
        assert weights[same].sum() == pytest.approx(1)


def test_a_dark_cut_is_a_cut_and_a_flash_is_not() -> None:
    assert find_cuts([0.0, 0.002, 0.06, 0.001, 0.0]) == [False, False, True, False, False]
    assert not any(find_cuts([0.0, 0.0, 0.3, 0.3, 0.0]))
    assert not any(find_cuts([0.04, 0.06, 0.05, 0.06, 0.05]))  # fast motion


def test_a_flash_keeps_its_own_value_and_leaves_its_neighbors_alone() -> None:
    flash = [flat(0.2)] * 4 + [flat(0.8)] + [flat(0.2)] * 4
    assert window_weights(flash, 4)[4] == pytest.approx(1)
    beside = window_weights(flash, 3)
    assert beside[4] < 1e-6
    assert beside[5] > 0.1


def test_a_fade_is_followed_without_lag() -> None:
    levels = [0.02 * i for i in range(9)]
    weights = window_weights([flat(v) for v in levels], 4)
    assert weights @ levels == pytest.approx(levels[4], abs=1e-6)


def test_frames_of_a_fade_keep_their_own_value() -> None:
    # Down by 3 % of the picture a frame: the last frames differ by half of what they have.
    scene = np.linspace(0.1, 0.5, SIGNATURE_SIZE).astype(np.float32)
    fade = [scene * k for k in np.linspace(1, 0.03, 33)]
    for center in (4, 28):
        near = fade[center - 4 : center + 5]
        weights = window_weights(near, 4)
        light = np.array([float(s.mean()) for s in near]) ** 2.4
        assert weights @ light == pytest.approx(light[4], rel=0.02)
        assert weights[4] > 0.95
    still = window_weights([fade[28]] * 9, 4)
    assert still[3] > 0.8 * still[4]


def test_breathing_and_slow_changes_of_light_are_no_fade() -> None:
    breathing = [flat(0.3 + 0.006 * (n % 3 == 0)) for n in range(9)]
    sunset = [flat(0.3 + 0.0005 * n) for n in range(9)]
    panned = [np.roll(np.linspace(0.1, 0.5, SIGNATURE_SIZE), n) for n in range(9)]
    for frames in (breathing, sunset, [p.astype(np.float32) for p in panned]):
        assert window_weights(frames, 4)[4] < 0.3


def still_with_noise(length: int = 16) -> vs.VideoNode:
    """Return one picture with fresh grain on every frame."""
    clip = noise(96, 64, 1, **BT709) * length

    def grain(n: int, p: int, shape: tuple[int, int]) -> NDArray:
        base = 60 + np.add.outer(np.arange(shape[0]), np.arange(shape[1])) * 0.9
        wobble = np.random.default_rng(900 + 3 * n + p).normal(n % 2 * 1.5, 4, shape)
        return np.clip(base + wobble if p == 0 else 128 + wobble, 16, 235)

    return drawn(clip, grain)


def qmaxes(clip: vs.VideoNode) -> NDArray[np.float64]:
    return np.array([frame_props(clip, n)["GainMapMax"] for n in range(clip.num_frames)])


def test_qmax_of_a_still_shot_moves_at_least_five_times_less(tiny_weights: Path) -> None:
    clip = still_with_noise()
    alone = qmaxes(predict(clip, weights=tiny_weights, radius=0))
    steady = qmaxes(predict(clip, weights=tiny_weights, radius=RADIUS))
    inner = slice(RADIUS, -RADIUS)
    assert np.abs(np.diff(alone)[inner]).mean() > 5 * np.abs(np.diff(steady)[inner]).mean()
    assert steady[inner].mean() == pytest.approx(alone[inner].mean(), rel=0.01)


def test_any_order_gives_the_same_frames(tiny_weights: Path) -> None:
    def fresh(streams: int) -> vs.VideoNode:
        return predict(still_with_noise(), weights=tiny_weights, radius=3, num_streams=streams)

    in_order = fresh(1)
    want = [(planes(in_order, n)[0], frame_props(in_order, n)["GainMapMax"]) for n in range(16)]
    order = list(range(16)) * 2
    random.Random(1).shuffle(order)
    for streams in (1, 3):
        clip = fresh(streams)
        for n, future in [(n, clip.get_frame_async(n)) for n in order]:
            with future.result() as frame:
                assert np.array_equal(np.asarray(frame[0]), want[n][0])
                assert frame.props["GainMapMax"] == want[n][1]


def test_short_clips_and_single_frames(tiny_weights: Path) -> None:
    clip = still_with_noise()
    for length in (1, 2, 3):
        assert np.isfinite(qmaxes(predict(clip[:length], weights=tiny_weights, radius=8))).all()
    with pytest.raises(vs.Error, match="radius must be 0 to"):
        predict(clip, weights=tiny_weights, radius=99)


def test_a_cut_in_the_clip_starts_afresh(tiny_weights: Path) -> None:
    one, two = still_with_noise(8), still_with_noise(8).std.Invert(planes=0)
    both = predict(one + two, weights=tiny_weights, radius=RADIUS)
    apart = [qmaxes(predict(c, weights=tiny_weights, radius=RADIUS)) for c in (one, two)]
    np.testing.assert_allclose(qmaxes(both), np.concatenate(apart), rtol=1e-6)
    starts = [frame_props(both, n)["_SceneChangePrev"] for n in range(16)]
    assert starts == [0] * 8 + [1] + [0] * 7

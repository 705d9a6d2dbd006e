"""`map_every`: maps that are carried from frame to frame, and frames that have their own."""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import cache
from typing import Any

import cv2
import numpy as np
import pytest
import vapoursynth as vs
from numpy.typing import NDArray

from tests.clips import BT709, drawn, frame_props, planes
from vs_gainmap import predict, sdr_to_hdr10
from vs_gainmap.models.inference import Predictor

WIDTH, HEIGHT, LENGTH = 192, 128, 24
CUT, FLASH, FADE = 7, 11, 17


@cache
def texture(seed: int) -> NDArray[np.float32]:
    """Return soft shapes with hard edges, wider than a picture."""
    rng = np.random.default_rng(seed)
    noise = rng.normal(size=(HEIGHT, 3 * WIDTH)).astype(np.float32)
    soft = cv2.GaussianBlur(noise, (0, 0), 6)
    soft = 0.5 + 0.12 * (soft - soft.mean()) / soft.std()
    soft[30:90, ::40] = 0.95
    soft[60:, 100:140] += 0.2
    return np.asarray(np.clip(soft, 0.02, 0.98))


def moving(pixels: int, *, events: bool = False) -> vs.VideoNode:
    """Return a clip that moves by so many pixels a frame, with a cut, a flash and a fade."""

    def draw(n: int, plane: int, shape: tuple[int, int]) -> NDArray[np.float32]:
        if plane:
            return np.full(shape, 128.0, np.float32)
        picture = texture(1 if events and n >= CUT else 0)[:, n * pixels : n * pixels + WIDTH]
        if events and n == FLASH:
            picture = np.minimum(picture + 0.4, 1)
        if events and n >= FADE:
            picture = picture * (1 - (n - FADE + 1) / 8)
        return 16 + 219 * picture

    blank = vs.core.std.BlankClip(None, WIDTH, HEIGHT, vs.YUV420P8, LENGTH, 24, 1, keep=True)
    return drawn(blank.std.SetFrameProps(**BT709), draw)


def maps(clip: vs.VideoNode, **how: Any) -> vs.VideoNode:
    return predict(clip, **{"model": "gmnet", "survey": 0, "radius": 8, "scale": 1, **how})


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return a list that gets an entry for every run of the local branch."""
    runs: list[int] = []
    local: Callable[..., Any] = Predictor.local

    def counted(self: Predictor, *args: Any) -> Any:
        runs.append(1)
        return local(self, *args)

    monkeypatch.setattr(Predictor, "local", counted)
    return runs


def in_stops(gain_map: vs.VideoNode, n: int) -> NDArray[np.float32]:
    found: dict[str, Any] = frame_props(gain_map, n)
    low = found["GainMapMin"]
    return np.asarray(planes(gain_map, n)[0] * (found["GainMapMax"] - low) + low)


@pytest.mark.parametrize("every", [2, 3, 4])
def test_maps_between_are_near_their_own(made: list[int], every: int) -> None:
    clip = moving(2)
    own, carried = maps(clip, map_every=1), maps(clip, map_every=every)
    errors, stale = [], []
    for n in range(LENGTH - LENGTH % every):
        assert frame_props(carried, n) == frame_props(own, n)
        if n % every == 0:
            np.testing.assert_array_equal(planes(carried, n)[0], planes(own, n)[0])
            continue
        want, key = in_stops(own, n), in_stops(own, n - n % every)
        errors.append(np.abs(in_stops(carried, n) - want).mean())
        stale.append(np.abs(key - want).mean())
    made.clear()
    again = maps(clip, map_every=every)
    for n in range(LENGTH):
        planes(again, n)
    assert len(made) == -(-LENGTH // every)
    # Beside what a map would be off that is simply shown again.
    assert np.mean(errors) < 0.6 * np.mean(stale)
    assert np.mean(errors) < 0.12


def test_a_still_picture_has_the_same_map() -> None:
    clip = moving(0)
    own, carried = maps(clip), maps(clip, map_every=3)
    for n in (1, 2, 13):
        np.testing.assert_allclose(in_stops(carried, n), in_stops(own, n), atol=2e-3)


def test_cuts_flashes_and_fades_have_their_own() -> None:
    clip = moving(1, events=True)
    own, carried = maps(clip), maps(clip, map_every=2)
    for n in (FLASH, FADE + 2, FADE + 4):
        assert n % 2
        np.testing.assert_array_equal(planes(carried, n)[0], planes(own, n)[0])
    # The first frame after a cut takes the map of the one after it, never the one before.
    assert CUT % 2
    assert np.abs(in_stops(carried, CUT) - in_stops(own, CUT)).mean() < 0.1
    assert np.abs(in_stops(own, CUT - 1) - in_stops(own, CUT)).mean() > 0.2


def test_any_order_gives_the_same() -> None:
    clip = moving(2, events=True)
    ordered = maps(clip, map_every=3)
    want = [planes(ordered, n)[0] for n in range(LENGTH)]
    mixed, order = maps(clip, map_every=3), list(range(LENGTH))
    random.Random(0).shuffle(order)
    for n in order:
        np.testing.assert_array_equal(planes(mixed, n)[0], want[n])


def test_every_frame_has_its_own_unless_asked(made: list[int]) -> None:
    own = maps(moving(2)[:6])
    for n in range(6):
        planes(own, n)
    assert len(made) == 6


def test_the_last_frames_and_one_frame() -> None:
    clip = moving(2)
    whole, short = maps(clip), maps(clip[:6], map_every=4)
    assert planes(maps(clip[:1], map_every=2))[0].shape == (HEIGHT, WIDTH)
    # Only the key frame before is there.
    assert np.abs(in_stops(short, 5) - in_stops(whole, 5)).mean() < 0.15


def test_with_a_survey_and_on_the_whole_way() -> None:
    clip = moving(1)
    one = sdr_to_hdr10(clip, model="gmnet", radius=8, survey=4)
    two = sdr_to_hdr10(clip, model="gmnet", radius=8, survey=4, map_every=2)
    for n in (3, 9):
        got, want = planes(two, n), planes(one, n)
        for a, b in zip(got, want, strict=True):
            assert np.abs(a.astype(int) - b.astype(int)).mean() < 1.5


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"map_every": 0}, "map_every must be 1 to 4, got 0"),
        ({"map_every": 5}, "map_every must be 1 to 4, got 5"),
        ({"map_every": 3, "radius": 2}, "needs a radius of at least 3"),
        ({"map_every": 2, "radius": 0}, "needs a radius of at least 2"),
    ],
)
def test_what_it_refuses(how: dict[str, Any], message: str) -> None:
    with pytest.raises(vs.Error, match=message):
        maps(moving(0), **how)


def test_it_is_not_for_on_device() -> None:
    with pytest.raises(vs.Error, match="leave map_every out"):
        sdr_to_hdr10(moving(0), model="gmnet", device="cpu", on_device=True, map_every=2)

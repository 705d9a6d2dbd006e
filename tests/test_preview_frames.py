"""Frames of a clip as pages show them: pixels, color and shape."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import vapoursynth as vs

from tests.clips import BT709, frame_props, noise, planes
from vs_gainmap import apply, predict
from vs_gainmap.color.primaries import convert_primaries
from vs_gainmap.filters.options import Conversion
from vs_gainmap.preview.frames import Previewer, pixel_shares


def test_a_frame_has_what_the_filters_gave(tiny_weights: Path) -> None:
    clip = noise(64, 48, 3, **BT709)
    previewer = Previewer(clip, Conversion(weights=tiny_weights, radius=0, strength=0.5))
    shown = previewer.frame(1)
    gain_map = predict(clip, weights=tiny_weights, radius=0)
    stops = planes(gain_map, 1)[0] * frame_props(gain_map, 1)["GainMapMax"]
    assert shown.seconds == pytest.approx(1 / 24)
    assert shown.sdr.shape == (48, 64, 3)
    assert shown.stops.mean() == pytest.approx(0.5 * np.clip(stops, 0, 2.33).mean(), rel=0.05)
    want = planes(apply(clip, gain_map, strength=0.5, format=vs.RGBS), 1)
    np.testing.assert_allclose(shown.pq, np.stack(want), atol=1e-5)


def test_pixel_shares_count_bright_and_saturated_colors() -> None:
    nits = torch.full((3, 10, 10), 100.0)
    nits[:, 0] = 300.0
    nits[:, 1, :5] = 2000.0
    nits[1:, 2] = 0.0  # BT.2020's own red is outside of both.
    p3_red = convert_primaries(torch.tensor([50.0, 0.5, 0.5]).view(3, 1, 1), "p3d65", "bt2020")
    nits[:, 3, :1] = p3_red[:, 0]
    assert pixel_shares(nits) == pytest.approx(
        {"above 203 cd/m²": 0.15, "above 1000 cd/m²": 0.05, "outside BT.709": 0.11,
         "outside P3": 0.10}
    )  # fmt: skip
    gray = torch.rand(1, 16, 16).expand(3, 16, 16) * 1000
    assert pixel_shares(gray)["outside BT.709"] == 0


@pytest.mark.parametrize("matrix", ["2020cl", "709"])
def test_map_and_light_are_those_of_the_tagged_clip(matrix: str, tiny_weights: Path) -> None:
    clip = noise(64, 48, 2, vs.YUV444P10)
    color = {"matrix": matrix, "range": "full", "primaries": "2020", "transfer": "2020"}
    previewer = Previewer(clip, Conversion(weights=tiny_weights, **color))
    shown = previewer.frame(1)
    gain_map = predict(clip, weights=tiny_weights, **color)
    want = planes(apply(clip, gain_map, format=vs.RGBS, **color), 1)
    np.testing.assert_allclose(shown.pq, np.stack(want), atol=1e-5)


def test_samples_that_are_no_squares_are_shown_as_squares(tiny_weights: Path) -> None:
    for aspect, size in (((4, 3), (36, 64)), ((1, 2), (48, 32)), ((1, 1), (48, 64))):
        clip = noise(64, 48, 1, **BT709, _SARNum=aspect[0], _SARDen=aspect[1])
        shown = Previewer(clip, Conversion(weights=tiny_weights)).frame(0)
        assert shown.sdr.shape[:2] == shown.stops.shape == shown.pq.shape[1:] == size

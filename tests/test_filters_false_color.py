"""False color: the scales, and clips painted with them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import vapoursynth as vs

from tests.clips import BT709, frame_props, noise, planes
from vs_gainmap import gainmap_overlay, nits_overlay, predict, sdr_to_hdr10
from vs_gainmap.filters.false_color import NitsScale, StopsScale


def test_stops_are_blue_below_gray_at_and_warm_above_zero() -> None:
    scale = StopsScale(-2.0, 3.0)
    below, zero, above, top = scale.paint(np.array([[-1.8, 0.0, 1.0, 3.0]], np.float32))[0].astype(
        int
    )
    assert below[2] > below[0] + 100
    assert np.ptp(zero) <= 2
    assert above[0] > above[2]
    assert top.sum() > 600
    assert [text for _, text in scale.ticks()] == ["-2", "-1", "0", "+1", "+2", "+3"]


def test_nits_scale_is_pq() -> None:
    scale = NitsScale()
    colors = scale.paint(np.array([[0.0, 203.0, 4000.0, 9000.0]], np.float32))[0]
    assert (colors[2] == colors[3]).all()
    assert len({tuple(c) for c in colors[:3]}) == 3
    places = {text: place for place, text in scale.ticks()}
    assert places["203"] == pytest.approx(0.580689 / 0.902573, abs=1e-3)


def test_overlays_are_clips_in_false_color(tiny_weights: Path) -> None:
    clip = noise(96, 64, 2, **BT709)
    gain_map = predict(clip, weights=tiny_weights)
    shown = gainmap_overlay(clip, gain_map)
    assert (shown.format.id, shown.width, shown.height) == (vs.RGB24, 96, 64)
    found = frame_props(gain_map, 1)
    flat = gain_map.std.BlankClip(color=0.5, keep=True).std.CopyFrameProps(gain_map)
    scale = StopsScale(0.0, found["GainMapAlternateHeadroom"])
    want = scale.paint(np.array([[0.5 * found["GainMapMax"]]], np.float32))[0, 0].astype(int)
    got = np.array([p[3, 3] for p in planes(gainmap_overlay(clip, flat), 1)]).astype(int)
    assert np.abs(got - want).max() <= 6  # one step of the table
    half = gainmap_overlay(clip, gain_map, opacity=0.5)
    assert not np.array_equal(planes(half)[0], planes(shown)[0])
    hdr = sdr_to_hdr10(clip, weights=tiny_weights)
    assert nits_overlay(hdr).format.id == vs.RGB24
    with pytest.raises(vs.Error, match="nits_overlay: clip must be PQ or HLG"):
        nits_overlay(clip)
    with pytest.raises(vs.Error, match="no GainMapMax"):
        gainmap_overlay(clip, clip)

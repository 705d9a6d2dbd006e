"""Rendering gain map photos, against the formula."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from tests.photo_samples import read_bytes, smooth_map, srgb, ultrahdr
from vs_gainmap.gainmap import GainMapMetadata
from vs_gainmap.photo.profile import make_icc
from vs_gainmap.photo.render import render_photo, upright

Pixels = NDArray[np.float32]


def test_smooth_sampling_is_bilinear_with_edges_aligned(tmp_path: Path) -> None:
    ramp = np.repeat(np.array([[0, 100, 200, 250]], np.uint8), 4, axis=0)[..., None]
    photo = read_bytes(tmp_path, ultrahdr(gain_map=smooth_map(96, 64)), sampling="smooth")
    flat = replace(
        photo,
        picture=replace(photo.picture, signal=np.full((8, 8, 3), 255, np.uint8)),
        gain_map=ramp.astype(np.float32) / 255,
        metadata=GainMapMetadata(gain_map_max=(1.0, 1.0, 1.0)),
    )
    stops = np.log2(render_photo(flat)[0, :, 0]) * 255
    np.testing.assert_allclose(stops, [0, 25, 75, 125, 175, 212.5, 237.5, 250], atol=0.01)


def test_hdr_base_renders_down_to_sdr(tmp_path: Path) -> None:
    metadata = GainMapMetadata(
        gain_map_max=(2.0, 2.0, 2.0), base_headroom=2.0, alternate_headroom=0.0, base_is_hdr=True
    )
    photo = read_bytes(tmp_path, ultrahdr(metadata=metadata, gain_map=smooth_map(96, 64)))
    base = srgb(photo.picture.signal)
    np.testing.assert_allclose(render_photo(photo), base, atol=1e-6)
    np.testing.assert_allclose(
        render_photo(photo, display_boost=1.0), base * 2 ** (-2 * photo.gain_map), rtol=1e-4
    )


def test_display_p3_base_comes_out_in_the_primaries_asked_for(tmp_path: Path) -> None:
    photo = read_bytes(tmp_path, ultrahdr(icc=make_icc("p3d65")))
    assert photo.picture.profile.primaries == "p3d65"
    own, wide = render_photo(photo), render_photo(photo, primaries="bt2020")
    # Display P3 to BT.2020, row of red: 0.753833 0.198597 0.047570 (SMPTE RP 177).
    np.testing.assert_allclose(
        wide[..., 0], own @ np.array([0.753833, 0.198597, 0.047570]), rtol=1e-4
    )


def test_map_in_the_alternates_primaries(tmp_path: Path) -> None:
    photo = read_bytes(tmp_path, ultrahdr(gain_map=smooth_map(96, 64, 3)))
    moved = replace(photo, map_primaries="bt2020")
    assert not np.allclose(render_photo(photo), render_photo(moved), atol=1e-3)
    gray = replace(photo.picture, signal=np.full((64, 96, 3), 128, np.uint8))
    one = photo.gain_map[..., :1]
    np.testing.assert_allclose(
        render_photo(replace(photo, picture=gray, gain_map=one)),
        render_photo(replace(moved, picture=gray, gain_map=one)),
        rtol=1e-4,
    )


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_agrees_with_pillow(orientation: int) -> None:
    pixels = np.arange(24, dtype=np.uint8).reshape(4, 6)
    image = Image.fromarray(pixels)
    transpose = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_270,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_90,
    }.get(orientation)
    expected = np.asarray(image if transpose is None else image.transpose(transpose))
    np.testing.assert_array_equal(upright(pixels[..., None], orientation)[..., 0], expected)

"""Reading gain map photos of real cameras."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from tests.photo_samples import srgb
from vs_gainmap.photo.jpeg import appended_images, parse_jpeg
from vs_gainmap.photo.read import read_photo
from vs_gainmap.photo.render import render_photo

Pixels = NDArray[np.float32]


PHOTOS = "hdr/photos"


@pytest.mark.parametrize(
    ("name", "source", "channels", "stops", "primaries"),
    [
        ("android_lamps", "hdrgm", 1, 2.990012, "bt709"),
        ("android_night_highrise", "hdrgm", 1, 3.022012, "p3d65"),
        ("androidx_ultraHDR", "hdrgm", 1, 1.072403, "bt709"),
        ("glide_small_gainmap", "iso21496", 1, 2.3218, "p3d65"),
        ("libavif_seine", "hdrgm", 3, 1.277177, "bt709"),
        ("apple_iphone13mini_new", "apple", 1, 2.180397, "p3d65"),
    ],
)
def test_real_photos_are_told_apart(
    shared: Path, name: str, source: str, channels: int, stops: float, primaries: str
) -> None:
    photo = read_photo(shared / PHOTOS / f"{name}.jpg")
    assert photo.source == source
    assert photo.gain_map.shape[2] == channels
    assert photo.metadata.gain_map_max[0] == pytest.approx(stops, abs=1e-4)
    assert photo.picture.profile.primaries == primaries


def test_values_per_channel_that_libultrahdr_refuses(shared: Path) -> None:
    path = shared / PHOTOS / "libavif_seine.jpg"
    with pytest.raises(imagecodecs.UltrahdrError):
        imagecodecs.ultrahdr_decode(path.read_bytes())
    photo = read_photo(path)
    assert photo.metadata.gain_map_min == (-0.256907, -0.261365, -0.280284)
    assert photo.metadata.gamma == (0.953784, 0.941095, 0.919422)
    m = photo.metadata
    linear = srgb(photo.picture.signal)
    log_gain = np.array(m.gain_map_min) + (
        np.array(m.gain_map_max) - np.array(m.gain_map_min)
    ) * photo.gain_map ** (1 / np.array(m.gamma))
    expected = (linear + 1 / 64) * 2**log_gain - 1 / 64
    np.testing.assert_allclose(render_photo(photo), expected, atol=3e-3)


def test_apple_photo_follows_apples_formula(shared: Path) -> None:
    photo = read_photo(shared / PHOTOS / "apple_iphone13mini_new.jpg")
    signal = photo.picture.signal
    first = parse_jpeg((shared / PHOTOS / "apple_iphone13mini_new.jpg").read_bytes())
    (second,) = appended_images(first)
    stored = np.asarray(Image.open(io.BytesIO(second.bare)).convert("L")) / 255
    linear_map = np.where(stored < 0.081, stored / 4.5, ((stored + 0.099) / 1.099) ** (1 / 0.45))
    flat = replace(
        photo, picture=replace(photo.picture, signal=np.ascontiguousarray(signal[::2, ::2]))
    )
    expected = srgb(signal[::2, ::2]) * (1 + (4.532783 - 1) * linear_map[..., None])
    np.testing.assert_allclose(render_photo(flat), expected, rtol=1e-4, atol=1e-5)

"""AVIF and HEIC: bit depths, gain maps that are hidden or auxiliary, and hostile boxes."""

from __future__ import annotations

import io
import time
from pathlib import Path

import imagecodecs
import numpy as np
import pillow_heif
import pytest

from tests.photo_samples import (
    APPLE_XMP,
    METADATA,
    apple_maker_note,
    exif_orientation,
    picture_bytes,
    read_bytes,
    relative,
    scene,
    smooth_map,
    ultrahdr,
    with_gain_map,
)
from vs_gainmap.errors import GainMapError, MediaError, NoGainMapError
from vs_gainmap.photo.apple import AUXILIARY_TYPE
from vs_gainmap.photo.bmff import Box, Items, Reference, read_items, with_primary
from vs_gainmap.photo.iso21496 import write_iso
from vs_gainmap.photo.picture import read_picture
from vs_gainmap.photo.read import has_gain_map, read_photo
from vs_gainmap.photo.render import render_photo

APPLE = AUXILIARY_TYPE.encode()


@pytest.mark.parametrize("auxiliary", [None, APPLE], ids=["", "auxiliary"])
@pytest.mark.parametrize("hidden", [False, True], ids=["", "hidden"])
@pytest.mark.parametrize("kind", ["avif", "heic"])
def test_tone_map_item(tmp_path: Path, kind: str, hidden: bool, auxiliary: bytes | None) -> None:
    base, gain_map = picture_bytes(kind, scene()), picture_bytes(kind, smooth_map(48, 32, 3))
    data = with_gain_map(
        base, gain_map, iso=write_iso(METADATA), hidden=hidden, auxiliary=auxiliary
    )
    photo = read_bytes(tmp_path, data, f"photo.{kind}")
    assert photo.source == "iso21496"
    assert photo.metadata.gain_map_max == METADATA.gain_map_max
    assert np.abs(photo.gain_map * 255 - smooth_map(48, 32, 3)).mean() < 1.5
    assert np.abs(photo.picture.signal.astype(int) - scene()).mean() < 2
    jpeg = read_bytes(tmp_path, ultrahdr(gain_map=smooth_map(48, 32, 3)))
    assert relative(render_photo(photo), render_photo(jpeg)).mean() < 0.03


@pytest.mark.parametrize(
    ("color", "primaries"),
    [((12, 16), "p3d65"), ((9, 8), "bt2020"), ((2, 2), None), (None, None)],
)
def test_primaries_that_the_map_applies_in(
    tmp_path: Path, color: tuple[int, int] | None, primaries: str | None
) -> None:
    base, gain_map = picture_bytes("avif", scene()), picture_bytes("avif", smooth_map(48, 32, 3))
    for own in (True, False):
        iso = write_iso(METADATA, use_base_color=own)
        photo = read_bytes(tmp_path, with_gain_map(base, gain_map, iso=iso, color=color), "a.avif")
        assert photo.map_primaries == (None if own else primaries)


def test_map_of_a_missing_item_is_refused() -> None:
    items = read_items(picture_bytes("avif", scene()))
    for item in (999, 1 << 20):
        with pytest.raises(MediaError, match="does not exist"):
            with_primary(items, item)


def test_apple_heic_auxiliary(tmp_path: Path) -> None:
    base, gain_map = picture_bytes("heic", scene()), picture_bytes("heic", smooth_map(48, 32, 3))
    exif = exif_orientation(1, apple_maker_note(1.2, 0.5))
    data = with_gain_map(base, gain_map, auxiliary=APPLE, hidden=True, exif=exif)
    assert has_gain_map(data)
    photo = read_bytes(tmp_path, data, "photo.heic")
    assert photo.source == "apple"
    assert photo.metadata.gain_map_max[0] == pytest.approx(-0.303 * 0.5 + 2.303, rel=1e-3)
    assert photo.gain_map.shape == (32, 48, 1)
    headroom = "<HDRGainMap:HDRGainMapHeadroom>4</HDRGainMap:HDRGainMapHeadroom>"
    packet = APPLE_XMP.format(headroom).encode()
    newer = with_gain_map(base, gain_map, auxiliary=APPLE, exif=exif, xmp=packet)
    assert read_bytes(tmp_path, newer).metadata.gain_map_max[0] == pytest.approx(2.0)


def test_heic_that_openimageio_publishes(shared: Path) -> None:
    photo = read_photo(shared / "hdr/photos/oiio__greyhounds.heic")
    assert photo.source == "apple"
    height, width = photo.picture.signal.shape[:2]
    assert (width / height) == pytest.approx(photo.gain_map.shape[1] / photo.gain_map.shape[0])
    assert 1 < photo.metadata.gain_map_max[0] < 4


@pytest.mark.parametrize("kind", ["avif", "heic"])
def test_plain_files_have_none(tmp_path: Path, kind: str) -> None:
    data = picture_bytes(kind, scene())
    assert not has_gain_map(data)
    with pytest.raises(NoGainMapError, match="no gain map"):
        read_bytes(tmp_path, data, f"photo.{kind}")


@pytest.mark.parametrize("depth", [8, 10, 12])
@pytest.mark.parametrize("share", [0.1, 1.0], ids=["dark", "whole"])
def test_depth_of_avif_is_what_the_file_states(tmp_path: Path, depth: int, share: float) -> None:
    most = (1 << depth) - 1
    ramp = np.linspace(0, share * most, 96).round()
    codes = np.repeat(ramp[None, :, None], 64, 0).repeat(3, 2)
    kind = np.uint8 if depth == 8 else np.uint16
    data = imagecodecs.avif_encode(
        codes.astype(kind), level=100, bitspersample=depth, pixelformat="YUV444", speed=8
    )
    # Written in any order; and an encoder may leave out what the codec's own box says as well.
    for content in (data, data.replace(b"pixi", b"free")):
        (tmp_path / "a.avif").write_bytes(content)
        signal = read_picture(tmp_path / "a.avif").signal
        values = signal[32, :, 1] / np.iinfo(signal.dtype).max
        np.testing.assert_allclose(values, ramp / most, atol=2 / most)


def test_ten_bits_of_heic_reach_white(tmp_path: Path) -> None:
    white = np.full((64, 96, 3), 65535, np.uint16)
    buffer = io.BytesIO()
    pillow_heif.from_bytes("RGB;16", (96, 64), white.tobytes()).save(
        buffer, quality=100, chroma=444
    )
    (tmp_path / "a.heic").write_bytes(buffer.getvalue())
    assert read_picture(tmp_path / "a.heic").signal.min() == 65535


@pytest.mark.parametrize("filler", [b"<x:xmpmeta  ", b"<x:xmpmeta>HDRGainMapHeadroom"])
def test_time_of_many_beginnings_is_linear(tmp_path: Path, filler: bytes) -> None:
    base, gain_map = picture_bytes("heic", scene()), picture_bytes("heic", smooth_map(48, 32, 3))
    exif = exif_orientation(1, apple_maker_note(1.2, 0.5))
    begin = time.monotonic()
    data = with_gain_map(base, gain_map, auxiliary=APPLE, exif=exif) + filler * 100_000
    assert read_bytes(tmp_path, data, "photo.heic").source == "apple"
    assert time.monotonic() - begin < 3


def test_boxes_inside_each_other_end(tmp_path: Path) -> None:
    data = picture_bytes("avif", scene())
    at = data.index(b"meta") + 8
    deep = b"".join((8 * n).to_bytes(4, "big") + b"iprp" for n in range(5000, 0, -1))
    size = int.from_bytes(data[at - 12 : at - 8], "big") + len(deep)
    nested = data[: at - 12] + size.to_bytes(4, "big") + b"meta" + bytes(4) + deep + data[at:]
    with pytest.raises(GainMapError):
        read_bytes(tmp_path, nested, "photo.avif")


def test_depth_of_a_grid_is_its_tiles() -> None:
    # AV1-ISOBMFF, clause 2.3.3: high_bitdepth and twelve_bit in the third byte.
    items = Items(
        b"\x81\x20\x60\x00",
        kinds={1: b"grid", 2: b"av01"},
        references=[Reference(b"dimg", 0, 1, [2])],
        boxes=[Box(b"av1C", 0, 4)],
        properties={2: [1]},
    )
    assert items.depth_of(1) == items.depth_of(2) == 12

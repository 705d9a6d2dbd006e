"""Ordinary pictures: depths, EXIF and turns."""

from __future__ import annotations

import io
from pathlib import Path

import imagecodecs
import numpy as np
import pillow_heif
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image

from tests.photo_samples import (
    scene,
)
from vs_gainmap.errors import MediaError
from vs_gainmap.photo.input import as_bytes
from vs_gainmap.photo.jpeg import APP14, parse_jpeg
from vs_gainmap.photo.picture import read_picture
from vs_gainmap.photo.profile import make_icc
from vs_gainmap.photo.render import upright
from vs_gainmap.photo.write import encode_jpeg

Pixels = NDArray[np.float32]


@pytest.mark.parametrize("marker", [b"JFIF", b"Adobe", b""], ids=["jfif", "adobe", "names"])
def test_jpeg_of_rgb_has_no_chroma_to_repeat(tmp_path: Path, marker: bytes) -> None:
    buffer = io.BytesIO()
    Image.fromarray(scene()).save(buffer, "JPEG", quality=95, keep_rgb=True)
    data = buffer.getvalue()
    if marker == b"":
        adobe = next(s for s in parse_jpeg(data).segments if s.marker == APP14)
        data = data[: adobe.start] + data[adobe.end :]
    elif marker == b"JFIF":
        # JFIF outranks both: it has no RGB.
        data = encode_jpeg(scene())
    (tmp_path / "a.jpg").write_bytes(data)
    ours = read_picture(tmp_path / "a.jpg").signal
    assert ours.dtype == (np.uint16 if marker == b"JFIF" else np.uint8)
    assert np.abs(as_bytes(ours).astype(int) - scene()).mean() < 2


def test_sixteen_bit_pictures(tmp_path: Path) -> None:
    deep = (scene().astype(np.uint16) << 8) + 77
    gray = np.ascontiguousarray(deep[..., 0])
    (tmp_path / "a.png").write_bytes(imagecodecs.png_encode(deep))
    tifffile.imwrite(tmp_path / "b.tif", deep, photometric="rgb")
    planes = np.ascontiguousarray(np.moveaxis(deep, -1, 0))
    tifffile.imwrite(tmp_path / "c.tif", planes, photometric="rgb", planarconfig="separate")
    tifffile.imwrite(tmp_path / "d.tif", gray, photometric="minisblack")
    tifffile.imwrite(tmp_path / "e.tif", 65535 - gray, photometric="miniswhite")
    for name in ("a.png", "b.tif", "c.tif"):
        np.testing.assert_array_equal(read_picture(tmp_path / name).signal, deep)
    for name in ("d.tif", "e.tif"):
        np.testing.assert_array_equal(read_picture(tmp_path / name).signal[..., 1], gray)


def test_tiff_of_twelve_bits_in_their_range(tmp_path: Path) -> None:
    codes = (scene()[..., 0].astype(np.uint16) << 4) + 7
    tifffile.imwrite(tmp_path / "a.tif", codes, photometric="minisblack", bitspersample=12)
    signal = read_picture(tmp_path / "a.tif").signal[..., 2]
    np.testing.assert_allclose(signal / 65535, codes / 4095, atol=2e-5)


@pytest.mark.parametrize("kind", [np.uint32, np.int32, np.float32])
def test_tiff_of_other_numbers_is_refused(tmp_path: Path, kind: type) -> None:
    tifffile.imwrite(tmp_path / "a.tif", scene().astype(kind), photometric="rgb")
    with pytest.raises(MediaError, match="not a picture that can be read here: unknown pixel mode"):
        read_picture(tmp_path / "a.tif")


def test_jpeg_of_twelve_bits_is_refused(tmp_path: Path) -> None:
    deep = scene().astype(np.uint16) << 4
    (tmp_path / "a.jpg").write_bytes(imagecodecs.jpeg_encode(deep, level=95, bitspersample=12))
    with pytest.raises(MediaError, match="JPEG of 12 bits"):
        read_picture(tmp_path / "a.jpg")


def test_exif_of_a_tiff_is_not_how_its_pixels_lie(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[271], exif[274] = "Maker", 6
    exif.get_ifd(0x8769)[0x829A] = 0.5
    Image.fromarray(scene()).save(
        tmp_path / "a.tif", exif=exif.tobytes(), icc_profile=make_icc("p3d65")
    )
    picture = read_picture(tmp_path / "a.tif")
    assert picture.orientation == 6
    kept = Image.Exif()
    kept.load(picture.exif or b"")
    assert {tag: kept[tag] for tag in kept if tag != 0x8769} == {271: "Maker", 274: 6}
    assert kept.get_ifd(0x8769) == {0x829A: 0.5}


@pytest.mark.parametrize("kind", ["heic", "avif"])
def test_exif_and_turns_of_heic_and_avif(tmp_path: Path, kind: str) -> None:
    exif = Image.Exif()
    exif[271], exif[274] = "Maker", 6
    image = Image.fromarray(scene())
    if kind == "avif":
        image.save(tmp_path / "a.avif", quality=95, subsampling="4:4:4", exif=exif.tobytes())
    else:
        file = pillow_heif.from_pillow(image)
        file.save(tmp_path / "a.heic", quality=95, chroma=444, exif=exif.tobytes())
    picture = read_picture(tmp_path / f"a.{kind}")
    # libheif turns the pixels; of AVIF they come as stored, like a JPEG's.
    assert picture.orientation == (1 if kind == "heic" else 6)
    kept = Image.Exif()
    kept.load(picture.exif or b"")
    assert dict(kept) == {271: "Maker", 274: picture.orientation}
    pixels = upright(as_bytes(picture.signal), picture.orientation)
    assert np.abs(pixels.astype(int) - upright(scene(), 6)).mean() < 2.5


@pytest.mark.parametrize("kind", ["webp", "png", "tiff"])
def test_of_several_pictures_the_first_is_taken(
    kind: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / f"two.{kind}"
    first, second = (Image.new("RGB", (32, 16), color) for color in ((200, 0, 0), (0, 200, 0)))
    extra = {"lossless": True} if kind == "webp" else {}
    first.save(path, save_all=True, append_images=[second], **extra)
    assert (read_picture(path).signal == (200, 0, 0)).all()
    assert f"two.{kind}: has 2 pictures; the first one is taken" in caplog.text
    caplog.clear()
    first.save(path)
    read_picture(path)
    assert not caplog.text

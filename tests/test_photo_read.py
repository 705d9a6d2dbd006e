"""Reading and rendering gain map photos, against libultrahdr and against the formula."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import imagecodecs
import numpy as np
import pillow_heif
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image, ImageCms

from tests.photo_samples import (
    read_bytes,
    scene,
    smooth_map,
    ultrahdr,
)
from vs_gainmap.errors import MediaError
from vs_gainmap.gainmap import GainMapMetadata
from vs_gainmap.photo.input import Signal, as_bytes
from vs_gainmap.photo.jpeg import APP14, appended_images, parse_jpeg
from vs_gainmap.photo.picture import read_picture
from vs_gainmap.photo.profile import SRGB, make_icc, profile_from_icc
from vs_gainmap.photo.read import read_photo
from vs_gainmap.photo.render import render_photo, upright
from vs_gainmap.photo.write import encode_jpeg

Pixels = NDArray[np.float32]
PHOTOS = "hdr/photos"


def srgb(signal: Signal) -> NDArray[np.float64]:
    value = signal / np.iinfo(signal.dtype).max
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)


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


def test_adobe_rgb_profile_agrees_with_lcms() -> None:
    icc = imagecodecs.cms_profile("adobergb")
    profile = profile_from_icc(icc)
    assert profile.curve == "table"
    linear = profile.to_linear(scene()).movedim(0, -1).numpy()
    expected = imagecodecs.cms_transform(
        scene(), icc, imagecodecs.cms_profile("xyz"), outdtype="float64", outcolorspace="xyz"
    )
    # Row Y of Adobe RGB (1998) to the XYZ of D50, its annex B.
    luminance = linear @ np.array([0.31111, 0.62567, 0.06322])
    np.testing.assert_allclose(luminance, expected[..., 1], atol=2e-3)


@pytest.mark.parametrize("icc", [None, make_icc("bt709")])
def test_srgb_is_srgb(icc: bytes | None) -> None:
    profile = profile_from_icc(icc)
    assert (profile.primaries, profile.curve) == (SRGB.primaries, SRGB.curve)


def test_lab_profile_is_refused() -> None:
    icc = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    with pytest.raises(MediaError, match="only RGB"):
        profile_from_icc(icc)


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

"""Our decode against libultrahdr's: files of others, and files that we write."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from tests.photo_samples import (
    METADATA,
    chroma_at_half_size,
    gray_scene,
    read_bytes,
    relative,
    smooth_map,
    textured_scene,
    ultrahdr,
)
from vs_gainmap.color.primaries import PrimariesName
from vs_gainmap.gainmap import GainMapMetadata
from vs_gainmap.photo.convert import convert_photo
from vs_gainmap.photo.jpeg import appended_images, parse_jpeg
from vs_gainmap.photo.linear import read_linear
from vs_gainmap.photo.options import ConvertOptions, ReadOptions, Sampling
from vs_gainmap.photo.picture import read_picture
from vs_gainmap.photo.predict import PhotoPredictor
from vs_gainmap.photo.read import GainMapPhoto, read_photo
from vs_gainmap.photo.render import render_photo, render_rows
from vs_gainmap.photo.write import assemble

Pixels = NDArray[np.float32]
PHOTOS = "hdr/photos"
# libultrahdr clips at PQ's peak: 10000 / 203.
CLIP = 10000 / 203
# What libultrahdr accepts and reads as its maker meant it: Apple's is another matter, see below.
# Android's in BT.709 and Display P3, AndroidX's sample, and one with a map of other rounding.
ACCEPTED = (
    "android_desert_wanda",
    "android_night_highrise",
    "androidx_ultraHDR",
    "glide_small_gainmap",
)


def libultrahdr(data: bytes) -> Pixels:
    return imagecodecs.ultrahdr_decode(data)[..., :3].astype(np.float32)


@pytest.mark.parametrize("channels", [1, 3])
def test_full_size_map_agrees_with_libultrahdr(tmp_path: Path, channels: int) -> None:
    gain_map = smooth_map(96, 64, channels)
    gray = ultrahdr(picture=gray_scene(), gain_map=gain_map)
    assert relative(render_photo(read_bytes(tmp_path, gray)), libultrahdr(gray)).max() < 0.01
    color = ultrahdr(gain_map=gain_map)
    assert relative(render_photo(read_bytes(tmp_path, color)), libultrahdr(color)).max() < 0.01


@pytest.mark.parametrize("size", [(48, 32), (24, 16), (36, 24)])
def test_smaller_map_agrees_with_libultrahdr(tmp_path: Path, size: tuple[int, int]) -> None:
    data = ultrahdr(picture=gray_scene(), gain_map=smooth_map(*size))
    photo = read_bytes(tmp_path, data)
    theirs = libultrahdr(data)
    assert relative(render_photo(photo), theirs).max() < 0.01
    # Centered, the same map lies half a cell elsewhere: close on average, not at every pixel.
    smooth = render_photo(replace(photo, sampling="smooth"))
    assert abs(smooth.mean() / theirs.mean() - 1) < 0.05


@pytest.mark.parametrize("boost", [1.0, 1.7, 4.0])
def test_display_boost_agrees_with_libultrahdr(tmp_path: Path, boost: float) -> None:
    data = ultrahdr(picture=gray_scene(), gain_map=smooth_map(96, 64))
    ours = render_photo(read_bytes(tmp_path, data), display_boost=boost)
    theirs = imagecodecs.ultrahdr_decode(data, boost=boost)[..., :3].astype(np.float32)
    assert relative(ours, theirs).max() < 0.01


@pytest.mark.parametrize(
    ("gamut", "map_primaries"),
    [("BT_709", "bt709"), ("DISPLAY_P3", "p3d65"), ("BT_2100", "bt2020")],
)
def test_files_that_libultrahdr_made(
    tmp_path: Path, gamut: str, map_primaries: PrimariesName
) -> None:
    y, x = np.mgrid[0:96, 0:128] / 128
    hdr = np.stack([4 * x**2 + 0.02, 3 * y**2 + 0.05, 2 * (1 - x) ** 2 + 0.03, x * 0 + 1], -1)
    code = imagecodecs.ULTRAHDR.CG[gamut]
    data = imagecodecs.ultrahdr_encode(hdr.astype(np.float16), gamut=code, level=98)
    photo = read_bytes(tmp_path, data)
    assert photo.source == "iso21496"
    # It makes a Display P3 base, and says of BT.2100 that the map applies there.
    assert photo.picture.profile.primaries == "p3d65"
    assert photo.map_primaries == ("bt2020" if gamut == "BT_2100" else None)
    ours = render_photo(photo, primaries=map_primaries)
    difference = relative(ours.clip(min=0), libultrahdr(data))
    assert difference.mean() < 0.01


def test_chroma_at_half_size_agrees_with_libultrahdr(tmp_path: Path) -> None:
    base = parse_jpeg(chroma_at_half_size(textured_scene(97, 65)))
    photo = read_bytes(tmp_path, assemble(base, smooth_map(97, 65), METADATA))
    theirs = libultrahdr((tmp_path / "photo.jpg").read_bytes())
    assert np.quantile(relative(render_photo(photo), theirs), 0.99) < 0.01
    smooth = render_photo(read_photo(tmp_path / "photo.jpg", ReadOptions(sampling="smooth")))
    assert relative(smooth, theirs).mean() > 0.02


def bands(photo: GainMapPhoto, theirs: Pixels, every: int = 96) -> tuple[Pixels, Pixels]:
    """Return both renderings' bands of 16 rows from top to bottom, where a whole one takes long."""
    height = theirs.shape[0]
    starts = (*range(0, height - 16, every), height - 16)
    ours = [render_rows(photo, s, s + 16).movedim(0, -1).numpy() for s in starts]
    return np.concatenate(ours), np.concatenate([theirs[s : s + 16] for s in starts])


@pytest.mark.parametrize("name", ACCEPTED)
def test_real_photo_agrees_with_libultrahdr(shared: Path, name: str) -> None:
    path = shared / PHOTOS / f"{name}.jpg"
    ours, theirs = bands(read_photo(path), libultrahdr(path.read_bytes()))
    # All pixels and channels: the mean difference of linear light, over the mean of the light.
    assert np.abs(ours - theirs).mean() / theirs.mean() < 0.0025
    difference = relative(ours, theirs)
    assert difference.mean() < 0.0025
    # Not on average alone: nearly every value is within one percent.
    assert np.quantile(difference, 0.99) < 0.01


@pytest.mark.parametrize("name", ["android_lamps", "glide_small_gainmap"])
def test_smooth_sampling_is_near(shared: Path, name: str) -> None:
    path = shared / PHOTOS / f"{name}.jpg"
    photo = read_photo(path, ReadOptions(sampling="smooth"))
    assert photo.picture.signal.dtype == np.uint8
    with Image.open(path) as file:
        np.testing.assert_array_equal(photo.picture.signal[:64], np.asarray(file)[:64])
    ours, theirs = bands(photo, libultrahdr(path.read_bytes()))
    difference = np.abs(ours - theirs).mean() / theirs.mean()
    assert 0.005 < difference < 0.03
    assert abs(ours.mean() / theirs.mean() - 1) < 0.005


def test_panorama_agrees_with_libultrahdr(shared: Path) -> None:
    path = shared / "hdr/panoramas_gainmap/gainmapjs__spruit_sunrise_4k.jpg"
    ours, theirs = bands(read_photo(path), libultrahdr(path.read_bytes()))
    ours = ours.clip(0, CLIP)
    assert np.abs(ours - theirs).mean() / theirs.mean() < 0.0025
    assert np.quantile(relative(ours, theirs), 0.99) < 0.01


def test_libultrahdr_takes_apples_ratio_for_stops(shared: Path) -> None:
    path = shared / PHOTOS / "apple_iphone13mini_new.jpg"
    theirs = libultrahdr(path.read_bytes())
    photo = read_photo(path)
    (second,) = appended_images(parse_jpeg(path.read_bytes()))
    stored = np.atleast_3d(np.asarray(Image.open(io.BytesIO(second.bare)).convert("L")))
    as_stops = replace(
        photo,
        gain_map=stored.astype(np.float32) / 255,
        metadata=GainMapMetadata(gain_map_max=(4.532783,) * 3, alternate_headroom=4.532783),
    )
    assert relative(render_photo(as_stops), theirs).mean() < 0.005
    assert theirs.mean() > 1.3 * render_photo(photo).mean()


@pytest.fixture(scope="module")
def bundled() -> PhotoPredictor:
    return PhotoPredictor("video", device="cpu", dtype="float32")


@pytest.mark.parametrize("kind", ["420", "png"])
def test_bundled_weights_through_libultrahdr(
    tmp_path: Path, bundled: PhotoPredictor, kind: str
) -> None:
    source, target, linear = (tmp_path / name for name in ("in", "out.jpg", "out.exr"))
    pixels = textured_scene()
    source.write_bytes(
        chroma_at_half_size(pixels) if kind == "420" else imagecodecs.png_encode(pixels)
    )
    convert_photo(source, target, bundled, ConvertOptions())
    convert_photo(source, linear, bundled, ConvertOptions())
    theirs = imagecodecs.ultrahdr_decode(target.read_bytes())[..., :3].astype(np.float32)
    # Our own reading of the file.
    mine = render_photo(read_photo(target))
    assert np.abs(mine - theirs).mean() / theirs.mean() < 0.0025
    assert np.quantile(relative(mine, theirs), 0.99) < 0.01
    # The HDR picture that we would have written as EXR: all is in the file, coding included.
    ours, _ = read_linear(linear)
    assert ours.max() > 1.2
    # Coding of a new base changes colors, which one channel does not put right.
    assert np.abs(theirs - ours).mean() / ours.mean() < 0.015
    # No color noise: the map's error is no bias of a channel, and small at nearly every pixel.
    assert np.abs(theirs.mean((0, 1)) / ours.mean((0, 1)) - 1).max() < 0.002
    assert np.quantile(relative(theirs, ours), 0.95) < (0.035 if kind == "420" else 0.1)


@pytest.mark.parametrize("sampling", ["libultrahdr", "smooth"])
def test_map_does_not_depend_on_the_sampling_of_chroma(
    tmp_path: Path, bundled: PhotoPredictor, sampling: Sampling
) -> None:
    source, target = tmp_path / "in.jpg", tmp_path / "out.jpg"
    source.write_bytes(chroma_at_half_size(textured_scene()))
    convert_photo(source, target, bundled, ConvertOptions(sampling=sampling))
    # A reader that filters chroma gets our HDR of filtered chroma, whichever the map was made of.
    ours = bundled(read_picture(source, ReadOptions(sampling="smooth"))).render()
    smooth = render_photo(read_photo(target, ReadOptions(sampling="smooth")))
    assert np.abs(smooth - ours).mean() / ours.mean() < 0.015

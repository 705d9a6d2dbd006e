"""Limits of what is read: sizes, bombs, and bad files of every kind, each in one line."""

from __future__ import annotations

import io
import struct
import time
import tracemalloc
import zlib
from pathlib import Path

import numpy as np
import OpenEXR
import pytest
import tifffile
from PIL import Image

from tests.photo_samples import METADATA, picture_bytes, read_bytes, scene, smooth_map, ultrahdr
from vs_gainmap.errors import GainMapError, MediaError
from vs_gainmap.photo.input import MAX_PIXELS, check_size
from vs_gainmap.photo.jpeg import APP1, XMP, appended_images, parse_jpeg, segment
from vs_gainmap.photo.linear import read_linear, write_linear
from vs_gainmap.photo.options import ReadOptions
from vs_gainmap.photo.picture import read_picture
from vs_gainmap.photo.read import read_photo
from vs_gainmap.photo.write import assemble, encode_jpeg


def bad_files() -> dict[str, tuple[bytes, str]]:
    good = ultrahdr()
    first = parse_jpeg(good)
    huge = bytearray(good)
    frame = next(s for s in first.segments if s.marker == 0xC0)
    huge[frame.payload_start + 1 : frame.payload_start + 5] = b"\xff\xff\xff\xff"
    (second,) = appended_images(first)
    bomb = b'<!DOCTYPE a [<!ENTITY b "' + b"c" * 1000 + b'">]><a>hdr-gain-map &b;</a>'
    iso = next(s for s in second.segments if s.marker == 0xE2)
    xmp = next(s for s in second.segments if s.marker == APP1)
    bombed = good[: xmp.start] + segment(APP1, XMP + bomb) + good[iso.end :]
    deep = b"hdr-gain-map".join((b"<a>" * 8000, b"</a>" * 8000))
    deeper = good[: xmp.start] + segment(APP1, XMP + deep) + good[iso.end :]
    wide = encode_jpeg(np.zeros((10, 90, 1), np.uint8))
    other_aspect = assemble(first, smooth_map(90, 10), METADATA)
    return {
        "empty": (b"", "not a picture"),
        "text": (b"hello", "not a picture"),
        "plain": (good[: first.end], "no gain map"),
        "truncated": (good[: first.end // 2], "truncated"),
        "map_truncated": (good[: second.start + 200], "no gain map"),
        "huge": (bytes(huge), "million pixels"),
        "bomb": (bombed, "not safe XML"),
        "deep": (deeper, "inside each other"),
        "aspect": (other_aspect, "another aspect"),
        "two_plain": (good[: first.end] + wide, "no gain map"),
    }


@pytest.mark.parametrize("name", list(bad_files()))
def test_bad_input_is_one_clear_line(tmp_path: Path, name: str) -> None:
    data, message = bad_files()[name]
    with pytest.raises(GainMapError, match=message) as caught:
        read_bytes(tmp_path, data, f"{name}.jpg")
    assert "\n" not in str(caught.value)
    assert name in str(caught.value)


def _png(width: int, height: int, color: int, depth: int) -> bytes:
    """Return a PNG of zeros, which deflate makes a thousandth of."""
    channels = {0: 1, 2: 3}[color]
    row = bytes(1 + width * channels * depth // 8)
    coder = zlib.compressobj(9)
    body = b"".join(coder.compress(row) for _ in range(height)) + coder.flush()

    def chunk(kind: bytes, content: bytes) -> bytes:
        check = zlib.crc32(kind + content)
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", check)

    header = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0)
    chunks = chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


def _tiff(height: int, width: int, samples: int, kind: type) -> bytes:
    file = io.BytesIO()
    zeros = np.zeros((height, width, samples), kind)
    tifffile.imwrite(file, zeros, photometric="rgb", planarconfig="contig", compression=8)
    return file.getvalue()


def _webp(side: int) -> bytes:
    file = io.BytesIO()
    Image.new("L", (side, side)).save(file, "WEBP", lossless=True)
    return file.getvalue()


def _jpeg_of(gain_map: bool) -> bytes:
    """Return a gain map photo of which one picture's header claims 157 million pixels."""
    data = bytearray(ultrahdr(gain_map=smooth_map(96, 64)))
    first = parse_jpeg(bytes(data))
    (second,) = appended_images(first)
    image = second if gain_map else first
    at = next(s for s in image.segments if s.marker == 0xC0).payload_start + 1
    data[at : at + 4] = struct.pack(">HH", 10240, 15360)
    return bytes(data)


def _avif() -> bytes:
    data = picture_bytes("avif", scene())
    at = data.index(b"ispe") + 8
    # Within libavif's own limit.
    return data[:at] + struct.pack(">II", 16000, 12000) + data[at + 8 :]


BOMBS = {
    "gray.png": lambda: _png(6000, 6000, 0, 8),
    "deep.png": lambda: _png(5000, 5000, 0, 16),
    "deep.tif": lambda: _tiff(5000, 5000, 3, np.uint16),
    "picture.webp": lambda: _webp(6000),
    "picture.avif": _avif,
    "picture.jpg": lambda: _jpeg_of(gain_map=False),
    "map.jpg": lambda: _jpeg_of(gain_map=True),
    "linear.hdr": lambda: b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n-Y 60000 +X 60000\n",
    "samples.tif": lambda: _tiff(64, 64, 2000, np.float32),
}


@pytest.mark.parametrize("name", list(BOMBS))
def test_bombs_are_refused_before_any_pixel(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(BOMBS[name]())
    reader = {"linear.hdr": read_linear, "samples.tif": read_linear}.get(
        name, read_photo if name.endswith(".jpg") else read_picture
    )
    tracemalloc.start()
    try:
        with pytest.raises(MediaError, match=r"million pixels|2000 samples") as caught:
            reader(path)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 32 << 20
    assert name == "samples.tif" or "--max-pixels" in str(caught.value)


def test_exr_of_many_channels_is_refused(tmp_path: Path) -> None:
    plane = np.zeros((16, 16), np.float16)
    OpenEXR.File({}, {f"layer{n}": plane for n in range(40)}).write(str(tmp_path / "a.exr"))
    with pytest.raises(MediaError, match="channels"):
        read_linear(tmp_path / "a.exr")


@pytest.mark.parametrize("names", ["RGB", "RGBA", "ZRGB", "ARGBZ"])
def test_exr_of_more_channels(tmp_path: Path, names: str) -> None:
    planes = {name: np.full((16, 16), ord(name), np.float32) for name in names}
    OpenEXR.File({}, planes).write(str(tmp_path / "a.exr"))
    pixels, primaries = read_linear(tmp_path / "a.exr")
    assert primaries is None
    assert pixels[3, 5].tolist() == [ord("R"), ord("G"), ord("B")]


def test_damaged_exr_is_one_line(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    light = np.random.default_rng(1).random((64, 64, 3)).astype(np.float32)
    write_linear(tmp_path / "a.exr", light, "bt709", 203.0)
    data = bytearray((tmp_path / "a.exr").read_bytes())
    data[len(data) // 2 : len(data) // 2 + 50] = b"\xff" * 50
    (tmp_path / "a.exr").write_bytes(data)
    with pytest.raises(MediaError, match=r"a\.exr: damaged"):
        read_linear(tmp_path / "a.exr")
    assert capfd.readouterr().out == ""


def test_the_limit_can_be_raised(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(_png(6000, 3000, 0, 8))
    with pytest.raises(MediaError, match="--max-pixels 18000000"):
        read_picture(tmp_path / "a.png")
    picture = read_picture(tmp_path / "a.png", ReadOptions(max_pixels=18_000_000))
    assert picture.signal.shape == (3000, 6000, 3)
    with pytest.raises(MediaError, match="million pixels"):
        read_picture(tmp_path / "a.png", ReadOptions(max_pixels=17_999_999))


@pytest.mark.parametrize(
    ("width", "height", "stored"),
    # A phone's 108 million pixels in 4 MB, a screenshot in few bytes, a flat poster.
    [(12000, 9000, 4 << 20), (3840, 2160, 9_000), (4096, 4096, 20_000)],
)
def test_real_sizes_are_read(width: int, height: int, stored: int) -> None:
    check_size(width, height, stored)


def test_no_file_is_large_enough_for_more() -> None:
    with pytest.raises(MediaError, match="134 million"):
        check_size(13376, 13376, 1 << 30)
    assert MAX_PIXELS < 13376**2


def test_fill_bytes_before_a_marker_take_linear_time(tmp_path: Path) -> None:
    good = ultrahdr()
    first = parse_jpeg(good)
    filled = good[: first.end - 2] + b"\xff" * 300_000 + b"\0" + good[first.end - 2 :]
    begin = time.monotonic()
    read_bytes(tmp_path, filled)
    assert time.monotonic() - begin < 3


def test_linear_files_state_primaries_that_make_sense(tmp_path: Path) -> None:
    light = np.ones((16, 16, 3), np.float32)
    write_linear(tmp_path / "a.exr", light, "bt2020", 203.0)
    for points in ((0.3,) * 8, (float("nan"),) * 8, (1e30,) * 8, (0.0,) * 8):
        OpenEXR.File({"chromaticities": points}, {"RGB": light}).write(str(tmp_path / "b.exr"))
        with pytest.raises(GainMapError, match="make no sense"):
            read_linear(tmp_path / "b.exr")

"""The structure of JPEG files: images behind the first, and damage."""

from __future__ import annotations

import struct

import pytest

from tests.photo_samples import METADATA, assert_close, smooth_map, ultrahdr
from vs_gainmap.errors import MediaError
from vs_gainmap.photo.jpeg import APP2, MPF, appended_images, parse_jpeg
from vs_gainmap.photo.read import find_gain_map


def test_jpeg_walk_finds_both_images() -> None:
    data = ultrahdr()
    first = parse_jpeg(data)
    (second,) = appended_images(first)
    assert (first.width, first.height, first.components) == (96, 64, 3)
    assert (second.width, second.height, second.components) == (48, 32, 1)
    assert first.end == second.start
    assert second.end == len(data)


@pytest.mark.parametrize("offset", [0, 5, 0x7FFFFFFF, 0xFFFFFFFF])
def test_lying_mpf_offset_falls_back_to_search(offset: int) -> None:
    data = bytearray(ultrahdr())
    at = data.index(MPF) + len(MPF) + 50 + 16 + 8
    (real,) = struct.unpack_from(">I", data, at)
    assert data[data.index(MPF) + 4 + real :][:3] == b"\xff\xd8\xff"
    struct.pack_into(">I", data, at, offset)
    found = find_gain_map(parse_jpeg(bytes(data)))
    assert found is not None
    assert found.image.width == 48


def test_appended_without_mpf_and_with_bytes_between() -> None:
    data = ultrahdr()
    first = parse_jpeg(data)
    mpf = next(s for s in first.segments if data.startswith(MPF, s.payload_start))
    plain = data[: mpf.start] + data[mpf.end : first.end] + bytes(37) + data[first.end :]
    found = find_gain_map(parse_jpeg(plain))
    assert found is not None
    assert found.source == "iso21496"


def test_iso_outranks_xmp_and_xmp_alone_is_read() -> None:
    data = ultrahdr()
    first = parse_jpeg(data)
    (second,) = appended_images(first)
    iso = next(s for s in second.segments if s.marker == APP2)
    without = data[: iso.start] + data[iso.end :]
    both, xmp_alone = find_gain_map(first), find_gain_map(parse_jpeg(without))
    assert both is not None
    assert xmp_alone is not None
    assert (both.source, xmp_alone.source) == ("iso21496", "hdrgm")
    assert xmp_alone.metadata is not None
    assert_close(xmp_alone.metadata, METADATA)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d[:2000], "truncated"),
        (lambda d: b"\x89PNG" + d, "not a JPEG"),
        (lambda d: d[:2] + b"\xff\xe1\xff\xff", "leaves the file"),
        (lambda _: b"\xff\xd8\xff\xd9", "before its first scan"),
        (lambda d: d[: parse_jpeg(d).end - 2], "truncated"),
    ],
)
def test_damaged_jpeg_is_refused(change: object, message: str) -> None:
    data = ultrahdr()
    data = data[: parse_jpeg(data).end]
    with pytest.raises(MediaError, match=message):
        parse_jpeg(change(data))  # type: ignore[operator]


def test_map_without_metadata_is_no_gain_map() -> None:
    data = ultrahdr(gain_map=smooth_map(channels=3))
    first = parse_jpeg(data)
    doubled = data[: first.end] + data[: first.end]
    assert find_gain_map(parse_jpeg(doubled)) is None

"""Structure and metadata: IFD, JPEG markers, MPF, XMP, ISO 21496-1, Apple."""

from __future__ import annotations

import struct

import numpy as np
import pytest

from tests.photo_samples import (
    APPLE_XMP,
    METADATA,
    apple_maker_note,
    exif_orientation,
    smooth_map,
    ultrahdr,
)
from vs_gainmap.errors import MediaError, MetadataError
from vs_gainmap.gainmap import GainMapMetadata
from vs_gainmap.photo import apple
from vs_gainmap.photo.ifd import read_orientation, reset_orientation
from vs_gainmap.photo.iso21496 import VERSION, read_iso, write_iso
from vs_gainmap.photo.jpeg import APP2, MPF, appended_images, parse_jpeg
from vs_gainmap.photo.read import find_gain_map
from vs_gainmap.photo.xmp import merge_directory, read_hdrgm, write_directory, write_hdrgm

PER_CHANNEL = GainMapMetadata(
    gain_map_min=(-0.256907, -0.261365, -0.280284),
    gain_map_max=(1.277177, 1.277203, 1.277969),
    gamma=(0.953784, 0.941095, 0.919422),
    base_offset=(1 / 64, 1 / 64, 1 / 64),
    alternate_offset=(1 / 64, 1 / 64, 1 / 64),
    alternate_headroom=1.3,
)
HDR_BASE = GainMapMetadata(
    gain_map_max=(3.0, 3.0, 3.0),
    base_offset=(1 / 32, 1 / 32, 1 / 32),
    base_headroom=3.0,
    alternate_headroom=0.0,
    base_is_hdr=True,
)
KINDS = pytest.mark.parametrize("metadata", [METADATA, PER_CHANNEL, HDR_BASE])


def assert_close(found: GainMapMetadata, wanted: GainMapMetadata) -> None:
    assert found.base_is_hdr == wanted.base_is_hdr
    for name in ("gain_map_min", "gain_map_max", "gamma", "base_offset", "alternate_offset"):
        assert getattr(found, name) == pytest.approx(getattr(wanted, name), abs=2e-6)
    assert found.base_headroom == pytest.approx(wanted.base_headroom, abs=2e-6)
    assert found.alternate_headroom == pytest.approx(wanted.alternate_headroom, abs=2e-6)


@KINDS
def test_iso_round_trip(metadata: GainMapMetadata) -> None:
    found = read_iso(write_iso(metadata, use_base_color=False))
    assert found is not None
    assert not found.use_base_color
    assert_close(found.metadata, metadata)


def test_iso_reads_known_bytes() -> None:
    # ISO 21496-1, annex C: flags 0x40, then fractions; the range is 0..2.5 stops.
    pairs = [(0, 1), (5, 2), (0, 1), (5, 2), (1, 1), (0, 1), (1, 64)]
    data = VERSION + b"\x40" + b"".join(struct.pack(">II", *pair) for pair in pairs)
    found = read_iso(data)
    assert found is not None
    assert found.use_base_color
    assert found.metadata.gain_map_max == (2.5, 2.5, 2.5)
    assert found.metadata.alternate_offset == (1 / 64, 1 / 64, 1 / 64)
    assert found.metadata.alternate_headroom == 2.5


def test_iso_reads_common_denominator() -> None:
    data = VERSION + b"\x48" + struct.pack(">8I", 10, 0, 23, 0, 23, 10, 0, 0)
    found = read_iso(data)
    assert found is not None
    assert found.metadata.gain_map_max[0] == pytest.approx(2.3)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"\0\1\0\0\0", "newer"),
        (b"\0", "cut short"),
        (VERSION + b"\x40" + bytes(20), "denominator is zero"),
        (write_iso(METADATA)[:-1], "cut short"),
    ],
)
def test_iso_refuses(data: bytes, message: str) -> None:
    with pytest.raises(MetadataError, match=message):
        read_iso(data)


def test_iso_version_alone_is_no_metadata() -> None:
    assert read_iso(VERSION) is None


@KINDS
def test_hdrgm_round_trip(metadata: GainMapMetadata) -> None:
    found = read_hdrgm(write_hdrgm(metadata))
    assert found is not None
    assert_close(found, metadata)


def test_hdrgm_defaults_are_those_of_the_specification() -> None:
    packet = (
        b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/'
        b'22-rdf-syntax-ns#"><rdf:Description xmlns:g="http://ns.adobe.com/hdr-gain-map/1.0/"'
        b' g:Version="1.0" g:GainMapMax="3"/></rdf:RDF></x:xmpmeta>'
    )
    found = read_hdrgm(packet)
    assert found is not None
    assert found.base_offset == found.alternate_offset == (1 / 64, 1 / 64, 1 / 64)
    assert found.gamma == (1.0, 1.0, 1.0)
    assert found.alternate_headroom == 3.0


@pytest.mark.parametrize(
    ("packet", "message"),
    [
        (b"<!DOCTYPE x [<!ENTITY a 'aaaa'>]><x>hdr-gain-map &a;</x>", "not safe XML"),
        (b"<x>hdr-gain-map", "not safe XML"),
        (b"hdr-gain-map" + bytes(2 << 20), "more than"),
        (write_hdrgm(METADATA).replace(b'Max="2"', b'Max="two"'), "not a number"),
        (write_hdrgm(METADATA).replace(b'Max="2"', b'Max="nan"'), "gain_map_max must be within"),
        (write_hdrgm(METADATA).replace(b'Max="2"', b'Max="200"'), "gain_map_max must be within"),
    ],
)
def test_xmp_refuses(packet: bytes, message: str) -> None:
    with pytest.raises(MetadataError, match=message):
        read_hdrgm(packet)


def test_directory_is_merged_into_a_photos_own_packet() -> None:
    own = (
        b'<?xpacket begin="" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">'
        b'<r:RDF xmlns:r="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><r:Description '
        b'xmlns:dc="http://purl.org/dc/elements/1.1/" dc:title="mine"/></r:RDF></x:xmpmeta>'
        + b" " * 64000
        + b'<?xpacket end="w"?>'
    )
    merged = merge_directory(own, 4321)
    assert b'dc:title="mine"' in merged
    assert b'Item:Length="4321"' in merged
    assert b'hdrgm:Version="1.0"' in merged
    assert len(merged) < 65000  # the padding gave way
    assert read_hdrgm(merged) is None  # well-formed, and no map's own range


def test_directory_without_room_is_refused() -> None:
    own = write_directory(1).replace(b"vs-gainmap", b"x" * 65000)
    with pytest.raises(MediaError, match="no room"):
        merge_directory(own, 1)


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


def test_orientation_is_read_and_reset() -> None:
    exif = exif_orientation(6)
    assert read_orientation(exif) == 6
    assert read_orientation(reset_orientation(exif)) == 1
    assert read_orientation(b"junk") == read_orientation(None) == 1


@pytest.mark.parametrize(
    ("headroom", "gain", "stops"),
    # "Applying Apple HDR effect to your photos": the four cases of its listing.
    [
        (0.5, 0.005, -20 * 0.005 + 1.8),
        (0.5, 0.5, -0.101 * 0.5 + 1.601),
        (1.2, 0.005, -70 * 0.005 + 3.0),
        (1.2, 0.5, -0.303 * 0.5 + 2.303),
    ],
)
def test_apple_maker_notes(headroom: float, gain: float, stops: float) -> None:
    exif = exif_orientation(1, apple_maker_note(headroom, gain))
    assert apple.headroom_from_maker_notes(exif) == pytest.approx(2**stops, rel=1e-3)


def test_apple_xmp_outranks_maker_notes() -> None:
    packet = APPLE_XMP.format("<HDRGainMap:HDRGainMapHeadroom>4.5</HDRGainMap:HDRGainMapHeadroom>")
    exif = exif_orientation(1, apple_maker_note(0.5, 0.5))
    assert apple.is_gain_map(packet.encode())
    assert apple.find_headroom(exif, [packet.encode()]) == 4.5
    assert apple.find_headroom(exif, []) == pytest.approx(2**1.5505, rel=1e-3)


@pytest.mark.parametrize("text", ["0.5", "1e9", "nan", "bright"])
def test_apple_headroom_out_of_range(text: str) -> None:
    packet = APPLE_XMP.format(
        f"<HDRGainMap:HDRGainMapHeadroom>{text}</HDRGainMap:HDRGainMapHeadroom>"
    )
    with pytest.raises(MetadataError, match="headroom"):
        apple.find_headroom(None, [packet.encode()])


def test_apple_map_has_the_documented_effect() -> None:
    stored = np.linspace(0, 1, 256, dtype=np.float32)
    gain_map, metadata = apple.as_iso(stored, 4.0)
    gain = 2.0 ** (gain_map * metadata.gain_map_max[0])
    # ITU-R BT.709-6, item 1.2, inverted.
    linear = np.where(stored < 0.081, stored / 4.5, ((stored + 0.099) / 1.099) ** (1 / 0.45))
    np.testing.assert_allclose(gain, 1 + 3 * linear, rtol=1e-5)


def test_map_without_metadata_is_no_gain_map() -> None:
    data = ultrahdr(gain_map=smooth_map(channels=3))
    first = parse_jpeg(data)
    doubled = data[: first.end] + data[: first.end]
    assert find_gain_map(parse_jpeg(doubled)) is None

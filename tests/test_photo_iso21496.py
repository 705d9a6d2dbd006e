"""The binary metadata of ISO 21496-1."""

from __future__ import annotations

import struct

import pytest

from tests.photo_samples import KINDS, METADATA, assert_close
from vs_gainmap.errors import MetadataError
from vs_gainmap.gainmap import GainMapMetadata
from vs_gainmap.photo.iso21496 import VERSION, read_iso, write_iso


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

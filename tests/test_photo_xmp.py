"""Adobe's metadata and Google's directory in XMP."""

from __future__ import annotations

import pytest

from tests.photo_samples import KINDS, METADATA, assert_close
from vs_gainmap.errors import MediaError, MetadataError
from vs_gainmap.gainmap import GainMapMetadata
from vs_gainmap.photo.xmp import merge_directory, read_hdrgm, write_directory, write_hdrgm


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


_PER_CHANNEL = GainMapMetadata(gain_map_max=(1, 2, 3), alternate_headroom=3)


@pytest.mark.parametrize(
    ("packet", "message"),
    [
        (b"<!DOCTYPE x [<!ENTITY a 'aaaa'>]><x>hdr-gain-map &a;</x>", "not safe XML"),
        (b"<x>hdr-gain-map", "not safe XML"),
        (b"hdr-gain-map" + bytes(2 << 20), "more than"),
        (write_hdrgm(METADATA).replace(b'Max="2"', b'Max="two"'), "not a number"),
        (write_hdrgm(METADATA).replace(b'Max="2"', b'Max="nan"'), "not a number"),
        (write_hdrgm(METADATA).replace(b'Max="2"', b'Max="1_0"'), "not a number"),
        (write_hdrgm(METADATA).replace(b'Max="2"', 'Max="\u0662"'.encode()), "not a number"),
        (write_hdrgm(METADATA).replace(b'Max="2"', b'Max="1e999"'), "gain_map_max must be within"),
        (write_hdrgm(_PER_CHANNEL).replace(b"<rdf:li>1</rdf:li>", b"", 1), "2 values instead of"),
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

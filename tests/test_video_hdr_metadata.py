"""HDR10 metadata in HEVC and AV1 bitstreams, and in Matroska's header."""

from __future__ import annotations

import io
import struct
from fractions import Fraction
from pathlib import Path

import av
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.media import split_sample
from vs_gainmap.errors import MediaError
from vs_gainmap.hdr10 import ContentLight, MasteringDisplay
from vs_gainmap.video.hdr_metadata import av1, hevc, matroska
from vs_gainmap.video.hdr_metadata.matroska import (
    finish_matroska,
    header_with_hdr10,
    mark_title,
    open_template,
)

P3 = MasteringDisplay.named("p3d65", max_nits=1000, min_nits=0.0001)
LIGHT = ContentLight(max_cll=850, max_fall=120)
# Many zeros, so that emulation prevention has work to do.
sparse = st.lists(st.sampled_from([0, 0, 0, 1, 2, 3, 4, 255]), max_size=80).map(bytes)
IDR, CRA, TRAIL = b"\x26\x01\xaf", b"\x2a\x01\xaf", b"\x02\x01\xaf"
VPS, SPS, PPS, AUD = b"\x40\x01\x0c", b"\x42\x01\x01", b"\x44\x01\xc1", b"\x46\x01\x50"


@given(sparse)
def test_escape_round_trip(rbsp: bytes) -> None:
    coded = hevc.escape(rbsp)
    assert hevc.unescape(coded) == rbsp
    assert not any(coded[i : i + 3] in (b"\0\0\0", b"\0\0\1", b"\0\0\2") for i in range(len(coded)))


def test_escape_as_the_standard_has_it() -> None:
    # H.265, 7.4.2: 00 00 00 -> 00 00 03 00, and a 03 itself is escaped too.
    assert hevc.escape(b"\0\0\0\0\1") == b"\0\0\3\0\0\3\1"
    assert hevc.escape(b"\0\0\3") == b"\0\0\3\3"
    assert hevc.escape(b"\0\0\4") == b"\0\0\4"


@given(st.lists(sparse.map(lambda b: b"\x4e\x01" + hevc.escape(b) + b"\x80"), max_size=6))
def test_nal_units_survive_both_framings(nals: list[bytes]) -> None:
    three = b"".join(b"\0\0\1" + nal for nal in nals)
    four = b"".join(b"\0\0\0\1" + nal for nal in nals)
    assert hevc.split_annexb(three) == hevc.split_annexb(four) == nals
    assert split_sample(hevc.join_length_prefixed(nals)) == nals


@given(st.lists(st.tuples(st.integers(0, 1000), st.binary(max_size=600)), max_size=4))
def test_sei_round_trip(messages: list[tuple[int, bytes]]) -> None:
    assert hevc.parse_sei(hevc.build_sei(messages)) == messages


def test_sei_payloads_are_those_of_the_standard() -> None:
    display, light = hevc.hdr10_sei(P3, LIGHT)
    ((kind, payload),) = hevc.parse_sei(display)
    assert kind == 137
    assert struct.unpack(">8H2I", payload) == (
        *(13250, 34500), *(7500, 3000), *(34000, 16000), *(15635, 16450), 10_000_000, 1,
    )  # fmt: skip
    # 00 03 78 .. would be taken for an escape; the zeros of L_min = 00 00 00 01 must be escaped.
    assert b"\0\0\1" not in display
    assert hevc.parse_sei(light) == [(144, b"\x03\x52\x00\x78")]


def test_metadata_goes_before_the_first_slice_of_random_access_points_only() -> None:
    sei = hevc.hdr10_sei(P3, LIGHT)
    other = hevc.build_sei([(0, b"buffering")])
    assert hevc.with_hdr10([AUD, other, IDR, IDR], sei) == [AUD, other, *sei, IDR, IDR]
    assert hevc.with_hdr10([CRA], sei) == [*sei, CRA]
    assert hevc.with_hdr10([AUD, TRAIL], sei) == [AUD, TRAIL]


def test_old_metadata_is_replaced_and_its_neighbors_stay() -> None:
    old = hevc.hdr10_sei(P3, ContentLight(max_cll=1, max_fall=1))
    mixed = hevc.build_sei([(5, b"who made it"), (144, b"\0\1\0\1")])
    new = hevc.hdr10_sei(None, LIGHT)
    kept = hevc.build_sei([(5, b"who made it")])
    assert hevc.with_hdr10([*old, mixed, IDR], new) == [kept, *new, IDR]
    # Also where it doesn't belong.
    assert hevc.with_hdr10([*old, TRAIL], new) == [TRAIL]
    assert hevc.with_hdr10(hevc.with_hdr10([IDR], new), new) == [*new, IDR]


def test_samples_leave_parameter_sets_to_the_header() -> None:
    packet = b"".join(b"\0\0\0\1" + nal for nal in (VPS, SPS, PPS, IDR))
    sample = hevc.sample_with_hdr10(packet, hevc.hdr10_sei(None, LIGHT))
    assert split_sample(sample) == [*hevc.hdr10_sei(None, LIGHT), IDR]


def test_decoder_configuration_record() -> None:
    arrays = [(0xA0, [VPS]), (0xA1, [SPS]), (0x27, hevc.hdr10_sei(P3, None))]
    body = b"".join(
        struct.pack(">BH", head, len(nals))
        + b"".join(struct.pack(">H", len(nal)) + nal for nal in nals)
        for head, nals in arrays
    )
    record = bytes(22) + bytes([len(arrays)]) + body
    new = hevc.hdr10_sei(P3, LIGHT)
    changed = hevc.hvcc_with_hdr10(record, new)
    assert changed[22] == 3
    assert changed.count(new[0]) == changed.count(new[1]) == 1
    assert VPS in changed
    assert SPS in changed
    without = hevc.hvcc_with_hdr10(changed, [])
    assert without[22] == 2
    assert hevc.hvcc_with_hdr10(without, new) == changed
    with pytest.raises(MediaError, match="cut short"):
        hevc.hvcc_with_hdr10(record[:-4], new)


@given(st.integers(0, 2**49 - 1))
def test_leb128_round_trip(value: int) -> None:
    coded = av1.leb128(value)
    assert av1.read_leb128(coded, 0) == (value, len(coded))


def test_metadata_obus_are_those_of_the_standard() -> None:
    light, display = av1.hdr10_obus(P3, LIGHT)
    # obu_header: type 5, has_size; size; metadata_type; payload; trailing bits.
    assert light == bytes([0x2A, 6, 1, 0x03, 0x52, 0x00, 0x78, 0x80])
    assert display[:3] == bytes([0x2A, 26, 2])
    numbers = struct.unpack(">8H2I", display[3:-1])
    # 0.16 fixed point, R G B, white; 24.8 and 18.14 fixed point.
    assert [round(n / 65536, 4) for n in numbers[:8]] == [
        0.68, 0.32, 0.265, 0.69, 0.15, 0.06, 0.3127, 0.329,
    ]  # fmt: skip
    assert numbers[8:] == (1000 * 256, round(0.0001 * 16384))


def _obu(kind: int, payload: bytes) -> bytes:
    return bytes([kind << 3 | 2]) + av1.leb128(len(payload)) + payload


@given(st.lists(st.tuples(st.sampled_from([2, 3, 4, 6]), st.binary(max_size=300)), max_size=5))
def test_obus_round_trip(obus: list[tuple[int, bytes]]) -> None:
    unit = b"".join(_obu(kind, payload) for kind, payload in obus)
    assert [(kind, payload) for kind, payload, _ in av1.split_obus(unit)] == obus
    assert av1.with_hdr10(unit, av1.hdr10_obus(P3, LIGHT)) == unit


def test_metadata_follows_the_sequence_header_and_replaces_the_old() -> None:
    delimiter, header, frame = _obu(2, b""), _obu(1, b"\x0a\x0b"), _obu(6, b"\x10" * 200)
    timecode = av1.metadata_obu(5, b"time")
    old = b"".join(av1.hdr10_obus(None, ContentLight(max_cll=1, max_fall=1)))
    new = av1.hdr10_obus(P3, LIGHT)
    unit = delimiter + header + old + timecode + frame
    expected = delimiter + header + b"".join(new) + timecode + frame
    assert av1.with_hdr10(unit, new) == expected
    assert av1.with_hdr10(expected, new) == expected
    assert av1.with_hdr10(delimiter + frame, new) == delimiter + frame


def test_cut_obu_is_an_error() -> None:
    with pytest.raises(MediaError, match="cut short"):
        av1.with_hdr10(_obu(6, bytes(40))[:-1], [])
    with pytest.raises(MediaError, match="malformed"):
        av1.read_leb128(b"\xff" * 9, 0)


def test_packet_without_start_code_is_an_error() -> None:
    with pytest.raises(MediaError, match="no start code"):
        hevc.split_annexb(b"\0\0\0\x04\x26\x01\xaf\x80")


@given(
    st.lists(st.tuples(st.sampled_from([matroska.VIDEO, matroska.NAME]), st.binary(max_size=400)))
)
def test_elements_round_trip(parts: list[tuple[int, bytes]]) -> None:
    data = b"".join(matroska.element(kind, payload) for kind, payload in parts)
    assert list(matroska.elements(data)) == parts


@pytest.mark.parametrize("size", [126, 127, 128, 16382, 16383])
def test_a_size_of_all_ones_is_never_written(size: int) -> None:
    ((_, payload),) = matroska.elements(matroska.element(matroska.NAME, bytes(size)))
    assert len(payload) == size


@pytest.mark.parametrize("size", [0, 2, 8, 9, 10, 300])
def test_void_takes_exactly_its_room(size: int) -> None:
    assert len(matroska.void(size)) == size
    assert all(kind == matroska.VOID for kind, _ in matroska.elements(matroska.void(size)))


def _header(codec: str = "libx265") -> bytes:
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="matroska") as out:
        stream = out.add_stream(codec, rate=25, options={"x265-params": "log-level=none"})
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p10le"
        stream.codec_context.color_trc = 16
        out.start_encoding()
    return buffer.getvalue()


def _side_data(header: bytes) -> dict[str, bytes]:
    with open_template(header) as stream:
        return dict(stream.codec_context.coded_side_data)


@pytest.mark.parametrize(("library", "codec"), [("libx265", "hevc"), ("ffv1", "ffv1")])
def test_header_carries_metadata(library: str, codec: str) -> None:
    header = _header(library)
    assert not _side_data(header_with_hdr10(header, codec, None, None))
    found = _side_data(header_with_hdr10(header, codec, P3, LIGHT))
    # AVContentLightMetadata: MaxCLL, MaxFALL.
    assert struct.unpack("2I", found["content_light_level"]) == (850, 120)
    # AVMasteringDisplayMetadata: 3x2 primaries, white, min, max as rationals; 2 flags.
    numbers = struct.unpack("20i2i", found["mastering_display_metadata"])
    values = [Fraction(a, b) for a, b in zip(numbers[0:20:2], numbers[1:20:2], strict=True)]
    assert [float(v) for v in values] == pytest.approx(
        [0.68, 0.32, 0.265, 0.69, 0.15, 0.06, 0.3127, 0.329, 0.0001, 1000]
    )
    again = header_with_hdr10(header_with_hdr10(header, codec, None, LIGHT), codec, P3, LIGHT)
    assert _side_data(again) == found


@pytest.mark.parametrize("title", ["", "Director's cut, ümlaut"])
def test_finished_matroska_has_aspect_and_title(title: str, tmp_path: Path) -> None:
    path = tmp_path / "out.mkv"
    with av.open(str(path), "w", format="matroska", options={"write_crc32": "0"}) as out:
        stream = out.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p10le"
        stream.metadata["title"] = mark_title(title)
        for n in range(3):
            frame = av.VideoFrame(96, 64, "yuv420p10le")
            frame.pts, frame.time_base = n, Fraction(1, 25)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    size = path.stat().st_size
    with path.open("r+b") as file:
        finish_matroska(file, (96, 64), Fraction(4, 3))
    assert path.stat().st_size == size
    with av.open(str(path)) as back:
        video = back.streams.video[0]
        assert Fraction(video.sample_aspect_ratio.numerator, 3) == Fraction(4, 3)
        assert video.metadata.get("title", "") == title
        assert sum(1 for _ in back.decode(video)) == 3


def test_a_header_without_tracks_is_an_error() -> None:
    with pytest.raises(MediaError, match="no tracks"):
        finish_matroska(io.BytesIO(matroska.element(matroska.SEGMENT, b"")), (96, 64), None)

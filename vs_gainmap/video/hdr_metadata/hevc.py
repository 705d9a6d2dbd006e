"""HEVC bitstreams: HDR10 SEI messages, written anew into coded packets.

There are MaxCLL and MaxFALL only when the last frame has been coded, so a second, cheap pass puts
them into every random access point. References are to Rec. ITU-T H.265 (V10).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence

from vs_gainmap.errors import MediaError
from vs_gainmap.hdr10 import ContentLight, MasteringDisplay

# Table 7-1, NAL unit types.
_LAST_VCL = 31
_IRAP = range(16, 24)
# VPS, SPS, PPS.
_PARAMETER_SETS = (32, 33, 34)
_PREFIX_SEI = 39
# D.2.1, SEI payload types.
_REGISTERED_T35 = 4
_MASTERING_DISPLAY = 137
_CONTENT_LIGHT = 144
_STATIC_HDR = (_MASTERING_DISPLAY, _CONTENT_LIGHT)
# nal_unit_header(): type 39, layer 0, temporal id 0 (coded as 1).
_PREFIX_SEI_HEADER = bytes([_PREFIX_SEI << 1, 1])

SeiMessage = tuple[int, bytes]


def nal_type(nal: bytes) -> int:
    """Return the nal_unit_type of a NAL unit without start code (7.3.1.2)."""
    return (nal[0] >> 1) & 0x3F


def escape(rbsp: bytes) -> bytes:
    """Insert emulation prevention bytes (7.4.2): 00 00 0x becomes 00 00 03 0x for x <= 3."""
    out = bytearray()
    zeros = 0
    for byte in rbsp:
        if zeros >= 2 and byte <= 3:
            out.append(3)
            zeros = 0
        out.append(byte)
        zeros = zeros + 1 if byte == 0 else 0
    return bytes(out)


def unescape(data: bytes) -> bytes:
    """Remove emulation prevention bytes: the inverse of `escape`."""
    out = bytearray()
    zeros = 0
    for byte in data:
        if zeros >= 2 and byte == 3:
            zeros = 0
            continue
        out.append(byte)
        zeros = zeros + 1 if byte == 0 else 0
    return bytes(out)


def split_annexb(data: bytes) -> list[bytes]:
    """Split a byte stream with start codes into NAL units (annex B.2).

    Raises:
        MediaError: there are no start codes.
    """
    starts = []
    at = data.find(b"\0\0\1")
    while at >= 0:
        starts.append(at + 3)
        at = data.find(b"\0\0\1", at + 3)
    if data and not starts:
        raise MediaError("HEVC: a coded packet has no start code")
    ends = [*(start - 3 for start in starts[1:]), len(data)]
    # A NAL unit never ends in a zero byte; those belong to the next start code.
    nals = (data[a:b].rstrip(b"\0") for a, b in zip(starts, ends, strict=False))
    return [nal for nal in nals if nal]


def parameter_sets(data: bytes) -> list[bytes]:
    """Return the parameter sets among the NAL units of a byte stream with start codes."""
    return [nal for nal in split_annexb(data) if nal_type(nal) in _PARAMETER_SETS]


def join_length_prefixed(nals: Sequence[bytes]) -> bytes:
    """Join NAL units with 4-byte lengths, as MP4 and Matroska store them."""
    return b"".join(len(nal).to_bytes(4, "big") + nal for nal in nals)


def parse_sei(nal: bytes) -> list[SeiMessage]:
    """Return the (payload type, payload) pairs of an SEI NAL unit (7.3.5)."""
    rbsp = unescape(nal[2:]).rstrip(b"\0")
    messages = []
    at = 0
    # The last byte is rbsp_trailing_bits, 0x80.
    while at < len(rbsp) - 1:
        kind, at = _read_ff_coded(rbsp, at)
        size, at = _read_ff_coded(rbsp, at)
        messages.append((kind, rbsp[at : at + size]))
        at += size
    return messages


def build_sei(messages: Sequence[SeiMessage]) -> bytes:
    """Return a prefix SEI NAL unit of these messages: the inverse of `parse_sei`."""
    body = b"".join(
        _ff_coded(kind) + _ff_coded(len(payload)) + payload for kind, payload in messages
    )
    return _PREFIX_SEI_HEADER + escape(body + b"\x80")


def hdr10_sei(mastering: MasteringDisplay | None, light: ContentLight | None) -> list[bytes]:
    """Return SEI NAL units for what there is (D.2.28 and D.2.35), one message each."""
    nals = []
    if mastering is not None:
        nals.append(build_sei([(_MASTERING_DISPLAY, struct.pack(">8H2I", *mastering.steps()))]))
    if light is not None:
        payload = struct.pack(">2H", light.max_cll, light.max_fall)
        nals.append(build_sei([(_CONTENT_LIGHT, payload)]))
    return nals


def with_hdr10(
    nals: Sequence[bytes], sei: Sequence[bytes], t35: Sequence[bytes] = ()
) -> list[bytes]:
    """Put HDR metadata into an access unit, and take other static ones out of it.

    Args:
        nals: the NAL units of one access unit.
        sei: what `hdr10_sei` returned; inserted before the first slice of a random access
            point, after other SEI (a buffering period must come first, 7.4.2.4.4).
        t35: this picture's own messages, HDR10+ and captions (D.2.6), inserted behind them.

    Returns:
        The NAL units; everything else is untouched and in order.
    """
    kept = list(_without_static_hdr(nals))
    first_slice = next((i for i, nal in enumerate(kept) if nal_type(nal) <= _LAST_VCL), None)
    if first_slice is not None:
        added = list(sei) if nal_type(kept[first_slice]) in _IRAP else []
        added += [build_sei([(_REGISTERED_T35, message)]) for message in t35]
        kept[first_slice:first_slice] = added
    return kept


def sample_with_hdr10(packet: bytes, sei: Sequence[bytes], t35: Sequence[bytes] = ()) -> bytes:
    """Turn an encoder's packet with start codes into a sample of MP4 or Matroska.

    Parameter sets are left to the container's header, as the sample entry hvc1 demands
    (ISO/IEC 14496-15, 8.3.2.1).
    """
    nals = [nal for nal in split_annexb(packet) if nal_type(nal) not in _PARAMETER_SETS]
    return join_length_prefixed(with_hdr10(nals, sei, t35))


def has_layers(extradata: bytes) -> bool:
    """Say whether parameter sets announce layers beside the base: a second view, transparency.

    Args:
        extradata: a decoder configuration record, or NAL units with start codes.
    """
    try:
        if extradata[:1] == b"\x01":
            nals = [nal for _, array in _read_arrays(extradata) for nal in array]
        else:
            nals = split_annexb(extradata)
    except (IndexError, struct.error, MediaError):
        return False
    # vps_max_layers_minus1 (7.3.2.1) is six bits from the seventh of the third byte on.
    sets = [nal for nal in nals if nal_type(nal) == _PARAMETER_SETS[0] and len(nal) > 3]
    return any((nal[2] & 3) << 4 | nal[3] >> 4 for nal in sets)


def hvcc_with_hdr10(hvcc: bytes, sei: Sequence[bytes]) -> bytes:
    """Write the static HDR metadata of a decoder configuration record anew.

    Args:
        hvcc: HEVCDecoderConfigurationRecord (ISO/IEC 14496-15, 8.3.2.1.2).
        sei: what `hdr10_sei` returned; stored as an array of declarative SEI.

    Raises:
        MediaError: the record is damaged.
    """
    try:
        arrays = _read_arrays(hvcc)
    except (IndexError, struct.error) as error:
        raise MediaError("HEVC: the decoder configuration record is cut short") from error
    out = []
    for head, nals in arrays:
        kept = list(_without_static_hdr(nals))
        if kept:
            out.append((head, kept))
    if sei:
        # array_completeness 0: the same SEI are in the samples too.
        out.append((_PREFIX_SEI, list(sei)))
    body = b"".join(
        struct.pack(">BH", head, len(nals))
        + b"".join(struct.pack(">H", len(nal)) + nal for nal in nals)
        for head, nals in out
    )
    return hvcc[:22] + bytes([len(out)]) + body


def _read_arrays(hvcc: bytes) -> list[tuple[int, list[bytes]]]:
    arrays = []
    at = 23
    for _ in range(hvcc[22]):
        head, count = struct.unpack_from(">BH", hvcc, at)
        at += 3
        nals = []
        for _ in range(count):
            (size,) = struct.unpack_from(">H", hvcc, at)
            nals.append(hvcc[at + 2 : at + 2 + size])
            at += 2 + size
        arrays.append((head, nals))
    if at > len(hvcc):
        raise IndexError
    return arrays


def _without_static_hdr(nals: Sequence[bytes]) -> Iterator[bytes]:
    for nal in nals:
        if nal_type(nal) != _PREFIX_SEI:
            yield nal
            continue
        messages = parse_sei(nal)
        kept = [message for message in messages if message[0] not in _STATIC_HDR]
        if len(kept) == len(messages):
            yield nal
        elif kept:
            yield build_sei(kept)


def _ff_coded(value: int) -> bytes:
    return b"\xff" * (value // 255) + bytes([value % 255])


def _read_ff_coded(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    while at < len(data) and data[at] == 255:
        value += 255
        at += 1
    if at >= len(data):
        raise MediaError("HEVC: an SEI message is cut short")
    return value + data[at], at + 1

"""AV1 bitstreams: HDR10 metadata OBUs, written anew into temporal units.

References are to the AV1 Bitstream & Decoding Process Specification, version 1.0.0 with
errata 1.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence

from vs_gainmap.errors import MediaError
from vs_gainmap.hdr10 import ContentLight, MasteringDisplay

# 6.2.2, obu_type; 6.7.1, metadata_type.
_SEQUENCE_HEADER = 1
_FRAME_HEADER = 3
_METADATA = 5
_FRAME = 6
_HDR_CLL = 1
_HDR_MDCV = 2
_ITUT_T35 = 4


def leb128(value: int) -> bytes:
    """Code an unsigned integer (4.10.5)."""
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def read_leb128(data: bytes, at: int) -> tuple[int, int]:
    """Return the integer at a position, and the position after it (4.10.5)."""
    value = 0
    for i in range(8):
        if at + i >= len(data):
            raise MediaError("AV1: an OBU is cut short")
        value |= (data[at + i] & 0x7F) << (7 * i)
        if not data[at + i] & 0x80:
            return value, at + i + 1
    raise MediaError("AV1: an OBU has a malformed size")


def split_obus(data: bytes) -> Iterator[tuple[int, bytes, bytes]]:
    """Yield type, payload and the whole OBU, header included (5.3)."""
    at = 0
    while at < len(data):
        header = data[at]
        start = at + (2 if header & 0x04 else 1)
        if header & 0x02:
            size, start = read_leb128(data, start)
        else:
            size = len(data) - start
        end = start + size
        if size < 0 or end > len(data):
            raise MediaError("AV1: an OBU is cut short")
        yield (header >> 3) & 0x0F, data[start:end], data[at:end]
        at = end


def metadata_obu(kind: int, payload: bytes) -> bytes:
    """Return a metadata OBU with size field and trailing bits (5.8.1)."""
    body = leb128(kind) + payload + b"\x80"
    return bytes([_METADATA << 3 | 0x02]) + leb128(len(body)) + body


def hdr10_obus(mastering: MasteringDisplay | None, light: ContentLight | None) -> list[bytes]:
    """Return metadata OBUs for what there is (5.8.3, 5.8.4; semantics 6.7.3, 6.7.4).

    Unlike HEVC's: chromaticities are 0.16 fixed point in the order R, G, B; the maximum is
    24.8, the minimum 18.14 fixed point.
    """
    obus = []
    if light is not None:
        obus.append(metadata_obu(_HDR_CLL, struct.pack(">2H", light.max_cll, light.max_fall)))
    if mastering is not None:
        p = mastering.primaries
        points = (p.red, p.green, p.blue, p.white)
        coded = [min(round(c * 65536), 65535) for point in points for c in point]
        levels = (round(mastering.max_nits * 256), round(mastering.min_nits * 16384))
        obus.append(metadata_obu(_HDR_MDCV, struct.pack(">8H2I", *coded, *levels)))
    return obus


def with_hdr10(unit: bytes, obus: Sequence[bytes], t35: Sequence[bytes] = ()) -> bytes:
    """Put HDR metadata into a temporal unit, and take other static ones out of it.

    Args:
        unit: one temporal unit in the low-overhead format (5.2).
        obus: what `hdr10_obus` returned; inserted after each sequence header, and so at
            every random access point.
        t35: messages of the picture that the unit shows, HDR10+ and captions (5.8.2), inserted
            before its first frame.

    Returns:
        The temporal unit; everything else is untouched and in order.
    """
    out = bytearray()
    for kind, payload, whole in split_obus(unit):
        if kind == _METADATA and read_leb128(payload, 0)[0] in (_HDR_CLL, _HDR_MDCV):
            continue
        if kind in (_FRAME_HEADER, _FRAME):
            out += b"".join(metadata_obu(_ITUT_T35, message) for message in t35)
            t35 = ()
        out += whole
        if kind == _SEQUENCE_HEADER:
            out += b"".join(obus)
    return bytes(out)

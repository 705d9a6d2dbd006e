"""Just enough EBML (RFC 8794) to read and write a Matroska header (RFC 9559)."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator

from vs_gainmap.errors import MediaError
from vs_gainmap.hdr10 import ContentLight, MasteringDisplay

# RFC 9559, section 27.1: element IDs.
SEGMENT = 0x18538067
INFO = 0x1549A966
TRACKS = 0x1654AE6B
TRACK_ENTRY = 0xAE
CODEC_PRIVATE = 0x63A2
VIDEO = 0xE0
COLOUR = 0x55B0
CLUSTER = 0x1F43B675
TIMESTAMP = 0xE7
MAX_CLL = 0x55BC
MAX_FALL = 0x55BD
MASTERING_METADATA = 0x55D0
NAME = 0x536E
DEFAULT_DURATION = 0x23E383
DISPLAY_WIDTH = 0x54B0
DISPLAY_HEIGHT = 0x54BA
DISPLAY_UNIT = 0x54B2
VOID = 0xEC
# Chromaticities of R, G, B and white (x, y), then the maximum and the minimum in cd/m2.
MASTERING_VALUES = range(0x55D1, 0x55DB)


def spans(data: bytes, start: int, end: int | None = None) -> Iterator[tuple[int, int, int]]:
    """Yield ID, begin and end of the payload of the elements in a row.

    An unknown size, or one beyond the data, runs to the end of the data.
    """
    at = start
    stop = len(data) if end is None else end
    while at < stop:
        kind, _, at = _vint(data, at, marker=True)
        size, unknown, at = _vint(data, at, marker=False)
        after = stop if unknown else min(at + size, stop)
        yield kind, at, after
        at = after


def elements(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield ID and payload of the elements in a row."""
    for kind, start, end in spans(data, 0):
        yield kind, data[start:end]


def element(kind: int, payload: bytes) -> bytes:
    """Return an element; its size is coded as short as can be."""
    length = 1
    # All ones is the reserved "unknown".
    while len(payload) >= (1 << 7 * length) - 1:
        length += 1
    size = len(payload) | 1 << 7 * length
    return uint(kind) + size.to_bytes(length, "big") + payload


def uint(value: int) -> bytes:
    """Return an unsigned integer in as few bytes as it takes, at least one."""
    return value.to_bytes(max((value.bit_length() + 7) // 8, 1), "big")


def void(size: int) -> bytes:
    """Return an element of filler that takes exactly `size` bytes.

    Raises:
        MediaError: there are too few bytes for an element.
    """
    if size == 0:
        return b""
    if size < 9:
        if size < 2:
            raise MediaError("Matroska: no room in the header")
        return bytes([VOID, 0x80 | size - 2]) + bytes(size - 2)
    return bytes([VOID]) + (size - 9 | 1 << 56).to_bytes(8, "big") + bytes(size - 9)


def rewrite(data: bytes, path: tuple[int, ...], change: Callable[[bytes], bytes]) -> bytes:
    """Return `data` with the payload of each element at `path` changed, sizes made good."""
    out = bytearray()
    for kind, payload in elements(data):
        if kind == path[0]:
            inner = change(payload) if len(path) == 1 else rewrite(payload, path[1:], change)
            out += element(kind, inner)
        else:
            out += element(kind, payload)
    return bytes(out)


def colour_with_hdr10(
    colour: bytes, mastering: MasteringDisplay | None, light: ContentLight | None
) -> bytes:
    """Write the static HDR metadata of a Colour element anew (RFC 9559, 5.1.4.1.28.16)."""
    old = (MAX_CLL, MAX_FALL, MASTERING_METADATA)
    out = b"".join(element(k, payload) for k, payload in elements(colour) if k not in old)
    if light is not None:
        out += element(MAX_CLL, light.max_cll.to_bytes(2, "big"))
        out += element(MAX_FALL, light.max_fall.to_bytes(2, "big"))
    if mastering is not None:
        p = mastering.primaries
        values = (*p.red, *p.green, *p.blue, *p.white, mastering.max_nits, mastering.min_nits)
        coded = zip(MASTERING_VALUES, values, strict=True)
        inner = b"".join(element(kind, struct.pack(">d", value)) for kind, value in coded)
        out += element(MASTERING_METADATA, inner)
    return out


def _vint(data: bytes, at: int, *, marker: bool) -> tuple[int, bool, int]:
    """Return value, whether it is the reserved "unknown", and the position after it."""
    first = data[at]
    if first == 0:
        raise MediaError("Matroska: a header is damaged")
    length = 9 - first.bit_length()
    if at + length > len(data):
        raise MediaError("Matroska: an element is cut short")
    value = int.from_bytes(data[at : at + length], "big")
    mask = (1 << 7 * length) - 1
    unknown = value & mask == mask
    return (value if marker else value & mask), unknown, at + length

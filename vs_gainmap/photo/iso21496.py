"""The binary gain map metadata of ISO 21496-1:2025, annex C, both ways.

Big-endian: two versions of 16 bits, a byte of flags, then fractions of two 32-bit integers:
base and alternate headroom, and for one or three channels min, max, gamma, base offset and
alternate offset. Files of libultrahdr may set two more flags, which are read here as well.
"""

from __future__ import annotations

import struct
from fractions import Fraction
from typing import NamedTuple

from vs_gainmap.errors import MetadataError
from vs_gainmap.gainmap import GainMapMetadata, Triple

MULTI_CHANNEL = 0x80
USE_BASE_COLOR = 0x40
# Not in the standard; written by libultrahdr 1.2 and later.
COMMON_DENOMINATOR = 0x08
BACKWARD = 0x04

VERSION = struct.pack(">HH", 0, 0)
"""What the base image of a JPEG carries: minimum and writer version alone."""
MAX_DENOMINATOR = 1 << 20


class IsoMetadata(NamedTuple):
    """The content of the binary form."""

    metadata: GainMapMetadata
    use_base_color: bool
    """True: the map applies in the base's primaries; False: in the alternate's."""


class _Reader:
    def __init__(self, data: bytes) -> None:
        self.data = data
        self.position = 0
        self.common: int | None = None

    def take(self, code: str) -> int:
        if self.position + 4 > len(self.data):
            raise MetadataError("ISO 21496-1: the metadata are cut short")
        (value,) = struct.unpack_from(f">{code}", self.data, self.position)
        self.position += 4
        return int(value)

    def fraction(self, code: str) -> float:
        numerator = self.take(code)
        denominator = self.take("I") if self.common is None else self.common
        if denominator == 0:
            raise MetadataError("ISO 21496-1: a denominator is zero")
        return numerator / denominator


def read_iso(data: bytes) -> IsoMetadata | None:
    """Read the binary metadata.

    Args:
        data: what follows the name in the APP2 segment, or the payload of a ``tmap`` item
            without its version byte.

    Returns:
        The metadata; None where there are only versions, as in a base image.

    Raises:
        MetadataError: malformed, or of a newer version.
    """
    if len(data) < 4:
        raise MetadataError("ISO 21496-1: the metadata are cut short")
    (minimum,) = struct.unpack_from(">H", data, 0)
    if minimum > 0:
        raise MetadataError(f"ISO 21496-1: version {minimum} is newer than this program")
    if len(data) == 4:
        return None
    flags = data[4]
    reader = _Reader(data)
    reader.position = 5
    if flags & COMMON_DENOMINATOR:
        reader.common = reader.take("I")
    headrooms = [reader.fraction("I"), reader.fraction("I")]
    channels = 3 if flags & MULTI_CHANNEL else 1
    rows = [[reader.fraction(code) for code in "iiIii"] for _ in range(channels)]
    low, high, gamma, base_offset, alternate_offset = (
        _triple([row[index] for row in rows]) for index in range(5)
    )
    backward = bool(flags & BACKWARD)
    metadata = GainMapMetadata(
        gain_map_min=low,
        gain_map_max=high,
        gamma=gamma,
        base_offset=base_offset,
        alternate_offset=alternate_offset,
        base_headroom=headrooms[0],
        alternate_headroom=headrooms[1],
        base_is_hdr=backward or headrooms[0] > headrooms[1],
    )
    return IsoMetadata(metadata, bool(flags & USE_BASE_COLOR))


def _triple(values: list[float]) -> Triple:
    return (values[0], values[len(values) // 2], values[-1])


def _fraction(value: float, *, signed: bool) -> bytes:
    limit = 2**31 - 1 if signed else 2**32 - 1
    # A numerator must fit too: the larger the value, the coarser its fraction may be.
    largest = min(MAX_DENOMINATOR, int(limit / max(abs(value), 1.0)))
    if largest < 1 or (value < 0 and not signed):
        raise MetadataError(f"ISO 21496-1: {value} can't be written as a fraction")
    exact = Fraction(value).limit_denominator(largest)
    return struct.pack(">iI" if signed else ">II", exact.numerator, exact.denominator)


def write_iso(metadata: GainMapMetadata, *, use_base_color: bool = True) -> bytes:
    """Return the binary form of the metadata, with one channel where all three are equal.

    Raises:
        MetadataError: a value has no fraction of 32-bit integers.
    """
    per_channel = (
        metadata.gain_map_min,
        metadata.gain_map_max,
        metadata.gamma,
        metadata.base_offset,
        metadata.alternate_offset,
    )
    channels = 1 if all(len(set(values)) == 1 for values in per_channel) else 3
    flags = (MULTI_CHANNEL if channels == 3 else 0) | (USE_BASE_COLOR if use_base_color else 0)
    parts = [VERSION, bytes([flags])]
    parts += [
        _fraction(headroom, signed=False)
        for headroom in (metadata.base_headroom, metadata.alternate_headroom)
    ]
    for channel in range(channels):
        for index, values in enumerate(per_channel):
            parts.append(_fraction(values[channel], signed=index != 2))
    return b"".join(parts)

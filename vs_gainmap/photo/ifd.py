"""Read TIFF image file directories: EXIF, MPF and Apple's maker notes are all made of them.

Everything is bounded by the data at hand: an entry that points outside is left out, never
followed, and a directory is never read twice.
"""

from __future__ import annotations

import struct
from typing import Literal, NamedTuple

ByteOrder = Literal["<", ">"]

# TIFF 6.0, section 2: size of each field type in bytes; 13 (IFD) after Adobe's supplement.
TYPE_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}
INTEGER_CODES = {1: "B", 3: "H", 4: "I", 6: "b", 8: "h", 9: "i", 13: "I"}
MAX_ENTRIES = 1024

EXIF_IFD = 0x8769
ORIENTATION = 0x0112
MAKER_NOTE = 0x927C


class Field(NamedTuple):
    """One entry of a directory, with its value's bytes."""

    kind: int
    value: bytes
    order: ByteOrder
    position: int
    """Offset of the entry's own four value bytes in the data."""

    def integers(self) -> list[int]:
        """Return the values of an integer field; empty for another type."""
        code = INTEGER_CODES.get(self.kind)
        if code is None:
            return []
        size = TYPE_SIZES[self.kind]
        return list(struct.unpack(f"{self.order}{len(self.value) // size}{code}", self.value))

    def rationals(self) -> list[float]:
        """Return the values of a (signed) rational field, without those over zero."""
        if self.kind not in (5, 10):
            return []
        code = "i" if self.kind == 10 else "I"
        parts = struct.unpack(f"{self.order}{len(self.value) // 4}{code}", self.value)
        pairs = zip(parts[::2], parts[1::2], strict=True)
        return [numerator / denominator for numerator, denominator in pairs if denominator]


def read_header(data: bytes) -> tuple[ByteOrder, int] | None:
    """Return byte order and offset of the first directory; None where `data` is no TIFF."""
    if data[:4] == b"II*\0":
        order: ByteOrder = "<"
    elif data[:4] == b"MM\0*":
        order = ">"
    else:
        return None
    if len(data) < 8:
        return None
    return order, struct.unpack_from(f"{order}I", data, 4)[0]


def read_ifd(data: bytes, offset: int, order: ByteOrder) -> dict[int, Field]:
    """Read one directory.

    Args:
        data: what offsets count from the beginning of.
        offset: where the directory begins.
        order: byte order of `data`.

    Returns:
        Fields by tag; empty where the offset is outside.
    """
    if not 0 <= offset <= len(data) - 2:
        return {}
    (count,) = struct.unpack_from(f"{order}H", data, offset)
    fields: dict[int, Field] = {}
    for index in range(min(count, MAX_ENTRIES)):
        start = offset + 2 + 12 * index
        if start + 12 > len(data):
            break
        tag, kind, number = struct.unpack_from(f"{order}HHI", data, start)
        size = TYPE_SIZES.get(kind, 0) * number
        if size > 4:
            (begin,) = struct.unpack_from(f"{order}I", data, start + 8)
        else:
            begin = start + 8
        if size == 0 or begin + size > len(data):
            continue
        fields.setdefault(tag, Field(kind, data[begin : begin + size], order, start + 8))
    return fields


def read_orientation(exif: bytes | None) -> int:
    """Return the EXIF orientation, 1..8; 1 where there is none.

    Args:
        exif: TIFF data, without the name in front of it.
    """
    header = read_header(exif or b"")
    if exif is None or header is None:
        return 1
    field = read_ifd(exif, header[1], header[0]).get(ORIENTATION)
    values = field.integers() if field else []
    return values[0] if values and 1 <= values[0] <= 8 else 1


def reset_orientation(exif: bytes | None) -> bytes | None:
    """Return `exif` with the orientation set to 1, for pixels that were turned upright."""
    header = read_header(exif or b"")
    if exif is None or header is None:
        return exif
    field = read_ifd(exif, header[1], header[0]).get(ORIENTATION)
    if field is None or field.kind != 3:
        return exif
    one = struct.pack(f"{header[0]}H", 1)
    return exif[: field.position] + one + exif[field.position + 2 :]

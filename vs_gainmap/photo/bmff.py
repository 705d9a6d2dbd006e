"""AVIF and HEIC: their items, the ``tmap`` item of ISO/IEC 23008-12, and decoding.

No Python library gives the ``tmap`` item, but all decode the primary one. So this module reads
the few boxes that name base and map, and makes a copy of the file whose primary item is the
map: libavif and libheif then decode it like any picture.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from vs_gainmap.errors import MediaError
from vs_gainmap.extras import load
from vs_gainmap.photo.input import (
    DEFAULTS,
    Signal,
    as_rgb,
    check_size,
    open_image,
    to_16_bits,
)
from vs_gainmap.photo.options import ReadOptions

BRANDS = (b"avif", b"avis", b"heic", b"heix", b"hevc", b"mif1", b"msf1", b"heif", b"miaf")
MAX_BOXES = 4096
MAX_ITEMS = 1024
MAX_EXTENTS = 64
MAX_PAYLOAD = 1 << 20
HIDDEN = 1


class Box(NamedTuple):
    """One box: its type, and the place of its content."""

    kind: bytes
    start: int
    end: int


class Cursor:
    """Read big-endian integers in order; beyond the end is an error of the file."""

    def __init__(self, data: bytes, start: int, end: int) -> None:
        self.data, self.position, self.end = data, start, end

    def take(self, size: int) -> int:
        """Return the next `size` bytes as an integer; 0 bytes are 0."""
        if self.position + size > self.end:
            raise MediaError("damaged AVIF or HEIC: a box is too short")
        value = int.from_bytes(self.data[self.position : self.position + size], "big")
        self.position += size
        return value


class Reference(NamedTuple):
    """Items that one item refers to."""

    kind: bytes
    at: int
    """Offset of the type in the file."""
    item: int
    targets: list[int]


@dataclass(slots=True)
class Items:
    """The content of the ``meta`` box, as far as gain maps need it."""

    data: bytes
    primary: int = 0
    primary_at: int = 0
    primary_size: int = 2
    kinds: dict[int, bytes] = field(default_factory=dict)
    flags_at: dict[int, int] = field(default_factory=dict)
    """By item: offset of its flags' lowest byte."""
    extents: dict[int, tuple[int, list[tuple[int, int]]]] = field(default_factory=dict)
    """Construction method, and offset and length of each extent."""
    references: list[Reference] = field(default_factory=list)
    boxes: list[Box] = field(default_factory=list)
    """The properties, in order."""
    properties: dict[int, list[int]] = field(default_factory=dict)
    """By item: positions in `boxes`, from 1."""
    idat: int = 0

    def find(self, item: int, kind: bytes) -> Iterator[bytes]:
        """Yield the content of an item's properties of one type."""
        for index in self.properties.get(item, []):
            if 1 <= index <= len(self.boxes) and self.boxes[index - 1].kind == kind:
                box = self.boxes[index - 1]
                yield self.data[box.start : box.end]

    def color_of(self, item: int) -> tuple[int, int] | None:
        """Return primaries and transfer after H.273 of an item; None where it has none."""
        for content in self.find(item, b"colr"):
            if content[:4] == b"nclx" and len(content) >= 8:
                primaries, transfer = struct.unpack_from(">HH", content, 4)
                return primaries, transfer
        return None

    def depth_of(self, item: int) -> int | None:
        """Return the bits of an item's samples, after ``pixi`` or ``av1C``; None without both.

        A grid without them has those of its first tile.
        """
        for content in self.find(item, b"pixi"):
            if len(content) >= 6 and 1 <= content[5] <= 16:
                return content[5]
        for content in self.find(item, b"av1C"):
            # AV1-ISOBMFF, clause 2.3.3: high_bitdepth and twelve_bit.
            if len(content) >= 3:
                return 8 if not content[2] & 0x40 else 12 if content[2] & 0x20 else 10
        if self.kinds.get(item) == b"grid":
            for reference in self.references:
                tile = next(iter(reference.targets), item)
                if (reference.kind, reference.item) == (b"dimg", item) and tile != item:
                    return self.depth_of(tile) if self.kinds.get(tile) != b"grid" else None
        return None

    def content(self, item: int) -> bytes | None:
        """Return an item's bytes, up to 1 MiB; None where no extent of this file holds them."""
        method, extents = self.extents.get(item, (2, []))
        if method not in (0, 1):
            return None
        base = self.idat if method == 1 else 0
        parts, left = [], MAX_PAYLOAD
        for offset, length in extents:
            part = self.data[base + offset : base + offset + min(length, left)]
            parts.append(part)
            left -= len(part)
        return b"".join(parts)


def is_bmff(data: bytes) -> bool:
    """Return whether the file is AVIF or HEIC by its brands."""
    return data[4:8] == b"ftyp" and any(brand in data[8:64] for brand in BRANDS)


def is_avif(data: bytes) -> bool:
    """Return whether the brands of an ISOBMFF file name AVIF."""
    return b"avi" in data[8:64]


def read_boxes(data: bytes, start: int, end: int) -> Iterator[Box]:
    """Yield the boxes of one level in a part of the file.

    Raises:
        MediaError: a box leaves its parent.
    """
    for _ in range(MAX_BOXES):
        if start + 8 > end:
            return
        size, kind = struct.unpack_from(">I4s", data, start)
        header = 8
        if size == 1 and start + 16 <= end:
            (size,) = struct.unpack_from(">Q", data, start + 8)
            header = 16
        elif size == 0:
            size = end - start
        if size < header or start + size > end:
            raise MediaError(f"damaged AVIF or HEIC: the box at byte {start} leaves its parent")
        yield Box(kind, start + header, start + size)
        start += size


def read_items(data: bytes) -> Items:
    """Read the ``meta`` box (ISO/IEC 14496-12, clause 8.11).

    Raises:
        MediaError: there is none, or it is damaged.
    """
    items = Items(data)
    meta = next((box for box in read_boxes(data, 0, len(data)) if box.kind == b"meta"), None)
    if meta is None:
        raise MediaError("damaged AVIF or HEIC: no meta box")
    for box in read_boxes(data, meta.start + 4, meta.end):
        if box.kind == b"iprp":
            for inner in read_boxes(data, box.start, box.end):
                _read_box(inner, items)
        else:
            _read_box(box, items)
    return items


def _read_box(box: Box, items: Items) -> None:
    if box.kind == b"ipco":
        items.boxes.extend(read_boxes(items.data, box.start, box.end))
    elif box.kind == b"idat":
        items.idat = box.start
    elif box.kind in _READERS:
        cursor = Cursor(items.data, box.start, box.end)
        version, flags = cursor.take(1), cursor.take(3)
        _READERS[box.kind](cursor, version, flags, items)


def _pitm(cursor: Cursor, version: int, _flags: int, items: Items) -> None:
    items.primary_at = cursor.position
    items.primary_size = 2 if version == 0 else 4
    items.primary = cursor.take(items.primary_size)


def _iinf(cursor: Cursor, version: int, _flags: int, items: Items) -> None:
    cursor.take(2 if version == 0 else 4)
    for box in read_boxes(cursor.data, cursor.position, cursor.end):
        inner = Cursor(cursor.data, box.start, box.end)
        entry_version = inner.take(1)
        inner.take(3)
        if box.kind != b"infe" or entry_version < 2 or len(items.kinds) >= MAX_ITEMS:
            continue
        item = inner.take(2 if entry_version == 2 else 4)
        inner.take(2)
        items.kinds[item] = inner.take(4).to_bytes(4, "big")
        items.flags_at[item] = box.start + 3


def _iref(cursor: Cursor, version: int, _flags: int, items: Items) -> None:
    size = 2 if version == 0 else 4
    for box in read_boxes(cursor.data, cursor.position, cursor.end):
        inner = Cursor(cursor.data, box.start, box.end)
        item, count = inner.take(size), inner.take(2)
        targets = [inner.take(size) for _ in range(min(count, MAX_ITEMS))]
        items.references.append(Reference(box.kind, box.start - 4, item, targets))


def _iloc(cursor: Cursor, version: int, _flags: int, items: Items) -> None:
    sizes = cursor.take(2)
    offset_size, length_size, base_size = sizes >> 12, sizes >> 8 & 15, sizes >> 4 & 15
    index_size = sizes & 15 if version in (1, 2) else 0
    count = cursor.take(4 if version == 2 else 2)
    for _ in range(min(count, MAX_ITEMS)):
        item = cursor.take(4 if version == 2 else 2)
        method = cursor.take(2) & 15 if version in (1, 2) else 0
        cursor.take(2)
        base = cursor.take(base_size)
        extents: list[tuple[int, int]] = []
        number = cursor.take(2)
        # Without offset and length an extent is the whole file: one is enough.
        for _ in range(number if offset_size + length_size else min(number, 1)):
            cursor.take(index_size)
            offset, length = cursor.take(offset_size), cursor.take(length_size)
            if len(extents) < MAX_EXTENTS:
                extents.append((base + offset, length))
        items.extents[item] = (method, extents)


def _ipma(cursor: Cursor, version: int, flags: int, items: Items) -> None:
    for _ in range(min(cursor.take(4), MAX_ITEMS)):
        item = cursor.take(2 if version == 0 else 4)
        wide = bool(flags & 1)
        mask = 0x7FFF if wide else 0x7F
        indices = [cursor.take(2 if wide else 1) & mask for _ in range(cursor.take(1))]
        items.properties[item] = indices


_READERS = {
    b"pitm": _pitm,
    b"iinf": _iinf,
    b"iref": _iref,
    b"iloc": _iloc,
    b"ipma": _ipma,
}


class ToneMap(NamedTuple):
    """A ``tmap`` item: its ISO 21496-1 metadata, and the items that it is made of."""

    item: int
    metadata: bytes
    gain_map: int


def find_tone_map(items: Items) -> ToneMap | None:
    """Return the ``tmap`` item that derives from the primary one; None where there is none."""
    for reference in items.references:
        if items.kinds.get(reference.item) != b"tmap" or reference.kind != b"dimg":
            continue
        if len(reference.targets) != 2 or reference.targets[0] != items.primary:
            continue
        payload = items.content(reference.item)
        # One version byte of the item, then the metadata of ISO 21496-1.
        if payload is not None and len(payload) > 1 and payload[0] == 0:
            return ToneMap(reference.item, payload[1:], reference.targets[1])
    return None


def with_primary(items: Items, item: int) -> bytes:
    """Return a copy of the file with another primary item, for libraries that decode that one.

    They take no item as primary that is hidden, or auxiliary to another, as an iPhone's map is:
    in the copy it is neither.

    Raises:
        MediaError: the file has no such item.
    """
    if item not in items.kinds or item >= 1 << 8 * items.primary_size:
        raise MediaError("damaged AVIF or HEIC: the gain map's item does not exist")
    copy = bytearray(items.data)
    end = items.primary_at + items.primary_size
    copy[items.primary_at : end] = item.to_bytes(items.primary_size, "big")
    copy[items.flags_at[item]] &= ~HIDDEN
    for reference in items.references:
        if reference.kind == b"auxl" and reference.item == item:
            copy[reference.at : reference.at + 4] = b"free"
    return bytes(copy)


def decode_bmff(data: bytes, options: ReadOptions = DEFAULTS) -> tuple[Signal, dict[str, Any]]:
    """Decode the primary item of an AVIF or HEIC file.

    Args:
        data: the file.
        options: the largest size.

    Returns:
        The pixels, (H, W, 3), at 8 or 16 bits, and the library's ``info``. HEIC comes upright;
        AVIF as stored, with its turns as the orientation in EXIF.

    Raises:
        MediaError: too large.
    """
    if is_avif(data):
        return _decode_avif(data, options)
    heif = load("pillow_heif", "pillow-heif")
    file = heif.open_heif(data, convert_hdr_to_8bit=False)
    width, height = file.size
    check_size(width, height, len(data), options)
    pixels = as_rgb(np.asarray(file))
    if pixels.dtype == np.uint16:
        depth = int(file.info["bit_depth"])
        # The library shifts codes to the top of 16 bits.
        pixels = to_16_bits(pixels, depth, unit=1 << (16 - depth))
    return pixels, dict(file.info)


def _decode_avif(data: bytes, options: ReadOptions) -> tuple[Signal, dict[str, Any]]:
    items = read_items(data)
    depth = items.depth_of(items.primary) or 8
    with open_image(data, options) as file:
        info = dict(file.info)
        if depth <= 8:
            return as_rgb(np.asarray(file.convert("RGB"))), info
        size = file.size
    # Pillow gives 8 bits alone; neither library applies the file's turns.
    codes = load("imagecodecs", "imagecodecs").avif_decode(data)
    if codes.dtype != np.uint16 or codes.shape[1::-1] != size:
        raise MediaError(f"damaged AVIF: no picture of {depth} bits")
    return to_16_bits(as_rgb(codes), depth), info

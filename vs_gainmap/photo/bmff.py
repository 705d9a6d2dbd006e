"""Find the gain map in AVIF and HEIC: the ``tmap`` item of ISO/IEC 23008-12.

No Python library gives that item, but all decode the primary one. So this module reads the
few boxes that tell which items are base and map, and makes a copy of the file whose primary
item is the map: libavif and libheif then decode it like any picture.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from vs_gainmap.errors import MediaError
from vs_gainmap.photo.input import Signal, as_rgb, check_size, open_image
from vs_gainmap.photo.optional import load

CONTAINERS = {b"meta": 4, b"iprp": 0, b"ipco": 0}
BRANDS = (b"avif", b"avis", b"heic", b"heix", b"hevc", b"mif1", b"msf1", b"heif", b"miaf")
MAX_BOXES = 4096
MAX_ITEMS = 1024
MAX_PAYLOAD = 4096


class Box(NamedTuple):
    """One box: its type, and where its content lies."""

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


@dataclass(slots=True)
class Items:
    """What the ``meta`` box says, as far as gain maps need it."""

    primary: int = 0
    primary_at: int = 0
    primary_size: int = 2
    kinds: dict[int, bytes] = field(default_factory=dict)
    extents: dict[int, tuple[int, int, int]] = field(default_factory=dict)
    """Construction method, offset and length of an item's only extent."""
    derived_from: dict[int, list[int]] = field(default_factory=dict)
    nclx: list[tuple[int, int] | None] = field(default_factory=list)
    """By property index less one: primaries and transfer after H.273, where it is ``nclx``."""
    sizes: list[tuple[int, int] | None] = field(default_factory=list)
    properties: dict[int, list[int]] = field(default_factory=dict)
    idat: int = 0

    def color_of(self, item: int) -> tuple[int, int] | None:
        """Return primaries and transfer after H.273 of an item; None where it has none."""
        return next((c for i in self.properties.get(item, []) if (c := _at(self.nclx, i))), None)

    def size_of(self, item: int) -> tuple[int, int] | None:
        """Return width and height of an item."""
        return next((s for i in self.properties.get(item, []) if (s := _at(self.sizes, i))), None)


def _at(values: list[tuple[int, int] | None], index: int) -> tuple[int, int] | None:
    return values[index - 1] if 1 <= index <= len(values) else None


def is_bmff(data: bytes) -> bool:
    """Say whether the file is AVIF or HEIC by its brands."""
    return data[4:8] == b"ftyp" and any(brand in data[8:64] for brand in BRANDS)


def _boxes(data: bytes, start: int, end: int) -> Iterator[Box]:
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
    items = Items()
    meta = next((box for box in _boxes(data, 0, len(data)) if box.kind == b"meta"), None)
    if meta is None:
        raise MediaError("damaged AVIF or HEIC: no meta box")
    _walk(data, Box(meta.kind, meta.start + CONTAINERS[b"meta"], meta.end), items)
    return items


def _walk(data: bytes, parent: Box, items: Items) -> None:
    for box in _boxes(data, parent.start, parent.end):
        if box.kind in (b"iprp", b"ipco"):
            _walk(data, box, items)
            continue
        if parent.kind == b"ipco":
            items.nclx.append(_nclx(data, box))
            items.sizes.append(_size(data, box))
            continue
        cursor = Cursor(data, box.start, box.end)
        if box.kind == b"idat":
            items.idat = box.start
        reader = _READERS.get(box.kind)
        if reader is not None:
            version, flags = cursor.take(1), cursor.take(3)
            reader(cursor, version, flags, items)


def _nclx(data: bytes, box: Box) -> tuple[int, int] | None:
    if box.kind != b"colr" or data[box.start : box.start + 4] != b"nclx":
        return None
    cursor = Cursor(data, box.start + 4, box.end)
    return cursor.take(2), cursor.take(2)


def _size(data: bytes, box: Box) -> tuple[int, int] | None:
    if box.kind != b"ispe":
        return None
    cursor = Cursor(data, box.start + 4, box.end)
    return cursor.take(4), cursor.take(4)


def _pitm(cursor: Cursor, version: int, _flags: int, items: Items) -> None:
    items.primary_at = cursor.position
    items.primary_size = 2 if version == 0 else 4
    items.primary = cursor.take(items.primary_size)


def _iinf(cursor: Cursor, version: int, _flags: int, items: Items) -> None:
    cursor.take(2 if version == 0 else 4)
    for box in _boxes(cursor.data, cursor.position, cursor.end):
        inner = Cursor(cursor.data, box.start, box.end)
        entry_version = inner.take(1)
        inner.take(3)
        if box.kind != b"infe" or entry_version < 2 or len(items.kinds) >= MAX_ITEMS:
            continue
        item = inner.take(2 if entry_version == 2 else 4)
        inner.take(2)
        items.kinds[item] = inner.take(4).to_bytes(4, "big")


def _iref(cursor: Cursor, version: int, _flags: int, items: Items) -> None:
    size = 2 if version == 0 else 4
    for box in _boxes(cursor.data, cursor.position, cursor.end):
        inner = Cursor(cursor.data, box.start, box.end)
        item, count = inner.take(size), inner.take(2)
        if box.kind == b"dimg":
            items.derived_from[item] = [inner.take(size) for _ in range(min(count, MAX_ITEMS))]


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
        extents = cursor.take(2)
        for index in range(min(extents, MAX_ITEMS)):
            cursor.take(index_size)
            offset, length = cursor.take(offset_size), cursor.take(length_size)
            if index == 0:
                items.extents[item] = (method, base + offset, length)


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


def find_tone_map(data: bytes, items: Items) -> ToneMap | None:
    """Return the ``tmap`` item that derives from the primary one; None where there is none."""
    for item, kind in items.kinds.items():
        sources = items.derived_from.get(item, [])
        if kind != b"tmap" or len(sources) != 2 or sources[0] != items.primary:
            continue
        method, offset, length = items.extents.get(item, (0, 0, 0))
        start = offset + (items.idat if method == 1 else 0)
        payload = data[start : start + min(length, MAX_PAYLOAD)]
        # One version byte of the item, then the metadata of ISO 21496-1.
        if method in (0, 1) and len(payload) > 1 and payload[0] == 0:
            return ToneMap(item, payload[1:], sources[1])
    return None


def with_primary(data: bytes, items: Items, item: int) -> bytes:
    """Return a copy of the file with another primary item."""
    try:
        identity = item.to_bytes(items.primary_size, "big")
    except OverflowError as error:
        raise MediaError("damaged AVIF or HEIC: the gain map's item does not exist") from error
    return data[: items.primary_at] + identity + data[items.primary_at + items.primary_size :]


def decode_bmff(data: bytes) -> tuple[Signal, dict[str, Any]]:
    """Decode the primary item of an AVIF or HEIC file.

    Returns:
        The pixels, (H, W, 3), at 8 or 16 bits, and the library's ``info``. HEIC comes upright;
        AVIF as stored, with its turns as the orientation in EXIF.
    """
    if is_avif(data):
        return _decode_avif(data)
    heif = load("pillow_heif", "pillow-heif")
    file = heif.open_heif(data, convert_hdr_to_8bit=False)
    check_size(*file.size)
    return as_rgb(np.asarray(file)), dict(file.info)


def is_avif(data: bytes) -> bool:
    """Say whether the brands of an ISOBMFF file name AVIF."""
    return b"avi" in data[8:64]


def _decode_avif(data: bytes) -> tuple[Signal, dict[str, Any]]:
    with open_image(data, "AVIF") as file:
        info = dict(file.info)
        pixels = np.asarray(file.convert("RGB"))
    deep = load("imagecodecs", "imagecodecs").avif_decode(data)
    # Pillow gives 8 bits alone; neither library applies the file's turns.
    if deep.dtype == np.uint16 and deep.shape[:2] == pixels.shape[:2]:
        depth = 10 if int(deep.max()) < 1024 else 12
        codes = deep.astype(np.uint32) * 65535 // ((1 << depth) - 1)
        return as_rgb(codes.astype(np.uint16)), info
    return pixels, info

"""Put an Ultra HDR JPEG together: base, gain map, XMP, ISO 21496-1 and MPF.

The base's coded data, its EXIF and its ICC profile stay byte for byte; segments are added
before its first table. What stood behind the base (a motion photo's clip, a maker's own data)
stays at the end of the file, from where it is found. Previews that an MPF named are left out
with that MPF: the second picture of the new one has to be the gain map.
"""

from __future__ import annotations

import io
import struct

import numpy as np
from numpy.typing import NDArray

from vs_gainmap.errors import MediaError
from vs_gainmap.gainmap import GainMapMetadata
from vs_gainmap.photo.iso21496 import VERSION, write_iso
from vs_gainmap.photo.jpeg import (
    APP0,
    APP1,
    APP2,
    APP15,
    EXIF,
    ISO_21496,
    MPF,
    XMP,
    JpegImage,
    parse_jpeg,
    trailer,
)
from vs_gainmap.photo.optional import load
from vs_gainmap.photo.xmp import merge_directory, write_directory, write_hdrgm

# At 95 the map's own error passes one percent of the light; see docs/photos.md.
MAP_QUALITY = 98
BASE_QUALITY = 95
MAX_SIDE = 65500
# CIPA DC-007, 5.2.3.3: dependent on nothing, JPEG, "baseline MP primary image" and undefined.
MP_PRIMARY, MP_UNDEFINED = 0x030000, 0
MPF_SIZE = 8 + 2 + 3 * 12 + 4 + 2 * 16


def segment(marker: int, payload: bytes) -> bytes:
    """Return a marker segment.

    Raises:
        MediaError: longer than a segment can be.
    """
    if len(payload) > 65533:
        raise MediaError(f"JPEG: a segment can't hold {len(payload)} bytes")
    return struct.pack(">BBH", 0xFF, marker, len(payload) + 2) + payload


def encode_jpeg(
    pixels: NDArray[np.uint8],
    *,
    quality: int = BASE_QUALITY,
    icc: bytes | None = None,
    exif: bytes | None = None,
) -> bytes:
    """Encode a JPEG at 4:4:4.

    Args:
        pixels: (H, W, 1 or 3).
        quality: 1..100.
        icc: profile to embed.
        exif: TIFF data to embed.

    Raises:
        MediaError: larger than JPEG allows.
    """
    if max(pixels.shape[:2]) > MAX_SIDE:
        raise MediaError(f"JPEG: no side may be longer than {MAX_SIDE}, got {pixels.shape[:2]}")
    image = load("PIL.Image", "pillow")
    picture = image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
    options: dict[str, object] = {"icc_profile": icc} if icc else {}
    if exif and len(exif) + len(EXIF) <= 65533:
        options["exif"] = EXIF + exif
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=quality, subsampling=0, optimize=True, **options)
    return buffer.getvalue()


def assemble(
    base: JpegImage,
    gain_map: NDArray[np.uint8],
    metadata: GainMapMetadata,
    *,
    quality: int = MAP_QUALITY,
) -> bytes:
    """Return an Ultra HDR JPEG.

    Args:
        base: the picture's JPEG.
        gain_map: (h, w, 1 or 3), full range.
        metadata: of the map.
        quality: of the map's JPEG.

    Raises:
        MediaError: the base's own XMP leaves no room, or the file would pass 4 GiB.
    """
    second = _map_stream(gain_map, metadata, quality)
    head, tail = _base_parts(base, len(second))
    # The MPF segment ends the head: name, then the TIFF header that its offsets count from.
    tiff_at = len(head) + 4 + len(MPF)
    first_size = tiff_at + MPF_SIZE + len(tail)
    index = _mpf(first_size, len(second), first_size - tiff_at)
    return b"".join((head, segment(APP2, MPF + index), tail, second, trailer(base)))


def _map_stream(gain_map: NDArray[np.uint8], metadata: GainMapMetadata, quality: int) -> bytes:
    plain = parse_jpeg(encode_jpeg(gain_map, quality=quality))
    jfif = plain.segments[0].end if plain.segments[0].marker == APP0 else 2
    added = segment(APP1, XMP + write_hdrgm(metadata)) + segment(
        APP2, ISO_21496 + write_iso(metadata)
    )
    return plain.data[:jfif] + added + plain.data[jfif : plain.end]


def _base_parts(base: JpegImage, map_bytes: int) -> tuple[bytes, bytes]:
    """Return what comes before the MPF segment, and what comes behind it."""
    data = base.data
    packet = base.xmp
    directory = (
        merge_directory(packet, map_bytes) if packet is not None else write_directory(map_bytes)
    )
    apps, others, place = [], [], 0
    for one in base.segments:
        own = data[one.start : one.end]
        if not APP0 <= one.marker <= APP15:
            others.append(own)
        elif not data.startswith((XMP, MPF, ISO_21496), one.payload_start):
            apps.append(own)
            if one.marker == APP0 or data.startswith(EXIF, one.payload_start):
                # Readers want JFIF and EXIF first.
                place = len(apps)
    apps.insert(place, segment(APP1, XMP + directory))
    apps.append(segment(APP2, ISO_21496 + VERSION))
    head = b"\xff\xd8" + b"".join(apps)
    return head, b"".join(others) + data[base.segments[-1].end : base.end]


def _mpf(first_size: int, second_size: int, second_offset: int) -> bytes:
    """Return the MP index of two images (CIPA DC-007, table 3)."""
    if first_size + second_size >= 1 << 32:
        raise MediaError("JPEG: the file would be larger than MPF can say")
    fields = (
        struct.pack(">HHI4s", 0xB000, 7, 4, b"0100"),
        struct.pack(">HHII", 0xB001, 4, 1, 2),
        struct.pack(">HHII", 0xB002, 7, 32, MPF_SIZE - 32),
    )
    return b"".join(
        (
            struct.pack(">2sHIH", b"MM", 42, 8, len(fields)),
            *fields,
            struct.pack(">I", 0),
            struct.pack(">IIIHH", MP_PRIMARY, first_size, 0, 0, 0),
            struct.pack(">IIIHH", MP_UNDEFINED, second_size, second_offset, 0, 0),
        )
    )

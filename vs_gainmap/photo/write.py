"""Write HDR photos: Ultra HDR JPEG, and PQ in PNG (16 bits, cICP) or AVIF (10 bits).

An Ultra HDR JPEG is base, gain map, XMP, ISO 21496-1 and MPF. The base's coded data, its EXIF
and its ICC profile stay byte for byte; segments are added before its first table. What stood
behind the base (a motion photo's clip, a maker's own data) stays at the end of the file, from
where it is found. Previews that an MPF named are left out with that MPF: the second picture of
the new one has to be the gain map.
"""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from vs_gainmap.color.primaries import Primaries, PrimariesName, convert_primaries
from vs_gainmap.color.transfer import pq_inverse_eotf
from vs_gainmap.errors import MediaError
from vs_gainmap.extras import load
from vs_gainmap.files import write_bytes
from vs_gainmap.gainmap import GainMapMetadata
from vs_gainmap.photo.input import bands
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
    segment,
    trailer,
)
from vs_gainmap.photo.options import AVIF_QUALITY, BASE_QUALITY, PQ_SUFFIXES, ConvertOptions
from vs_gainmap.photo.xmp import merge_directory, write_directory, write_hdrgm

MAX_SIDE = 65500
# CIPA DC-007, 5.2.3.3: dependent on nothing, JPEG, "baseline MP primary image" and undefined.
MP_PRIMARY, MP_UNDEFINED = 0x030000, 0
MAX_MPF = (1 << 32) - 1
MPF_SIZE = 8 + 2 + 3 * 12 + 4 + 2 * 16

# What libultrahdr decodes, and so what HDR viewers do.
BASE_LAYOUTS = ("4:4:4", "4:2:2", "4:2:0")
# ITU-T H.273: BT.2020 primaries, SMPTE ST 2084, and BT.2020's matrix or none (RGB).
BT2020, ST2084, MATRIX_2020, MATRIX_RGB = 9, 16, 9, 0
# Signature, then the header chunk of 13 bytes with its length, name and checksum.
IHDR_END = 8 + 25


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

    Returns:
        The file.
    """
    image = load("PIL.Image", "pillow")
    picture = image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
    options: dict[str, object] = {"icc_profile": icc} if icc else {}
    if exif and len(exif) + len(EXIF) <= 65533:
        options["exif"] = EXIF + exif
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=quality, subsampling=0, optimize=True, **options)
    return buffer.getvalue()


def check_base(width: int, height: int, base: JpegImage | None) -> None:
    """Refuse a picture that no Ultra HDR JPEG can be made of, before any work.

    Args:
        width: in pixels.
        height: in pixels.
        base: the picture's JPEG; None where it gets a new one.

    Raises:
        MediaError: larger than JPEG allows, or its own XMP leaves no room.
    """
    if max(width, height) > MAX_SIDE:
        raise MediaError(f"JPEG: no side may be longer than {MAX_SIDE}, got {width}x{height}")
    if base is not None and base.xmp is not None:
        merge_directory(base.xmp, MAX_MPF)


def assemble(
    base: JpegImage,
    gain_map: NDArray[np.uint8],
    metadata: GainMapMetadata,
    *,
    quality: int = ConvertOptions.map_quality,
) -> bytes:
    """Return an Ultra HDR JPEG.

    Args:
        base: the picture's JPEG.
        gain_map: (h, w, 1 or 3), full range.
        metadata: of the map.
        quality: of the map's JPEG.

    Raises:
        MediaError: see `check_base`, or the file would pass 4 GiB.
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
    if first_size + second_size > MAX_MPF:
        raise MediaError("JPEG: the file would be larger than MPF can hold")
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


def encode_pq(
    hdr: NDArray[np.float32],
    primaries: PrimariesName | Primaries,
    sdr_white: float,
    bits: int,
) -> NDArray[np.uint16]:
    """Encode linear light as PQ codes in BT.2020 primaries.

    Args:
        hdr: (H, W, 3), linear light, 1.0 = SDR white.
        primaries: of `hdr`.
        sdr_white: cd/m2 of 1.0.
        bits: of the codes, full range.

    Returns:
        (H, W, 3), 0..2^bits - 1.
    """
    out = np.empty(hdr.shape, dtype=np.uint16)
    for start, stop in bands(hdr.shape[0]):
        band = torch.from_numpy(hdr[start:stop]).movedim(-1, 0).double()
        nits = convert_primaries(band, primaries, "bt2020").clamp(min=0.0) * sdr_white
        codes = (pq_inverse_eotf(nits) * ((1 << bits) - 1)).round()
        out[start:stop] = codes.movedim(0, -1).numpy().astype(np.uint16)
    return out


def png_bytes(pixels: NDArray[Any]) -> bytes:
    """Return a PNG of gray (H, W) or R, G, B (H, W, 3), 8 or 16 bits."""
    _, data = cv2.imencode(".png", pixels if pixels.ndim == 2 else pixels[..., ::-1])
    return data.tobytes()


def npy_bytes(value: float) -> bytes:
    """Return a .npy file of one number, float32."""
    buffer = io.BytesIO()
    np.save(buffer, np.float32(value))
    return buffer.getvalue()


def _chunk(kind: bytes, content: bytes) -> bytes:
    """Return a PNG chunk (PNG 3, clause 5.3)."""
    body = kind + content
    return struct.pack(">I", len(content)) + body + struct.pack(">I", zlib.crc32(body))


def write_pq(
    path: Path,
    hdr: NDArray[np.float32],
    primaries: PrimariesName | Primaries,
    sdr_white: float,
    *,
    quality: int = AVIF_QUALITY,
    exif: bytes | None = None,
    overwrite: bool = True,
) -> None:
    """Write a PQ picture, by the file's suffix.

    Args:
        path: .png (16 bits, cICP 9/16/0/1) or .avif (10 bits, 4:4:4, nclx 9/16/9).
        hdr: (H, W, 3), linear light, 1.0 = SDR white.
        primaries: of `hdr`.
        sdr_white: cd/m2 of 1.0.
        quality: of AVIF, 0..100.
        exif: TIFF data that a PNG is to carry; AVIF goes without.
        overwrite: whether a file that is there by then is replaced.

    Raises:
        MediaError: another suffix, or the file can't be written.
    """
    codecs = load("imagecodecs", "imagecodecs")
    suffix = path.suffix.lower()
    if suffix not in PQ_SUFFIXES:
        raise MediaError(f"{path.name}: PQ pictures go into {', '.join(PQ_SUFFIXES)}")
    codes = encode_pq(hdr, primaries, sdr_white, 16 if suffix == ".png" else 10)
    color = {"primaries": BT2020, "transfer": ST2084}
    if suffix == ".png":
        data: bytes = codecs.png_encode(codes, matrix=MATRIX_RGB, **color)
        if exif:
            data = data[:IHDR_END] + _chunk(b"eXIf", exif) + data[IHDR_END:]
    else:
        data = codecs.avif_encode(
            codes,
            level=quality,
            bitspersample=10,
            pixelformat="YUV444",
            matrix=MATRIX_2020,
            speed=8,
            **color,
        )
    write_bytes(path, data, overwrite=overwrite)

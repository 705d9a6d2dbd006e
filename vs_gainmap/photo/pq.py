"""PQ pictures: 16-bit PNG with cICP, and 10-bit AVIF, both BT.2020."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from vs_gainmap.color import Primaries, PrimariesName, convert_primaries, pq_inverse_eotf
from vs_gainmap.errors import MediaError
from vs_gainmap.photo.files import write_bytes
from vs_gainmap.photo.optional import load
from vs_gainmap.photo.picture import BAND_ROWS

PQ_SUFFIXES = (".png", ".avif")
# ITU-T H.273: BT.2020 primaries, SMPTE ST 2084, and BT.2020's matrix or none (RGB).
BT2020, ST2084, MATRIX_2020, MATRIX_RGB = 9, 16, 9, 0
# Signature, then the header chunk of 13 bytes with its length, name and checksum.
IHDR_END = 8 + 25
AVIF_LEVEL = 90


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
    for start in range(0, hdr.shape[0], BAND_ROWS):
        band = torch.from_numpy(hdr[start : start + BAND_ROWS]).movedim(-1, 0).double()
        nits = convert_primaries(band, primaries, "bt2020").clamp(min=0.0) * sdr_white
        codes = (pq_inverse_eotf(nits) * ((1 << bits) - 1)).round()
        out[start : start + BAND_ROWS] = codes.movedim(0, -1).numpy().astype(np.uint16)
    return out


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
    level: int = AVIF_LEVEL,
    exif: bytes | None = None,
) -> None:
    """Write a PQ picture, by the file's suffix.

    Args:
        path: .png (16 bits, cICP 9/16/0/1) or .avif (10 bits, 4:4:4, nclx 9/16/9).
        hdr: (H, W, 3), linear light, 1.0 = SDR white.
        primaries: of `hdr`.
        sdr_white: cd/m2 of 1.0.
        level: quality of AVIF, 0..100.
        exif: TIFF data that a PNG is to carry; AVIF goes without.

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
            level=level,
            bitspersample=10,
            pixelformat="YUV444",
            matrix=MATRIX_2020,
            speed=8,
            **color,
        )
    write_bytes(path, data)

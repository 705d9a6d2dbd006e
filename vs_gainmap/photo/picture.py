"""Read ordinary pictures: JPEG, PNG, TIFF, WebP, HEIC and AVIF, in 8 or 16 bits.

Sizes are checked on the header, before any pixel is decoded. Pixels stay as stored: the
orientation is handed on, not applied.
"""

from __future__ import annotations

import logging
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vs_gainmap.errors import MediaError
from vs_gainmap.extras import load
from vs_gainmap.files import read_bytes
from vs_gainmap.photo.bmff import decode_bmff, is_avif, is_bmff, read_items
from vs_gainmap.photo.ifd import read_orientation, reset_orientation
from vs_gainmap.photo.input import (
    DEFAULTS,
    MAX_FILE_BYTES,
    Signal,
    as_rgb,
    decoding,
    open_image,
    open_tiff,
    to_16_bits,
)
from vs_gainmap.photo.jpeg import JpegImage, decode_jpeg, parse_jpeg
from vs_gainmap.photo.options import ReadOptions
from vs_gainmap.photo.profile import ColorProfile, profile_from_h273, profile_from_icc

log = logging.getLogger(__name__)

# CIPA DC-008, table 3: description, make, model, orientation, resolution, software, date, artist,
# copyright, and the two directories of EXIF and GPS.
TIFF_TAGS_OF_EXIF = frozenset(
    (270, 271, 272, 274, 282, 283, 296, 305, 306, 315, 33432, 0x8769, 0x8825)
)
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
# Of Pillow, with eight bits or less in gray or color.
MODES = ("1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX")
# Before the pixels.
MAX_CHUNKS = 1000


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Picture:
    """A decoded picture and what must survive a conversion."""

    signal: Signal
    """(H, W, 3), full range, as stored."""
    profile: ColorProfile
    icc: bytes | None = None
    exif: bytes | None = None
    """TIFF data, without ``Exif\\0\\0``."""
    orientation: int = 1
    jpeg: JpegImage | None = None
    """The structure of the file, where it is a JPEG."""


def read_picture(
    path: Path, options: ReadOptions = DEFAULTS, *, data: bytes | None = None
) -> Picture:
    """Read an ordinary picture; of several pages or of an animation, the first.

    Args:
        path: the file.
        options: how a JPEG's chroma is read, and the largest size.
        data: its content, where it was read already.

    Raises:
        MediaError: can't be read, too large, damaged, or of a kind that is not supported.
    """
    data = read_bytes(path, MAX_FILE_BYTES) if data is None else data
    with decoding(path):
        if data[:3] == b"\xff\xd8\xff":
            return _read_jpeg(data, options)
        if is_bmff(data):
            return read_bmff(data, options)
        return _read_other(path, data, options)


def _read_jpeg(data: bytes, options: ReadOptions) -> Picture:
    image = parse_jpeg(data)
    return Picture(
        signal=as_rgb(decode_jpeg(image, options)),
        profile=profile_from_icc(image.icc),
        icc=image.icc,
        exif=image.exif,
        orientation=read_orientation(image.exif),
        jpeg=image,
    )


def read_bmff(data: bytes, options: ReadOptions = DEFAULTS) -> Picture:
    """Read AVIF or HEIC; see `read_picture`."""
    signal, info = decode_bmff(data, options)
    icc, exif = info.get("icc_profile"), info.get("exif")
    if exif and exif.startswith(b"Exif\0\0"):
        exif = exif[6:]
    items = read_items(data)
    color = items.color_of(items.primary)
    profile = profile_from_icc(icc) if icc or color is None else profile_from_h273(*color)
    if not is_avif(data):
        exif = reset_orientation(exif)
    return Picture(
        signal=signal, profile=profile, icc=icc, exif=exif, orientation=read_orientation(exif)
    )


def _read_other(path: Path, data: bytes, options: ReadOptions) -> Picture:
    with open_image(data, options) as file:
        count = getattr(file, "n_frames", 1)
        if count > 1:
            log.warning("%s: has %d pictures; the first one is taken", path.name, count)
        icc = file.info.get("icc_profile")
        exif = _exif(file)
        deep = _deep(data, options)
        signal = deep if deep is not None else _shallow(file)
    profile = _png_cicp(data) or profile_from_icc(icc)
    return Picture(
        signal=signal, profile=profile, icc=icc, exif=exif, orientation=read_orientation(exif)
    )


def _exif(file: Any) -> bytes | None:
    raw = file.info.get("exif")
    if raw is None:
        tags = file.getexif()
        if file.format == "TIFF":
            # The directory describes the TIFF itself, too: its layout is no metadata of the photo.
            for tag in set(tags) - TIFF_TAGS_OF_EXIF:
                del tags[tag]
        raw = tags.tobytes() if tags else None
    return raw.removeprefix(b"Exif\0\0") if raw else None


def _shallow(file: Any) -> Signal:
    if file.mode not in MODES:
        raise MediaError(f"pictures of mode {file.mode} are not supported; save it as RGB")
    return as_rgb(np.asarray(file.convert("RGB")))


def _deep(data: bytes, options: ReadOptions) -> Signal | None:
    """Decode a picture of 16 bits, which Pillow would cut to 8; None for one of 8."""
    codecs = load("imagecodecs", "imagecodecs")
    if data.startswith(PNG_SIGNATURE):
        return as_rgb(codecs.png_decode(data)) if data[24] == 16 else None
    if data[:2] in (b"II", b"MM"):
        with open_tiff(data, options) as page:
            # Gray with white or black at zero, and RGB.
            if page.dtype != np.uint16 or page.photometric > 2 or len(page.shape) > 3:
                return None
            pixels = to_16_bits(page.asarray(), page.bitspersample)
            if page.photometric == 0:
                pixels = 65535 - pixels
            if pixels.ndim == 3 and page.planarconfig == 2:
                pixels = np.moveaxis(pixels, 0, -1)
            return as_rgb(pixels)
    return None


def _png_cicp(data: bytes) -> ColorProfile | None:
    """Return the color of a PNG's cICP chunk, which outranks a profile (PNG 3, clause 13.12)."""
    position = 8
    for _ in range(MAX_CHUNKS if data.startswith(PNG_SIGNATURE) else 0):
        if position + 12 > len(data):
            break
        (length,) = struct.unpack_from(">I", data, position)
        kind = data[position + 4 : position + 8]
        if kind == b"cICP" and length == 4:
            return profile_from_h273(data[position + 8], data[position + 9])
        if kind in (b"IDAT", b"IEND"):
            break
        position += 12 + length
    return None

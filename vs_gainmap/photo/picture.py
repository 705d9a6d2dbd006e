"""Read ordinary pictures: JPEG, PNG, TIFF, WebP, HEIC and AVIF, in 8 or 16 bits.

Sizes are checked on the header, before any pixel is decoded. Pixels stay as stored: the
orientation is handed on, not applied.
"""

from __future__ import annotations

import io
import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from vs_gainmap.errors import MediaError, MetadataError
from vs_gainmap.photo.bmff import is_bmff, read_items
from vs_gainmap.photo.ifd import read_orientation, reset_orientation
from vs_gainmap.photo.jpeg import APP0, APP14, JpegImage, parse_jpeg
from vs_gainmap.photo.optional import load
from vs_gainmap.photo.profile import (
    ColorProfile,
    Signal,
    profile_from_h273,
    profile_from_icc,
)

# The largest sensors of phones have 200 million pixels; no file is larger than this for good.
MAX_PIXELS = 1 << 28
MAX_FILE_BYTES = 1 << 30
# A block of 8x8 takes one bit at the very least; a header that says more is a bomb.
MAX_PIXELS_PER_BYTE = 1024
# CIPA DC-008, table 3: description, make, model, orientation, resolution, software, date, artist,
# copyright, and the two directories of EXIF and GPS.
TIFF_TAGS_OF_EXIF = frozenset(
    (270, 271, 272, 274, 282, 283, 296, 305, 306, 315, 33432, 0x8769, 0x8825)
)
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
BAND_ROWS = 256

Sampling = Literal["libultrahdr", "smooth"]
"""How samples that a photo stores at less than its size are read: chroma, and a small map.

"libultrahdr" repeats that decoder: a chroma sample stands for all of its pixels, nothing is
rounded to 8-bit RGB, and the map is weighted by inverse distance with the first samples of map
and picture aligned, which shifts it by half a cell. "smooth" is what Chrome and Android draw:
chroma through libjpeg's filter, the map bilinear with the edges aligned, as encoders average.
"""

# What decoders raise on damaged data; anything else is a fault of ours.
DECODE_ERRORS = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    EOFError,
    OverflowError,
    RuntimeError,
    struct.error,
)


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


def read_file(path: Path) -> bytes:
    """Return a file's bytes.

    Raises:
        MediaError: it can't be read, or is larger than any photo.
    """
    try:
        size = path.stat().st_size
        if size > MAX_FILE_BYTES:
            raise MediaError(f"{path.name}: {size} bytes, more than any photo has")
        return path.read_bytes()
    except OSError as error:
        raise MediaError(f"{path}: {error.strerror or error}") from error


@contextmanager
def naming(path: Path, *, decoding: bool = True) -> Iterator[None]:
    """Put the file's name before what goes wrong inside.

    Args:
        path: the file.
        decoding: nothing but reading happens inside, so that what decoders raise is the file's
            fault, and becomes a `MediaError`.
    """
    try:
        yield
    except DECODE_ERRORS as error:
        if not decoding:
            raise
        reason = " ".join(str(error).split())[:100]
        raise MediaError(f"{path.name}: damaged: {reason}") from error
    except (MediaError, MetadataError) as error:
        if path.name in str(error):
            raise
        raise type(error)(f"{path.name}: {error}") from error


def check_size(width: int, height: int) -> None:
    """Refuse a picture too large to decode.

    Raises:
        MediaError: no pixels, or more than `MAX_PIXELS`.
    """
    if width < 1 or height < 1 or width * height > MAX_PIXELS:
        raise MediaError(f"picture of {width}x{height}: more than {MAX_PIXELS >> 20} Mi pixels")


def decode_jpeg(image: JpegImage, sampling: Sampling = "smooth") -> Signal:
    """Decode one JPEG stream.

    Args:
        image: the stream.
        sampling: how chroma is read between its samples.

    Returns:
        (H, W, 3) or, where it has one component, (H, W, 1); 16 bits in color with the
        sampling of libultrahdr, else 8.

    Raises:
        MediaError: too large, truncated, damaged, or CMYK.
    """
    check_size(image.width, image.height)
    if image.width * image.height > MAX_PIXELS_PER_BYTE * (image.end - image.start):
        raise MediaError(f"damaged JPEG: {image.width}x{image.height} can't come of its few bytes")
    if image.components not in (1, 3):
        raise MediaError(f"JPEG of {image.components} components: only gray and color work")
    repeat = sampling == "libultrahdr" and _is_ycbcr(image)
    try:
        pixels = _decode_repeated(image) if repeat else _decode_filtered(image)
    except DECODE_ERRORS as error:
        raise MediaError(f"damaged JPEG: {str(error)[:100]}") from error
    if pixels.shape[:2] != (image.height, image.width):
        raise MediaError("damaged JPEG: the decoded size is not that of its header")
    return np.atleast_3d(pixels)


def _is_ycbcr(image: JpegImage) -> bool:
    """Say whether three components are Y'CbCr, as libjpeg tells it from markers and names."""
    if image.components != 3:
        return False
    markers = {segment.marker for segment in image.segments}
    adobe = image.payload(APP14, b"Adobe")
    if APP0 in markers and image.payload(APP0, b"JFIF\0") is not None:
        return True
    if adobe is not None and len(adobe) >= 7:
        return adobe[6] != 0
    return image.component_names != b"RGB"


def _decode_filtered(image: JpegImage) -> NDArray[np.uint8]:
    plugin = load("PIL.JpegImagePlugin", "pillow")
    # The class itself: Image.open would follow MPF offsets.
    with plugin.JpegImageFile(io.BytesIO(image.bare)) as file:
        return np.asarray(file.convert("L" if image.components == 1 else "RGB"))


def _decode_repeated(image: JpegImage) -> NDArray[np.uint16]:
    codecs = load("imagecodecs", "imagecodecs")
    coded = codecs.jpeg8_decode(image.bare, outcolorspace="YCBCR", fancyupsampling=False)
    out = np.empty(coded.shape, dtype=np.uint16)
    for start in range(0, coded.shape[0], BAND_ROWS):
        y, cb, cr = np.moveaxis(coded[start : start + BAND_ROWS].astype(np.float32), -1, 0)
        cb, cr = cb - 128, cr - 128
        # ITU-T T.871, clause 7.
        rgb = np.stack([y + 1.402 * cr, y - 0.344136 * cb - 0.714136 * cr, y + 1.772 * cb], -1)
        out[start : start + BAND_ROWS] = (rgb.clip(0, 255) * 257).round()
    return out


def as_bytes(signal: Signal) -> NDArray[np.uint8]:
    """Round a picture to 8 bits."""
    if signal.dtype == np.uint8:
        return np.ascontiguousarray(signal).astype(np.uint8, copy=False)
    return ((signal.astype(np.uint32) + 128) // 257).astype(np.uint8)


def read_picture(
    path: Path, data: bytes | None = None, *, sampling: Sampling = "libultrahdr"
) -> Picture:
    """Read an ordinary picture.

    Args:
        path: the file.
        data: its content, where it was read already.
        sampling: how a JPEG's chroma is read.

    Raises:
        MediaError: can't be read, too large, damaged, or of a kind that is not supported.
    """
    data = read_file(path) if data is None else data
    with naming(path):
        if data[:3] == b"\xff\xd8\xff":
            return _read_jpeg(data, sampling)
        if is_bmff(data):
            return read_bmff(data)
        return _read_other(data)


def _rgb(pixels: NDArray[Any]) -> Signal:
    """Bring decoded pixels to (H, W, 3): gray becomes color, alpha is left out."""
    if pixels.dtype == np.bool_:
        pixels = pixels.astype(np.uint8) * 255
    if pixels.dtype not in (np.uint8, np.uint16):
        raise MediaError(f"pixels of type {pixels.dtype}: only 8 and 16 bits work")
    pixels = np.atleast_3d(pixels)
    if pixels.ndim != 3 or pixels.shape[2] not in (1, 2, 3, 4):
        raise MediaError(f"pixels of shape {pixels.shape}: neither gray nor color")
    if pixels.shape[2] < 3:
        return np.repeat(pixels[..., :1], 3, axis=2)
    return pixels[..., :3]


def _read_jpeg(data: bytes, sampling: Sampling) -> Picture:
    image = parse_jpeg(data)
    return Picture(
        signal=_rgb(decode_jpeg(image, sampling)),
        profile=profile_from_icc(image.icc),
        icc=image.icc,
        exif=image.exif,
        orientation=read_orientation(image.exif),
        jpeg=image,
    )


def decode_bmff(data: bytes) -> tuple[Signal, dict[str, Any]]:
    """Decode the primary item of an AVIF or HEIC file.

    Returns:
        The pixels, (H, W, 3), at 8 or 16 bits, and the library's ``info``. HEIC comes upright;
        AVIF as stored, with its turns as the orientation in EXIF.
    """
    if _is_avif(data):
        return _decode_avif(data)
    heif = load("pillow_heif", "pillow-heif")
    file = heif.open_heif(data, convert_hdr_to_8bit=False)
    check_size(*file.size)
    return _rgb(np.asarray(file)), dict(file.info)


@contextmanager
def _opened(data: bytes, *formats: str) -> Iterator[Any]:
    """Open a picture with Pillow, its size checked.

    Raises:
        MediaError: none of these formats, or too large, for us or for Pillow.
    """
    image = load("PIL.Image", "pillow")
    with warnings.catch_warnings():
        # Limits are errors here; Pillow's warnings about large pictures and odd tags say nothing.
        warnings.simplefilter("ignore")
        try:
            with image.open(io.BytesIO(data), formats=list(formats)) as file:
                check_size(*file.size)
                yield file
        except image.DecompressionBombError as error:
            raise MediaError(str(error)) from error
        except image.UnidentifiedImageError as error:
            raise MediaError("not a picture that can be read here") from error


def _is_avif(data: bytes) -> bool:
    return b"avi" in data[8:64]


def _decode_avif(data: bytes) -> tuple[Signal, dict[str, Any]]:
    with _opened(data, "AVIF") as file:
        info = dict(file.info)
        pixels = np.asarray(file.convert("RGB"))
    deep = load("imagecodecs", "imagecodecs").avif_decode(data)
    # Pillow gives 8 bits alone; neither library applies the file's turns.
    if deep.dtype == np.uint16 and deep.shape[:2] == pixels.shape[:2]:
        depth = 10 if int(deep.max()) < 1024 else 12
        codes = deep.astype(np.uint32) * 65535 // ((1 << depth) - 1)
        return _rgb(codes.astype(np.uint16)), info
    return pixels, info


def read_bmff(data: bytes) -> Picture:
    """Read AVIF or HEIC."""
    signal, info = decode_bmff(data)
    icc, exif = info.get("icc_profile"), info.get("exif")
    if exif and exif.startswith(b"Exif\0\0"):
        exif = exif[6:]
    items = read_items(data)
    color = items.color_of(items.primary)
    profile = profile_from_icc(icc) if icc or color is None else profile_from_h273(*color)
    if not _is_avif(data):
        exif = reset_orientation(exif)
    return Picture(
        signal=signal, profile=profile, icc=icc, exif=exif, orientation=read_orientation(exif)
    )


def _read_other(data: bytes) -> Picture:
    with _opened(data, "PNG", "TIFF", "WEBP") as file:
        icc = file.info.get("icc_profile")
        exif = _exif(file)
        deep = _deep(data)
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
            # The directory is the file's own: what says how its pixels lie stays behind.
            for tag in set(tags) - TIFF_TAGS_OF_EXIF:
                del tags[tag]
        raw = tags.tobytes() if tags else None
    return raw.removeprefix(b"Exif\0\0") if raw else None


def _shallow(file: Any) -> Signal:
    if file.mode in ("F", "I", "CMYK", "LAB", "YCbCr"):
        raise MediaError(f"pictures of mode {file.mode} are not supported; save it as RGB")
    return _rgb(np.asarray(file.convert("RGB")))


def _deep(data: bytes) -> Signal | None:
    """Decode a picture of 16 bits, which Pillow would cut to 8; None for one of 8."""
    codecs = load("imagecodecs", "imagecodecs")
    if data.startswith(PNG_SIGNATURE):
        return _rgb(codecs.png_decode(data)) if data[24] == 16 else None
    if data[:2] in (b"II", b"MM"):
        tifffile = load("tifffile", "tifffile")
        with tifffile.TiffFile(io.BytesIO(data)) as file:
            page = file.pages[0]
            if page.dtype != np.uint16 or page.photometric not in (1, 2) or len(page.shape) > 3:
                return None
            pixels = page.asarray()
            if pixels.ndim == 3 and page.planarconfig == 2:
                pixels = np.moveaxis(pixels, 0, -1)
            return _rgb(pixels)
    return None


def _png_cicp(data: bytes) -> ColorProfile | None:
    """Return what a PNG's cICP chunk says, which outranks a profile (PNG 3, clause 13.12)."""
    position = 8
    while data.startswith(PNG_SIGNATURE) and position + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, position)
        kind = data[position + 4 : position + 8]
        if kind == b"cICP" and length == 4:
            return profile_from_h273(data[position + 8], data[position + 9])
        if kind in (b"IDAT", b"IEND"):
            return None
        position += 12 + length
    return None

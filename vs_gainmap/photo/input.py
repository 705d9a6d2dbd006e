"""What every reader shares: options, limits of files and sizes, and errors that name the file."""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vs_gainmap.errors import GainMapError, MediaError
from vs_gainmap.extras import load
from vs_gainmap.photo.options import ReadOptions

# The largest phones' and studio cameras' pictures in one piece have 50 to 108 million pixels.
MAX_PIXELS = 1 << 27
# Smaller pictures take little memory whatever they are; of a larger one a photo's file has more
# bytes than this, and a decompression bomb's has fewer.
FREE_PIXELS = 1 << 24
MAX_PIXELS_PER_BYTE = 128
MAX_FILE_BYTES = 1 << 30
# What a conversion takes at its peak.
MEMORY_PER_PIXEL = 48
BAND_ROWS = 256

# How files begin, or what follows four bytes; the module of Pillow, and its class.
PLUGINS = (
    (b"\x89PNG", "PngImagePlugin", "PngImageFile"),
    (b"II", "TiffImagePlugin", "TiffImageFile"),
    (b"MM", "TiffImagePlugin", "TiffImageFile"),
    (b"RIFF", "WebPImagePlugin", "WebPImageFile"),
    (b"ftyp", "AvifImagePlugin", "AvifImageFile"),
)

Signal = NDArray[np.uint8] | NDArray[np.uint16]
"""Code values, full range."""

DEFAULTS = ReadOptions()


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Put the file's name before what goes wrong inside.

    Raises:
        GainMapError: the same one, with the name; `MediaError` for one of the system's.
    """
    try:
        yield
    except OSError as error:
        raise MediaError(f"{path}: {error.strerror or error}") from error
    except GainMapError as error:
        if path.name in str(error):
            raise
        raise type(error)(f"{path.name}: {error}") from error


@contextmanager
def decoding(path: Path) -> Iterator[None]:
    """Turn whatever decoders raise on a file's content into one line that names the file.

    Libraries raise anything on damaged data. So nothing but reading belongs inside.

    Raises:
        GainMapError: ours, with the name; `MediaError` for all others.
    """
    with naming(path):
        try:
            yield
        except GainMapError:
            raise
        except Exception as error:
            reason = " ".join(str(error).split())[:100] or type(error).__name__
            raise MediaError(f"damaged: {reason}") from error


def check_size(width: int, height: int, stored: int, options: ReadOptions = DEFAULTS) -> None:
    """Refuse a picture too large to decode.

    Args:
        width: in pixels.
        height: in pixels.
        stored: bytes that it is coded in.
        options: may allow more.

    Raises:
        MediaError: no pixels, more than `MAX_PIXELS`, or more than a photo has for its bytes.
    """
    pixels = width * height
    if width < 1 or height < 1:
        raise MediaError(f"picture of {width}x{height}: no pixels")
    if options.max_pixels is not None:
        most = options.max_pixels
    else:
        most = min(MAX_PIXELS, max(FREE_PIXELS, MAX_PIXELS_PER_BYTE * stored))
    if pixels > most:
        why = "" if most == MAX_PIXELS or options.max_pixels else f" in {stored} bytes"
        raise MediaError(
            f"picture of {width}x{height}{why}: more than {most / 1e6:.3g} million pixels; "
            f"--max-pixels {pixels} (max_pixels) allows it, which may take "
            f"{max(pixels * MEMORY_PER_PIXEL / 1e9, 1):.0f} GB of memory"
        )


@contextmanager
def open_tiff(data: bytes, options: ReadOptions) -> Iterator[Any]:
    """Open the first page of a TIFF with tifffile, its size checked.

    Raises:
        MediaError: too many pixels, or of more than four samples.
    """
    tifffile = load("tifffile", "tifffile")
    log = logging.getLogger("tifffile")
    level = log.level
    # What it logs of damaged files ends up in our error, or is of no consequence.
    log.setLevel(logging.CRITICAL)
    try:
        with tifffile.TiffFile(io.BytesIO(data)) as file:
            page = file.pages[0]
            check_size(page.imagewidth, page.imagelength, len(data), options)
            if page.samplesperpixel > 4 or page.imagedepth > 1:
                samples = page.samplesperpixel
                raise MediaError(f"TIFF of {samples} samples a pixel: neither gray nor color")
            yield page
    finally:
        log.setLevel(level)


@contextmanager
def open_image(data: bytes, options: ReadOptions) -> Iterator[Any]:
    """Open a PNG, TIFF, WebP or AVIF with Pillow, its size checked.

    Raises:
        MediaError: none of these, or too large.
    """
    found = next(
        (kind for start, *kind in PLUGINS if start in (data[:2], data[:4], data[4:8])), None
    )
    if found is None:
        raise MediaError("not a picture that can be read here")
    module, name = found
    # The class itself: Image.open has a limit of its own, for the whole process.
    reader = getattr(load(f"PIL.{module}", "pillow"), name)
    with warnings.catch_warnings():
        # Pillow's warnings about odd tags are of no use to a user.
        warnings.simplefilter("ignore")
        try:
            file = reader(io.BytesIO(data))
        except SyntaxError as error:
            raise MediaError(f"not a picture that can be read here: {error}") from error
        with file:
            width, height = file.size
            check_size(width, height, len(data), options)
            yield file


def bands(height: int, rows: int = BAND_ROWS) -> Iterator[tuple[int, int]]:
    """Yield first row and end of bands that bound the memory of what is done with them."""
    for start in range(0, height, rows):
        yield start, min(start + rows, height)


def as_rgb(pixels: NDArray[Any]) -> Signal:
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


def to_16_bits(codes: Signal, depth: int, *, unit: int = 1) -> Signal:
    """Spread codes of so many bits, each a multiple of `unit`, over the whole of 16."""
    most = ((1 << depth) - 1) * unit
    return (codes.astype(np.uint32) * 65535 // most).astype(np.uint16)


def as_bytes(signal: Signal) -> NDArray[np.uint8]:
    """Round a picture to 8 bits."""
    if signal.dtype == np.uint8:
        return np.ascontiguousarray(signal).astype(np.uint8, copy=False)
    return ((signal.astype(np.uint32) + 128) // 257).astype(np.uint8)

"""What every reader shares: files and sizes that are refused, and errors that name the file."""

from __future__ import annotations

import io
import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from vs_gainmap.errors import MediaError, MetadataError
from vs_gainmap.photo.optional import load

# The largest sensors of phones have 200 million pixels; no file is larger than this for good.
MAX_PIXELS = 1 << 28
MAX_FILE_BYTES = 1 << 30
# A block of 8x8 takes one bit at the very least; a header that says more is a bomb.
MAX_PIXELS_PER_BYTE = 1024
BAND_ROWS = 256

Signal = NDArray[np.uint8] | NDArray[np.uint16]
"""Code values, full range."""

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


@contextmanager
def open_image(data: bytes, *formats: str) -> Iterator[Any]:
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


def as_bytes(signal: Signal) -> NDArray[np.uint8]:
    """Round a picture to 8 bits."""
    if signal.dtype == np.uint8:
        return np.ascontiguousarray(signal).astype(np.uint8, copy=False)
    return ((signal.astype(np.uint32) + 128) // 257).astype(np.uint8)

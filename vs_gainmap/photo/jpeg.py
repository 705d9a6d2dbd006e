"""Walk the structure of a JPEG file: segments, the end of each image, images behind the first.

No pixel is decoded here. Offsets that a file states are never trusted: an image is where a
start-of-image marker opens a stream that can be walked to its end.
"""

from __future__ import annotations

import io
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vs_gainmap.errors import MediaError
from vs_gainmap.extras import load
from vs_gainmap.photo.ifd import read_header, read_ifd
from vs_gainmap.photo.input import DEFAULTS, Signal, bands, check_size
from vs_gainmap.photo.options import ReadOptions

SOI, EOI, SOS = 0xD8, 0xD9, 0xDA
APP0, APP1, APP2, APP14, APP15, COM = 0xE0, 0xE1, 0xE2, 0xEE, 0xEF, 0xFE
# SOF0..SOF15 without DHT (C4), JPG (C8) and DAC (CC): ITU-T T.81, table B.1.
START_OF_FRAME = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}

EXIF = b"Exif\0\0"
XMP = b"http://ns.adobe.com/xap/1.0/\0"
ICC = b"ICC_PROFILE\0"
MPF = b"MPF\0"
ISO_21496 = b"urn:iso:std:iso:ts:21496:-1\0"

# CIPA DC-007, table 3: the MP entries, 16 bytes an image.
MP_ENTRY = 0xB002
MAX_IMAGES = 16
MAX_SEGMENTS = 4096
# Real progressive files have about ten; a thousand scans of a huge picture decode for minutes.
MAX_SCANS = 64
MAX_ICC = 4 << 20
# Horizontal and vertical sampling factors of Y', Cb and Cr.
LAYOUTS: dict[tuple[tuple[int, int], ...], str] = {
    ((1, 1), (1, 1), (1, 1)): "4:4:4",
    ((2, 1), (1, 1), (1, 1)): "4:2:2",
    ((2, 2), (1, 1), (1, 1)): "4:2:0",
    ((1, 2), (1, 1), (1, 1)): "4:4:0",
    ((4, 1), (1, 1), (1, 1)): "4:1:1",
}

# A marker may have fill bytes before it (ITU-T T.81, B.1.1.2). In entropy-coded data 0xFF is
# followed by 0 (stuffing) or a restart marker; else it ends there. Searching for one 0xFF alone
# takes linear time, whatever the fill.
_NEXT_MARKER = re.compile(rb"\xff+([^\x00\xd0-\xd7\xff])")
_MARKER = re.compile(rb"\xff([^\x00\xd0-\xd7\xff])")


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """A marker segment; offsets count from the beginning of the file."""

    marker: int
    start: int
    payload_start: int
    end: int


@dataclass(frozen=True, slots=True, kw_only=True)
class JpegImage:
    """One JPEG stream in a file: from `start` (SOI) to `end`, behind its EOI."""

    data: bytes
    start: int
    end: int
    segments: tuple[Segment, ...]
    """Everything before the first scan."""
    width: int
    height: int
    component_names: bytes
    """One byte each, as the frame header has them."""
    samplings: bytes
    """One byte each: horizontal factor in the upper four bits, vertical in the lower."""

    @property
    def components(self) -> int:
        """Return how many components there are."""
        return len(self.component_names)

    @property
    def is_ycbcr(self) -> bool:
        """Return whether three components are Y'CbCr, by libjpeg's rule of markers and names."""
        if self.components != 3:
            return False
        if self.payload(APP0, b"JFIF\0") is not None:
            return True
        adobe = self.payload(APP14, b"Adobe")
        if adobe is not None and len(adobe) >= 7:
            return adobe[6] != 0
        return self.component_names != b"RGB"

    @property
    def layout(self) -> str:
        """Return the name of components and sampling: gray, RGB, 4:2:0, or in factors."""
        if self.components == 1:
            return "gray"
        if self.components == 3 and not self.is_ycbcr:
            return "RGB"
        factors = tuple((code >> 4, code & 15) for code in self.samplings)
        return LAYOUTS.get(factors, "x".join(f"{h}:{v}" for h, v in factors))

    @property
    def stream(self) -> bytes:
        """Return the bytes of this image alone."""
        return self.data[self.start : self.end]

    @property
    def bare(self) -> bytes:
        """Return the stream with no more than a decoder needs: of APP segments JFIF and Adobe."""
        parts = [
            self.data[segment.start : segment.end]
            for segment in self.segments
            if segment.marker in (APP0, APP14)
            or not (APP0 <= segment.marker <= APP15 or segment.marker == COM)
        ]
        return b"".join((b"\xff\xd8", *parts, self.data[self.segments[-1].end : self.end]))

    def payloads(self, marker: int, prefix: bytes) -> list[bytes]:
        """Return what follows `prefix` in each segment of that marker that begins with it."""
        return [
            self.data[segment.payload_start + len(prefix) : segment.end]
            for segment in self.segments
            if segment.marker == marker and self.data.startswith(prefix, segment.payload_start)
        ]

    def payload(self, marker: int, prefix: bytes) -> bytes | None:
        """Return the first of `payloads`."""
        found = self.payloads(marker, prefix)
        return found[0] if found else None

    @property
    def exif(self) -> bytes | None:
        """Return EXIF as TIFF data."""
        return self.payload(APP1, EXIF)

    @property
    def xmp(self) -> bytes | None:
        """Return the main XMP packet."""
        return self.payload(APP1, XMP)

    @property
    def iso_metadata(self) -> bytes | None:
        """Return the binary gain map metadata of ISO 21496-1, or its version alone."""
        return self.payload(APP2, ISO_21496)

    @property
    def icc(self) -> bytes | None:
        """Return the ICC profile, its chunks joined (ICC.1:2022, annex B.4)."""
        chunks = sorted(c for c in self.payloads(APP2, ICC) if len(c) > 2)
        profile = b"".join(chunk[2:] for chunk in chunks)
        return profile if 128 <= len(profile) <= MAX_ICC else None


def parse_jpeg(data: bytes, start: int = 0) -> JpegImage:
    """Walk one JPEG stream from its SOI to its EOI.

    Args:
        data: the file.
        start: where the SOI is expected.

    Raises:
        MediaError: no JPEG there, a damaged structure, or an end that is missing.
    """
    if data[start : start + 3] != b"\xff\xd8\xff":
        raise MediaError("not a JPEG: it does not begin with FF D8 FF")
    segments: list[Segment] = []
    frame: tuple[int, int, bytes, bytes] | None = None
    position = start + 2
    while True:
        found = _NEXT_MARKER.match(data, position)
        if found is None or len(segments) >= MAX_SEGMENTS:
            raise MediaError(f"damaged JPEG: no marker at byte {position}")
        marker, position = found[1][0], found.end()
        if marker == EOI:
            raise MediaError("damaged JPEG: it ends before its first scan")
        end = _segment_end(data, position)
        segment = Segment(marker=marker, start=found.start(), payload_start=position + 2, end=end)
        segments.append(segment)
        position = end
        if marker in START_OF_FRAME:
            frame = _frame(data[segment.payload_start : end])
        if marker == SOS:
            break
    if frame is None:
        raise MediaError("damaged JPEG: no frame header before the first scan")
    width, height, names, samplings = frame
    return JpegImage(
        data=data,
        start=start,
        end=_find_end(data, position),
        segments=tuple(segments),
        width=width,
        height=height,
        component_names=names,
        samplings=samplings,
    )


def _segment_end(data: bytes, position: int) -> int:
    if position + 2 > len(data):
        raise MediaError("truncated JPEG: it ends within a segment")
    (length,) = struct.unpack_from(">H", data, position)
    if length < 2 or position + length > len(data):
        raise MediaError(f"truncated JPEG: the segment at byte {position} leaves the file")
    return position + int(length)


def _frame(payload: bytes) -> tuple[int, int, bytes, bytes]:
    if len(payload) < 6:
        raise MediaError("damaged JPEG: short frame header")
    depth, height, width, components = struct.unpack_from(">BHHB", payload)
    if not (width and height and components):
        raise MediaError(f"damaged JPEG: the frame header has {width}x{height}")
    if depth != 8:
        raise MediaError(f"JPEG of {depth} bits: only 8 work")
    names, samplings = payload[6::3], payload[7::3]
    if len(names) != components or len(samplings) != components:
        raise MediaError(f"damaged JPEG: {components} components, but {len(names)} described")
    return width, height, names, samplings


def _find_end(data: bytes, position: int) -> int:
    """Return the offset behind EOI, past every scan of a progressive file."""
    for _ in range(4 * MAX_SCANS):
        found = _MARKER.search(data, position)
        if found is None:
            raise MediaError("truncated JPEG: no end-of-image marker")
        if found[1][0] == EOI:
            return found.end()
        if found[1][0] == SOI:
            raise MediaError("damaged JPEG: another image begins inside it")
        position = _segment_end(data, found.end())
    raise MediaError(f"damaged JPEG: more than {MAX_SCANS} scans")


def appended_images(first: JpegImage) -> Iterator[JpegImage]:
    """Yield the images behind the first: those that MPF names, then any found by search.

    An offset of MPF is used only where a whole JPEG begins; after that the file is searched from
    the end of its first image on.
    """
    tried = {first.start}
    for offset in _mpf_offsets(first):
        image = _try_parse(first.data, offset) if offset not in tried else None
        tried.add(offset)
        if image is not None:
            yield image
    position = first.end
    for _ in range(MAX_IMAGES):
        position = first.data.find(b"\xff\xd8\xff", position)
        if position < 0:
            return
        image = _try_parse(first.data, position)
        if image is not None and position not in tried:
            yield image
        position = image.end if image is not None else position + 3


def trailer(first: JpegImage) -> bytes:
    """Return what stands behind a photo's pictures, such as a motion photo's clip.

    Pictures that MPF names, and what is between them, do not count.
    """
    end = first.end
    for offset in _mpf_offsets(first):
        image = _try_parse(first.data, offset)
        if image is not None:
            end = max(end, image.end)
    return first.data[end:]


def with_coded_data(image: JpegImage, coded: bytes) -> JpegImage:
    """Return a photo with other coded data: its metadata and what stands behind its pictures stay.

    Args:
        image: the photo.
        coded: a JPEG in color, of no metadata.
    """
    plain = parse_jpeg(coded)
    left_out = (MPF, ICC) if image.components == 1 else (MPF,)
    kept = [
        image.data[one.start : one.end]
        for one in image.segments
        if APP0 < one.marker <= APP15
        and one.marker != APP14
        and not image.data.startswith(left_out, one.payload_start)
    ]
    head = plain.segments[0].end
    return parse_jpeg(b"".join((plain.data[:head], *kept, plain.data[head:], trailer(image))))


def _try_parse(data: bytes, start: int) -> JpegImage | None:
    try:
        return parse_jpeg(data, start)
    except MediaError:
        return None


def _mpf_offsets(image: JpegImage) -> list[int]:
    """Return the offsets of further images by MPF (CIPA DC-007, clause 5.2.3)."""
    for segment in image.segments:
        if segment.marker != APP2 or not image.data.startswith(MPF, segment.payload_start):
            continue
        base = segment.payload_start + len(MPF)
        index = image.data[base : segment.end]
        header = read_header(index)
        field = read_ifd(index, header[1], header[0]).get(MP_ENTRY) if header else None
        if field is None:
            continue
        entries = [field.value[i : i + 16] for i in range(0, len(field.value) - 15, 16)]
        offsets = [struct.unpack(f"{field.order}I", e[8:12])[0] for e in entries[:MAX_IMAGES]]
        return [base + offset for offset in offsets if offset]
    return []


def decode_jpeg(image: JpegImage, options: ReadOptions = DEFAULTS) -> Signal:
    """Decode one JPEG stream.

    Args:
        image: the stream.
        options: how chroma is read between its samples, and the largest size.

    Returns:
        (H, W, 3) or, where it has one component, (H, W, 1); 16 bits in color with the
        sampling of libultrahdr, else 8.

    Raises:
        MediaError: too large, truncated, damaged, or CMYK.
    """
    check_size(image.width, image.height, image.end - image.start, options)
    if image.components not in (1, 3):
        raise MediaError(f"JPEG of {image.components} components: only gray and color work")
    repeat = options.sampling == "libultrahdr" and image.is_ycbcr
    pixels = _decode_repeated(image) if repeat else _decode_filtered(image)
    if pixels.shape[:2] != (image.height, image.width):
        raise MediaError("damaged JPEG: the decoded size is not that of its header")
    return np.atleast_3d(pixels)


def _decode_filtered(image: JpegImage) -> NDArray[np.uint8]:
    plugin = load("PIL.JpegImagePlugin", "pillow")
    # The class itself: Image.open would follow MPF offsets.
    with plugin.JpegImageFile(io.BytesIO(image.bare)) as file:
        return np.asarray(file.convert("L" if image.components == 1 else "RGB"))


def _decode_repeated(image: JpegImage) -> NDArray[np.uint16]:
    codecs = load("imagecodecs", "imagecodecs")
    coded = codecs.jpeg8_decode(image.bare, outcolorspace="YCBCR", fancyupsampling=False)
    out = np.empty(coded.shape, dtype=np.uint16)
    for start, stop in bands(coded.shape[0]):
        y, cb, cr = np.moveaxis(coded[start:stop].astype(np.float32), -1, 0)
        cb, cr = cb - 128, cr - 128
        # ITU-T T.871, clause 7.
        rgb = np.stack([y + 1.402 * cr, y - 0.344136 * cb - 0.714136 * cr, y + 1.772 * cb], -1)
        out[start:stop] = (rgb.clip(0, 255) * 257).round()
    return out


def segment(marker: int, payload: bytes) -> bytes:
    """Return a marker segment.

    Raises:
        MediaError: longer than a segment can be.
    """
    if len(payload) > 65533:
        raise MediaError(f"JPEG: a segment can't hold {len(payload)} bytes")
    return struct.pack(">BBH", 0xFF, marker, len(payload) + 2) + payload

"""Just enough EBML (RFC 8794) to read and write a Matroska header (RFC 9559)."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from fractions import Fraction
from typing import BinaryIO

import av
from av.video.stream import VideoStream

from vs_gainmap.errors import MediaError
from vs_gainmap.hdr10 import ContentLight, MasteringDisplay
from vs_gainmap.video.hdr_metadata import hevc

# RFC 9559, section 27.1: element IDs.
SEGMENT = 0x18538067
INFO = 0x1549A966
TRACKS = 0x1654AE6B
TRACK_ENTRY = 0xAE
CODEC_PRIVATE = 0x63A2
VIDEO = 0xE0
COLOUR = 0x55B0
CLUSTER = 0x1F43B675
TIMESTAMP = 0xE7
MAX_CLL = 0x55BC
MAX_FALL = 0x55BD
MASTERING_METADATA = 0x55D0
NAME = 0x536E
DISPLAY_WIDTH = 0x54B0
DISPLAY_HEIGHT = 0x54BA
DISPLAY_UNIT = 0x54B2
STEREO_MODE = 0x53B8
# In the order of FFmpeg's side data.
PIXEL_CROP = {"top": 0x54BB, "bottom": 0x54AA, "left": 0x54CC, "right": 0x54DD}
VOID = 0xEC
# Chromaticities of R, G, B and white (x, y), then the maximum and the minimum in cd/m2.
MASTERING_VALUES = range(0x55D1, 0x55DB)
# Longer than DisplayWidth and DisplayHeight together; see `finish_matroska`.
_PLACEHOLDER = "vs-gainmap:" + "_" * 9


def spans(data: bytes, start: int, end: int | None = None) -> Iterator[tuple[int, int, int]]:
    """Yield ID, begin and end of the payload of the elements in a row.

    An unknown size, or one beyond the data, runs to the end of the data.
    """
    at = start
    stop = len(data) if end is None else end
    while at < stop:
        kind, _, at = _vint(data, at, marker=True)
        size, unknown, at = _vint(data, at, marker=False)
        after = stop if unknown else min(at + size, stop)
        yield kind, at, after
        at = after


def elements(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield ID and payload of the elements in a row."""
    for kind, start, end in spans(data, 0):
        yield kind, data[start:end]


def element(kind: int, payload: bytes) -> bytes:
    """Return an element; its size is coded as short as can be."""
    length = 1
    # All ones is the reserved "unknown".
    while len(payload) >= (1 << 7 * length) - 1:
        length += 1
    size = len(payload) | 1 << 7 * length
    return uint(kind) + size.to_bytes(length, "big") + payload


def uint(value: int) -> bytes:
    """Return an unsigned integer in as few bytes as it takes, at least one."""
    return value.to_bytes(max((value.bit_length() + 7) // 8, 1), "big")


def void(size: int) -> bytes:
    """Return an element of filler that takes exactly `size` bytes.

    Raises:
        MediaError: there are too few bytes for an element.
    """
    if size == 0:
        return b""
    if size < 9:
        if size < 2:
            raise MediaError("Matroska: no room in the header")
        return bytes([VOID, 0x80 | size - 2]) + bytes(size - 2)
    return bytes([VOID]) + (size - 9 | 1 << 56).to_bytes(8, "big") + bytes(size - 9)


def rewrite(data: bytes, path: tuple[int, ...], change: Callable[[bytes], bytes]) -> bytes:
    """Return `data` with the payload of each element at `path` changed, sizes made good."""
    out = bytearray()
    for kind, payload in elements(data):
        if kind == path[0]:
            inner = change(payload) if len(path) == 1 else rewrite(payload, path[1:], change)
            out += element(kind, inner)
        else:
            out += element(kind, payload)
    return bytes(out)


def colour_with_hdr10(
    colour: bytes, mastering: MasteringDisplay | None, light: ContentLight | None
) -> bytes:
    """Write the static HDR metadata of a Colour element anew (RFC 9559, 5.1.4.1.28.16)."""
    old = (MAX_CLL, MAX_FALL, MASTERING_METADATA)
    out = b"".join(element(k, payload) for k, payload in elements(colour) if k not in old)
    if light is not None:
        out += element(MAX_CLL, light.max_cll.to_bytes(2, "big"))
        out += element(MAX_FALL, light.max_fall.to_bytes(2, "big"))
    if mastering is not None:
        p = mastering.primaries
        values = (*p.red, *p.green, *p.blue, *p.white, mastering.max_nits, mastering.min_nits)
        coded = zip(MASTERING_VALUES, values, strict=True)
        inner = b"".join(element(kind, struct.pack(">d", value)) for kind, value in coded)
        out += element(MASTERING_METADATA, inner)
    return out


def _displayed(video: Mapping[int, bytes], size: tuple[int, int]) -> tuple[int, int]:
    """Return the size in samples that DisplayWidth and DisplayHeight are for.

    It is that of one of two views (RFC 9559, 5.1.4.1.28.3) and without what is cropped
    (5.1.4.1.28.12).
    """
    top, bottom, left, right = (
        int.from_bytes(video.get(kind, b""), "big") for kind in PIXEL_CROP.values()
    )
    mode = int.from_bytes(video.get(STEREO_MODE, b""), "big")
    across = 2 if mode in (1, 8, 9, 11) else 1
    down = 2 if mode in (2, 3, 6, 7) else 1
    return (size[0] - left - right) // across, (size[1] - top - bottom) // down


def _vint(data: bytes, at: int, *, marker: bool) -> tuple[int, bool, int]:
    """Return value, whether it is the reserved "unknown", and the position after it."""
    first = data[at]
    if first == 0:
        raise MediaError("Matroska: a header is damaged")
    length = 9 - first.bit_length()
    if at + length > len(data):
        raise MediaError("Matroska: an element is cut short")
    value = int.from_bytes(data[at : at + length], "big")
    mask = (1 << 7 * length) - 1
    unknown = value & mask == mask
    return (value if marker else value & mask), unknown, at + length


def header_with_hdr10(
    header: bytes,
    codec: str,
    mastering: MasteringDisplay | None,
    light: ContentLight | None,
    crop: Sequence[int] = (),
) -> bytes:
    """Write the HDR10 metadata of a Matroska header anew, and drop all that follows it.

    Args:
        header: a Matroska file with one video track.
        codec: "hevc" has a copy of the metadata in its decoder configuration too.
        mastering: None for none.
        light: None for none.
        crop: samples that players cut off at the top, bottom, left and right; empty for none.

    Returns:
        A file with the track's description and one empty cluster.
    """

    def video(payload: bytes) -> bytes:
        parts = dict(elements(payload))
        colour = colour_with_hdr10(parts.pop(COLOUR, b""), mastering, light)
        rest = b"".join(element(kind, inner) for kind, inner in parts.items())
        cut = zip(PIXEL_CROP.values(), crop, strict=False)
        cropped = b"".join(element(kind, uint(samples)) for kind, samples in cut if samples)
        return rest + cropped + element(COLOUR, colour)

    def segment(payload: bytes) -> bytes:
        kept = b"".join(
            element(kind, inner) for kind, inner in elements(payload) if kind in (INFO, TRACKS)
        )
        # Without a cluster FFmpeg takes the file for a truncated one.
        cluster = element(CLUSTER, element(TIMESTAMP, b"\0"))
        track = (TRACKS, TRACK_ENTRY)
        kept = rewrite(kept, (*track, VIDEO), video)
        if codec == "hevc":
            sei = hevc.hdr10_sei(mastering, light)
            kept = rewrite(
                kept, (*track, CODEC_PRIVATE), lambda hvcc: hevc.hvcc_with_hdr10(hvcc, sei)
            )
        return kept + cluster

    return rewrite(header, (SEGMENT,), segment)


@contextmanager
def open_template(header: bytes) -> Iterator[VideoStream]:
    """Open what `header_with_hdr10` returned as an input stream."""
    with av.open(io.BytesIO(header), "r", format="matroska") as container:
        yield container.streams.video[0]


def mark_title(title: str) -> str:
    """Return a track title that keeps room in the header for `finish_matroska`."""
    return _PLACEHOLDER + title


def finish_matroska(file: BinaryIO, size: tuple[int, int], aspect: Fraction | None) -> None:
    """Write the sample aspect into a finished Matroska file: PyAV can't pass it to its muxer.

    It goes to the track whose title came from `mark_title`, and its title is put right. The
    file's size and all positions in it stay as they are.

    Args:
        file: open for reading and writing, binary.
        size: width and height in samples.
        aspect: width of a sample over its height; None is unknown.

    Raises:
        MediaError: the header isn't what FFmpeg writes.
    """
    file.seek(0)
    # The description of the tracks is a few kB, and attachments come after it.
    head = file.read(4 * 2**20)
    start, end = _tracks_span(head)
    out = bytearray()
    for kind, payload in elements(head[start:end]):
        parts = list(elements(payload)) if kind == TRACK_ENTRY else []
        # Bytes: other tracks have names of the source, which may be no UTF-8.
        name = dict(parts).get(NAME, b"")
        if not name.startswith(_PLACEHOLDER.encode()):
            out += element(kind, payload)
            continue
        title = name.removeprefix(_PLACEHOLDER.encode())
        out += element(kind, _finished_entry(parts, title, size, aspect))
    file.seek(start)
    file.write(bytes(out) + void(end - start - len(out)))


def _tracks_span(head: bytes) -> tuple[int, int]:
    """Return where the payload of Tracks is in a file."""
    for kind, start, end in spans(head, 0):
        if kind == SEGMENT:
            for inner, inner_start, inner_end in spans(head, start, end):
                if inner == TRACKS:
                    return inner_start, inner_end
    raise MediaError("Matroska: no tracks in the header")


def _finished_entry(
    parts: list[tuple[int, bytes]],
    title: bytes,
    size: tuple[int, int],
    aspect: Fraction | None,
) -> bytes:
    out = bytearray()
    for kind, payload in parts:
        if kind == NAME:
            out += element(kind, title) if title else b""
        elif kind == VIDEO:
            shown = (DISPLAY_WIDTH, DISPLAY_HEIGHT, DISPLAY_UNIT)
            kept = [(k, inner) for k, inner in elements(payload) if k not in shown]
            if aspect is not None:
                width, height = _displayed(dict(kept), size)
                kept.append((DISPLAY_WIDTH, uint(round(width * aspect))))
                kept.append((DISPLAY_HEIGHT, uint(height)))
            inner = b"".join(element(k, value) for k, value in kept)
            out += element(kind, inner)
        else:
            out += element(kind, payload)
    return bytes(out)

"""Output containers, and a header that carries HDR10 metadata into any of them.

PyAV can't set a stream's mastering display or light level. It does copy them from one
stream to another, so a tiny Matroska header, with the metadata written into it here, is
opened as an input and serves as the template of the output's video stream.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO

import av
from av.video.stream import VideoStream

from vs_gainmap.errors import MediaError
from vs_gainmap.hdr10 import ContentLight, MasteringDisplay
from vs_gainmap.video.encoders import Encoder
from vs_gainmap.video.hdr_metadata import hevc, matroska

# Longer than DefaultDuration, DisplayWidth and DisplayHeight together; see `finish_matroska`.
_PLACEHOLDER = "vs-gainmap:" + "_" * 85


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    """An output file format: FFmpeg's name for it, and the options that it is written with."""

    suffix: str
    format: str
    options: dict[str, str]

    @property
    def is_matroska(self) -> bool:
        """Say whether the file is Matroska or its subset WebM."""
        return self.format in ("matroska", "webm")


CONTAINERS = {
    container.suffix: container
    for container in (
        Container(suffix="mp4", format="mp4", options={"movflags": "+faststart"}),
        Container(suffix="mov", format="mov", options={"movflags": "+faststart"}),
        # A checksum would not survive the last touch that `finish_matroska` gives the header.
        Container(suffix="mkv", format="matroska", options={"write_crc32": "0"}),
        Container(suffix="webm", format="webm", options={"write_crc32": "0"}),
    )
}


def find_container(path: Path, encoder: Encoder) -> Container:
    """Return the container that a file name asks for.

    Raises:
        MediaError: an unknown one, or one that can't hold what this encoder makes.
    """
    suffix = path.suffix.lower().removeprefix(".")
    suffix = {"m4v": "mp4", "qt": "mov"}.get(suffix, suffix)
    if suffix not in CONTAINERS:
        known = ", ".join(f".{name}" for name in CONTAINERS)
        raise MediaError(f"{path.name}: the name must end in one of {known}")
    if suffix not in encoder.containers:
        fit = " or ".join(f".{name}" for name in encoder.containers)
        raise MediaError(f"{path.name}: {encoder.name} goes into {fit}, not .{suffix}")
    return CONTAINERS[suffix]


def header_with_hdr10(
    header: bytes, codec: str, mastering: MasteringDisplay | None, light: ContentLight | None
) -> bytes:
    """Write the HDR10 metadata of a Matroska header anew, and drop all that follows it.

    Args:
        header: a Matroska file with one video track.
        codec: "hevc" has a copy of the metadata in its decoder configuration too.
        mastering: None for none.
        light: None for none.

    Returns:
        A file with the track's description and one empty cluster.
    """

    def video(payload: bytes) -> bytes:
        parts = dict(matroska.elements(payload))
        colour = matroska.colour_with_hdr10(parts.pop(matroska.COLOUR, b""), mastering, light)
        rest = b"".join(matroska.element(kind, inner) for kind, inner in parts.items())
        return rest + matroska.element(matroska.COLOUR, colour)

    def segment(payload: bytes) -> bytes:
        kept = b"".join(
            matroska.element(kind, inner)
            for kind, inner in matroska.elements(payload)
            if kind in (matroska.INFO, matroska.TRACKS)
        )
        # Without a cluster FFmpeg takes the file for a truncated one.
        cluster = matroska.element(matroska.CLUSTER, matroska.element(matroska.TIMESTAMP, b"\0"))
        track = (matroska.TRACKS, matroska.TRACK_ENTRY)
        kept = matroska.rewrite(kept, (*track, matroska.VIDEO), video)
        if codec == "hevc":
            sei = hevc.hdr10_sei(mastering, light)
            kept = matroska.rewrite(
                kept, (*track, matroska.CODEC_PRIVATE), lambda hvcc: hevc.hvcc_with_hdr10(hvcc, sei)
            )
        return kept + cluster

    return matroska.rewrite(header, (matroska.SEGMENT,), segment)


@contextmanager
def open_template(header: bytes) -> Iterator[VideoStream]:
    """Open what `header_with_hdr10` returned as an input stream."""
    with av.open(io.BytesIO(header), "r", format="matroska") as container:
        yield container.streams.video[0]


def mark_title(title: str) -> str:
    """Return a track title that keeps room in the header for `finish_matroska`."""
    return _PLACEHOLDER + title


def finish_matroska(
    file: BinaryIO, size: tuple[int, int], aspect: Fraction | None, rate: Fraction | None
) -> None:
    """Write into a finished Matroska file what PyAV can't tell its muxer.

    Sample aspect and frame rate of the track whose title came from `mark_title`; its title
    is put right. The file's size and all positions in it stay as they are.

    Args:
        file: open for reading and writing, binary.
        size: width and height in samples.
        aspect: width of a sample over its height.
        rate: frames a second, or None where it varies.

    Raises:
        MediaError: the header isn't what FFmpeg writes.
    """
    file.seek(0)
    # The description of the tracks is a few kB, and attachments come after it.
    head = file.read(4 * 2**20)
    start, end = _tracks_span(head)
    out = bytearray()
    for kind, payload in matroska.elements(head[start:end]):
        parts = list(matroska.elements(payload)) if kind == matroska.TRACK_ENTRY else []
        name = dict(parts).get(matroska.NAME, b"").decode()
        if not name.startswith(_PLACEHOLDER):
            out += matroska.element(kind, payload)
            continue
        title = name.removeprefix(_PLACEHOLDER).encode()
        out += matroska.element(kind, _finished_entry(parts, title, size, aspect, rate))
    file.seek(start)
    file.write(bytes(out) + matroska.void(end - start - len(out)))


def _tracks_span(head: bytes) -> tuple[int, int]:
    """Return where the payload of Tracks is in a file."""
    for kind, start, end in matroska.spans(head, 0):
        if kind == matroska.SEGMENT:
            for inner, inner_start, inner_end in matroska.spans(head, start, end):
                if inner == matroska.TRACKS:
                    return inner_start, inner_end
    raise MediaError("Matroska: no tracks in the header")


def _finished_entry(
    parts: list[tuple[int, bytes]],
    title: bytes,
    size: tuple[int, int],
    aspect: Fraction | None,
    rate: Fraction | None,
) -> bytes:
    out = bytearray()
    for kind, payload in parts:
        if kind == matroska.NAME:
            out += matroska.element(kind, title) if title else b""
        elif kind == matroska.VIDEO:
            shown = (matroska.DISPLAY_WIDTH, matroska.DISPLAY_HEIGHT, matroska.DISPLAY_UNIT)
            kept = [(k, inner) for k, inner in matroska.elements(payload) if k not in shown]
            if aspect is not None:
                width, height = size
                kept.append((matroska.DISPLAY_WIDTH, matroska.uint(round(width * aspect))))
                kept.append((matroska.DISPLAY_HEIGHT, matroska.uint(height)))
            inner = b"".join(matroska.element(k, value) for k, value in kept)
            out += matroska.element(kind, inner)
        elif kind != matroska.DEFAULT_DURATION:
            out += matroska.element(kind, payload)
    if rate is not None:
        nanoseconds = round(Fraction(10**9) / rate)
        out += matroska.element(matroska.DEFAULT_DURATION, matroska.uint(nanoseconds))
    return bytes(out)

"""Input files: opened with errors that name them, their video stream and what it declares."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import av
import vapoursynth as vs
from av.container import InputContainer
from av.video.stream import VideoStream

from vs_gainmap.errors import MediaError
from vs_gainmap.video.pixels import color_props, declare_hdr
from vs_gainmap.video.timestamps import exact

log = logging.getLogger(__name__)
FileIdentity = tuple[int, int, int, int]
# AVDOVIDecoderConfigurationRecord: dv_profile, dv_bl_signal_compatibility_id.
_DOVI_PROFILE, _DOVI_COMPATIBILITY = 2, 7
# Dolby's cross-compatibility IDs: the transfer of a base layer that plays by itself.
_DOVI_TRANSFERS = {1: 16, 2: None, 4: 18, 6: 16}
_HDR_SIDE_DATA = {"mastering_display_metadata", "content_light_level"}
# AVFMT_NOTIMESTAMPS: a raw stream.
_NO_TIMESTAMPS = 0x80


# How a file is told from another without reading all of it.
_PIECES, _PIECE = 64, 4096


@contextmanager
def open_input(path: Path) -> Iterator[InputContainer]:
    """Open a media file, with errors that name it.

    Raises:
        MediaError: there is no such file, or nothing in it that FFmpeg understands.
    """
    if path.is_dir():
        raise MediaError(f"{path}: is a folder; name a file in it")
    if path.exists() and not path.is_file():
        raise MediaError(f"{path}: is a pipe or device; video is read more than once, from a file")
    if not path.is_file():
        raise MediaError(f"{path}: no such file")
    try:
        # With a relative path, FFmpeg takes what stands before a colon for a protocol.
        container = av.open(str(path.absolute()), "r")
    except (av.FFmpegError, ValueError) as error:
        raise MediaError(f"{path}: not a media file that can be read: {reason(error)}") from error
    with container:
        yield container


def reason(error: Exception) -> str:
    """Return what went wrong in one line, in FFmpeg's words without its numbers."""
    words = getattr(error, "strerror", None) or f"{type(error).__name__}: {error}"
    return " ".join(words.split())


def file_identity(path: Path) -> FileIdentity:
    """Return device, inode, size and time of change (ns) of a file."""
    found = path.stat()
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def sample_digest(path: Path) -> str:
    """Return a digest of a file's size and of pieces from all over it.

    Another film has another one, on any machine; a change of single bytes is not always seen.

    Raises:
        MediaError: it can't be read.
    """
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            digest.update(str(size).encode())
            for n in range(_PIECES):
                file.seek(max(size - _PIECE, 0) * n // (_PIECES - 1))
                digest.update(file.read(_PIECE))
    except OSError as error:
        raise MediaError(f"{path}: can't be read: {error.strerror}") from error
    return digest.hexdigest()


def changed_error(path: Path) -> MediaError:
    """Return the error for a file that isn't the one that was indexed."""
    return MediaError(f"{path}: changed while it was read; try again when nothing writes to it")


def main_video(container: InputContainer, path: Path) -> VideoStream:
    """Return the stream that a player would show; cover art doesn't count.

    Raises:
        MediaError: there is none, or FFmpeg has no decoder for it.
    """
    pictures = av.stream.Disposition.attached_pic
    streams = [s for s in container.streams.video if not s.disposition & pictures]
    if not streams:
        raise MediaError(f"{path}: has no video stream")
    best = container.streams.best("video")
    stream = best if isinstance(best, VideoStream) and best in streams else streams[0]
    context = stream.codec_context
    if context is None or context.pix_fmt is None or not context.width or not context.height:
        raise MediaError(f"{path}: the video stream can't be decoded by this PyAV")
    return stream


def check_video(path: Path) -> None:
    """Refuse what has no video stream that can be decoded.

    Raises:
        MediaError: see `open_input` and `main_video`.
    """
    with open_input(path) as container:
        main_video(container, path)


def is_raw(container: InputContainer) -> bool:
    """Say whether a file is a stream without a container, and so without times."""
    return bool(container.format.flags & _NO_TIMESTAMPS)


def frame_rate(container: InputContainer, stream: VideoStream, path: Path) -> Fraction:
    """Return pictures a second; what is only assumed is logged as a warning.

    Raises:
        MediaError: there is no way to tell.
    """
    own = stream.codec_context.framerate
    raw = is_raw(container)
    # FFmpeg's average of a raw stream is an assumption, and its guess may count fields.
    rate = (own if raw else stream.average_rate) or stream.guessed_rate or stream.base_rate
    if not rate:
        raise MediaError(f"{path}: the video stream has no frame rate")
    if not own and (raw or container.format.name.endswith("_pipe")):
        log.warning(
            "%s: does not say its frame rate, %s a second is assumed; for another, run "
            "ffmpeg -r RATE -i IN -c copy OUT.mkv first",
            path,
            exact(rate),
        )
    return exact(rate)


def container_color(stream: VideoStream, path: Path) -> dict[str, int]:
    """Return the color props that a stream has before any frame is decoded.

    HDR that side data declares is a transfer, too, over one of SDR.

    Raises:
        MediaError: it is Dolby Vision that shows nothing without Dolby's own decoder.
    """
    context = stream.codec_context
    color = color_props(context, context.chroma_sample_location)
    side_data = context.coded_side_data
    transfer: int | None = None
    dovi = side_data.get("dovi_conf")
    if dovi is not None:
        record = bytes(dovi)
        if record[_DOVI_COMPATIBILITY] not in _DOVI_TRANSFERS:
            raise MediaError(
                f"{path}: is Dolby Vision profile {record[_DOVI_PROFILE]}, HDR already, in colors "
                "that only a Dolby Vision decoder can show"
            )
        transfer = _DOVI_TRANSFERS[record[_DOVI_COMPATIBILITY]]
    elif _HDR_SIDE_DATA & set(side_data):
        transfer = int(vs.TRANSFER_ST2084)
    return color if transfer is None else declare_hdr(color, transfer)

"""The frames of a video stream and their exact times, from a quick pass over the packets."""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from av.container import InputContainer
from av.packet import Packet

from vs_gainmap.errors import MediaError
from vs_gainmap.video.inputs import (
    FileIdentity,
    changed_error,
    container_color,
    file_identity,
    frame_rate,
    is_raw,
    main_video,
    open_input,
    reason,
)
from vs_gainmap.video.timestamps import Clock, exact, warn_of_holes


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoIndex:
    """A video stream's frames in display order.

    Times are in ticks of `time_base`. `timed` is False where the file has no times, and they
    were made from the frame rate. `keyframes` are (pts, dts) in coding order. `color` has the
    color props that the container gives. `identity` is that of the file that was read.
    """

    path: Path
    time_base: Fraction
    pts: tuple[int, ...]
    last_duration: int
    keyframes: tuple[tuple[int, int], ...]
    timed: bool
    average_rate: Fraction
    width: int
    height: int
    pix_fmt: str
    sample_aspect: Fraction | None
    color: Mapping[str, int]
    identity: FileIdentity

    def __len__(self) -> int:
        return len(self.pts)

    def duration(self, n: int) -> Fraction:
        """Return for how long a frame is shown, in seconds."""
        last = n == len(self.pts) - 1
        ticks = self.last_duration if last else self.pts[n + 1] - self.pts[n]
        return ticks * self.time_base

    def seconds(self, n: int) -> Fraction:
        """Return when a frame is shown; may be below zero."""
        return self.pts[n] * self.time_base

    def times(self) -> tuple[Fraction, ...]:
        """Return when frames are shown, in seconds from the first one, and when the last ends."""
        ticks = (*self.pts, self.pts[-1] + self.last_duration)
        return tuple((pts - self.pts[0]) * self.time_base for pts in ticks)

    def frame_at(self, seconds: Fraction) -> int:
        """Return the frame that is shown at a time, in seconds from the first one.

        Raises:
            MediaError: none is.
        """
        ticks = seconds / self.time_base + self.pts[0]
        end = self.pts[-1] + self.last_duration
        if not self.pts[0] <= ticks <= end:
            length = float((end - self.pts[0]) * self.time_base)
            raise MediaError(
                f"{self.path}: lasts {length:.3f} s and shows nothing at {float(seconds):.3f} s"
            )
        return bisect_right(self.pts, ticks) - 1

    def described(self) -> str:
        """Return what tells this file from another, in words."""
        times = repr((self.time_base, self.pts, self.last_duration, self.keyframes)).encode()
        *_, size, changed = self.identity
        moment = datetime.fromtimestamp(changed / 1e9, UTC)
        return (
            f"of {size} bytes, {len(self)} frames, changed {moment:%Y-%m-%d %H:%M:%S.%f}, index "
            f"{hashlib.sha256(times).hexdigest()[:16]}"
        )

    def constant_rate(self) -> Fraction | None:
        """Return the frame rate, or None where it varies by more than a tick's rounding."""
        ticks = 1 / (self.average_rate * self.time_base)
        steady = (abs(pts - self.pts[0] - n * ticks) <= 1 for n, pts in enumerate(self.pts))
        return self.average_rate if all(steady) else None

    def keyframe_before(self, n: int) -> int | None:
        """Return the dts to seek to for frame n; None is the beginning of the stream.

        One random access point earlier than needed: pictures that lead an open group of
        pictures are decodable only from the group before.
        """
        pts = [pts for pts, _ in self.keyframes]
        at = bisect_right(pts, self.pts[n]) - 2
        return self.keyframes[at][1] if self.timed and at > 0 else None


@contextmanager
def open_indexed(index: VideoIndex) -> Iterator[InputContainer]:
    """Open the file of an index again.

    Raises:
        MediaError: see `open_input`, or it is another file by now.
    """
    with open_input(index.path) as container:
        # Some network drives give inodes anew.
        if file_identity(index.path)[2:] != index.identity[2:]:
            raise changed_error(index.path)
        yield container


def check_unchanged(index: VideoIndex) -> None:
    """Refuse a file that was written to since it was indexed.

    One that was replaced by another is no matter: what is open stays the old one.

    Raises:
        MediaError: it was.
    """
    try:
        now = file_identity(index.path)
    except OSError:
        return
    if now[:2] == index.identity[:2] and now != index.identity:
        raise changed_error(index.path)


def scan(path: Path) -> VideoIndex:
    """Read all packets of the main video stream, without decoding them.

    Holes in its times, and an end that is missing, are logged as warnings.

    Raises:
        MediaError: the file can't be read, has no video, or its clock repeats or jumps back.
    """
    with open_input(path) as container:
        identity = file_identity(path)
        stream = main_video(container, path)
        context = stream.codec_context
        color = container_color(stream, path)
        average = frame_rate(container, stream, path)
        if stream.time_base is None:
            raise MediaError(f"{path}: the video stream has no clock")
        time_base = exact(stream.time_base)
        raw = is_raw(container)
        clock = Clock(path, container, stream, average)
        pts: list[int | None] = []
        dts: list[int | None] = []
        keyframes: list[tuple[int, int]] = []
        durations: dict[int, int] = {}
        # AVI has no presentation times, and FFmpeg's guesses fit no stream that reorders.
        reorders = context.name in ("h264", "hevc") or context.has_b_frames
        guessed = raw or (container.format.name == "avi" and reorders)
        try:
            for packet in container.demux():
                clock.follow(packet)
                if packet.stream_index != stream.index or packet.size == 0 or packet.is_discard:
                    continue
                if not _is_shown(packet, context.name):
                    continue
                if guessed:
                    packet.pts = None
                clock.follow_picture(packet)
                pts.append(packet.pts)
                dts.append(packet.dts)
                if packet.pts is not None:
                    durations[packet.pts] = packet.duration or 0
                    if packet.is_keyframe:
                        keyframes.append((packet.pts, _or(packet.dts, packet.pts)))
        except av.FFmpegError as error:
            raise MediaError(f"{path}: can't be read: {reason(error)}") from error
        if not pts:
            raise MediaError(f"{path}: the video stream is empty")
        if container.format.name == "mxf" and reorders and pts == dts:
            # Decoding times alone, as FFmpeg reads H.264 in MXF.
            pts = [None] * len(pts)
        # FFmpeg's parser counts MPEG-1 and MPEG-2 by the fields that each picture is shown for.
        counted = not raw or container.format.name == "mpegvideo"
        times, timed = _times(pts, dts if counted else [], time_base, average)
        clock.warn_of_missing_end(container)
        if timed:
            warn_of_holes(path, times, time_base)
        nominal = max(round(1 / (average * time_base)), 1)
        aspect = stream.sample_aspect_ratio
        return VideoIndex(
            path=path,
            time_base=time_base,
            pts=tuple(times),
            last_duration=durations.get(times[-1], 0) or nominal,
            keyframes=tuple(keyframes),
            timed=timed,
            average_rate=average,
            width=context.width,
            height=context.height,
            pix_fmt=str(context.pix_fmt),
            sample_aspect=exact(aspect) if aspect else None,
            color=color,
            identity=identity,
        )


def _is_shown(packet: Packet[Any], codec: str) -> bool:
    head = bytes(memoryview(packet)[:5])
    if codec.startswith(("vp8", "libvpx-vp8")):
        # show_frame (RFC 6386, 9.1): an alternate reference frame is never shown.
        return bool(head[0] & 0x10)
    # The end of a sequence has a parse code of its own (SMPTE ST 2042-1, 10.5.2).
    return codec != "dirac" or head != b"BBCD\x10"


def _or(value: int | None, fallback: int) -> int:
    return fallback if value is None else value


def _times(
    pts: list[int | None], dts: list[int | None], time_base: Fraction, rate: Fraction
) -> tuple[list[int], bool]:
    """Return times in display order, and whether they are the file's own."""
    own = [value for value in pts if value is not None]
    # The second field of a picture coded as two has no time of its own, or the same.
    if len(own) >= len(pts) - len(own):
        return sorted(set(own)), True
    decoding = [value for value in dts if value is not None]
    if len(set(decoding)) == len(pts):
        return sorted(decoding), False
    step = 1 / (rate * time_base)
    return [round(n * step) for n in range(len(pts))], False

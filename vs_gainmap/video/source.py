"""A video file as a VapourSynth clip, decoded once, in order, while the clip is pulled."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Self

import av
import vapoursynth as vs
from av.container import InputContainer
from av.video.stream import VideoStream

from vs_gainmap.errors import MediaError
from vs_gainmap.filters import props
from vs_gainmap.video.index import VideoIndex, open_indexed, scan
from vs_gainmap.video.inputs import main_video, reason
from vs_gainmap.video.pixels import PixelLayout, layout_of, to_vapoursynth
from vs_gainmap.video.timestamps import clock_error

log = logging.getLogger(__name__)

# FFmpeg's frame threads can wait for each other for ever on damaged streams. From so many
# seconds on in which a decoder does nothing else, it is given up.
_HANGS_AFTER = 30
# How long a reader that is closed waits for its thread, which ends by itself.
_CLOSE_SECONDS = 5
# A request further ahead than this is worth a seek.
_FAR = 300
# Decoded frames to keep: the default temporal window ends 24 frames ahead of the picture it is
# for, and some are in flight; more only when needed.
_KEEP_AT_LEAST, _KEEP, _KEEP_AT_MOST = 12, 36, 128
# Bytes that frames kept for looking back may take, at first and when needed.
_KEEP_BYTES, _KEEP_BYTES_AT_MOST = 150_000_000, 400_000_000


class VideoReader:
    """Decodes a file's main video stream in a thread and serves it as `clip`.

    Made for a writer that pulls frames nearly in order: VapourSynth asks for several at
    once, so decoded frames wait in a small cache. A frame that has left the cache is decoded
    again after a seek; for real random access see `open_clip`.

    Close it, or use it in a ``with`` statement.

    Args:
        path: the file.
        first: number of the first frame to serve.
        count: how many to serve; None is all that follow.
        look_ahead: frames to decode ahead of the newest request.
        keep: decoded frames to keep, beside those that are waited for; grows when the graph
            turns out to reach further back.
        assume_progressive: take frames that are marked as interlaced for progressive ones.

    Raises:
        MediaError: the file can't be read, or its pixel format is not supported.
    """

    def __init__(
        self,
        path: Path,
        *,
        index: VideoIndex | None = None,
        first: int = 0,
        count: int | None = None,
        look_ahead: int = 4,
        keep: int | None = None,
        assume_progressive: bool = False,
    ) -> None:
        self.path = path
        self.index = index or scan(path)
        self.first = first
        left = len(self.index) - first
        self.count = left if count is None else min(count, left)
        if first < 0 or self.count < 1:
            raise MediaError(f"{path}: has no frame {first}; there are {len(self.index)}")
        try:
            self.layout: PixelLayout = layout_of(self.index.pix_fmt)
        except MediaError as error:
            raise MediaError(f"{path}: {error}") from error
        layout = self.layout
        steps = 1 << layout.subsampling_w, 1 << layout.subsampling_h
        if self.index.width % steps[0] or self.index.height % steps[1]:
            raise MediaError(
                f"{path}: VapourSynth can't hold {self.index.width}x{self.index.height} in "
                f"{self.index.pix_fmt}; crop it first to a multiple of {steps[0]}x{steps[1]}"
            )
        self.error: MediaError | None = None
        self.restarts = 0
        # Frames that a neighbor stands in for, damaged packets and pictures: each is logged once.
        self._repeated: set[int] = set()
        self._damaged: set[int | None] = set()
        self._corrupt: set[int] = set()
        self._look_ahead = look_ahead
        usual = min(max(_KEEP_BYTES // self._frame_bytes(), _KEEP_AT_LEAST), _KEEP)
        self._keep = keep or usual
        self._progressive = assume_progressive
        self._frames: dict[int, vs.VideoFrame] = {}
        self._wanted: list[int] = []
        self._newest = 0
        self._next = 0
        self._restart = False
        self._closed = False
        # Counts calls of the decoder; even between two of them.
        self._calls = 0
        self._hangs = False
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._number = {pts: n for n, pts in enumerate(self.index.pts)}
        self.clip = self._make_clip()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    @contextmanager
    def own_errors(self) -> Iterator[None]:
        """Raise this reader's error for a filter's, which failed because of it.

        Raises:
            MediaError: a frame can't be read.
            vs.Error: a filter failed for another reason.
        """
        try:
            yield
        except vs.Error as error:
            if self.error is not None:
                # A new one: the traceback would hold what holds this reader.
                raise MediaError(str(self.error)) from error
            raise

    @property
    def repeated(self) -> int:
        """How many frames could not be decoded and show a neighbor."""
        return len(self._repeated)

    def close(self) -> None:
        """Stop decoding; frames asked for from now on are errors."""
        with self._changed:
            self._closed = True
            self._frames.clear()
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join(0 if self._hangs else _CLOSE_SECONDS)
        # It holds this reader: VapourSynth's references are none that Python can follow.
        self.__dict__.pop("clip", None)

    def _make_clip(self) -> vs.VideoNode:
        rate = self.index.constant_rate() or Fraction(0)
        blank = vs.core.std.BlankClip(
            format=self.layout.vapoursynth_format().id,
            width=self.index.width,
            height=self.index.height,
            length=self.count,
            fpsnum=rate.numerator,
            fpsden=rate.denominator,
            keep=True,
        )
        return vs.core.std.ModifyFrame(blank, blank, self._serve)

    def _serve(self, n: int, f: vs.VideoFrame) -> vs.VideoFrame:  # noqa: ARG002
        with self._changed:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="decoder", daemon=True)
                self._thread.start()
            self._wanted.append(n)
            self._newest = n if n < self._next else max(self._newest, n)
            if n not in self._frames and not self._next <= n < self._next + _FAR:
                # A filter may read pictures from all over the film once. Later jumps back mean that
                # the graph reaches further back than the cache: keep enough for it.
                if self.restarts and n < self._next:
                    behind = self._next - n + self._look_ahead
                    self._keep = max(self._keep, min(behind, self._keep_at_most()))
                log.debug("%s: decoding again from frame %d", self.path, n)
                self.restarts += 1
                # What was kept for the old place would push out what is decoded now.
                self._frames = {k: f for k, f in self._frames.items() if k in self._wanted}
                # Who looks around asks for the ones before it, too.
                self._next, self._restart = max(n + 1 - self._keep, 0), True
            self._changed.notify_all()
            try:
                self._wait_for(n)
                if n in self._frames:
                    return self._frames[n]
            finally:
                self._wanted.remove(n)
                # It may have been kept for this request alone.
                self._forget()
        if self.error is not None:
            raise MediaError(str(self.error))
        raise MediaError(f"{self.path}: frame {n} was asked for after the reader was closed")

    def _wait_for(self, n: int) -> None:
        """Wait until frame n is there, or never will be."""
        calls = seconds = 0
        while not (n in self._frames or self.error or self._closed):
            if self._changed.wait(1):
                continue
            # Seconds of waiting: a process that was stopped has not waited.
            seconds = seconds + 1 if self._calls == calls and calls % 2 else 0
            calls = self._calls
            if seconds >= _HANGS_AFTER:
                self._hangs = True
                at = self._at(self.index.pts[self.first + min(self._next, self.count - 1)])
                self.error = MediaError(
                    f"{self.path}: the decoder hangs {at}, where the file is damaged; leave that "
                    "part out, or decode it with ffmpeg -threads 1 -i IN -c:v ffv1 OUT.mkv"
                )
                self._changed.notify_all()

    def _keep_at_most(self) -> int:
        return min(_KEEP_AT_MOST, _KEEP_BYTES_AT_MOST // self._frame_bytes())

    def _frame_bytes(self) -> int:
        layout = self.layout.vapoursynth_format()
        planes = 1 + 2 / (1 << layout.subsampling_w << layout.subsampling_h)
        return int(self.index.width * self.index.height * layout.bytes_per_sample * planes)

    def _run(self) -> None:
        """Decode, and again from elsewhere when asked to, until closed or done.

        Any error ends the wait of those who asked for frames.
        """
        try:
            while not self._closed:
                # A beginning is reached for certain only by opening the file anew.
                with open_indexed(self.index) as container:
                    stream = main_video(container, self.path)
                    stream.thread_type = "AUTO"
                    start, seek_to = self._restarted()
                    while True:
                        if seek_to is not None:
                            container.seek(seek_to, stream=stream, backward=True)
                        self._decode_from(start, container, stream)
                        with self._changed:
                            self._changed.wait_for(lambda: self._restart or self._closed)
                        start, seek_to = self._restarted()
                        if self._closed or seek_to is None:
                            break
        except Exception as error:
            # Without its traceback, which holds the decoder and its threads.
            text = str(error) if isinstance(error, MediaError) else f"{self.path}: {reason(error)}"
            with self._changed:
                self.error = MediaError(text)
                self._changed.notify_all()

    def _restarted(self) -> tuple[int, int | None]:
        """Return the frame to decode from, and the time to seek to; None is the beginning."""
        with self._changed:
            self._restart = False
            return self._next, self.index.keyframe_before(self.first + self._next)

    def _decode_from(self, start: int, container: InputContainer, stream: VideoStream) -> None:
        index = self.index
        # Without times, frames can only be counted, from the beginning.
        number = -1
        last: vs.VideoFrame | None = None
        for frame in self._decoded(container, stream):
            before = number
            number += 1
            if index.timed and frame.pts is not None:
                number = self._number.get(frame.pts, number)
            if number <= before:
                # Two pictures of one time, which their packets did not show.
                at = index.seconds(min(before, len(index) - 1))
                raise clock_error(self.path, at, index.average_rate)
            n = number - self.first
            if n < start:
                last = None
                continue
            if frame.is_corrupt and n < self.count:
                self._warn_of_corrupt(number)
            self._check(frame, number, at="at" if n > start else "at or before")
            made = to_vapoursynth(frame, self.layout, index.color)
            if not self._fill(min(n, self.count), last or made):
                return
            last = made
            if n >= self.count or not self._offer(n, made, pict_type=frame.pict_type):
                return
        if last is None:
            raise MediaError(f"{self.path}: no frame can be decoded from {start} on")
        self._fill(self.count, last)

    def _decoded(self, container: InputContainer, stream: VideoStream) -> Iterator[av.VideoFrame]:
        """Yield what can be decoded; a damaged packet must not end a conversion of hours."""
        for packet in container.demux(stream):
            try:
                self._calls += 1
                frames = stream.codec_context.decode(packet if packet.size else None)
            except av.FFmpegError as error:
                if packet.pts not in self._damaged:
                    self._damaged.add(packet.pts)
                    where = "of an unknown time" if packet.pts is None else self._at(packet.pts)
                    text = error.strerror
                    log.warning("%s: a damaged packet %s is left out: %s", self.path, where, text)
                continue
            finally:
                self._calls += 1
            yield from frames

    def _warn_of_corrupt(self, number: int) -> None:
        """Log the first of a run of frames that the decoder patched up."""
        if not {number - 1, number} & self._corrupt:
            log.warning(
                "%s: the picture %s is damaged", self.path, self._at(self.index.pts[number])
            )
        self._corrupt.add(number)

    def _at(self, pts: int) -> str:
        """Return a time in seconds from the file's first frame, as `--start` counts."""
        return f"at {float((pts - self.index.pts[0]) * self.index.time_base):.3f} s"

    def _fill(self, end: int, neighbor: vs.VideoFrame) -> bool:
        """Serve a neighbor in place of frames that the decoder left out, up to `end`."""
        logged: list[int] = []
        served = True
        for n in range(self._next, end):
            is_new = n not in self._repeated
            shown = neighbor.copy()
            shown.props.pop(props.CAPTIONS, None)
            served = self._offer(n, shown, repeated=True)
            if not served:
                break
            if is_new:
                logged.append(n)
        if logged:
            log.warning(
                "%s: %s %s can't be decoded; a neighbor is shown instead",
                self.path,
                "a frame" if len(logged) == 1 else f"{len(logged)} frames",
                self._at(self.index.pts[self.first + logged[0]]),
            )
        return served

    def _offer(
        self, n: int, frame: vs.VideoFrame, *, pict_type: int = 0, repeated: bool = False
    ) -> bool:
        """Wait for room, then serve a frame; False when decoding must stop or move."""
        duration = self.index.duration(self.first + n)
        frame.props["_DurationNum"] = duration.numerator
        frame.props["_DurationDen"] = duration.denominator
        frame.props["_AbsoluteTime"] = float(self.index.seconds(self.first + n))
        frame.props[props.FIELD_BASED] = 0
        if pict_type:
            frame.props["_PictType"] = av.video.frame.PictureType(pict_type).name
        if self.index.sample_aspect:
            frame.props["_SARNum"] = self.index.sample_aspect.numerator
            frame.props["_SARDen"] = self.index.sample_aspect.denominator
        with self._changed:
            self._changed.wait_for(lambda: self._has_room(n) or self._restart or self._closed)
            if self._restart or self._closed:
                return False
            if repeated:
                self._repeated.add(n)
            self._frames[n] = frame
            self._next = n + 1
            self._forget()
            self._changed.notify_all()
        return True

    def _forget(self) -> None:
        """Forget the oldest frames beyond those that are kept, unless they are waited for."""
        for old in sorted(self._frames)[: -self._keep]:
            if old not in self._wanted:
                del self._frames[old]

    def _has_room(self, n: int) -> bool:
        return n <= max(self._newest, *self._wanted, 0) + self._look_ahead

    def _check(self, frame: av.VideoFrame, number: int, *, at: str) -> None:
        index = self.index
        size, expected = (frame.width, frame.height), (index.width, index.height)
        if size != expected or frame.format.name != index.pix_fmt:
            if number:
                where = f"{at} frame {number}; cut it there and convert the parts"
            else:
                # As animated WebP's header does.
                where = "in its first picture; decode it with ffmpeg -i IN -c:v ffv1 OUT.mkv"
            raise MediaError(
                f"{self.path}: changes from {expected[0]}x{expected[1]} {index.pix_fmt} to "
                f"{size[0]}x{size[1]} {frame.format.name} {where}"
            )
        if frame.interlaced_frame and not self._progressive:
            raise MediaError(
                f"{self.path}: frame {number} is interlaced; deinterlace first, for example "
                "with ffmpeg -vf bwdif, or add --assume-progressive (assume_progressive=True) "
                "if the tag is wrong"
            )

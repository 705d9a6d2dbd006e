"""A file's clock: followed packet by packet, so that no picture is lost without a word."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import accumulate, pairwise
from pathlib import Path
from statistics import median

from av.container import InputContainer
from av.packet import Packet
from av.rational import AVRational
from av.stream import Disposition, Stream
from av.video.stream import VideoStream

from vs_gainmap.errors import MediaError

# MP4 keeps a track's ticks per second in 32 bits, and FFmpeg computes with signed ones.
_MAX_TICKS = 2**31 - 1
_FALLBACK = Fraction(1, 705_600_000)
log = logging.getLogger(__name__)
# AVFMT_TS_DISCONT: ffmpeg takes jumps of such a clock for cuts, and closes them.
_CLOSED_BY_FFMPEG = 0x200
# Shorter jumps it leaves open, or closes to times that two pictures share.
_CLOSED_FROM = Fraction(1, 4)
# Codecs that may have a picture in two packets: two fields, or one that is never shown.
_IN_TWO = {"h264", "mpeg1video", "mpeg2video", "vc1", "wmv3", "cavs", "vp9", "libvpx-vp9"}
# Decoding times that were guessed may be off by so many frames.
_TOLERANCE = 4
# From this share of equal steps on a rate counts as constant, and from so many steps a hole
# as one.
_CONSTANT, _HOLE = 0.9, 1.75
# Less than this of what a file declares may be missing, in seconds or as a share.
_SHORT, _SHORT_SHARE = Fraction(1, 2), Fraction(1, 100)


def exact(value: AVRational) -> Fraction:
    """Return a fraction of PyAV's as Python's own."""
    return Fraction(value.numerator, value.denominator)


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameTimes:
    """Presentation times of frames in ticks, with one more for the end of the last.

    Strictly increasing.
    """

    time_base: Fraction
    ticks: tuple[int, ...]

    @classmethod
    def from_durations(
        cls,
        durations: Sequence[Fraction],
        *,
        start: Fraction = Fraction(0),
        prefer: Fraction | None = None,
    ) -> FrameTimes:
        """Add up durations in seconds, exactly.

        The time base is `prefer` if all times are whole ticks of it, else the coarsest of
        which they are, unless that has more than 31 bits: then they are rounded to
        1/705,600,000 s.
        """
        times = list(accumulate(durations, initial=start))
        ticks = math.lcm(*{time.denominator for time in (start, *durations)})
        base = Fraction(1, ticks) if ticks <= _MAX_TICKS else _FALLBACK
        if prefer is not None and (base / prefer).denominator == 1:
            base = prefer
        return cls(time_base=base, ticks=tuple(round(time / base) for time in times))

    def __len__(self) -> int:
        return len(self.ticks) - 1

    def pts(self, n: int) -> int:
        """Return when frame n is shown."""
        return self.ticks[n]

    def dts(self, n: int) -> int:
        """Return when a decoder must have what it needs for the n-th time; n may be negative.

        An encoder that reorders starts decoding a few frames before it shows the first; those
        are given the duration of the first, so that times go on strictly increasing.
        """
        if n >= 0:
            return self.ticks[n]
        return self.ticks[0] + n * (self.ticks[1] - self.ticks[0])

    def duration(self, n: int) -> int:
        """Return for how long frame n is shown."""
        return self.ticks[n + 1] - self.ticks[n]


def clock_error(path: Path, seconds: Fraction, rate: Fraction, *, copy: bool = False) -> MediaError:
    """Return the error for a clock that repeats or jumps back.

    Args:
        path: the file.
        seconds: where, by the file's clock.
        rate: frames a second.
        copy: ffmpeg can mend it without decoding.
    """
    advice = f"-r {rate} -i IN -c:v ffv1 OUT.mkv"
    if copy:
        advice = "-dn -i IN -map 0 -c copy OUT.mkv"
    return MediaError(
        f"{path}: its clock jumps back after {float(seconds):.3f} s, and pictures would be lost; "
        f"cut it there, or give it new timestamps with ffmpeg {advice}"
    )


class Clock:
    """Follows a file's packets in their order, and refuses a video clock that runs back.

    Args:
        path: the file.
        container: the same, open.
        stream: its video stream.
        rate: frames a second.
    """

    def __init__(
        self, path: Path, container: InputContainer, stream: VideoStream, rate: Fraction
    ) -> None:
        self._path = path
        self._stream = stream
        self._base = exact(stream.time_base) if stream.time_base else Fraction(1)
        self._rate = rate
        self._in_two = stream.codec_context.codec.name in _IN_TWO
        self._discontinuous = bool(container.format.flags & _CLOSED_BY_FFMPEG)
        self._seen: set[int] = set()
        self._previous: tuple[int | None, bool, bool] = (None, False, False)
        self._latest_pts: int | None = None
        self._latest_dts: int | None = None
        self._ends: dict[int, Fraction] = {}

    def follow(self, packet: Packet[Stream]) -> None:
        """Note for how long a packet of any stream lasts."""
        stream = packet.stream
        start = packet.pts if packet.pts is not None else packet.dts
        if start is None or stream.disposition & Disposition.attached_pic:
            return
        end = (start + (packet.duration or 0)) * exact(packet.time_base)
        self._ends[stream.index] = max(self._ends.get(stream.index, end), end)

    def follow_picture(self, packet: Packet[Stream]) -> None:
        """Note the times of a packet that is to be shown.

        Raises:
            MediaError: it is shown or decoded before one that came earlier and can't be.
        """
        pts, dts = packet.pts, packet.dts
        if dts is not None:
            back = _or(self._latest_dts, dts) - dts
            if back * self._base > _TOLERANCE / self._rate:
                raise self._error(_or(self._latest_dts, dts), dts)
            self._latest_dts = max(_or(self._latest_dts, dts), dts)
        if pts is None:
            # The second field of the picture before.
            return
        if self._repeats(pts, packet):
            raise self._error(_or(self._latest_pts, pts), pts)
        self._seen.add(pts)
        self._latest_pts = max(_or(self._latest_pts, pts), pts)

    def _repeats(self, pts: int, packet: Packet[Stream]) -> bool:
        before, was_key, was_second = self._previous
        second = pts == before
        self._previous = pts, packet.is_keyframe, second
        if second:
            # A second field has the time of the first, and starts nothing by itself.
            return not self._in_two or was_second or (packet.is_keyframe and not was_key)
        if packet.is_keyframe and self._latest_pts is not None and pts < self._latest_pts:
            return True
        return pts in self._seen

    def _error(self, latest: int, ticks: int) -> MediaError:
        copy = self._discontinuous and (latest - ticks) * self._base > _CLOSED_FROM
        return clock_error(self._path, latest * self._base, self._rate, copy=copy)

    def warn_of_missing_end(self, container: InputContainer) -> None:
        """Log a warning if the file declares clearly more than was read."""
        # What the stream itself declares leaves out what an edit list cuts off.
        if self._stream.duration:
            length = self._stream.duration * self._base
            if container.format.name == "avi" and self._stream.frames:
                # FFmpeg fits the duration to the size of the file.
                length = self._stream.frames / self._rate
            read = self._ends.get(self._stream.index, Fraction(0))
        elif container.duration:
            length = Fraction(container.duration, 1_000_000)
            read = max(self._ends.values(), default=Fraction(0))
        else:
            return
        if length - read > max(_SHORT, length * _SHORT_SHARE):
            log.warning(
                "%s: declares %.3f s, but ends at %.3f s; it is damaged or cut off",
                self._path,
                float(length),
                float(read),
            )


def _or(value: int | None, fallback: int) -> int:
    return fallback if value is None else value


def warn_of_holes(path: Path, pts: Sequence[int], time_base: Fraction) -> None:
    """Log a warning if pictures are missing from a video of constant frame rate.

    Args:
        path: the file.
        pts: when its pictures are shown, in ticks, ascending.
        time_base: seconds a tick.
    """
    steps = [after - before for before, after in pairwise(pts)]
    if not steps:
        return
    usual = median(steps)
    # Ticks round, unless they are frames.
    tick = usual > 1
    near = max(usual / 10, tick)
    if sum(abs(step - usual) <= near for step in steps) < _CONSTANT * len(steps):
        return
    wide = [n for n, step in enumerate(steps) if step > max(_HOLE * usual, usual + tick)]
    if not wide:
        return
    missing = sum(round(steps[n] / usual) - 1 for n in wide)
    first = wide[0]
    log.warning(
        "%s: %s in its timestamps, as if %d of %d pictures were missing, the first of %.3f s at "
        "%.3f s; the picture before is shown meanwhile",
        path,
        "a hole" if len(wide) == 1 else f"{len(wide)} holes",
        missing,
        missing + len(pts),
        float(steps[first] * time_base),
        float((pts[first] - pts[0]) * time_base),
    )

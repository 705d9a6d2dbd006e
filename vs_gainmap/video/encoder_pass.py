"""One pass of a clip's frames through an encoder."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import re
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import av
import vapoursynth as vs
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.stream import VideoStream

from vs_gainmap.errors import MediaError
from vs_gainmap.filters import props
from vs_gainmap.filters.memory import frames_in_order
from vs_gainmap.video.chunk_file import writing_chunk
from vs_gainmap.video.encoders import (
    Encoder,
    Params,
    codec_options,
    format_params,
    parse_params,
    pix_fmt_for,
    preferred_format,
)
from vs_gainmap.video.frame_notes import note_frame
from vs_gainmap.video.hdr_metadata import hevc
from vs_gainmap.video.inputs import reason
from vs_gainmap.video.pixels import context_color, sample_aspect, to_pyav

_UNKNOWN = re.compile(r"Unknown option: (?P<name>\S+?)\.?$")
_REFUSED = re.compile(
    r"(?:Invalid value for|Error parsing option) (?P<name>\S+): (?P<value>.*?)\.?$"
)
# AV_LOG_QUIET, and a level of our own: that of warnings, but for no one else.
_QUIET, _WARNINGS = -8, av.logging.WARNING + 1
# In x265's message about itself.
_FRAME_THREADS = re.compile(rb"frame-threads=(\d+)")
_NO_GPU = re.compile(r"cannot load|no capable devices|driver|unsupported device", re.IGNORECASE)
_THREADS = Path("/proc/self/task")


@dataclass(frozen=True, slots=True, kw_only=True)
class EncoderSettings:
    """All that an encoder is opened with; the same for every chunk of a film.

    `rate` is in frames a second; `aspect` the shape of a sample, None where it is unknown.
    """

    encoder: Encoder
    options: Params
    width: int
    height: int
    pix_fmt: str
    rate: Fraction
    color: Mapping[str, int]
    aspect: Fraction | None

    @classmethod
    def of(
        cls,
        clip: vs.VideoNode,
        encoder: Encoder,
        found: Mapping[str, object],
        options: Params,
        rate: Fraction | None,
    ) -> EncoderSettings:
        """Return the settings for a clip, in a format that the encoder takes.

        Args:
            clip: to be encoded.
            encoder: a row of the table.
            found: the props of the clip's first frame.
            options: FFmpeg's.
            rate: where the clip has none; None is 25.

        Raises:
            MediaError: the props don't tell the color, or the format doesn't fit.
        """
        return cls(
            encoder=encoder,
            options=options,
            width=clip.width,
            height=clip.height,
            pix_fmt=pix_fmt_for(clip, encoder),
            rate=Fraction(clip.fps or rate or 25),
            color=context_color(found),
            aspect=sample_aspect(found),
        )

    def described(self) -> dict[str, str]:
        """Return all of them by name."""
        return {
            "encoder": self.encoder.name,
            **self.options,
            "format": f"{self.pix_fmt}, {self.width}x{self.height}, {self.rate} frames a second",
            "color": ", ".join(f"{name} {value}" for name, value in self.color.items()),
            "aspect": str(self.aspect or "unknown"),
        }


class EncodingPass:
    """One pass of a run of frames through an encoder, into a chunk file.

    `header` is the Matroska header of its stream, by the encoder itself, and `stream` a digest of
    what a decoder needs of it: runs can be joined only where it is the same.

    Raises:
        MediaError: the encoder can't be opened.
    """

    def __init__(self, settings: EncoderSettings) -> None:
        self.settings = settings
        encoder = settings.encoder
        if encoder.name == "svtav1":
            # The library writes to stderr and takes no parameter to stop it.
            os.environ.setdefault("SVT_LOG", "1")
        lines: list[str] = []
        try:
            with captured_log(encoder.library) as lines:
                self._context, self.header = self._open()
            self.stream = self._digest()
        except (av.FFmpegError, ValueError) as error:
            check_parameters(encoder, lines, {})
            raise open_error(encoder, settings.options, error, lines) from error
        # What is left are those that FFmpeg found no use for.
        check_parameters(encoder, lines, self._context.options)

    def _open(self) -> tuple[VideoCodecContext, bytes]:
        settings = self.settings
        # The container is a way to the encoder's own description of its stream.
        buffer = io.BytesIO()
        container = av.open(buffer, "w", format="matroska")
        library, options = settings.encoder.library, dict(settings.options)
        stream = container.add_stream(library, rate=settings.rate, options=options)
        if not isinstance(stream, av.VideoStream):
            raise ValueError(f"{library} is no video encoder")
        context = stream.codec_context
        context.width, context.height = settings.width, settings.height
        context.pix_fmt = settings.pix_fmt
        context.time_base = 1 / settings.rate
        context.framerate = settings.rate
        for name, value in settings.color.items():
            setattr(context, name, value)
        if settings.aspect is not None:
            context.sample_aspect_ratio = settings.aspect
        with usual_scheduling():
            container.start_encoding()
        container.close()
        return context, buffer.getvalue()

    def portable_settings(self) -> EncoderSettings:
        """Return settings that make the same stream on a machine with another number of cores.

        x265 chooses its frame threads by the cores, and other pictures come of that.
        """
        threads = _FRAME_THREADS.search(self._context.extradata or b"")
        name = self.settings.encoder.params
        if threads is None or name is None:
            return self.settings
        params = parse_params(self.settings.options.get(name))
        params["frame-threads"] = threads[1].decode()
        options = {**self.settings.options, name: format_params(params)}
        return replace(self.settings, options=options)

    def _digest(self) -> str:
        data = self._context.extradata or b""
        if self.settings.encoder.codec == "hevc":
            # Without x265's message about itself, which names the machine's processor.
            data = b"".join(hevc.parameter_sets(data))
        return hashlib.sha256(data).hexdigest()[:16]

    def run(
        self,
        clip: vs.VideoNode,
        path: Path,
        *,
        key: str,
        first: int = 0,
        progress: Callable[[int, int], None] | None = None,
    ) -> None:
        """Pull all frames in order through the encoder, and store what it makes.

        Args:
            clip: the run.
            path: where its file is to be.
            key: of the conversion that it belongs to.
            first: the number of its first frame in the film, for messages.
            progress: called after each frame with frames written and their bytes.

        Raises:
            MediaError: the encoder fails, or gave another number of pictures than it got.
        """
        settings = self.settings
        with writing_chunk(path, key) as chunk:
            for n, frame in enumerate(frames_in_order(clip)):
                with closing(frame):
                    chunk.note(note_frame(frame, clip, first + n))
                    picture = to_pyav(frame, settings.pix_fmt)
                for name, value in settings.color.items():
                    setattr(picture, name.replace("chroma_sample", "chroma"), value)
                picture.pts, picture.time_base = n, 1 / settings.rate
                for packet in self._encode(picture, first + n):
                    chunk.append(packet)
                if progress is not None:
                    progress(chunk.packets, chunk.bytes)
            for packet in self._encode(None, first + clip.num_frames - 1):
                chunk.append(packet)
                if progress is not None:
                    progress(chunk.packets, chunk.bytes)
            if chunk.packets != chunk.frames:
                raise MediaError(
                    f"encoder {settings.encoder.name} made {chunk.packets} pictures of "
                    f"{chunk.frames}"
                )

    def _encode(self, picture: av.VideoFrame | None, n: int) -> list[Packet[VideoStream]]:
        try:
            return self._context.encode(picture)
        except av.FFmpegError as error:
            raise MediaError(
                f"encoder {self.settings.encoder.name} failed at frame {n}: {reason(error)}"
            ) from error


def can_open(encoder: Encoder) -> str | None:
    """Try an encoder on a small black clip; return None, or what is wrong with it."""
    clip = vs.core.std.BlankClip(format=preferred_format(encoder), width=320, height=192, length=1)
    found: dict[str, object] = {props.TRANSFER: 16, props.PRIMARIES: 9, props.MATRIX: 9}
    try:
        EncodingPass(EncoderSettings.of(clip, encoder, found, codec_options(encoder), None))
    except MediaError as error:
        return str(error)
    return None


@contextmanager
def captured_log(library: str) -> Iterator[list[str]]:
    """Collect the warnings and errors of one of FFmpeg's encoders, line by line."""
    lines: list[str] = []
    before, skips = av.logging.get_level(), av.logging.get_skip_repeated()
    # Of all threads, so that none of a decoder's reaches the user meanwhile.
    with av.logging.Capture(local=False) as logs:
        # What the encoder before this one logged last counts again.
        av.logging.set_skip_repeated(False)
        av.logging.set_level(_WARNINGS)
        try:
            yield lines
        finally:
            if before in (None, _WARNINGS):
                # PyAV compares with the level while a decoder logs: it must stay a number.
                av.logging.set_libav_level(_QUIET)
                av.logging.restore_default_callback()
            else:
                av.logging.set_level(before)
            av.logging.set_skip_repeated(skips)
            # For lines on their way, which would go to the user otherwise.
            time.sleep(0.001)
            lines += [text.strip() for _, name, text in logs if name == library]


def check_parameters(encoder: Encoder, lines: Iterable[str], left: Mapping[str, str]) -> None:
    """Refuse raw parameters that an encoder passed over.

    Args:
        encoder: a row of the table.
        lines: what `captured_log` got while it opened.
        left: options that FFmpeg found no use for.

    Raises:
        MediaError: there are such.
    """
    unknown, refused = list(left), []
    for line in lines:
        if match := _UNKNOWN.match(line):
            unknown.append(match["name"])
        elif match := _REFUSED.match(line):
            refused.append(f"{match['name']}={match['value']}")
    parts = [f"doesn't know {', '.join(dict.fromkeys(unknown))}"] if unknown else []
    parts += [f"doesn't take {', '.join(dict.fromkeys(refused))}"] if refused else []
    if parts:
        raise MediaError(
            f"encoder {encoder.name} {' and '.join(parts)}; correct --encoder-params "
            "(encoder_params=)"
        )


def open_error(
    encoder: Encoder, options: Params, error: Exception, lines: Iterable[str]
) -> MediaError:
    """Return the error for an encoder that can't be opened, in one line.

    Args:
        encoder: a row of the table.
        options: what it was to be opened with.
        error: FFmpeg's error.
        lines: what `captured_log` got.
    """
    if isinstance(error, av.codec.codec.UnknownCodecError):
        return MediaError(f"encoder {encoder.name}: this PyAV is built without {encoder.library}")
    reasons = list(dict.fromkeys(line.rstrip(".") for line in lines))
    reason = "; ".join(reasons) or getattr(error, "strerror", None) or str(error)
    if "nvenc" in encoder.name and _NO_GPU.search(reason):
        return MediaError(
            f"encoder {encoder.name} needs an NVIDIA GPU that has it, and its driver: {reason}"
        )
    settings = ", ".join(f"{name} {value}" for name, value in options.items())
    return MediaError(f"encoder {encoder.name} can't be opened with {settings}: {reason}")


@contextmanager
def usual_scheduling() -> Iterator[None]:
    """Give this thread, and those that are new afterwards, the scheduling that this one had.

    Only Linux has root's encoders at real-time priority; elsewhere it does nothing.
    """
    if sys.platform != "linux":
        yield
        return
    policy, parameters = os.sched_getscheduler(0), os.sched_getparam(0)
    before = _threads()
    try:
        yield
    finally:
        # 0 is this thread.
        for thread in {0, *(_threads() - before)}:
            # One may have ended meanwhile.
            with contextlib.suppress(ProcessLookupError):
                if os.sched_getscheduler(thread) != policy:
                    os.sched_setscheduler(thread, policy, parameters)


def _threads() -> set[int]:
    return {int(entry.name) for entry in _THREADS.iterdir()} if _THREADS.is_dir() else set()

"""One pass of a clip's frames through an encoder."""

from __future__ import annotations

import contextlib
import io
import os
import re
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
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
from vs_gainmap.hdr10 import ContentLight, LightMeter, MasteringDisplay
from vs_gainmap.hdr10plus import SceneMeter, messages
from vs_gainmap.video.encoders import Encoder, Params, codec_options, pix_fmt_for, preferred_format
from vs_gainmap.video.inputs import reason
from vs_gainmap.video.mux import VideoTrack
from vs_gainmap.video.packet_file import PacketFile
from vs_gainmap.video.pixels import context_color, frame_duration, sample_aspect, to_pyav

Progress = Callable[[int, int, int], None]
_UNKNOWN = re.compile(r"Unknown option: (?P<name>\S+?)\.?$")
_REFUSED = re.compile(
    r"(?:Invalid value for|Error parsing option) (?P<name>\S+): (?P<value>.*?)\.?$"
)
# AV_LOG_QUIET, and a level of our own: that of warnings, but for no one else.
_QUIET, _WARNINGS = -8, av.logging.WARNING + 1
_NO_GPU = re.compile(r"cannot load|no capable devices|driver|unsupported device", re.IGNORECASE)
_THREADS = Path("/proc/self/task")


# ITU-T T.35's country and provider, then ATSC A/53 part 4, 6.2.3: user data of type captions.
_A53 = bytes([0xB5, 0x00, 0x31]) + b"GA94" + bytes([3])


class EncodingPass:
    """One pass of frames through an encoder, into a packet file."""

    def __init__(
        self,
        clip: vs.VideoNode,
        encoder: Encoder,
        found: dict[str, object],
        options: Params,
        rate: Fraction | None,
    ) -> None:
        self.clip = clip
        self.encoder = encoder
        self.rate = Fraction(rate) if rate else Fraction(25)
        self.pix_fmt = pix_fmt_for(clip, encoder)
        self.color = context_color(found)
        self.aspect = sample_aspect(found)
        self.durations: list[Fraction] = []
        self.captions: dict[int, bytes] = {}
        self._meter = LightMeter(clip.width, clip.height)
        self._scenes = SceneMeter()
        if encoder.name == "svtav1":
            # The library writes to stderr and takes no parameter to stop it.
            os.environ.setdefault("SVT_LOG", "1")
        lines: list[str] = []
        try:
            with captured_log(encoder.library) as lines:
                self._context, self.header = self._open(options)
        except (av.FFmpegError, ValueError) as error:
            check_parameters(encoder, lines, {})
            raise open_error(encoder, options, error, lines) from error
        # What is left are those that FFmpeg found no use for.
        check_parameters(encoder, lines, self._context.options)

    def _open(self, options: Params) -> tuple[VideoCodecContext, bytes]:
        # The container is a way to the encoder's own description of its stream.
        buffer = io.BytesIO()
        container = av.open(buffer, "w", format="matroska")
        stream = container.add_stream(self.encoder.library, rate=self.rate, options=options)
        if not isinstance(stream, av.VideoStream):
            raise ValueError(f"{self.encoder.library} is no video encoder")
        context = stream.codec_context
        context.width, context.height = self.clip.width, self.clip.height
        context.pix_fmt = self.pix_fmt
        context.time_base = 1 / self.rate
        context.framerate = self.rate
        for name, value in self.color.items():
            setattr(context, name, value)
        if self.aspect is not None:
            context.sample_aspect_ratio = self.aspect
        with usual_scheduling():
            container.start_encoding()
        container.close()
        return context, buffer.getvalue()

    def run(self, path: Path, progress: Progress | None) -> PacketFile:
        """Pull all frames in order through the encoder, and store what it makes.

        Raises:
            MediaError: the encoder fails, or gave another number of pictures than it got.
        """
        packets = PacketFile(path)
        with closing(packets):
            for n, frame in enumerate(frames_in_order(self.clip)):
                with closing(frame):
                    self._note(frame)
                    picture = to_pyav(frame, self.pix_fmt)
                for name, value in self.color.items():
                    setattr(picture, name.replace("chroma_sample", "chroma"), value)
                picture.pts, picture.time_base = n, 1 / self.rate
                for packet in self._encode(picture):
                    packets.append(packet)
                if progress is not None:
                    progress(len(packets), self.clip.num_frames, packets.bytes)
            for packet in self._encode(None):
                packets.append(packet)
                if progress is not None:
                    progress(len(packets), self.clip.num_frames, packets.bytes)
        if len(packets) != len(self.durations):
            raise MediaError(
                f"encoder {self.encoder.name} made {len(packets)} pictures of {len(self.durations)}"
            )
        return packets

    def _encode(self, picture: av.VideoFrame | None) -> list[Packet[VideoStream]]:
        try:
            return self._context.encode(picture)
        except av.FFmpegError as error:
            raise MediaError(
                f"encoder {self.encoder.name} failed at frame {len(self.durations) - 1}: "
                f"{reason(error)}"
            ) from error

    def _note(self, frame: vs.VideoFrame) -> None:
        found = frame.props
        duration = frame_duration(found) or (1 / Fraction(self.clip.fps) if self.clip.fps else None)
        if duration is None or duration <= 0:
            raise MediaError(
                f"encode: frame {len(self.durations)} has no duration and the clip no frame rate; "
                "set one with std.AssumeFPS"
            )
        captions = found.get(props.CAPTIONS)
        if isinstance(captions, bytes):
            self.captions[len(self.durations)] = _A53 + bytes(
                [0x40 | len(captions) // 3 & 0x1F, 0xFF, *captions, 0xFF]
            )
        self.durations.append(duration)
        if props.FRAME_MAX_NITS in found and props.FRAME_AVERAGE_NITS in found:
            self._meter.add(
                float(found[props.FRAME_MAX_NITS]),
                float(found[props.FRAME_AVERAGE_NITS]),
                props.read_active_area(found),
            )
        light = props.read_frame_light(found)
        if light is not None:
            # Without props of scene changes each frame is a scene of its own.
            begins = found.get(props.SCENE_CHANGE_PREV, 1)
            self._scenes.add(light, begins_scene=bool(begins))

    def measured(self) -> ContentLight | None:
        """Return MaxCLL and MaxFALL, if every frame was measured."""
        if not self._meter.frames or self._meter.frames < len(self.durations):
            return None
        return self._meter.result()

    def dynamic(self) -> tuple[tuple[int, bytes], ...]:
        """Return each scene's first frame and its HDR10+ message.

        Raises:
            MediaError: frames were not measured for it.
        """
        if self._scenes.frames < len(self.durations):
            raise MediaError(
                "encode: for HDR10+ every frame must be measured; use measure(clip, hdr10plus=True)"
            )
        return tuple(messages(self._scenes.scenes()))

    def notes(self) -> tuple[str, ...]:
        """Return what of the frames the stream could not hold."""
        if self.captions and self.encoder.codec not in ("hevc", "av1"):
            return (f"closed captions can't be stored in {self.encoder.codec}; they are left out",)
        return ()

    def track(
        self,
        mastering: MasteringDisplay | None,
        light: ContentLight | None,
        dynamic: tuple[tuple[int, bytes], ...] = (),
    ) -> VideoTrack:
        """Return what the container declares of the video."""
        return VideoTrack(
            codec=self.encoder.codec,
            header=self.header,
            size=(self.clip.width, self.clip.height),
            rate=Fraction(self.clip.fps) or None,
            average=self.rate,
            aspect=self.aspect,
            mastering=mastering,
            light=light,
            dynamic=dynamic,
            captions=self.captions,
        )


def can_open(encoder: Encoder) -> str | None:
    """Try an encoder on a small black clip; return None, or what is wrong with it."""
    clip = vs.core.std.BlankClip(format=preferred_format(encoder), width=320, height=192, length=1)
    found: dict[str, object] = {props.TRANSFER: 16, props.PRIMARIES: 9, props.MATRIX: 9}
    try:
        EncodingPass(clip, encoder, found, codec_options(encoder), Fraction(25))
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

"""One pass of a clip's frames through an encoder."""

from __future__ import annotations

import io
import os
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import closing
from fractions import Fraction
from pathlib import Path

import av
import vapoursynth as vs
from av.video.codeccontext import VideoCodecContext

from vs_gainmap import props
from vs_gainmap.errors import MediaError
from vs_gainmap.hdr10 import ContentLight, LightMeter, MasteringDisplay
from vs_gainmap.hdr10plus import SceneMeter, messages
from vs_gainmap.video.encoders import Encoder, Params, codec_options
from vs_gainmap.video.memory import frames_in_flight
from vs_gainmap.video.mux import VideoTrack
from vs_gainmap.video.opening import check_parameters, listening, open_error
from vs_gainmap.video.packet_file import PacketSpool
from vs_gainmap.video.pixels import pix_fmt_of, to_pyav
from vs_gainmap.video.scheduling import usual_scheduling
from vs_gainmap.video.tags import context_color, frame_duration, sample_aspect

Progress = Callable[[int, int, int], None]


class EncodingPass:
    """One pass of frames through an encoder, into a spool."""

    def __init__(
        self,
        clip: vs.VideoNode,
        encoder: Encoder,
        known: dict[str, object],
        options: Params,
        rate: Fraction | None,
    ) -> None:
        self.clip = clip
        self.encoder = encoder
        self.rate = Fraction(rate) if rate else Fraction(25)
        self.pix_fmt = pix_fmt_for(clip, encoder)
        self.color = context_color(known)
        self.aspect = sample_aspect(known)
        self.durations: list[Fraction] = []
        self._meter = LightMeter(clip.width, clip.height)
        self._scenes = SceneMeter()
        if encoder.name == "svtav1":
            # The library talks to stderr and takes no parameter to stop it.
            os.environ.setdefault("SVT_LOG", "1")
        said: list[str] = []
        try:
            with listening(encoder.library) as said:
                self._context, self.header = self._open(options)
        except (av.FFmpegError, ValueError) as error:
            check_parameters(encoder, said, {})
            raise open_error(encoder, options, error, said) from error
        # What is left are those that FFmpeg found no use for.
        check_parameters(encoder, said, self._context.options)

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

    def run(self, path: Path, progress: Progress | None) -> PacketSpool:
        """Pull all frames in order through the encoder, and store what it makes.

        Raises:
            MediaError: the encoder gave another number of pictures than it was given.
        """
        spool = PacketSpool(path)
        with closing(spool):
            for n, frame in enumerate(frames_in_order(self.clip)):
                with closing(frame):
                    self._note(frame)
                    picture = to_pyav(frame, self.pix_fmt)
                for name, value in self.color.items():
                    setattr(picture, name.replace("chroma_sample", "chroma"), value)
                picture.pts, picture.time_base = n, 1 / self.rate
                for packet in self._context.encode(picture):
                    spool.append(packet)
                if progress is not None:
                    progress(n + 1, self.clip.num_frames, spool.bytes)
            for packet in self._context.encode(None):
                spool.append(packet)
        if len(spool) != len(self.durations):
            raise MediaError(
                f"encoder {self.encoder.name} made {len(spool)} pictures of {len(self.durations)}"
            )
        return spool

    def _note(self, frame: vs.VideoFrame) -> None:
        known = frame.props
        duration = frame_duration(known) or (1 / Fraction(self.clip.fps) if self.clip.fps else None)
        if duration is None or duration <= 0:
            raise MediaError(
                f"encode: frame {len(self.durations)} has no duration and the clip no frame rate; "
                "set one with std.AssumeFPS"
            )
        self.durations.append(duration)
        if props.FRAME_MAX_NITS in known and props.FRAME_AVERAGE_NITS in known:
            self._meter.add(
                float(known[props.FRAME_MAX_NITS]),
                float(known[props.FRAME_AVERAGE_NITS]),
                props.read_active_area(known),
            )
        light = props.read_frame_light(known)
        if light is not None:
            # Where nothing tells shots apart, each frame is a scene of its own.
            begins = known.get(props.SCENE_CHANGE_PREV, 1)
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

    def track(
        self,
        mastering: MasteringDisplay | None,
        light: ContentLight | None,
        dynamic: tuple[tuple[int, bytes], ...] = (),
    ) -> VideoTrack:
        """Return what the container is to say about the video."""
        return VideoTrack(
            codec=self.encoder.codec,
            header=self.header,
            size=(self.clip.width, self.clip.height),
            rate=Fraction(self.clip.fps) or None,
            aspect=self.aspect,
            mastering=mastering,
            light=light,
            dynamic=dynamic,
        )


def can_open(encoder: Encoder) -> str | None:
    """Try an encoder on a small black clip; return None, or what is wrong with it."""
    clip = vs.core.std.BlankClip(format=preferred_format(encoder), width=320, height=192, length=1)
    known: dict[str, object] = {props.TRANSFER: 16, props.PRIMARIES: 9, props.MATRIX: 9}
    try:
        EncodingPass(clip, encoder, known, codec_options(encoder), Fraction(25))
    except MediaError as error:
        return str(error)
    return None


def frames_in_order(clip: vs.VideoNode, *, at_once: int | None = None) -> Iterator[vs.VideoFrame]:
    """Yield all frames, with a few on their way; none any more when it ends, however it ends.

    Args:
        clip: constant size.
        at_once: how many are asked for at once; None is what suits the size.
    """
    at_once = min(at_once or frames_in_flight(clip.width, clip.height), clip.num_frames)
    waiting = deque(clip.get_frame_async(n) for n in range(at_once))
    following = len(waiting)
    try:
        while waiting:
            frame = waiting.popleft().result()
            if following < clip.num_frames:
                waiting.append(clip.get_frame_async(following))
                following += 1
            yield frame
    finally:
        for future in waiting:
            if future.exception() is None:
                future.result().close()


def for_encoder(clip: vs.VideoNode, encoder: Encoder) -> vs.VideoNode:
    """Convert a clip to the nearest format that the encoder takes, if it must be."""
    if clip.format is None or clip.width == 0:
        raise MediaError("encode: the clip must have a constant format and size")
    if _try_pix_fmt(clip.format, encoder) is not None:
        return clip
    with closing(clip.get_frame(0)) as first:
        matrix = first.props.get(props.MATRIX)
        primaries = first.props.get(props.PRIMARIES)
    options: dict[str, int] = {}
    if clip.format.color_family == vs.RGB:
        options["matrix"] = int(vs.MATRIX_BT2020_NCL if primaries == 9 else vs.MATRIX_BT709)
        options["range"] = int(vs.RANGE_LIMITED)
    elif clip.format.color_family != vs.YUV or matrix is None:
        raise MediaError(
            f"encode: the clip must be YUV or RGB with its color props, got {clip.format.name}"
        )
    wanted = vs.core.get_video_format(preferred_format(encoder))
    check_size(clip.width, clip.height, wanted, encoder)
    return clip.resize.Bicubic(format=wanted.id, dither_type="error_diffusion", **options)


def check_size(width: int, height: int, clip_format: vs.VideoFormat, encoder: Encoder) -> None:
    """Refuse a picture whose chroma planes would end between two samples.

    Raises:
        MediaError: with the size that fits, and a format that does if the encoder has one.
    """
    steps = 1 << clip_format.subsampling_w, 1 << clip_format.subsampling_h
    if width % steps[0] == 0 and height % steps[1] == 0:
        return
    full = "yuv444p10le" in encoder.pix_fmts
    raise MediaError(
        f"{clip_format.name} can't hold {width}x{height}; crop it first to a multiple of "
        f"{steps[0]}x{steps[1]}{', or take --format YUV444P10' if full else ''}"
    )


def preferred_format(encoder: Encoder) -> vs.PresetVideoFormat:
    """Return the clip format that an encoder takes without conversion."""
    return vs.YUV422P10 if encoder.pix_fmts[0] == "yuv422p10le" else vs.YUV420P10


def _try_pix_fmt(clip_format: vs.VideoFormat, encoder: Encoder) -> str | None:
    try:
        name = pix_fmt_of(clip_format)
    except MediaError:
        return None
    if name == "yuv420p10le" and "p010le" in encoder.pix_fmts:
        return "p010le"
    return name if name in encoder.pix_fmts else None


def pix_fmt_for(clip: vs.VideoNode, encoder: Encoder) -> str:
    """Return the pixel format in which an encoder takes a clip.

    Raises:
        MediaError: it doesn't.
    """
    name = _try_pix_fmt(clip.format, encoder)
    if name is None:
        raise MediaError(f"encode: {encoder.name} can't take {clip.format.name}")
    return name

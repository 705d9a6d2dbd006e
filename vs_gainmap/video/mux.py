"""The final pass: coded video with HDR10 metadata, and all that the source has besides."""

from __future__ import annotations

import io
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import av
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.packet import Packet
from av.stream import Stream
from av.video.stream import VideoStream

from vs_gainmap.errors import MediaError
from vs_gainmap.hdr10 import ContentLight, MasteringDisplay
from vs_gainmap.video.audio import Recoder
from vs_gainmap.video.chunk_file import Coded
from vs_gainmap.video.containers import Container
from vs_gainmap.video.hdr_metadata import av1, hevc
from vs_gainmap.video.hdr_metadata.matroska import (
    finish_matroska,
    header_with_hdr10,
    mark_title,
    open_template,
)
from vs_gainmap.video.inputs import reason
from vs_gainmap.video.streams import (
    Plan,
    Span,
    add_stream,
    copy_metadata,
    cropping,
    display_matrix,
    is_picture,
    needs_metadata_keys,
    packets,
    video_metadata,
)
from vs_gainmap.video.timestamps import FrameTimes, exact


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoTrack:
    """What the container declares of the video.

    `header` is a Matroska header by the encoder itself, `rate` None where frames last
    differently and `average` that of all, `aspect` None where it is unknown. `dynamic` has the
    first frame of each scene and its HDR10+ message (ITU-T T.35), `captions` messages by frame.
    """

    codec: str
    header: bytes
    size: tuple[int, int]
    rate: Fraction | None
    average: Fraction
    aspect: Fraction | None
    mastering: MasteringDisplay | None
    light: ContentLight | None
    dynamic: tuple[tuple[int, bytes], ...] = ()
    captions: Mapping[int, bytes] = field(default_factory=dict)


class _Output(NamedTuple):
    """An output with its streams, before its header is written."""

    container: OutputContainer
    video: VideoStream
    others: dict[int, Stream]
    """By the source's index; without those that need no packets."""
    recoders: dict[int, Recoder]


def mux(
    path: Path,
    container: Container,
    track: VideoTrack,
    coded: Iterable[Coded],
    times: FrameTimes,
    *,
    plan: Plan | None = None,
    span: Span | None = None,
) -> None:
    """Write the finished file.

    Args:
        path: where to; replaced if it exists.
        container: its format.
        track: what to declare of the video.
        coded: its packets.
        times: when its frames are shown.
        plan: what goes along from the source; None for video alone.
        span: the part of the source that the video is made of; None is all of it, with the
            source's own clock.

    Raises:
        MediaError: it can't be written.
    """
    try:
        with ExitStack() as stack:
            out = _open_output(stack, str(path.absolute()), container, track, plan, span)
            out.video.time_base = times.time_base
            pictures = _pictures(track, coded, times, out.video)
            waiting = next(pictures, None)
            for packet in _others(out, plan, span):
                while waiting is not None and _start(waiting) <= _start(packet):
                    out.container.mux_one(waiting)
                    waiting = next(pictures, None)
                out.container.mux_one(packet)
            while waiting is not None:
                out.container.mux_one(waiting)
                waiting = next(pictures, None)
    except (av.FFmpegError, ValueError) as error:
        if isinstance(error, OSError):
            # A full disk: `encode` has the file's final name.
            raise
        raise MediaError(f"writing .{container.suffix} failed: {reason(error)}") from error
    if container.is_matroska:
        with path.open("r+b") as file:
            finish_matroska(file, track.size, track.aspect)


def check_header(
    container: Container, track: VideoTrack, *, plan: Plan | None = None, span: Span | None = None
) -> None:
    """Write a header to nowhere, to fail now if it fails, not after hours of encoding.

    Raises:
        MediaError: the container can't hold these streams.
    """
    # Only a file can be opened again to move the index to its front.
    trial = replace(container, options={})
    try:
        with ExitStack() as stack:
            out = _open_output(stack, io.BytesIO(), trial, track, plan, span)
            out.container.start_encoding()
    except (av.FFmpegError, ValueError) as error:
        raise MediaError(
            f".{container.suffix} can't hold these streams together: {error}"
        ) from error


def _open_output(
    stack: ExitStack,
    file: str | io.BytesIO,
    container: Container,
    track: VideoTrack,
    plan: Plan | None,
    span: Span | None,
) -> _Output:
    """Open an output and add all streams, in the source's order."""
    options = dict(container.options)
    opened = plan.opened if plan else None
    if opened and "movflags" in options and needs_metadata_keys(opened.metadata):
        options["movflags"] += "+use_metadata_tags"
    crop = cropping(opened.streams[plan.video]) if opened and plan else ()
    header = header_with_hdr10(track.header, track.codec, track.mastering, track.light, crop)
    template = stack.enter_context(open_template(header))
    out = stack.enter_context(av.open(file, "w", format=container.format, options=options))
    if opened is None or plan is None:
        return _Output(out, _add_video(out, container, track, template), {}, {})
    others: dict[int, Stream] = {}
    recoders: dict[int, Recoder] = {}
    video: VideoStream | None = None
    for stream in opened.streams:
        if stream.index == plan.video:
            video = _add_video(out, container, track, template)
            _describe(video, stream, plan, container)
            if span is not None:
                # That of the source's first frame.
                for key in [key for key in video.metadata if key.lower() == "timecode"]:
                    del video.metadata[key]
        elif stream.index in plan.recoded and isinstance(stream, AudioStream):
            recoders[stream.index] = Recoder(out, stream)
        elif stream.index in plan.kept:
            made = add_stream(out, stream, container, plan.pictures)
            if not (is_picture(stream) and container.is_matroska):
                others[stream.index] = made
    if video is None:
        raise MediaError("the source has no video stream")
    copy_metadata(opened, out, span)
    return _Output(out, video, others, recoders)


def _add_video(
    out: OutputContainer, container: Container, track: VideoTrack, template: VideoStream
) -> VideoStream:
    video = out.add_stream_from_template(template, opaque=True)
    context = video.codec_context
    if track.codec == "hevc" and not container.is_matroska:
        # Apple's players take nothing but hvc1.
        context.codec_tag = "hvc1"
    if track.aspect is not None:
        context.sample_aspect_ratio = track.aspect
    # Matroska's DefaultDuration, where 0 is none; what MOV and MP4 count timecode by.
    context.framerate = (track.rate or Fraction(0)) if container.is_matroska else track.average
    video.metadata.clear()
    if container.is_matroska:
        video.metadata["title"] = mark_title("")
    return video


def _describe(video: VideoStream, source: Stream, plan: Plan, container: Container) -> None:
    """Copy the source's metadata of its video that are still true."""
    video.metadata.update(video_metadata(source))
    if container.is_matroska:
        video.metadata["title"] = mark_title(source.metadata.get("title", ""))
    if plan.timecode is not None:
        video.metadata.setdefault("timecode", plan.timecode)
    video.disposition = source.disposition
    matrix = display_matrix(source)
    if matrix is not None:
        video.set_display_matrix(matrix)


def _others(out: _Output, plan: Plan | None, span: Span | None) -> Iterator[Packet[Any]]:
    """Yield the packets of all streams but the video, ready for the output.

    Times that jump back, which muxers refuse, become the next tick, as ffmpeg does it.
    """
    latest: dict[int, int] = {}
    for packet in packets(plan, span) if plan else ():
        index = packet.stream.index
        if index in out.recoders:
            yield from out.recoders[index].packets(packet)
        elif index in out.others:
            if packet.dts is not None:
                if packet.dts <= latest.get(index, packet.dts - 1):
                    packet.dts = latest[index] + 1
                    if packet.pts is not None:
                        packet.pts = max(packet.pts, packet.dts)
                latest[index] = packet.dts
            packet.stream = out.others[index]
            yield packet


def _pictures(
    track: VideoTrack, coded: Iterable[Coded], times: FrameTimes, stream: VideoStream
) -> Iterator[Packet[Any]]:
    """Yield the coded pictures with HDR10 metadata in them and exact times on them."""
    sei = hevc.hdr10_sei(track.mastering, track.light)
    obus = av1.hdr10_obus(track.mastering, track.light)
    firsts = [first for first, _ in track.dynamic]
    for picture in coded:
        data = picture.data
        scene = bisect_right(firsts, picture.pts) - 1
        messages = [track.dynamic[scene][1]] if scene >= 0 else []
        if picture.pts in track.captions:
            messages.append(track.captions[picture.pts])
        if track.codec == "hevc":
            data = hevc.sample_with_hdr10(data, sei, messages)
        elif track.codec == "av1":
            data = av1.with_hdr10(data, obus, messages)
        packet: Packet[Any] = Packet(data)
        packet.stream = stream
        packet.time_base = times.time_base
        packet.pts = times.pts(picture.pts)
        packet.dts = times.dts(picture.dts)
        packet.duration = times.duration(picture.pts)
        packet.is_keyframe = picture.is_keyframe
        yield packet


def _start(packet: Packet[Any]) -> Fraction:
    ticks = packet.dts if packet.dts is not None else packet.pts
    return (ticks or 0) * exact(packet.time_base)

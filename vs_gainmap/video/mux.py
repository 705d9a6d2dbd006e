"""The final pass: coded video with HDR10 metadata, and all that the source has besides."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from av.container import InputContainer, OutputContainer
from av.packet import Packet
from av.stream import Stream
from av.video.stream import VideoStream

from vs_gainmap.hdr10 import ContentLight, MasteringDisplay
from vs_gainmap.video import av1, hevc
from vs_gainmap.video.containers import (
    Container,
    finish_matroska,
    header_with_hdr10,
    mark_title,
    open_template,
)
from vs_gainmap.video.index import open_input
from vs_gainmap.video.passthrough import (
    Plan,
    Span,
    add_stream,
    copy_metadata,
    display_matrix,
    is_picture,
    needs_metadata_keys,
    packets,
    video_metadata,
)
from vs_gainmap.video.spool import Coded, PacketSpool
from vs_gainmap.video.times import FrameTimes, exact


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoTrack:
    """Coded video and what the container is to say about it.

    `header` is a Matroska header by the encoder itself, `rate` None where frames last
    differently, `aspect` None where it is unknown.
    """

    codec: str
    header: bytes
    spool: PacketSpool
    times: FrameTimes
    size: tuple[int, int]
    rate: Fraction | None
    aspect: Fraction | None
    mastering: MasteringDisplay | None
    light: ContentLight | None


def mux(
    path: Path,
    container: Container,
    track: VideoTrack,
    *,
    plan: Plan | None = None,
    span: Span | None = None,
) -> None:
    """Write the finished file.

    Args:
        path: where to; replaced if it exists.
        container: its format.
        track: the video.
        plan: what goes along from the source; None for video alone.
        span: the part of the source that the video is made of; None is all of it, with the
            source's own clock.
    """
    with ExitStack() as stack:
        opened = stack.enter_context(open_input(plan.source)) if plan else None
        options = dict(container.options)
        if opened and "movflags" in options and needs_metadata_keys(opened.metadata):
            options["movflags"] += "+use_metadata_tags"
        header = header_with_hdr10(track.header, track.codec, track.mastering, track.light)
        template = stack.enter_context(open_template(header))
        out = stack.enter_context(av.open(str(path), "w", format=container.format, options=options))
        video, others = _add_streams(out, container, track, template, opened, plan)
        if opened:
            copy_metadata(opened, out, container, span)
        coded = _video_packets(track, video)
        waiting = next(coded, None)
        for packet in packets(opened, plan, span) if opened and plan else ():
            while waiting is not None and _start(waiting) <= _start(packet):
                out.mux_one(waiting)
                waiting = next(coded, None)
            target = others[packet.stream.index]
            packet.stream = target
            out.mux_one(packet)
        while waiting is not None:
            out.mux_one(waiting)
            waiting = next(coded, None)
    if container.is_matroska:
        with path.open("r+b") as file:
            finish_matroska(file, track.size, track.aspect, track.rate)


def _add_streams(
    out: OutputContainer,
    container: Container,
    track: VideoTrack,
    template: VideoStream,
    opened: InputContainer | None,
    plan: Plan | None,
) -> tuple[VideoStream, dict[int, Stream]]:
    """Add all streams in the source's order; return the video and the others by source."""
    if opened is None or plan is None:
        return _add_video(out, container, track, template, None), {}
    added: dict[int, Stream] = {}
    video: VideoStream | None = None
    for stream in opened.streams:
        if stream.index == plan.video:
            video = _add_video(out, container, track, template, stream)
        elif stream.index in plan.kept:
            made = add_stream(out, stream, container)
            if not (is_picture(stream) and container.is_matroska):
                added[stream.index] = made
    if video is None:
        raise LookupError(f"{plan.source} has no stream {plan.video} any more")
    return video, added


def _add_video(
    out: OutputContainer,
    container: Container,
    track: VideoTrack,
    template: VideoStream,
    source: Stream | None,
) -> VideoStream:
    video = out.add_stream_from_template(template, opaque=True)
    video.time_base = track.times.time_base
    context = video.codec_context
    if track.codec == "hevc" and not container.is_matroska:
        # Apple's players take nothing but hvc1.
        context.codec_tag = "hvc1"
    if track.aspect is not None:
        context.sample_aspect_ratio = track.aspect
    video.metadata.clear()
    if source is not None:
        video.metadata.update(video_metadata(source))
        video.disposition = source.disposition
        matrix = display_matrix(source)
        if matrix is not None:
            video.set_display_matrix(matrix)
    if container.is_matroska:
        video.metadata["title"] = mark_title(video.metadata.get("title", ""))
    return video


def _video_packets(track: VideoTrack, stream: VideoStream) -> Iterator[Packet[VideoStream]]:
    sei = hevc.hdr10_sei(track.mastering, track.light)
    obus = av1.hdr10_obus(track.mastering, track.light)
    for coded in track.spool:
        data = coded.data
        if track.codec == "hevc":
            data = hevc.sample_with_hdr10(data, sei)
        elif track.codec == "av1":
            data = av1.with_hdr10(data, obus)
        yield _packet(data, coded, track.times, stream)


def _packet(
    data: bytes, coded: Coded, times: FrameTimes, stream: VideoStream
) -> Packet[VideoStream]:
    packet: Packet[Any] = Packet(data)
    packet.stream = stream
    packet.time_base = times.time_base
    packet.pts = times.pts(coded.pts)
    packet.dts = times.dts(coded.dts)
    packet.duration = times.duration(coded.pts)
    packet.is_keyframe = coded.is_keyframe
    return packet


def _start(packet: Packet[Any]) -> Fraction:
    ticks = packet.dts if packet.dts is not None else packet.pts
    return (ticks or 0) * exact(packet.time_base)

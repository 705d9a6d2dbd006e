"""What goes along from the source untouched: streams, chapters, metadata."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import islice
from pathlib import Path

import av
from av.audio.codeccontext import AudioCodecContext
from av.audio.stream import AudioStream
from av.container import InputContainer, OutputContainer
from av.packet import Packet
from av.sidedata.sidedata import Type as SideData
from av.stream import AttachmentStream, Discard, Disposition, Stream
from av.video.stream import VideoStream

from vs_gainmap.errors import MediaError
from vs_gainmap.video.audio import (
    AudioCodec,
    check_audio_codec,
    flac_containers,
    name_channels,
    silence,
    takes_flac,
)
from vs_gainmap.video.containers import CONTAINERS, Container
from vs_gainmap.video.encoders import Encoder
from vs_gainmap.video.hdr_metadata.hevc import has_layers
from vs_gainmap.video.inputs import main_video, open_input, reason
from vs_gainmap.video.timestamps import exact

# What describes the old file or the old coding, not the work.
_STALE_GLOBAL = {"major_brand", "minor_version", "compatible_brands", "encoder"}
_STALE_VIDEO = {
    "encoder", "vendor_id", "duration", "bps", "number_of_frames", "number_of_bytes", "alpha_mode",
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """The part of a source that is taken, in seconds of its own clock."""

    start: Fraction
    end: Fraction


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Which of a source's streams go along, and notes about the others.

    `opened` is the source, open since before the video was read: it stays the same file
    even if another takes its name. `pictures` is the cover art. `recoded` is audio that
    is coded anew. `timecode` is that of a timecode
    track; muxers make one of the video's metadata.
    """

    opened: InputContainer
    video: int
    kept: tuple[int, ...]
    recoded: tuple[int, ...]
    pictures: Mapping[int, bytes]
    timecode: str | None = None
    notes: tuple[str, ...] = field(default=())


def plan_streams(
    opened: InputContainer,
    source: Path,
    container: Container,
    *,
    encoder: Encoder,
    audio: bool = True,
    audio_codec: AudioCodec = "copy",
) -> Plan:
    """Find out which streams of a source the output can hold, by trying.

    Args:
        opened: the source, open.
        source: its path.
        container: what it goes into.
        encoder: of the video, for which other containers there are.
        audio: take audio along.
        audio_codec: "copy" leaves audio as it is.

    Raises:
        MediaError: it can't hold an audio stream.
    """
    check_audio_codec(audio_codec)
    main = main_video(opened, source)
    video = main.index
    pictures = _read_pictures(opened, source)
    kept: list[int] = []
    recoded: list[int] = []
    lost = _lost_of_picture(main, _first_picture(source), container)
    notes = [f"{source.name}: {what} is left out" for what in lost]
    timecode: str | None = None
    for stream in opened.streams:
        if stream.index == video or (stream.type == "audio" and not audio):
            continue
        if stream.type == "data" and stream.discard == Discard.all:
            # MP4's track of chapter titles: the chapters themselves go along.
            continue
        if stream.type == "data" and "timecode" in stream.metadata:
            timecode = stream.metadata["timecode"]
            continue
        if isinstance(stream, AudioStream) and audio_codec != "copy":
            if not takes_flac(stream, container):
                others = [f".{name}" for name in flac_containers(stream, encoder.containers)]
                or_write = f", or write {' or '.join(others)}" if others else ""
                raise MediaError(
                    f"{source.name}: {stream_name(stream)} can't be stored as FLAC in "
                    f".{container.suffix}; leave out --audio-codec flac (audio_codec=){or_write}"
                )
            recoded.append(stream.index)
            continue
        if _fits(stream, container, pictures):
            kept.append(stream.index)
            continue
        note = f"{source.name}: {stream_name(stream)} can't be stored in .{container.suffix}"
        if stream.type == "audio":
            ways = _ways_for_audio(stream, container, encoder)
            raise MediaError(f"{note}; {', or '.join(ways)}")
        notes.append(f"{note}; it is left out")
    return Plan(
        opened=opened,
        video=video,
        kept=tuple(kept),
        recoded=tuple(recoded),
        pictures=pictures,
        timecode=timecode,
        notes=tuple(notes),
    )


def add_stream(
    out: OutputContainer, stream: Stream, container: Container, pictures: Mapping[int, bytes]
) -> Stream:
    """Add a copy of a source's stream to the output, with metadata and disposition.

    Args:
        out: the output.
        stream: of the source.
        container: the output's format.
        pictures: cover art by stream, which Matroska attaches.

    Raises:
        ValueError: the container can't hold it.
    """
    if isinstance(stream, AttachmentStream) or (is_picture(stream) and container.is_matroska):
        name, mime, data = _attachment(stream, pictures)
        # PyAV takes names that are no UTF-8 as metadata alone.
        clean = name.encode(errors="replace").decode()
        added: Stream = out.add_attachment(clean, mime, data)
        added.metadata.update({**stream.metadata, **added.metadata, "filename": name})
        return added
    added = out.add_stream_from_template(stream, opaque=True)
    added.metadata.update(stream.metadata)
    added.disposition = stream.disposition
    matrix = display_matrix(stream)
    if matrix is not None and isinstance(added, VideoStream):
        added.set_display_matrix(matrix)
    if container.format == "mp4":
        name_channels(added)
    return added


def is_picture(stream: Stream) -> bool:
    """Say whether a stream is cover art."""
    return bool(stream.type == "video" and stream.disposition & Disposition.attached_pic)


def display_matrix(stream: Stream) -> tuple[int, ...] | None:
    """Return the nine integers of a video stream's rotation, or None."""
    if stream.type != "video" or stream.codec_context is None:
        return None
    data = stream.codec_context.coded_side_data.get("display_matrix")
    return None if data is None else tuple(memoryview(data).cast("i"))


def cropping(stream: Stream) -> tuple[int, ...]:
    """Return what players cut off a video stream: top, bottom, left, right; () for nothing."""
    if stream.codec_context is None:
        return ()
    data = stream.codec_context.coded_side_data.get("frame_cropping")
    return () if data is None else tuple(memoryview(data).cast("I"))


def orientation(matrix: tuple[int, ...] | None) -> int:
    """Return EXIF's orientation for a video's quarter turns; 1 for any other matrix.

    A matrix maps a point to (a x + c y, b x + d y), with y downwards (ISO/IEC 14496-12, 6.2.2).
    """
    if matrix is None:
        return 1
    a, b, c, d = (0 if not v else (1 if v > 0 else -1) for v in (*matrix[:2], *matrix[3:5]))
    return {(0, 1, -1, 0): 6, (-1, 0, 0, -1): 3, (0, -1, 1, 0): 8}.get((a, b, c, d), 1)


def copy_metadata(opened: InputContainer, out: OutputContainer, span: Span | None) -> None:
    """Copy the file's own metadata and chapters; chapters are cut to `span`."""
    # A part does not begin at its film's timecode.
    stale = _STALE_GLOBAL if span is None else _STALE_GLOBAL | {"timecode"}
    out.metadata.update({k: v for k, v in opened.metadata.items() if k.lower() not in stale})
    chapters = []
    for chapter in opened.chapters():
        base = exact(chapter["time_base"])
        start, end = chapter["start"], chapter["end"]
        if span is not None:
            first, last = round(span.start / base), round(span.end / base)
            if end <= first or start >= last:
                continue
            start, end = max(start - first, 0), min(end, last) - first
        chapter["start"], chapter["end"] = start, end
        chapters.append(chapter)
    if chapters:
        out.set_chapters(chapters)


def needs_metadata_keys(metadata: dict[str, str]) -> bool:
    """Say whether MP4 or MOV must store metadata by name, as phones do (com.apple...)."""
    return any("." in key for key in metadata)


def video_metadata(stream: Stream) -> dict[str, str]:
    """Return the metadata of the source's video stream that is still true."""
    return {
        key: value
        for key, value in stream.metadata.items()
        if key.lower().partition("-")[0] not in _STALE_VIDEO
        and not key.lower().startswith("_statistics")
    }


def packets(plan: Plan, span: Span | None) -> Iterator[Packet[Stream]]:
    """Yield the packets that go along, in the file's order, cut to `span` and moved to 0.

    A packet belongs to the span if its presentation starts in it; a subtitle also if it is
    still shown, and sound also as far ahead as its codec needs to warm up.
    """
    opened = plan.opened
    wanted = (*plan.kept, *plan.recoded)
    streams = [s for s in opened.streams if s.index in wanted and s.type != "attachment"]
    if not streams:
        return
    try:
        for packet in opened.demux(streams):
            if packet.size == 0:
                if packet.stream.index in plan.recoded:
                    # Their end, for what the decoder still holds.
                    yield packet
                continue
            if is_picture(packet.stream):
                # Cover art comes without a time, and muxers want one.
                packet.pts = packet.dts = 0
                yield packet
            elif packet.pts is None and packet.dts is None:
                continue
            elif span is None or _cut(packet, span):
                yield packet
    except av.FFmpegError as error:
        raise MediaError(f"{opened.name}: can't be read: {reason(error)}") from error


def _cut(packet: Packet[Stream], span: Span) -> bool:
    """Move a packet's times to a span that starts at zero; False when it is outside.

    A subtitle is cut to the span at both ends.
    """
    base = exact(packet.time_base)
    first, last = round(span.start / base), round(span.end / base)
    pts = packet.pts if packet.pts is not None else packet.dts
    if pts is None or pts >= last:
        return False
    if pts < first - _warm_up(packet.stream, base):
        if packet.stream.type != "subtitle" or pts + (packet.duration or 0) <= first:
            return False
        packet.duration = pts + (packet.duration or 0) - first
        packet.pts = packet.dts = pts = first
    if packet.stream.type == "subtitle" and packet.duration:
        packet.duration = min(packet.duration, last - pts)
    if packet.pts is not None:
        packet.pts -= first
    if packet.dts is not None:
        packet.dts -= first
    return True


def _warm_up(stream: Stream, base: Fraction) -> int:
    """Return how many ticks of an audio stream players drop before they play any."""
    context = stream.codec_context
    if not isinstance(context, AudioCodecContext) or not context.sample_rate:
        return 0
    return round(Fraction(context.initial_padding, context.sample_rate) / base)


def _first_picture(source: Path) -> av.VideoFrame | None:
    """Decode the first picture, in an opening of its own; None where it can't be."""
    with open_input(source) as again, suppress(av.FFmpegError):
        return next(iter(again.decode(main_video(again, source))), None)
    return None


def _lost_of_picture(
    video: VideoStream, first: av.VideoFrame | None, container: Container
) -> Iterator[str]:
    """Yield what of the video itself no output has, by its container and its first picture."""
    context = video.codec_context
    declared = context.coded_side_data
    pictured = first.side_data if first is not None else {}
    parts = context.format.components if context.format else ()
    if any(part.is_alpha for part in parts) or video.metadata.get("alpha_mode", "0") != "0":
        yield "the picture's transparency"
    if context.name == "hevc" and has_layers(context.extradata or b""):
        yield "what its HEVC has beside the base layer (a second view)"
    mode = video.metadata.get("stereo_mode", "mono")
    views = declared.get("stereo_3d") or pictured.get(SideData.STEREO3D)
    # AVStereo3D begins with its type, 0 for 2D.
    in_3d = mode != "mono" or (views is not None and any(bytes(views)[:4]))
    if in_3d and not (container.is_matroska and mode != "mono"):
        yield "the arrangement of its 3D views"
    if "spherical" in declared or SideData.SPHERICAL in pictured:
        yield "the projection of its 360 degree video"
    if "display_matrix" not in declared and SideData.DISPLAYMATRIX in pictured:
        yield "the rotation that its stream states"


def _fits(stream: Stream, container: Container, pictures: Mapping[int, bytes]) -> bool:
    if is_picture(stream) and stream.index not in pictures:
        return False
    try:
        with av.open(io.BytesIO(), "w", format=container.format) as out:
            added = add_stream(out, stream, container, pictures)
            out.start_encoding()
            # MP4 writes down where channels are when it ends, of tracks that have sound.
            for packet in silence(added):
                out.mux_one(packet)
    except (av.FFmpegError, ValueError):
        return False
    return True


def _ways_for_audio(stream: Stream, container: Container, encoder: Encoder) -> list[str]:
    """Return what to do about audio that a container can't hold."""
    others = [CONTAINERS[name] for name in encoder.containers]
    copies = [f".{other.suffix}" for other in others if _fits(stream, other, {})]
    ways = [f"write {' or '.join(copies)}"] if copies else []
    if isinstance(stream, AudioStream):
        flac = flac_containers(stream, encoder.containers)
        option = '--audio-codec flac (audio_codec="flac")'
        if container.suffix in flac:
            ways.append(f"code it anew with {option}")
        elif flac and not copies:
            ways.append(f"write .{flac[0]} with {option}")
    return [*ways, "leave the audio out with --no-audio (audio=False)"]


def stream_name(stream: Stream) -> str:
    """Return a stream's kind, index and codec, for messages."""
    return f"{stream.type} stream {stream.index} ({_codec(stream)})"


def _codec(stream: Stream) -> str:
    return stream.codec_context.name if stream.codec_context is not None else "no known codec"


def _read_pictures(opened: InputContainer, source: Path) -> dict[int, bytes]:
    """Return the cover art of a source by stream, read in an opening of its own."""
    wanted = {stream.index for stream in opened.streams if is_picture(stream)}
    if not wanted:
        return {}
    with open_input(source) as again:
        streams = [again.streams[index] for index in wanted]
        packets = (packet for packet in again.demux(streams) if packet.size)
        found = {}
        with suppress(av.FFmpegError):
            for packet in islice(packets, len(wanted)):
                found[packet.stream_index] = bytes(packet)
        return found


def _attachment(stream: Stream, pictures: Mapping[int, bytes]) -> tuple[str, str, bytes]:
    """Return name, type and content of an attachment, or of cover art for Matroska."""
    if isinstance(stream, AttachmentStream):
        name = stream.metadata.get("filename", f"attachment{stream.index}")
        return name, stream.mimetype or "application/octet-stream", bytes(stream.data)
    kind = "png" if _codec(stream) == "png" else "jpeg"
    name = stream.metadata.get("filename", f"cover.{'png' if kind == 'png' else 'jpg'}")
    mime = stream.metadata.get("mimetype", f"image/{kind}")
    return name, mime, pictures[stream.index]

"""Audio coded anew, for sound that no output container takes as it is."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from fractions import Fraction
from typing import Any, Literal

import av
from av.audio.codeccontext import AudioCodecContext
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.packet import Packet
from av.stream import Stream

from vs_gainmap.errors import MediaError
from vs_gainmap.video.containers import CONTAINERS, Container
from vs_gainmap.video.timestamps import exact

AudioCodec = Literal["copy", "flac"]
AUDIO_CODECS: tuple[AudioCodec, ...] = ("copy", "flac")
# Times of frames that are off by less than this are a container's rounding.
_TOLERANCE = Fraction(1, 20)
# A multiple of all sizes that samples of PCM have.
_SAMPLE_BYTES = 24


class Recoder:
    """Decodes an audio stream and codes it as FLAC: 16 bits a sample, or 24 where it has more.

    Args:
        out: gets a stream, `stream`.
        source: the audio stream.

    Raises:
        ValueError: the container takes no FLAC, or the audio can't be decoded.
    """

    def __init__(self, out: OutputContainer, source: AudioStream) -> None:
        context = source.codec_context
        rate = context.sample_rate if context is not None else 0
        if not rate:
            raise ValueError("the audio can't be decoded by this PyAV")
        made = out.add_stream("flac", rate=rate)
        if not isinstance(made, AudioStream):
            raise ValueError("flac is no audio encoder")
        self.stream = made
        narrow = context.format is not None and context.format.bytes <= 2
        made.codec_context.layout = context.layout
        made.codec_context.format = "s16" if narrow else "s32"
        made.codec_context.time_base = Fraction(1, rate)
        made.metadata.update(source.metadata)
        made.disposition = source.disposition
        self._rate = rate
        self._source = source
        self._resampler = av.AudioResampler("s16" if narrow else "s32", context.layout, rate)
        # In samples; counted, since containers round times.
        self._next: int | None = None

    def packets(self, packet: Packet[Stream]) -> Iterator[Packet[Any]]:
        """Yield what a packet of the source becomes; an empty one is the end."""
        is_end = not packet.size
        try:
            frames = self._source.codec_context.decode(None if is_end else packet)
        except av.FFmpegError:
            # As the picture's: a damaged packet must not end a conversion.
            frames = []
        base = exact(packet.time_base)
        for frame in frames:
            if frame.pts is not None:
                at = frame.pts * base * self._rate
                if self._next is None or abs(at - self._next) > _TOLERANCE * self._rate:
                    self._next = round(at)
            for made in self._resampler.resample(frame):
                made.pts, made.time_base = self._next or 0, Fraction(1, self._rate)
                self._next = made.pts + made.samples
                yield from self.stream.encode(made)
        if is_end:
            yield from self.stream.encode(None)


def check_audio_codec(name: str) -> None:
    """Refuse what is none of `AUDIO_CODECS`.

    Raises:
        MediaError: it is none.
    """
    if name not in AUDIO_CODECS:
        raise MediaError(f"audio codec must be one of {', '.join(AUDIO_CODECS)}, got {name}")


def takes_flac(stream: AudioStream, container: Container) -> bool:
    """Return whether a container can hold an audio stream as FLAC."""
    try:
        with av.open(io.BytesIO(), "w", format=container.format) as out:
            Recoder(out, stream)
            out.start_encoding()
    except (av.FFmpegError, ValueError):
        return False
    return True


def flac_containers(stream: AudioStream, suffixes: Iterable[str]) -> list[str]:
    """Return those of some outputs that can hold an audio stream as FLAC."""
    return [suffix for suffix in suffixes if takes_flac(stream, CONTAINERS[suffix])]


def name_channels(stream: Stream) -> None:
    """Give PCM whose channels have no places those that are usual, as MP4 demands.

    Raises:
        ValueError: there are none for so many channels.
    """
    context = _pcm(stream)
    if context is not None and any(channel.name == "NONE" for channel in context.layout.channels):
        context.layout = f"{context.layout.nb_channels}c"


def silence(stream: Stream) -> Iterator[Packet[Any]]:
    """Yield a packet for a stream of an output that is PCM, to try what a file of it needs."""
    context = _pcm(stream)
    if context is not None:
        packet: Packet[Any] = Packet(bytes(_SAMPLE_BYTES * context.layout.nb_channels))
        packet.stream, packet.pts, packet.dts = stream, 0, 0
        yield packet


def _pcm(stream: Stream) -> AudioCodecContext | None:
    context = stream.codec_context
    if isinstance(context, AudioCodecContext) and context.name.startswith("pcm_"):
        return context
    return None

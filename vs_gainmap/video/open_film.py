"""A film that is open to be encoded: all that is known before its first chunk."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from fractions import Fraction
from importlib.metadata import version
from pathlib import Path
from typing import TypedDict, Unpack

import av
import vapoursynth as vs

from vs_gainmap.errors import MediaError, OptionError
from vs_gainmap.files import check_output
from vs_gainmap.filters import props
from vs_gainmap.filters.memory import is_large
from vs_gainmap.filters.options import Option
from vs_gainmap.hdr10 import ContentLight, MasteringDisplay
from vs_gainmap.video.audio import AudioCodec
from vs_gainmap.video.chunks import Run, plan_equal_runs
from vs_gainmap.video.containers import Container, find_container
from vs_gainmap.video.crew import Crew, Film, Progress
from vs_gainmap.video.encoder_pass import EncoderSettings, EncodingPass
from vs_gainmap.video.encoders import (
    DEFAULT_ENCODER,
    Encoder,
    check_settings,
    codec_options,
    find_encoder,
    for_encoder,
    parse_params,
)
from vs_gainmap.video.frame_notes import FrameNote
from vs_gainmap.video.index import VideoIndex, check_unchanged, open_indexed, scan
from vs_gainmap.video.jobs import ClipSource, Job
from vs_gainmap.video.mux import VideoTrack, check_header, mux
from vs_gainmap.video.pixels import context_color
from vs_gainmap.video.streams import Plan, Span, plan_streams
from vs_gainmap.video.timestamps import FrameTimes
from vs_gainmap.video.work_folder import Resume, kept_folder, temporary_folder

_PQ = int(vs.TRANSFER_ST2084)
# Frames between two checks that the source is still the same.
_CHECK_EVERY = 64
# What the values of options are, whose users check their ranges.
_KINDS = {
    "encoder": Option(doc="", kind=(str,)),
    "crf": Option(doc="", kind=float),
    "preset": Option(doc="", kind=(str,)),
    "encoder_params": Option(doc="", kind=(str,)),
    "mastering": Option(doc="", kind=(MasteringDisplay,)),
    "content_light": Option(doc="", kind=(ContentLight,)),
    "workers": Option(doc="", kind=int, low=1),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoded:
    """What `encode` made.

    `measured` is whether `light` comes from the pixels; `scenes` how many have HDR10+
    metadata; `notes` are lines about what of the source the output lacks; `film` has what was
    noted of each frame.
    """

    path: Path
    frames: int
    mastering: MasteringDisplay | None
    light: ContentLight | None
    measured: bool
    scenes: int
    notes: tuple[str, ...]
    film: tuple[FrameNote, ...]


class EncodeOptions(TypedDict, total=False):
    """The options that `encode` and `convert` share."""

    encoder: str
    crf: float | None
    preset: str | None
    encoder_params: str | None
    mastering: MasteringDisplay | None
    content_light: ContentLight | None
    hdr10plus: bool
    audio: bool
    audio_codec: AudioCodec
    overwrite: bool
    progress: Progress | None
    resume: Resume | None
    workers: int | Crew


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenFilm:
    """A film that is ready for its chunks to be made, and all else that its file needs."""

    film: Film
    target: Path
    container: Container
    track: VideoTrack
    plan: Plan | None
    index: VideoIndex | None
    span: Span | None
    options: EncodeOptions
    found_light: ContentLight | None
    is_pq: bool
    notes: tuple[str, ...]

    def finish(self) -> Encoded:
        """Join the chunks, which are all there, and put the file in place.

        Raises:
            MediaError: the source has changed, or the file can't be written.
        """
        track, index = self.track, self.index
        coded = self.film.folder.film()
        film = coded.notes(*track.size)
        measured, given = film.measured(), self.options.get("content_light")
        if self.is_pq:
            light = given or measured or self.found_light
            dynamic = film.dynamic() if self.options.get("hdr10plus") else ()
            track = replace(track, light=light, dynamic=dynamic)
        track = replace(track, captions=film.captions())
        times = _times(film.durations(), index, self.span)
        finished = self.film.folder.finished_path(self.container.suffix)
        if index is not None:
            check_unchanged(index)
        mux(finished, self.container, track, coded, times, plan=self.plan, span=self.span)
        _put_in_place(finished, self.target, overwrite=self.options.get("overwrite", False))
        notes = self.notes
        if track.captions and track.codec not in ("hevc", "av1"):
            notes += (f"closed captions can't be stored in {track.codec}; they are left out",)
        return Encoded(
            path=self.target,
            frames=len(times),
            mastering=track.mastering,
            light=track.light,
            measured=self.is_pq and given is None and measured is not None,
            scenes=len(track.dynamic),
            notes=notes,
            film=tuple(film.frames),
        )


@contextmanager
def open_film(
    clip: vs.VideoNode | ClipSource,
    path: str | Path,
    *,
    source: str | Path | None = None,
    index: VideoIndex | None = None,
    span: Span | None = None,
    runs: Sequence[Run] = (),
    **options: Unpack[EncodeOptions],
) -> Iterator[OpenFilm]:
    """Open a film to be encoded; what is left of it afterwards is as `encode` says.

    Args:
        clip: see `encode`.
        path: see `encode`.
        source: see `encode`.
        index: of the source, by `scan`; None makes it.
        span: the part of the source that the clip is, if not all of it; its times become 0
            and on.
        runs: the chunks of the clip, each of which is coded by itself; none is one of all frames.
        options: see `encode`.

    Raises:
        OptionError: an option has a value of the wrong kind.
        MediaError: anything that can't be done as asked.
        vs.Error: a filter failed.
    """
    target = Path(path)
    origin = Path(source) if source is not None else None
    row, container = check_target(target, origin, options)
    params = parse_params(options.get("encoder_params"))
    content_light, hdr10plus = options.get("content_light"), options.get("hdr10plus", False)
    resume, progress = options.get("resume"), options.get("progress")
    workers = options.get("workers", 1)
    crew = None if isinstance(workers, int) else workers
    with ExitStack() as stack:
        plan: Plan | None = None
        if origin is not None:
            index = index or scan(origin)
            # Open until the end: another file of this name has other sound.
            file = stack.enter_context(open_indexed(index))
            plan = plan_streams(
                file,
                origin,
                container,
                encoder=row,
                audio=options.get("audio", True),
                audio_codec=options.get("audio_codec", "copy"),
            )

        maker = None if isinstance(clip, vs.VideoNode) else clip
        clips = stack.enter_context(ExitStack())
        if not isinstance(clip, vs.VideoNode):
            devices: Sequence[str] = ()
            if crew is not None:
                devices = crew.devices
                if len(runs) > 1:
                    crew.start(len(runs))
            clip = clips.enter_context((clip.on_device(devices[0]) if devices else clip).open())
        clip = for_encoder(clip, row)
        with closing(clip.get_frame(0)) as first:
            found = dict(first.props)
        is_pq = context_color(found)["color_trc"] == _PQ
        if hdr10plus and not (is_pq and props.read_frame_light(found)):
            raise MediaError("encode: HDR10+ needs PQ frames from measure(clip, hdr10plus=True)")
        mastering = (options.get("mastering") or props.read_mastering(found)) if is_pq else None
        coding = codec_options(
            row,
            crf=options.get("crf"),
            preset=options.get("preset"),
            params=params,
            mastering=mastering,
            light=content_light if is_pq else None,
            pq_420=is_pq and clip.format.id == vs.YUV420P10,
            large=is_large(clip.width, clip.height),
        )
        rate = index.average_rate if index else None
        encoding = EncodingPass(EncoderSettings.of(clip, row, found, coding, rate))
        settings = encoding.portable_settings()
        track = VideoTrack(
            codec=row.codec,
            header=encoding.header,
            size=(clip.width, clip.height),
            rate=Fraction(clip.fps) or None,
            average=settings.rate,
            aspect=settings.aspect,
            mastering=mastering,
            light=None,
        )
        check_header(container, track, plan=plan, span=span)

        def step(done: int, total: int, size: int) -> None:
            if index is not None and done % _CHECK_EVERY == 0:
                check_unchanged(index)
            if progress is not None:
                progress(done, total, size)

        whole = [name for name in params if name in row.whole_params]
        notes = plan.notes if plan else ()
        if whole:
            notes += (
                f"encoder parameter {whole[0]} is for the whole film; it was not cut in chunks",
            )
        if maker is None and workers != 1:
            notes += ("a clip of this process can't go to workers; it was encoded in one",)
        if not runs and maker is not None:
            runs = plan_equal_runs(clip.num_frames, settings.rate)
        if whole or not runs:
            runs = [Run(0, clip.num_frames)]
        if resume is None:
            folder = stack.enter_context(temporary_folder(target, tuple(runs)))
        else:
            identity = _identity(encoding, index, span) | dict(resume.described)
            folder = stack.enter_context(kept_folder(target, runs, identity, resume))
        job = Job(settings=settings, stream=encoding.stream, runs=folder.runs, key=folder.key)
        film = Film(job, folder, maker, clip=clip, ready=encoding, opened=clips, progress=step)
        # Only the film holds them from here on.
        del clip, encoding
        yield OpenFilm(
            film=film,
            target=target,
            container=container,
            track=track,
            plan=plan,
            index=index,
            span=span,
            options=options,
            found_light=props.read_light(found),
            is_pq=is_pq,
            notes=notes,
        )


def _identity(
    encoding: EncodingPass, index: VideoIndex | None, span: Span | None
) -> dict[str, str]:
    """Return by name what the chunks of a film depend on, but the filters."""
    out = encoding.settings.described() | {
        "stream": encoding.stream,
        "vs_gainmap": version("vs-gainmap"),
        "PyAV": av.__version__,
    }
    if index is not None:
        out["input"] = index.described()
    if span is not None:
        out["part"] = f"{float(span.start):.6f} to {float(span.end):.6f} s"
    return out


def _put_in_place(finished: Path, target: Path, *, overwrite: bool) -> None:
    """Give a finished file its name, in one step.

    Raises:
        MediaError: a file has come there meanwhile and must not be replaced; the finished one
            is then kept under another name.
    """
    if overwrite:
        finished.replace(target)
        return
    names = [target, *(target.with_stem(f"{target.stem[:200]}.{n}") for n in range(2, 100))]
    for name in names:
        try:
            # Unlike a rename, it fails where there is a file.
            os.link(finished, name)
        except FileExistsError:
            continue
        except OSError:
            # A file system without links.
            if name.exists():
                continue
            finished.replace(name)
        if name != target:
            raise MediaError(
                f"{target}: another file has come there meanwhile; this one is {name.name}"
            )
        return
    raise MediaError(f"{target}: another file has come there meanwhile")


def check_target(
    target: Path, source: Path | None, options: EncodeOptions
) -> tuple[Encoder, Container]:
    """Return what will write a file, before any work is done.

    Raises:
        OptionError: an option has a value of the wrong kind.
        MediaError: no such encoder or setting, or the file can't be written or must not be.
    """
    for name, kind in _KINDS.items():
        value = options.get(name)
        if value is not None and not isinstance(value, Crew):
            kind.check(name, value)
    workers = options.get("workers", 1)
    if not isinstance(workers, int | Crew):
        raise OptionError(f"workers must be a whole number, a Team or a Cluster, got {workers!r}")
    encoder = find_encoder(options.get("encoder", DEFAULT_ENCODER))
    params = parse_params(options.get("encoder_params"))
    check_settings(encoder, options.get("crf"), options.get("preset"), params)
    container = find_container(target, encoder)
    if options.get("hdr10plus", False) and encoder.codec not in ("hevc", "av1"):
        raise MediaError(f"HDR10+ goes into HEVC and AV1 alone, not into {encoder.codec}")
    check_output(target, [source], overwrite=options.get("overwrite", False))
    return encoder, container


def _times(durations: list[Fraction], index: VideoIndex | None, span: Span | None) -> FrameTimes:
    """Return exact times: the source's where the clip has all its frames."""
    if index is None:
        return FrameTimes.from_durations(durations)
    if span is not None:
        return FrameTimes.from_durations(durations, prefer=index.time_base)
    if len(index) == len(durations):
        durations = [index.duration(n) for n in range(len(index))]
    return FrameTimes.from_durations(durations, start=index.seconds(0), prefer=index.time_base)

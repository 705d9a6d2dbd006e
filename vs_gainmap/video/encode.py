"""`encode`: an HDR clip becomes a file, with everything else from the source."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from fractions import Fraction
from importlib.metadata import version
from pathlib import Path
from typing import TypedDict

import av
import vapoursynth as vs

from vs_gainmap.errors import MediaError
from vs_gainmap.files import check_output
from vs_gainmap.filters import props
from vs_gainmap.filters.memory import is_large
from vs_gainmap.filters.options import Option
from vs_gainmap.hdr10 import ContentLight, MasteringDisplay
from vs_gainmap.video.audio import AudioCodec
from vs_gainmap.video.chunks import Run, plan_equal_runs
from vs_gainmap.video.containers import Container, find_container
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
from vs_gainmap.video.jobs import ClipSource, Job, Progress, Tally, encode_here
from vs_gainmap.video.mux import VideoTrack, check_header, mux
from vs_gainmap.video.pixels import context_color
from vs_gainmap.video.ray_workers import Cluster, encode_on_ray
from vs_gainmap.video.streams import Plan, Span, plan_streams
from vs_gainmap.video.timestamps import FrameTimes
from vs_gainmap.video.work_folder import Resume, kept_folder, temporary_folder
from vs_gainmap.video.worker import Order
from vs_gainmap.video.workers import encode_in_workers

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
    workers: int
    devices: Sequence[str]
    cluster: Cluster | None


def encode(
    clip: vs.VideoNode | ClipSource,
    path: str | Path,
    *,
    source: str | Path | None = None,
    encoder: str = DEFAULT_ENCODER,
    crf: float | None = None,
    preset: str | None = None,
    encoder_params: str | None = None,
    mastering: MasteringDisplay | None = None,
    content_light: ContentLight | None = None,
    hdr10plus: bool = False,
    audio: bool = True,
    audio_codec: AudioCodec = "copy",
    overwrite: bool = False,
    progress: Progress | None = None,
    resume: Resume | None = None,
    workers: int = 1,
    devices: Sequence[str] = (),
    cluster: Cluster | None = None,
    index: VideoIndex | None = None,
    span: Span | None = None,
    runs: Sequence[Run] = (),
) -> Encoded:
    """Encode a clip, with HDR10 metadata in the stream and in the container.

    Color is taken from the frame props, which must be complete. For PQ, MaxCLL and MaxFALL are
    those given, else measured from the props `FrameMaxNits` and `FrameAverageNits` of the
    frames, else those of the first frame's props, else left out. The file appears in one
    step when it is complete; on any error, Ctrl-C included, nothing is left behind but, with
    `resume`, a folder with the chunks that are finished.

    Args:
        clip: YUV or RGB, constant format; converted where the encoder needs another. A clip of
            this process is coded in one, here; a `Script` in chunks, by workers too.
        path: .mp4, .mov, .mkv or .webm.
        source: the file that audio, subtitles, attachments, chapters, metadata and rotation
            come from, and the times of the frames if it has as many as the clip.
        encoder: a name of `ENCODERS`.
        crf: quality, smaller is better; None is the encoder's default.
        preset: speed, by the encoder's own name.
        encoder_params: raw parameters of the encoder, ``key=value:key=value``.
        mastering: None takes the first frame's props.
        content_light: MaxCLL and MaxFALL; None measures.
        hdr10plus: also write HDR10+ metadata of every scene (ST 2094-40, HEVC and AV1); the
            clip must come from ``measure(clip, hdr10plus=True)``.
        audio: take the audio along.
        audio_codec: "copy" as it is, or "flac": coded anew, without loss.
        overwrite: replace an existing file.
        progress: called after each frame with frames written, all frames, and bytes so far.
        resume: keep finished chunks in a folder beside the file, and go on with those that are
            there; None works in a folder that goes away.
        workers: processes that encode at the same time, a chunk each; 1 is this one.
        devices: where the workers' networks run, in turn, such as ``("cuda:0", "cuda:1")``; there
            are at least as many workers.
        cluster: encode the chunks on a Ray cluster.
        index: of the source, by `scan`; None makes it.
        span: the part of the source that the clip is, if not all of it; its times become 0
            and on.
        runs: the chunks of the clip, each of which is coded by itself; none is one of all frames.

    Returns:
        What was written.

    Raises:
        OptionError: an option has a value of the wrong kind.
        MediaError: anything that can't be done as asked.
        vs.Error: a filter failed.
    """
    target = Path(path)
    origin = Path(source) if source is not None else None
    given = EncodeOptions(
        encoder=encoder,
        crf=crf,
        preset=preset,
        encoder_params=encoder_params,
        mastering=mastering,
        content_light=content_light,
        hdr10plus=hdr10plus,
        overwrite=overwrite,
        workers=workers,
    )
    row, container = check_target(target, origin, given)
    with ExitStack() as stack:
        plan: Plan | None = None
        if origin is not None:
            index = index or scan(origin)
            # Open until the end: another file of this name has other sound.
            file = stack.enter_context(open_indexed(index))
            plan = plan_streams(
                file, origin, container, encoder=row, audio=audio, audio_codec=audio_codec
            )

        maker = None if isinstance(clip, vs.VideoNode) else clip
        clips = stack.enter_context(ExitStack())
        if not isinstance(clip, vs.VideoNode):
            clip = clips.enter_context((clip.on_device(devices[0]) if devices else clip).open())
        clip = for_encoder(clip, row)
        with closing(clip.get_frame(0)) as first:
            found = dict(first.props)
        is_pq = context_color(found)["color_trc"] == _PQ
        if hdr10plus and not (is_pq and props.read_frame_light(found)):
            raise MediaError("encode: HDR10+ needs PQ frames from measure(clip, hdr10plus=True)")
        mastering = (mastering or props.read_mastering(found)) if is_pq else None
        options = codec_options(
            row,
            crf=crf,
            preset=preset,
            params=parse_params(encoder_params),
            mastering=mastering,
            light=content_light if is_pq else None,
            pq_420=is_pq and clip.format.id == vs.YUV420P10,
            large=is_large(clip.width, clip.height),
        )
        rate = index.average_rate if index else None
        settings = EncoderSettings.of(clip, row, found, options, rate)
        encoding = EncodingPass(settings)
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

        whole = [name for name in parse_params(encoder_params) if name in row.whole_params]
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
        tally, workers = Tally(folder, step), max(workers, len(devices))
        if cluster is not None and maker is not None and folder.missing:
            job = replace(job, settings=encoding.portable_settings())
            del encoding, clip
            clips.close()
            encode_on_ray(Order(job=job, source=maker.portable()), folder, tally, cluster)
        elif workers > 1 and maker is not None and len(folder.missing) > 1:
            del encoding, clip
            clips.close()
            order = Order(job=job, source=maker)
            encode_in_workers(order, folder, tally, workers=workers, devices=devices)
        else:
            encode_here(job, clip, folder, tally, encoding)
        coded = folder.film()
        film = coded.notes(settings.width, settings.height)
        measured = film.measured()
        if is_pq:
            light = content_light or measured or props.read_light(found)
            dynamic = film.dynamic() if hdr10plus else ()
            track = replace(track, light=light, dynamic=dynamic)
        track = replace(track, captions=film.captions())
        times = _times(film.durations(), index, span)
        finished = folder.finished_path(container.suffix)
        if index is not None:
            check_unchanged(index)
        mux(finished, container, track, coded, times, plan=plan, span=span)
        _put_in_place(finished, target, overwrite=overwrite)
    notes = plan.notes if plan else ()
    if whole:
        notes += (f"encoder parameter {whole[0]} is for the whole film; it was not cut in chunks",)
    if (workers > 1 or cluster) and maker is None:
        notes += ("a clip of this process can't go to workers; it was encoded in one",)
    if track.captions and row.codec not in ("hevc", "av1"):
        notes += (f"closed captions can't be stored in {row.codec}; they are left out",)
    return Encoded(
        path=target,
        frames=len(times),
        mastering=track.mastering,
        light=track.light,
        measured=is_pq and content_light is None and measured is not None,
        scenes=len(track.dynamic),
        notes=notes,
        film=tuple(film.frames),
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
        if value is not None:
            kind.check(name, value)
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

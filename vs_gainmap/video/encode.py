"""`encode`: an HDR clip becomes a file, with everything else from the source."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TypedDict

import vapoursynth as vs

from vs_gainmap.errors import MediaError
from vs_gainmap.files import check_output
from vs_gainmap.filters import props
from vs_gainmap.filters.memory import is_large
from vs_gainmap.hdr10 import ContentLight, MasteringDisplay
from vs_gainmap.video.audio import AudioCodec
from vs_gainmap.video.containers import Container, find_container
from vs_gainmap.video.encoder_pass import EncodingPass, Progress
from vs_gainmap.video.encoders import (
    DEFAULT_ENCODER,
    Encoder,
    check_settings,
    codec_options,
    find_encoder,
    for_encoder,
    parse_params,
)
from vs_gainmap.video.index import VideoIndex, check_unchanged, open_indexed, scan
from vs_gainmap.video.mux import check_header, mux
from vs_gainmap.video.pixels import context_color
from vs_gainmap.video.streams import Plan, Span, plan_streams
from vs_gainmap.video.timestamps import FrameTimes

_PQ = int(vs.TRANSFER_ST2084)
# File systems take names of 255 bytes.
_NAME_BYTES = 240
_DISK_ERRORS = {
    errno.ENOSPC, errno.EFBIG, errno.EIO, errno.EROFS,
    *([errno.EDQUOT] if hasattr(errno, "EDQUOT") else []),
}  # fmt: skip
# Frames between two checks that the source is still the same.
_CHECK_EVERY = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoded:
    """What `encode` made.

    `measured` is whether `light` comes from the pixels; `scenes` how many have HDR10+
    metadata; `notes` are lines about what of the source the output lacks.
    """

    path: Path
    frames: int
    mastering: MasteringDisplay | None
    light: ContentLight | None
    measured: bool
    scenes: int
    notes: tuple[str, ...]


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


def encode(
    clip: vs.VideoNode,
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
    index: VideoIndex | None = None,
    span: Span | None = None,
) -> Encoded:
    """Encode a clip, with HDR10 metadata in the stream and in the container.

    Color is taken from the frame props, which must be complete. For PQ, MaxCLL and MaxFALL are
    those given, else measured from the props `FrameMaxNits` and `FrameAverageNits` of the
    frames, else those of the first frame's props, else left out. The file appears in one
    step when it is complete; on any error, Ctrl-C included, nothing is left behind.

    Args:
        clip: YUV or RGB, constant format; converted where the encoder needs another.
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
        index: of the source, by `scan`; None makes it.
        span: the part of the source that the clip is, if not all of it; its times become 0
            and on.

    Returns:
        What was written.

    Raises:
        MediaError: anything that can't be done as asked.
        vs.Error: a filter failed.
    """
    target = Path(path)
    origin = Path(source) if source is not None else None
    row, container = check_target(
        target, origin, {"encoder": encoder, "overwrite": overwrite, "hdr10plus": hdr10plus}
    )
    with ExitStack() as stack:
        plan: Plan | None = None
        if origin is not None:
            index = index or scan(origin)
            # Open until the end: another file of this name has other sound.
            opened = stack.enter_context(open_indexed(index))
            plan = plan_streams(
                opened, origin, container, encoder=row, audio=audio, audio_codec=audio_codec
            )

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
        job = EncodingPass(
            clip, row, found, options, clip.fps or (index.average_rate if index else None)
        )
        check_header(container, job.track(mastering, None), plan=plan, span=span)

        def step(done: int, total: int, size: int) -> None:
            if index is not None and done % _CHECK_EVERY == 0:
                check_unchanged(index)
            if progress is not None:
                progress(done, total, size)

        folder = stack.enter_context(_work_folder(target))
        coded = job.run(folder / "video", step)
        light = content_light or job.measured() or props.read_light(found)
        dynamic = job.dynamic() if hdr10plus else ()
        track = job.track(mastering, light if is_pq else None, dynamic)
        times = _times(job.durations, index, span)
        finished = folder / f"finished.{container.suffix}"
        if index is not None:
            check_unchanged(index)
        mux(finished, container, track, coded, times, plan=plan, span=span)
        _put_in_place(finished, target, overwrite=overwrite)
    return Encoded(
        path=target,
        frames=len(times),
        mastering=track.mastering,
        light=track.light,
        measured=content_light is None and job.measured() is not None and is_pq,
        scenes=len(track.dynamic),
        notes=(*(plan.notes if plan else ()), *job.notes()),
    )


@contextmanager
def _work_folder(target: Path) -> Iterator[Path]:
    """Yield a folder beside a file, for work on it; it goes away in any case.

    Its name is chosen before it is made: Ctrl-C between the two would leave what `tempfile`
    makes behind.

    Raises:
        MediaError: what is done in it meets a full or broken disk.
    """
    start = os.fsencode(target.name)[:_NAME_BYTES].decode(errors="ignore")
    folder = target.with_name(f".{start}.{secrets.token_hex(4)}")
    try:
        folder.mkdir(mode=0o700)
        yield folder
    except OSError as error:
        if error.errno in _DISK_ERRORS or not folder.is_dir():
            raise MediaError(f"{target}: can't be written: {error.strerror}") from error
        raise
    finally:
        shutil.rmtree(folder, ignore_errors=True)


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
        MediaError: no such encoder or setting, or the file can't be written or must not be.
    """
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

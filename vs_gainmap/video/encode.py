"""`encode`: an HDR clip becomes a file, with everything else from the source."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from functools import partial
from pathlib import Path

import vapoursynth as vs

from vs_gainmap.hdr10 import ContentLight, MasteringDisplay
from vs_gainmap.video.audio import AudioCodec
from vs_gainmap.video.crew import Crew, Progress, ThisProcess, encode_film
from vs_gainmap.video.encoders import DEFAULT_ENCODER
from vs_gainmap.video.jobs import ClipSource
from vs_gainmap.video.open_film import Encoded, EncodeOptions, OpenFilm, open_film
from vs_gainmap.video.work_folder import Resume
from vs_gainmap.video.workers import Team


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
    workers: int | Crew = 1,
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
        workers: processes that encode at the same time, a chunk each; 1 is this one. Or a `Team`
            or a `Cluster` that is there already.

    Returns:
        What was written.

    Raises:
        OptionError: an option has a value of the wrong kind.
        MediaError: anything that can't be done as asked.
        vs.Error: a filter failed.
    """
    options = EncodeOptions(
        encoder=encoder,
        crf=crf,
        preset=preset,
        encoder_params=encoder_params,
        mastering=mastering,
        content_light=content_light,
        hdr10plus=hdr10plus,
        audio=audio,
        audio_codec=audio_codec,
        overwrite=overwrite,
        progress=progress,
        resume=resume,
        workers=workers,
    )
    return encode_opened(partial(open_film, clip, path, source=source), options)


def encode_opened(
    open_it: Callable[..., AbstractContextManager[OpenFilm]], options: EncodeOptions
) -> Encoded:
    """Open a film, make its chunks and then its file.

    Args:
        open_it: `open_film`, of which only the options are missing.
        options: see `encode`.

    Raises:
        MediaError: see `encode`.
        vs.Error: a filter failed.
    """
    options, workers = options.copy(), options.get("workers", 1)
    with ExitStack() as stack:
        if isinstance(workers, int) and workers > 1:
            options["workers"] = stack.enter_context(Team(workers))
        ready = stack.enter_context(open_it(**options))
        crew, film = options.get("workers", 1), ready.film
        # One chunk is made sooner without a worker that has to start.
        is_short = isinstance(workers, int) and len(film.left) < 2
        if is_short or isinstance(crew, int) or film.source is None:
            crew = ThisProcess()
        encode_film(film, crew)
        return ready.finish()

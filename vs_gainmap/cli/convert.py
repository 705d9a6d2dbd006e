"""`vs-gainmap convert`: an SDR file becomes an HDR10 file."""

from __future__ import annotations

import argparse
import json
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vs_gainmap.cli.describe import Network, describe_filters, describe_network
from vs_gainmap.cli.interrupt import check, is_interrupted, leaves
from vs_gainmap.cli.library import convert_library, is_library
from vs_gainmap.cli.options import (
    add_encoder_options,
    add_filter_options,
    add_hdr10_options,
    add_progressive_option,
    make_graph,
)
from vs_gainmap.cli.profile import add_profile_option
from vs_gainmap.cli.progress import Progress, choose_mode, format_size, format_time
from vs_gainmap.cli.values import content_light, devices, length, positive_int, seconds, share
from vs_gainmap.errors import printable

if TYPE_CHECKING:
    from vs_gainmap.video import Encoded
    from vs_gainmap.video.work_folder import WorkFolder


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Describe the command."""
    parser = subparsers.add_parser(
        "convert",
        help="convert an SDR video file to HDR10",
        description="Convert an SDR video file to HDR10. Audio, subtitles, chapters, attachments, "
        "metadata, rotation and timestamps go along untouched.",
    )
    parser.add_argument(
        "inputs", type=Path, nargs="+", metavar="IN", help="the SDR file; or several, or folders"
    )
    parser.add_argument(
        "target", type=Path, metavar="OUT", help=".mp4, .mov, .mkv or .webm; or a folder for them"
    )
    parser.add_argument(
        "--to", choices=("mkv", "mp4", "mov", "webm"), default="mkv",
        help="what files in a folder OUT become (mkv); those that are there are skipped",
    )  # fmt: skip
    parser.add_argument("--overwrite", action="store_true", help="replace OUT and JSON if there")
    parser.add_argument(
        "--dry-run", action="store_true",
        help="print what would be done, with time and size guessed from a few frames",
    )  # fmt: skip
    parser.add_argument("--quiet", action="store_true", help="no progress, no summary")
    parser.add_argument(
        "--progress", choices=("json",),
        help="JSON lines on stdout, one a second, the last one the summary",
    )  # fmt: skip
    part = parser.add_argument_group("part of the input, from its first frame")
    part.add_argument("--start", type=seconds, metavar="TIME", help="seconds or HH:MM:SS.mmm")
    part.add_argument("--end", type=seconds, metavar="TIME", help="the first moment left out")
    part.add_argument("--frames", type=positive_int, metavar="N", help="at most so many")
    work = parser.add_argument_group("unfinished work: OUT.work/, gone on with by the same command")
    work.add_argument("--restart", action="store_true", help="begin anew, whatever is in it")
    work.add_argument(
        "--no-resume",
        dest="resume",
        action="store_false",
        help="leave nothing of a run that ends early",
    )
    work.add_argument(
        "--chunk-seconds", type=length, default=15.0, metavar="S",
        help="about how long a chunk is, from key frame to key frame; each is coded by itself (15)",
    )  # fmt: skip
    many = parser.add_argument_group("many cores, devices and machines")
    many.add_argument(
        "--workers", type=positive_int, default=1, metavar="N",
        help="processes that make chunks at the same time; for many cores and small pictures (1)",
    )  # fmt: skip
    many.add_argument(
        "--devices", type=devices, default=(), metavar="D,D",
        help="a worker on each, such as cuda:0,cuda:1",
    )  # fmt: skip
    many.add_argument(
        "--ray", metavar="ADDRESS", help="make the chunks on a Ray cluster: auto, or HOST:6379"
    )
    many.add_argument(
        "--task-cpus", type=share, default=4.0, metavar="N", help="cores for a chunk there (4)"
    )
    many.add_argument(
        "--task-gpus", type=share, default=0.0, metavar="N", help="GPUs for a chunk there (0)"
    )
    parser.add_argument("--no-audio", dest="audio", action="store_false", help="leave audio out")
    parser.add_argument(
        "--audio-codec", choices=("copy", "flac"), default="copy",
        help="copy, or flac: without loss, for sound that OUT can't hold",
    )  # fmt: skip
    parser.add_argument(
        "--stats", type=Path, metavar="JSON", help="keep light, Qmax and cuts of every frame"
    )
    add_progressive_option(parser)
    add_encoder_options(parser)
    add_hdr10_options(parser)
    parser.add_argument(
        "--hdr10plus", action="store_true", help="add HDR10+ metadata of every scene (HEVC, AV1)"
    )
    add_profile_option(parser)
    add_filter_options(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Convert."""
    if is_library(args.inputs):
        return convert_library(args, _convert_file)
    return _convert_file(argparse.Namespace(**vars(args), input=args.inputs[0]))


def _convert_file(args: argparse.Namespace) -> int:
    from vs_gainmap.cli.dry_run import dry_run
    from vs_gainmap.errors import OptionError
    from vs_gainmap.files import check_output
    from vs_gainmap.filters.memory import bound_freed
    from vs_gainmap.preview.stats import stats_of, write_stats
    from vs_gainmap.video import Selection, convert
    from vs_gainmap.video.encode import EncodeOptions
    from vs_gainmap.video.ray_workers import Cluster
    from vs_gainmap.video.work_folder import Resume

    if args.stats is not None:
        check_output(args.stats, [args.input, args.target], overwrite=args.overwrite)
    bound_freed()
    if args.hdr10plus and args.output == "hlg":
        raise OptionError("HDR10+ goes with PQ alone: leave out --hdr10plus or --output hlg")
    light = content_light(args.max_cll, args.max_fall)
    network = describe_network(args)
    measured = light is None or args.stats is not None
    graph = make_graph(args, measure=measured, hdr10plus=args.hdr10plus)
    selection = Selection(start=args.start, end=args.end, frames=args.frames)
    cluster = None
    if args.ray is not None:
        cluster = Cluster(address=args.ray, cpus=args.task_cpus, gpus=args.task_gpus)
    options = EncodeOptions(
        encoder=args.encoder,
        crf=args.crf,
        preset=args.preset,
        encoder_params=args.encoder_params,
        content_light=light,
        hdr10plus=args.hdr10plus,
        audio=args.audio,
        audio_codec=args.audio_codec,
        overwrite=args.overwrite,
        workers=args.workers,
        devices=args.devices,
        cluster=cluster,
    )
    if args.dry_run:
        for name, value in dry_run(args, graph, selection, options):
            print(f"{name:<16}{value}")
        return 0
    mode = choose_mode(as_json=args.progress == "json", quiet=args.quiet)
    started = time.monotonic()
    before, work = 0, None

    with closing(Progress(args.target.name, mode, stage="opening", check=check)) as progress:

        def begun(folder: WorkFolder) -> None:
            nonlocal before, work
            before = sum(chunk.frames for chunk in folder.found.values())
            work = folder.path
            progress.resume(folder.path.name, before)

        def update(done: int, total: int, size: int) -> None:
            progress.stage("encoding")
            progress.update(done, total, size)
            if done == total:
                progress.stage("finishing")

        if args.resume:
            described = describe_filters(args, network) | {"light levels": str(measured)}
            options["resume"] = Resume(described=described, restart=args.restart, begun=begun)
        options["progress"] = update
        try:
            made = convert(
                args.input,
                args.target,
                graph,
                selection=selection,
                assume_progressive=args.assume_progressive,
                chunk_seconds=args.chunk_seconds,
                indexed=lambda _: progress.stage("analyzing"),
                **options,
            )
        except BaseException:
            # What another run works on, or what was begun with other options, is not ours.
            if work is not None:
                _tell_of_work(work)
            raise
    if args.stats is not None:
        write_stats(args.stats, stats_of(made.film))
    for note in made.notes:
        print(f"vs-gainmap: note: {printable(note)}", file=sys.stderr)
    elapsed = time.monotonic() - started
    fps = (made.frames - before) / elapsed
    if mode == "json":
        print(json.dumps(_figures(made, args.encoder, network, elapsed, fps)))
    elif mode != "none":
        print(_summary(made, args.encoder, network, elapsed, fps))
    return 0


def _tell_of_work(folder: Path) -> None:
    """Say what an error or a signal leaves of a conversion."""
    from vs_gainmap.video.work_folder import count_chunks

    chunks = count_chunks(folder)
    if not chunks:
        return
    kept = f"{chunks} finished chunk{'s' if chunks > 1 else ''} kept in {folder}"
    leaves(kept)
    if not is_interrupted():
        print(f"vs-gainmap: note: {kept}", file=sys.stderr)


def _summary(made: Encoded, encoder: str, network: Network, elapsed: float, fps: float) -> str:
    parts = [
        f"{made.frames} frames in {format_time(elapsed)} ({fps:.2f} fps)",
        format_size(made.path.stat().st_size),
        f"{network}, {encoder}",
    ]
    if made.mastering is not None:
        low, high = made.mastering.min_nits, made.mastering.max_nits
        parts.append(f"mastering display {low:g} to {high:g} cd/m2")
    if made.light is not None:
        how = "measured" if made.measured else "as given"
        parts.append(f"MaxCLL {made.light.max_cll}, MaxFALL {made.light.max_fall} ({how})")
    if made.scenes:
        parts.append(f"HDR10+ of {made.scenes} scenes")
    return f"{made.path}: " + ", ".join(parts)


def _figures(
    made: Encoded, encoder: str, network: Network, elapsed: float, fps: float
) -> dict[str, Any]:
    """Return the summary for a program."""
    return {
        "stage": "done",
        "path": str(made.path),
        "frames": made.frames,
        "seconds": round(elapsed, 2),
        "fps": round(fps, 2),
        "bytes": made.path.stat().st_size,
        **network._asdict(),
        "encoder": encoder,
        "mastering_nits": made.mastering and [made.mastering.min_nits, made.mastering.max_nits],
        "max_cll": made.light and made.light.max_cll,
        "max_fall": made.light and made.light.max_fall,
        "measured": made.measured,
        "hdr10plus_scenes": made.scenes,
        "notes": made.notes,
    }

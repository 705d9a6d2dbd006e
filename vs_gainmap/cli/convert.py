"""`vs-gainmap convert`: an SDR file becomes an HDR10 file."""

from __future__ import annotations

import argparse
import sys
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from vs_gainmap.cli.interrupt import check, is_interrupted, leaves
from vs_gainmap.cli.library import Task, is_library
from vs_gainmap.cli.options import (
    add_encoder_options,
    add_filter_options,
    add_hdr10_options,
    add_progressive_option,
)
from vs_gainmap.cli.profile import add_profile_option
from vs_gainmap.cli.progress import Progress, choose_mode
from vs_gainmap.cli.values import devices, length, positive_int, seconds, share

if TYPE_CHECKING:
    from vs_gainmap.video.crew import Crew


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
    from vs_gainmap.cli.library import convert_library
    from vs_gainmap.filters.memory import bound_freed
    from vs_gainmap.video.crew import ThisProcess

    bound_freed()
    with ExitStack() as stack:
        crew = _crew(args, stack)
        if is_library(args.inputs):
            return convert_library(args, crew or ThisProcess())
        return _convert_file(Task(args.inputs[0], args.target).of(args), crew or args.workers)


def _crew(args: argparse.Namespace, stack: ExitStack) -> Crew | None:
    """Return who makes the chunks of all files, until the stack ends."""
    from vs_gainmap.models.inference import choose_device
    from vs_gainmap.video import Cluster, Team

    if args.ray is not None:
        return stack.enter_context(Cluster(args.ray, cpus=args.task_cpus, gpus=args.task_gpus))
    if args.backend in (None, "torch"):
        for device in args.devices:
            choose_device(device)
    if args.devices or (args.workers > 1 and is_library(args.inputs)):
        return stack.enter_context(Team(args.workers, devices=args.devices))
    return None


def _convert_file(args: argparse.Namespace, workers: int | Crew) -> int:
    from vs_gainmap.cli.conversion import Conversion
    from vs_gainmap.cli.dry_run import dry_run
    from vs_gainmap.video.encode import encode_opened

    conversion = Conversion(args, workers)
    if args.dry_run:
        for name, value in dry_run(conversion):
            print(f"{name:<16}{value}")
        return 0
    mode = choose_mode(as_json=args.progress == "json", quiet=args.quiet)
    with closing(Progress(args.target.name, mode, stage="opening", check=check)) as progress:
        try:
            made = encode_opened(partial(conversion.open, progress), conversion.options)
        except BaseException:
            if kept := conversion.kept():
                leaves(kept)
                if not is_interrupted():
                    print(f"vs-gainmap: note: {kept}", file=sys.stderr)
            raise
    conversion.report(made, progress)
    return 0

"""`vs-gainmap report`: light and metadata of an HDR file over time."""

from __future__ import annotations

import argparse
from contextlib import closing
from pathlib import Path

from vs_gainmap.cli.describe import made_by
from vs_gainmap.cli.progress import Progress, choose_mode, format_size
from vs_gainmap.errors import MediaError
from vs_gainmap.files import check_output


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Describe the command."""
    parser = subparsers.add_parser(
        "report",
        help="write a page with light over time, cuts and metadata of an HDR file",
        description="Write an HTML page that plots the light of a PQ or HLG file over time, shows "
        "its shots and lists its metadata; with the file of `convert --stats`, Qmax too.",
    )
    parser.add_argument("input", type=Path, metavar="FILE", help="a PQ or HLG video")
    parser.add_argument(
        "--stats", type=Path, metavar="JSON",
        help="what convert --stats wrote; FILE.stats.json is found by itself",
    )  # fmt: skip
    parser.add_argument("-o", "--page", type=Path, metavar="HTML", help="FILE.report.html")
    parser.add_argument("--overwrite", action="store_true", help="replace the page if it exists")
    parser.add_argument("--quiet", action="store_true", help="no progress")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Make the page."""
    from vs_gainmap.preview.page import PLOTS, require
    from vs_gainmap.preview.report import measure_frames, write_report
    from vs_gainmap.preview.stats import FrameStats, find_stats, read_stats, stats_beside
    from vs_gainmap.video import open_clip
    from vs_gainmap.video.inputs import check_video

    page = args.page or args.input.with_name(args.input.name + ".report.html")
    check_output(page, [args.input, args.stats, stats_beside(args.input)], overwrite=args.overwrite)
    if args.stats is not None and not args.stats.is_file():
        raise MediaError(f"{args.stats}: no such file")
    require(*PLOTS)
    check_video(args.input)
    clip = open_clip(args.input)
    frames: list[FrameStats] | None
    if args.stats is not None:
        frames, note = read_stats(args.stats), None
    else:
        frames, note = find_stats(args.input, clip.num_frames)
    measured = "measured by convert, before the encoder"
    if frames is None:
        mode = choose_mode(quiet=args.quiet)
        with closing(Progress(args.input.name, mode, stage="measuring")) as bar:
            frames = measure_frames(clip, bar.update)
        measured = "measured here, as decoded"
    write_report(
        page,
        clip,
        frames,
        title=f"{args.input.name}: light and metadata",
        measured=measured,
        notes=[note] if note else [],
        about=_about(args),
    )
    print(page)
    return 0


def _about(args: argparse.Namespace) -> list[tuple[str, str]]:
    """Return the head of the page."""
    from vs_gainmap.video.inputs import main_video, open_input

    with open_input(args.input) as container:
        stream = main_video(container, args.input)
        codec, profile = stream.codec_context.name, stream.codec_context.profile
        seconds = float((container.duration or 0) / 1_000_000)
    size = args.input.stat().st_size
    rate = f", {size * 8 / seconds / 1e6:.2f} Mbit/s with all streams" if seconds else ""
    return [
        ("file", f"{args.input.name}, {format_size(size)}{rate}"),
        ("codec", f"{codec}, {profile}" if profile else codec),
        *made_by(args),
    ]

"""`vs-gainmap preview`: a page that shows what the filter makes of a few frames."""

from __future__ import annotations

import argparse
import sys
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from vs_gainmap.cli.describe import describe_color, describe_network, describe_options, made_by
from vs_gainmap.cli.options import (
    add_filter_options,
    add_progressive_option,
    conversion_options,
    open_progressive,
)
from vs_gainmap.cli.profile import add_profile_option
from vs_gainmap.cli.values import positive_int, seconds
from vs_gainmap.files import check_output

if TYPE_CHECKING:
    import vapoursynth as vs


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Describe the command."""
    parser = subparsers.add_parser(
        "preview",
        help="write a page that shows a few frames every way",
        description="Write an HTML page with SDR, gain map, nits, HDR and scopes of a few frames. "
        "It needs no HDR screen, and shows HDR on one.",
    )
    parser.add_argument("input", type=Path, metavar="IN", help="the SDR file")
    parser.add_argument(
        "--at", type=seconds, action="append", metavar="TIME",
        help="seconds or HH:MM:SS.mmm; may be given several times (3 frames, without --sheet)",
    )  # fmt: skip
    parser.add_argument(
        "--sheet", type=positive_int, metavar="N",
        help="a contact sheet of N frames, evenly spread",
    )  # fmt: skip
    parser.add_argument("-o", "--page", type=Path, metavar="HTML", help="IN.preview.html")
    parser.add_argument("--overwrite", action="store_true", help="replace the page if it exists")
    add_progressive_option(parser)
    add_profile_option(parser)
    add_filter_options(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Make the page."""
    from vs_gainmap.filters.options import Conversion
    from vs_gainmap.preview.frame_page import write_preview
    from vs_gainmap.preview.frames import Previewer
    from vs_gainmap.preview.page import PICTURES, PLOTS, require
    from vs_gainmap.video.index import scan
    from vs_gainmap.video.inputs import main_video, open_input
    from vs_gainmap.video.streams import display_matrix, orientation

    page = args.page or args.input.with_name(args.input.name + ".preview.html")
    check_output(page, [args.input], overwrite=args.overwrite)
    require(*PLOTS, *PICTURES)
    index = scan(args.input)
    with open_input(args.input) as container:
        matrix = display_matrix(main_video(container, args.input))
    frames = [index.frame_at(at) for at in args.at or ()]
    clip = open_progressive(args.input, args)
    times: tuple[Fraction, ...] | None = index.times()
    if len(index) != clip.num_frames:
        print(
            f"vs-gainmap: note: {clip.num_frames} frames of the file's {len(index)} can be "
            "decoded; times may be off by what is missing",
            file=sys.stderr,
        )
        frames = [min(n, clip.num_frames - 1) for n in frames]
        times = None if clip.num_frames > len(index) else times
    previewer = Previewer(
        clip,
        Conversion(**conversion_options(args)),
        times=times,
        orientation=orientation(matrix),
    )
    if not frames and not args.sheet:
        frames = _spread(3, clip.num_frames)
    shown = [previewer.frame(n) for n in sorted(set(frames))]
    sheet = [previewer.frame(n) for n in _spread(args.sheet or 0, clip.num_frames)]
    title = f"{args.input.name}: SDR to HDR10"
    write_preview(page, shown, title=title, sheet=sheet, about=_about(args, clip))
    print(page)
    return 0


def _about(args: argparse.Namespace, clip: vs.VideoNode) -> list[tuple[str, str]]:
    """Return the head of the page."""
    size = f"{clip.width}x{clip.height}, {clip.num_frames} frames"
    rate = f", {float(clip.fps):.6g} frames a second" if clip.fps else ""
    return [
        ("file", f"{args.input.name}, {clip.format.name}, {size}{rate}"),
        *describe_color(args, clip),
        ("network", str(describe_network(args))),
        ("options", describe_options(args)),
        *made_by(args),
    ]


def _spread(count: int, length: int) -> list[int]:
    """Return the middles of so many equal parts of a clip, each frame once."""
    return sorted({int((i + 0.5) * length / count) for i in range(count)})

"""`vs-gainmap ffmpeg-args`: the flags of an encoder for a clip that vspipe gives it."""

from __future__ import annotations

import argparse
import os
import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from vs_gainmap.cli.describe import describe_options
from vs_gainmap.cli.options import (
    add_encoder_options,
    add_filter_options,
    add_hdr10_options,
    add_progressive_option,
    make_graph,
    open_progressive,
    read_mastering,
)
from vs_gainmap.cli.profile import add_profile_option
from vs_gainmap.cli.progress import Progress, choose_mode
from vs_gainmap.cli.values import content_light

if TYPE_CHECKING:
    import vapoursynth as vs

    from vs_gainmap.hdr10 import ContentLight
    from vs_gainmap.video.encoders import Encoder

_SCRIPTS = (".vpy", ".py")
_EXAMPLES = """\
FLAGS stands for what `vs-gainmap ffmpeg-args --for PROGRAM script.vpy` prints:

  ffmpeg   vspipe -c y4m script.vpy - | ffmpeg -i - FLAGS out.mkv
  x265     vspipe -c y4m script.vpy - | x265 --y4m FLAGS - -o out.hevc
  svtav1   vspipe -c y4m script.vpy - | SvtAv1EncApp -i - FLAGS -b out.ivf
  av1an    av1an -i script.vpy FLAGS -o out.mkv

They have quotes: paste them, or use eval in a POSIX shell."""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Describe the command."""
    parser = subparsers.add_parser(
        "ffmpeg-args",
        help="print the flags for `vspipe | ffmpeg`, x265, SVT-AV1 or av1an",
        description="Print the flags of an encoder for a script's clip: vspipe's y4m carries no "
        "color tags and no HDR10 metadata.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "input", type=Path, metavar="SCRIPT|FILE",
        help="a .vpy whose output is HDR, or an SDR file that the options below are for",
    )  # fmt: skip
    parser.add_argument(
        "--for", dest="program", choices=("ffmpeg", "x265", "svtav1", "av1an"), default="ffmpeg",
        help="the program that takes the flags (ffmpeg)",
    )  # fmt: skip
    parser.add_argument(
        "--output-index", type=int, default=0, metavar="N", help="which output of the script (0)"
    )
    parser.add_argument(
        "--shell", choices=("posix", "cmd", "powershell"), help="whose quotes (this system's)"
    )
    parser.add_argument(
        "--measure", action="store_true",
        help="run all frames through to measure MaxCLL and MaxFALL; takes as long as a conversion",
    )  # fmt: skip
    add_encoder_options(parser)
    add_hdr10_options(parser)
    add_profile_option(parser)
    add_filter_options(parser)
    add_progressive_option(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the flags."""
    from vs_gainmap.cli.encoder_flags import encoder_flags, quote
    from vs_gainmap.errors import OptionError
    from vs_gainmap.filters import props
    from vs_gainmap.video.encoders import parse_params

    encoder = _encoder(args)
    light = content_light(args.max_cll, args.max_fall)
    if encoder.hdr10 is None and (args.measure or light or args.mastering):
        raise OptionError(f"{_carries_none(encoder)}: leave out --measure, --max-cll, --max-fall "
                         "and --mastering, or use convert")  # fmt: skip
    clip = _open(args)
    if args.measure and light is None:
        light = _measure(clip, args.input.name, args.percentile)
    with closing(clip.get_frame(0)) as first:
        known = dict(first.props)
    if light is None:
        light = props.read_light(known)
    flags = encoder_flags(
        args.program,
        encoder,
        clip,
        known,
        crf=args.crf,
        preset=args.preset,
        params=parse_params(args.encoder_params),
        mastering=read_mastering(args) or props.read_mastering(known),
        light=light,
    )
    print(quote(flags, args.shell or ("cmd" if os.name == "nt" else "posix")))
    note = None
    if encoder.hdr10 is None:
        note = f"{_carries_none(encoder)}; vs-gainmap convert writes it"
    elif light is None:
        note = "MaxCLL and MaxFALL are unknown; add --measure, or --max-cll and --max-fall"
    if note is not None:
        print(f"vs-gainmap: note: {note}", file=sys.stderr)
    return 0


def _encoder(args: argparse.Namespace) -> Encoder:
    """Return the encoder that the program has.

    Raises:
        OptionError: there is no such encoder, or av1an doesn't have it.
    """
    from vs_gainmap.errors import OptionError
    from vs_gainmap.video.encoders import find_encoder

    encoder = find_encoder(args.program if args.program in ("x265", "svtav1") else args.encoder)
    if args.program == "av1an" and encoder.name not in ("x265", "svtav1"):
        raise OptionError(f"av1an takes --encoder x265 or svtav1, got {encoder.name}")
    return encoder


def _carries_none(encoder: Encoder) -> str:
    return f"a pipe into {encoder.name} carries no HDR10 metadata"


def _open(args: argparse.Namespace) -> vs.VideoNode:
    from vs_gainmap.errors import OptionError
    from vs_gainmap.video.inputs import check_video
    from vs_gainmap.video.script import run_script

    if args.input.suffix.lower() in _SCRIPTS:
        given = describe_options(args)
        if given != "defaults":
            raise OptionError(f"{args.input.name} is a script, which has its own options: {given}")
        return run_script(args.input, args.output_index)
    check_video(args.input)
    return make_graph(args, measure=args.measure)(open_progressive(args.input, args))


def _measure(clip: vs.VideoNode, name: str, percentile: float) -> ContentLight:
    from vs_gainmap import measure
    from vs_gainmap.filters import props
    from vs_gainmap.filters.memory import frames_in_order
    from vs_gainmap.hdr10 import LightMeter

    meter = LightMeter(clip.width, clip.height)
    with closing(Progress(name, choose_mode(), stage="measuring")) as bar:
        for n, frame in enumerate(frames_in_order(measure(clip, percentile=percentile))):
            with closing(frame):
                known = frame.props
                meter.add(
                    float(str(known[props.FRAME_MAX_NITS])),
                    float(str(known[props.FRAME_AVERAGE_NITS])),
                    props.read_active_area(known),
                )
            bar.update(n + 1, clip.num_frames)
    return meter.result()

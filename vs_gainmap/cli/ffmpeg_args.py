"""`vs-gainmap ffmpeg-args`: what ffmpeg must be told of a clip that vspipe gives it."""

from __future__ import annotations

import argparse
import os
import re
import shlex
import sys
import traceback
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vs_gainmap.cli.options import (
    add_encoder_options,
    add_filter_options,
    add_hdr10_options,
    add_progressive_option,
    make_graph,
    open_as_told,
    read_mastering,
)
from vs_gainmap.cli.progress import Progress, choose_mode
from vs_gainmap.cli.values import content_light

if TYPE_CHECKING:
    import vapoursynth as vs

    from vs_gainmap.hdr10 import ContentLight

_SCRIPTS = (".vpy", ".py")


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Describe the command."""
    parser = subparsers.add_parser(
        "ffmpeg-args",
        help="print the flags for `vspipe | ffmpeg`",
        description="Print what ffmpeg must be told of a script's clip: vspipe's y4m carries no "
        "color tags and no HDR10 metadata.",
        epilog="vspipe -c y4m script.vpy - | ffmpeg -i - $(vs-gainmap ffmpeg-args script.vpy) "
        "out.mkv  (in a POSIX shell: eval, or paste what is printed)",
    )
    parser.add_argument(
        "input", type=Path, metavar="SCRIPT|FILE",
        help="a .vpy whose output is HDR, or an SDR file that the options below are for",
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
    add_filter_options(parser)
    add_progressive_option(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the flags."""
    from vs_gainmap.filters import props

    light = content_light(args.max_cll, args.max_fall)
    clip = _open(args)
    if args.measure and light is None:
        light = _measure(clip, args.input.name, args.percentile)
    with closing(clip.get_frame(0)) as first:
        known = dict(first.props)
    if light is None:
        light = props.read_light(known)
    flags = ffmpeg_flags(args, clip, known, light)
    print(quote(flags, args.shell or ("cmd" if os.name == "nt" else "posix")))
    if light is None:
        print(
            "vs-gainmap: note: MaxCLL and MaxFALL are not known; add --measure, or --max-cll and "
            "--max-fall",
            file=sys.stderr,
        )
    return 0


def ffmpeg_flags(
    args: argparse.Namespace,
    clip: vs.VideoNode,
    known: Mapping[str, Any],
    light: ContentLight | None,
) -> list[str]:
    """Return the flags for a clip, from its first frame's props.

    Raises:
        MediaError: the encoder can't take the clip, or the clip has no color props.
    """
    import vapoursynth as vs

    from vs_gainmap.filters import props
    from vs_gainmap.video.encoders import codec_options, find_encoder, parse_params, pix_fmt_for

    encoder = find_encoder(args.encoder)
    params = parse_params(args.encoder_params)
    if encoder.name == "x265":
        # A raw stream, or one cut by a broadcaster, has no header but this.
        params = {"repeat-headers": "1", **params}
    is_pq = known.get(props.TRANSFER) == vs.TRANSFER_ST2084
    options = codec_options(
        encoder,
        crf=args.crf,
        preset=args.preset,
        params=params,
        mastering=read_mastering(args) or props.read_mastering(known),
        light=light,
        pq_420=is_pq and clip.format.id == vs.YUV420P10,
    )
    flags = ["-c:v", encoder.library, "-pix_fmt", pix_fmt_for(clip, encoder), *_color_flags(known)]
    for name, value in options.items():
        flags += [f"-{name}" if name not in ("b", "profile") else f"-{name}:v", value]
    return flags


def _color_flags(known: Mapping[str, Any]) -> list[str]:
    """Return the flags for a clip's color.

    The frames themselves are tagged, by a filter: since ffmpeg 7 their tags, or their lack of
    tags, win over the encoder's options. A chroma location is among the tags only if it isn't
    the usual one, since ffmpeg before 7.1 has no such tag.

    Raises:
        MediaError: transfer or primaries are missing, or FFmpeg has no name for a value.
    """
    from vs_gainmap.color.h273 import Kind, find_point
    from vs_gainmap.errors import MediaError
    from vs_gainmap.filters import props
    from vs_gainmap.video.pixels import context_color

    # Refuses what is missing.
    context_color(known)
    flags: list[str] = []
    tags: list[str] = []
    kind: Kind
    for kind, prop, flag, tag in (
        ("primaries", props.PRIMARIES, "-color_primaries", "color_primaries"),
        ("transfer", props.TRANSFER, "-color_trc", "color_trc"),
        ("matrix", props.MATRIX, "-colorspace", "colorspace"),
        ("range", props.RANGE, "-color_range", "range"),
        ("chroma_location", props.CHROMA_LOCATION, "-chroma_sample_location", "chroma_location"),
    ):
        if prop not in known and kind != "range":
            continue
        code = int(known.get(prop, 0))
        point = find_point(kind, code)
        if point is None or point.ffmpeg is None:
            raise MediaError(f"ffmpeg has no name for {kind} {code}")
        # As an option; the filter calls it gbr.
        name = "rgb" if point.ffmpeg == "gbr" else point.ffmpeg
        flags += [flag, name]
        if name != "left":
            tags.append(f"{tag}={point.ffmpeg}")
    return ["-vf", "setparams=" + ":".join(tags), *flags]


def quote(arguments: Sequence[str], shell: str) -> str:
    """Return arguments as one line that a shell splits again as they were."""
    if shell == "posix":
        return shlex.join(arguments)
    mark = '"' if shell == "cmd" else "'"
    plain = re.compile(r"[\w./:+-]+")
    return " ".join(a if plain.fullmatch(a) else f"{mark}{a}{mark}" for a in arguments)


def _open(args: argparse.Namespace) -> vs.VideoNode:
    from vs_gainmap.errors import MediaError
    from vs_gainmap.video.index import check_video

    if args.input.suffix.lower() not in _SCRIPTS:
        check_video(args.input)
        return make_graph(args, measure=args.measure)(open_as_told(args.input, args))
    if not args.input.is_file():
        raise MediaError(f"{args.input}: no such file")
    return _run_script(args.input, args.output_index)


def _run_script(path: Path, index: int) -> vs.VideoNode:
    """Run a script as vspipe does and return one of its outputs.

    Raises:
        MediaError: the script fails, or sets no such output.
    """
    import runpy

    import vapoursynth as vs

    from vs_gainmap.errors import MediaError

    # In a process that ran another script before, its outputs would be taken for this one's.
    vs.clear_outputs()
    try:
        runpy.run_path(str(path), run_name="__vapoursynth__")
    except Exception as error:
        raise MediaError(f"{path}: {_where(error, path)}{_told(error)}") from error
    outputs = vs.get_outputs()
    if index not in outputs:
        raise MediaError(f"{path}: sets no output {index}")
    output = outputs[index]
    clip = getattr(output, "clip", output)
    if not isinstance(clip, vs.VideoNode):
        raise MediaError(f"{path}: output {index} is not video")
    return clip


def _where(error: Exception, path: Path) -> str:
    """Return the line of a script that an error comes from, if it is one of its own."""
    lines = [
        frame.lineno for frame in traceback.extract_tb(error.__traceback__)
        if Path(frame.filename) == path
    ]  # fmt: skip
    if isinstance(error, SyntaxError) and error.filename == str(path):
        lines.append(error.lineno)
    return f"line {lines[-1]}: " if lines else ""


def _told(error: Exception) -> str:
    """Return an error's kind and what it says, in one line."""
    said = error.msg if isinstance(error, SyntaxError) else " ".join(str(error).split())
    return f"{type(error).__name__}: {said}" if said else type(error).__name__


def _measure(clip: vs.VideoNode, name: str, percentile: float) -> ContentLight:
    from vs_gainmap import measure
    from vs_gainmap.filters import props
    from vs_gainmap.hdr10 import LightMeter
    from vs_gainmap.video.memory import frames_in_order

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

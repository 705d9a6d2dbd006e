"""`vs-gainmap still`: one frame of an SDR video becomes an HDR photo."""

from __future__ import annotations

import argparse
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from vs_gainmap.cli.options import add_color_options, add_progressive_option
from vs_gainmap.cli.photo import (
    add_photo_options,
    convert_options,
    make_predictor,
)
from vs_gainmap.cli.profile import add_profile_option
from vs_gainmap.cli.values import seconds
from vs_gainmap.files import check_output

if TYPE_CHECKING:
    import vapoursynth as vs

    from vs_gainmap.filters.options import InputColor
    from vs_gainmap.photo.picture import Picture


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Describe the command."""
    parser = subparsers.add_parser(
        "still",
        help="make an HDR photo of a video frame",
        description="Make an HDR photo of the frame that an SDR video shows at a moment.",
    )
    parser.add_argument("input", type=Path, metavar="VIDEO", help="the SDR file")
    parser.add_argument(
        "output", type=Path, metavar="OUT", help=".jpg (Ultra HDR), .avif or .png (PQ), .exr, "
        ".hdr or .tif (linear)",
    )  # fmt: skip
    parser.add_argument(
        "--at", type=seconds, required=True, metavar="TIME",
        help="seconds or HH:MM:SS.mmm from the first frame",
    )  # fmt: skip
    parser.add_argument("--overwrite", action="store_true", help="replace OUT if it exists")
    add_progressive_option(parser)
    add_profile_option(parser)
    add_photo_options(parser)
    # `--primaries` is the output's here.
    add_color_options(parser, without=("primaries",))
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Make the photo."""
    from vs_gainmap.filters.options import InputColor
    from vs_gainmap.photo.convert import check_target, write_hdr_picture

    options = convert_options(args)
    check_target(args.output)
    check_output(args.output, [args.input], overwrite=args.overwrite)
    color = InputColor(
        matrix=args.matrix,
        transfer=args.transfer,
        range=args.range,
        chroma_location=args.chroma_location,
    )
    picture = read_still(args.input, args.at, color, assume_progressive=args.assume_progressive)
    write_hdr_picture(picture, args.output, make_predictor(args), options, overwrite=args.overwrite)
    print(args.output)
    return 0


def read_still(
    path: Path,
    at: Fraction,
    color: InputColor | None = None,
    *,
    assume_progressive: bool = False,
) -> Picture:
    """Read the frame that is shown at a moment, as a picture of 16 bits.

    Its code values stay those of the video: a photo's reader takes them for sRGB, as a screen
    shows the video.

    Args:
        path: an SDR video file.
        at: seconds from the first frame.
        color: over the file's own color.
        assume_progressive: take a frame that is marked as interlaced for a progressive one.

    Raises:
        MediaError: the file can't be read, or ends before, or the frame is interlaced.
        vapoursynth.Error: the frame is HDR already.
    """
    import numpy as np
    import vapoursynth as vs

    from vs_gainmap.filters import props
    from vs_gainmap.filters.color_props import tag_sdr_clip
    from vs_gainmap.filters.options import InputColor
    from vs_gainmap.photo.picture import Picture
    from vs_gainmap.photo.profile import profile_from_h273
    from vs_gainmap.photo.render import upright
    from vs_gainmap.video.index import scan
    from vs_gainmap.video.inputs import main_video, open_input
    from vs_gainmap.video.source import VideoReader
    from vs_gainmap.video.streams import display_matrix, orientation

    index = scan(path)
    with (
        VideoReader(
            path,
            index=index,
            first=index.frame_at(at),
            count=1,
            assume_progressive=assume_progressive,
        ) as reader,
        reader.own_errors(),
    ):
        tagged = tag_sdr_clip(reader.clip, color or InputColor(), "still")
        width, height = _square_size(tagged, index.sample_aspect)
        with tagged.resize.Bicubic(width, height, format=vs.RGB48).get_frame(0) as frame:
            planes = [np.asarray(frame[plane]) for plane in (0, 1, 2)]
            primaries = int(frame.props[props.PRIMARIES])
            signal = np.stack(planes, axis=-1).astype(np.uint16)
    with open_input(path) as container:
        turned = orientation(display_matrix(main_video(container, path)))
    signal = upright(signal, turned)
    return Picture(signal=signal, profile=profile_from_h273(primaries, 13))


def _square_size(clip: vs.VideoNode, sample_aspect: Fraction | None) -> tuple[int, int]:
    """Return the clip's size with square pixels; the longer way, so that nothing is lost."""
    if not sample_aspect or sample_aspect == 1:
        return clip.width, clip.height
    if sample_aspect > 1:
        return round(clip.width * sample_aspect), clip.height
    return clip.width, round(clip.height / sample_aspect)

"""Options that several commands share: the filter's and the encoder's."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from vs_gainmap.cli.values import color_code, mastering_display, percentile, positive_int

if TYPE_CHECKING:
    from pathlib import Path

    import vapoursynth as vs

    from vs_gainmap.hdr10 import MasteringDisplay

# Argument of `sdr_to_hdr10` for each option of `add_filter_options`.
_FILTER_ARGUMENTS = (
    "weights", "model", "sdr_white", "peak_nits", "strength", "eotf", "scale", "tile", "device",
    "dtype", "streams", "backend", "radius", "survey", "map_every", "output",
    "output_chroma_location", "dither", "matrix", "transfer", "primaries", "range",
    "chroma_location", "upsampling",
)  # fmt: skip

# Defaults of the filter: their modules import VapourSynth, and `--help` must not. A test
# compares all that is said of defaults here with the filter's own.
_RADIUS, _SURVEY = 24, 32


def add_filter_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of `sdr_to_hdr10`; what isn't given stays its default."""
    look = parser.add_argument_group("look")
    look.add_argument("--sdr-white", type=float, metavar="NITS", help="cd/m2 of SDR white")
    look.add_argument("--peak-nits", type=float, metavar="NITS", help="the brightest output")
    look.add_argument("--strength", type=float, help="factor on the gain in stops; 1 is as learned")
    look.add_argument("--eotf", choices=("gamma22", "bt1886", "srgb"), help="how SDR is decoded")
    look.add_argument("--output", choices=("pq", "hlg"), help="transfer of the output (pq)")
    look.add_argument(
        "--output-chroma-location", choices=("left", "top_left"), help="chroma siting (left)"
    )
    look.add_argument(
        "--dither", choices=("none", "ordered", "random", "error_diffusion"), help="of the output"
    )

    network = parser.add_argument_group("network")
    network.add_argument(
        "--model", choices=("gmnet", "fast"), help="the published network, or the fast one"
    )
    network.add_argument(
        "--weights", metavar="NAME|FILE", help="bundled weights, or a .safetensors or .pth file"
    )
    network.add_argument(
        "--weights-preset", dest="filter_preset", metavar="NAME",
        help="how published weights are applied: synthetic or real-world",
    )  # fmt: skip
    network.add_argument(
        "--scale", type=_scale, choices=(1, 2, 4, 8, "auto"), help="gain map at 1/N of the size"
    )
    network.add_argument(
        "--upsampling", choices=("bilinear", "guided"),
        help="a smaller map's way up: bilinear as published, or guided by the picture's luma",
    )  # fmt: skip
    network.add_argument("--tile", type=positive_int, metavar="PIXELS", help="side of a tile")
    network.add_argument("--device", help="cuda, cuda:1, mps or cpu; chosen when left out")
    network.add_argument("--dtype", choices=("float32", "float16", "bfloat16", "int8"))
    network.add_argument(
        "--backend", choices=("torch", "ov", "ort", "ncnn", "trt", "trt_rtx", "migx"),
        help="what runs the network (torch); vs-gainmap doctor says which are installed",
    )  # fmt: skip
    network.add_argument("--streams", type=positive_int, metavar="N", help="frames in flight")
    network.add_argument(
        "--radius", type=int, metavar="N",
        help="steadiness: frames on either side to average over; 0 judges each alone "
        f"({_RADIUS})",
    )  # fmt: skip
    network.add_argument(
        "--survey", type=int, metavar="N",
        help=f"pictures from all over the film that are judged together; 0 for none ({_SURVEY})",
    )  # fmt: skip
    network.add_argument(
        "--map-every", type=int, choices=(1, 2, 3, 4),
        help="make the map of every so many-th frame and carry it to those between (1)",
    )  # fmt: skip

    add_color_options(parser)


def add_color_options(
    parser: argparse.ArgumentParser,
    names: tuple[str, ...] = ("matrix", "transfer", "primaries", "range", "chroma-location"),
) -> None:
    """Add what a user can say about the input's color."""
    color = parser.add_argument_group("color of the input, where the file is silent or wrong")
    for name in names:
        color.add_argument(f"--{name}", type=color_code, metavar="NAME|CODE")


def _scale(text: str) -> int | str:
    return text if text == "auto" else int(text)


def filter_arguments(args: argparse.Namespace) -> dict[str, Any]:
    """Return the arguments for `sdr_to_hdr10` that the user gave."""
    given = {name: getattr(args, name) for name in _FILTER_ARGUMENTS}
    given["preset"] = args.filter_preset
    return {name: value for name, value in given.items() if value is not None}


def add_progressive_option(parser: argparse.ArgumentParser) -> None:
    """Add the way past wrong tags of interlaced video."""
    parser.add_argument(
        "--assume-progressive", action="store_true", help="ignore that frames say interlaced"
    )


def open_as_told(path: Path, args: argparse.Namespace) -> vs.VideoNode:
    """Open a video file as a clip, as `add_progressive_option` says.

    Raises:
        MediaError: it can't be opened.
    """
    from vs_gainmap.filters import props
    from vs_gainmap.video import open_clip

    clip = open_clip(path)
    return clip.std.SetFrameProps(**{props.FIELD_BASED: 0}) if args.assume_progressive else clip


def add_encoder_options(parser: argparse.ArgumentParser) -> None:
    """Add the choice of encoder and its settings."""
    group = parser.add_argument_group("encoder")
    group.add_argument(
        "-e", "--encoder", default="x265", metavar="NAME",
        help="x265 (default), svtav1, hevc_nvenc, av1_nvenc, prores or ffv1",
    )  # fmt: skip
    group.add_argument("--crf", type=float, help="quality, smaller is better (x265: 18)")
    group.add_argument("--preset", help="speed, by the encoder's own name (x265: medium)")
    group.add_argument(
        "--encoder-params", metavar="K=V:K=V", help="raw parameters, as the encoder calls them"
    )
    group.add_argument(
        "--format", metavar="NAME",
        help="clip format, such as YUV420P10, YUV422P10 or YUV444P12 (the encoder's own)",
    )  # fmt: skip


def add_hdr10_options(parser: argparse.ArgumentParser) -> None:
    """Add HDR10 metadata that the user knows better."""
    group = parser.add_argument_group("HDR10 metadata")
    group.add_argument(
        "--mastering", metavar="DISPLAY",
        help="p3d65,MAX,MIN in cd/m2, or G(..)B(..)R(..)WP(..)L(..) as x265 has it",
    )  # fmt: skip
    group.add_argument("--max-cll", type=int, metavar="NITS", help="instead of the measured one")
    group.add_argument("--max-fall", type=int, metavar="NITS", help="instead of the measured one")
    group.add_argument(
        "--percentile", type=percentile, default=100.0, metavar="P",
        help="MaxCLL is the P-th percentile of a frame's pixels, such as 99.99 (100, CTA-861.3)",
    )  # fmt: skip


def read_mastering(args: argparse.Namespace) -> MasteringDisplay | None:
    """Return the mastering display that the user gave."""
    return mastering_display(args.mastering) if args.mastering else None


def output_format(args: argparse.Namespace) -> vs.VideoFormat:
    """Return the clip format to make: the user's, or what the encoder likes best.

    Raises:
        MediaError: there is no such format.
    """
    import vapoursynth as vs

    from vs_gainmap.errors import MediaError
    from vs_gainmap.video.encoders import find_encoder, preferred_format

    encoder = find_encoder(args.encoder)
    if args.format is None:
        return vs.core.get_video_format(preferred_format(encoder))
    known = {preset.name: preset for preset in vs.PresetVideoFormat}
    if args.format.upper() not in known:
        raise MediaError(
            f"format must be a VapourSynth format such as YUV420P10, got {args.format}"
        )
    return vs.core.get_video_format(known[args.format.upper()])


def make_graph(
    args: argparse.Namespace, *, measure: bool, hdr10plus: bool = False, on_device: bool = False
) -> Callable[[vs.VideoNode], vs.VideoNode]:
    """Return the filter that the options describe."""
    import vs_gainmap
    from vs_gainmap.video.encoders import check_size, find_encoder

    arguments = filter_arguments(args)
    clip_format = output_format(args)
    mastering = read_mastering(args)

    # What `sdr_to_hdr10` doesn't measure by itself.
    apart = hdr10plus or (measure and args.percentile < 100)

    def graph(clip: vs.VideoNode) -> vs.VideoNode:
        check_size(clip.width, clip.height, clip_format, find_encoder(args.encoder))
        hdr = vs_gainmap.sdr_to_hdr10(
            clip,
            measure=measure and not apart,
            format=clip_format.id,
            mastering=mastering,
            on_device=on_device,
            **arguments,
        )
        if apart:
            hdr = vs_gainmap.measure(hdr, percentile=args.percentile, hdr10plus=hdr10plus)
        return hdr

    return graph

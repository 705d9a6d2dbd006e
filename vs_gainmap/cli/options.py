"""Options that several commands share: the filter's and the encoder's."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from dataclasses import Field, dataclass, fields, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from vs_gainmap.cli.values import color_code, mastering_display, percentile
from vs_gainmap.errors import OptionError
from vs_gainmap.filters.options import Conversion, Inference, InputColor, Option, Options, Rendering

if TYPE_CHECKING:
    from pathlib import Path

    import vapoursynth as vs

    from vs_gainmap.hdr10 import MasteringDisplay

# Options that the command line has elsewhere, or in another form.
_APART = ("format", "mastering", "max_cll", "max_fall", "measure")
_FLAGS = {"preset": "--weights-preset"}
_METAVARS = {
    "sdr_white": "NITS", "peak_nits": "NITS", "weights": "NAME|FILE", "preset": "NAME",
    "tile": "PIXELS", "num_streams": "N", "radius": "N", "strength": "FACTOR",
    "max_pixels": "N", "display_boost": "RATIO", "quality": "N", "map_quality": "N",
}  # fmt: skip


def add_filter_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of `sdr_to_hdr10`; what isn't given stays its default."""
    add_group(parser, "HDR", Rendering)
    add_group(parser, "network", Inference)
    add_color_options(parser)


def add_color_options(parser: argparse.ArgumentParser, *, without: tuple[str, ...] = ()) -> None:
    """Add the options for the color of the input."""
    group = parser.add_argument_group("color of the input, where the file has none or a wrong one")
    for each in fields(InputColor):
        if each.name not in without:
            group.add_argument(
                f"--{each.name.replace('_', '-')}", type=partial(color_code, each.name),
                metavar="NAME|CODE", help=_help(each),
            )  # fmt: skip


def add_group(
    parser: argparse.ArgumentParser,
    title: str,
    options: type[Options],
    *,
    only: tuple[str, ...] | None = None,
    flags: Mapping[str, str] = _FLAGS,
) -> argparse._ArgumentGroup:
    """Add a dataclass's own options, by their docs and types; with `only` these alone."""
    group = parser.add_argument_group(title)
    colors = {each.name for each in fields(InputColor)} if issubclass(options, InputColor) else ()
    for each in fields(options):
        if each.name in colors or each.name in _APART or (only and each.name not in only):
            continue
        spec: Option = each.metadata["option"]
        flag = flags.get(each.name, f"--{each.name.replace('_', '-')}")
        settings: dict[str, Any] = {"dest": _dest(each.name), "help": _help(each)}
        if spec.choices:
            settings |= {"choices": spec.choices, "type": _choice(spec.choices)}
        elif each.name == "output_chroma_location":
            settings |= {"type": partial(color_code, "chroma_location"), "metavar": "NAME|CODE"}
        else:
            kind = _number(spec, flag) if spec.kind in (int, float) else str
            settings |= {"type": kind, "metavar": _METAVARS.get(each.name)}
        group.add_argument(flag, **settings)
    return group


def _help(each: Field[Any]) -> str:
    text: str = each.metadata["option"].doc
    text = text if text.endswith("...") else text.removesuffix(".")
    default = "" if each.default is None else f" ({each.default})"
    return (text[0].lower() if text[1].islower() else text[0]) + text[1:] + default


def _choice(choices: tuple[object, ...]) -> Callable[[str], object]:
    """Return what reads one of a few choices, some of which may be numbers."""
    return lambda text: next((value for value in choices if str(value) == text), text)


def _number(spec: Option, flag: str) -> Callable[[str], object]:
    """Return what reads a number and checks its range."""

    def read(text: str) -> object:
        try:
            value = int(text) if spec.kind is int else float(text)
            spec.check(flag, value)
        except (ValueError, OptionError) as error:
            what = "whole number" if spec.kind is int else "number"
            said = str(error).removeprefix(f"{flag} ")
            if not isinstance(error, OptionError):
                said = f"must be a {what}, got {text}"
            raise argparse.ArgumentTypeError(said) from error
        return value

    return read


def _dest(name: str) -> str:
    """Return an option's name among the arguments; the encoder has a preset, too."""
    return "weights_preset" if name == "preset" else name


def conversion_options(args: argparse.Namespace, **more: Any) -> dict[str, Any]:
    """Return the options of `sdr_to_hdr10` that the user gave, and more."""
    given = {each.name: getattr(args, _dest(each.name), None) for each in fields(Conversion)}
    apart = dict.fromkeys(_APART)
    return {k: v for k, v in (given | apart | more).items() if v is not None}


def add_progressive_option(parser: argparse.ArgumentParser) -> None:
    """Add the option against wrong tags of interlaced video."""
    parser.add_argument(
        "--assume-progressive",
        action="store_true",
        help="take frames for progressive that are marked as interlaced",
    )


def open_progressive(path: Path, args: argparse.Namespace) -> vs.VideoNode:
    """Open a video file as a clip, with the option of `add_progressive_option`.

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
        vapoursynth.Error: there is no such format.
    """
    import vapoursynth as vs

    from vs_gainmap.filters.output import find_format
    from vs_gainmap.video.encoders import find_encoder, preferred_format

    if args.format is not None:
        return find_format(args.format)
    return vs.core.get_video_format(preferred_format(find_encoder(args.encoder)))


@dataclass(frozen=True, slots=True, kw_only=True)
class HdrGraph:
    """The filter that the options describe, for a process of our own; it can be pickled.

    `options` are those of `sdr_to_hdr10`; `apart` those of `measure`, for what the former doesn't
    measure by itself, or None.
    """

    options: Mapping[str, Any]
    apart: Mapping[str, Any] | None
    format: int
    encoder: str

    def __call__(self, clip: vs.VideoNode) -> vs.VideoNode:
        """Return HDR.

        Raises:
            vs.Error: the clip or an option is not usable.
            MediaError: the format can't hold the size.
        """
        import vapoursynth as vs

        import vs_gainmap
        from vs_gainmap.filters.memory import bound_cache
        from vs_gainmap.video.encoders import check_size, find_encoder

        bound_cache(clip.width, clip.height)
        clip_format = vs.core.get_video_format(self.format)
        check_size(clip.width, clip.height, clip_format, find_encoder(self.encoder))
        hdr = vs_gainmap.sdr_to_hdr10(clip, **self.options)
        return hdr if self.apart is None else vs_gainmap.measure(hdr, **self.apart)

    def on_device(self, device: str) -> HdrGraph:
        """Return the same on another device."""
        return replace(self, options={**self.options, "device": device})


def make_graph(args: argparse.Namespace, *, measure: bool, hdr10plus: bool = False) -> HdrGraph:
    """Return the filter that the options describe."""
    clip_format = output_format(args).id
    apart = hdr10plus or (measure and args.percentile < 100)
    options = conversion_options(
        args,
        format=clip_format,
        mastering=read_mastering(args),
        measure=measure and not apart,
    )
    return HdrGraph(
        options=options,
        apart={"percentile": args.percentile, "hdr10plus": hdr10plus} if apart else None,
        format=clip_format,
        encoder=args.encoder,
    )

"""`vs-gainmap photo`: gain map photos in and out."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING

from vs_gainmap.cli.options import add_group
from vs_gainmap.cli.values import positive_int
from vs_gainmap.errors import printable
from vs_gainmap.files import check_output
from vs_gainmap.filters.options import Inference, Options
from vs_gainmap.photo.options import (
    LINEAR_SUFFIXES,
    PQ_SUFFIXES,
    ConvertOptions,
    ReadOptions,
    RenderOptions,
)

if TYPE_CHECKING:
    from vs_gainmap.color.transfer import Eotf
    from vs_gainmap.photo.predict import PhotoPredictor
    from vs_gainmap.photo.read import GainMapPhoto

FLAGS = {"sdr_white": "--white"}
RENDERING = ("sampling", "max_pixels", "display_boost", "eotf", "sdr_white", "primaries")


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Describe the command and its own commands."""
    parser = subparsers.add_parser(
        "photo",
        help="read, render and make gain map photos (Ultra HDR)",
        description="Read, render and make gain map photos.",
    )
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    extract = _command(
        commands, _extract, "extract", "split into sdr.png gainmap.png metadata.json qmax.npy"
    )
    extract.add_argument("input", type=Path, metavar="IN", help="a gain map photo")
    extract.add_argument("output", type=Path, metavar="FOLDER", help="made where there is none")
    _add_overwrite(extract)
    add_group(extract, "reading", ReadOptions)

    render = _command(commands, _render, "render", "render to linear .exr, .hdr or float .tif")
    _add_input(render, "")
    add_group(render, "rendering", RenderOptions, only=RENDERING, flags=FLAGS)

    pq = _command(commands, _pq, "pq", "write PQ: .png of 16 bits with cICP, or .avif")
    _add_input(pq, ", linear .exr, .hdr or .tif")
    add_group(pq, "rendering", RenderOptions, flags=FLAGS)

    dataset = _command(
        commands, _dataset, "dataset", "make the paper's training layout from gain map photos"
    )
    dataset.add_argument("input", type=Path, metavar="FOLDER", help="of gain map photos")
    dataset.add_argument("output", type=Path, metavar="OUT", help="a new folder")
    dataset.add_argument(
        "--test-every", type=int, default=10, metavar="N", help="every Nth to test/; 0: none (10)"
    )
    dataset.add_argument(
        "--weights-preset", choices=("synthetic", "real-world"), default="real-world",
        help="which of the paper's two forms (real-world: map at half size)",
    )  # fmt: skip

    convert = _command(commands, _convert, "convert", "make HDR of ordinary SDR photos")
    convert.add_argument("input", type=Path, metavar="IN", help="a photo, or a folder of them")
    convert.add_argument(
        "output", type=Path, metavar="OUT", help=".jpg (Ultra HDR), .avif or .png (PQ), .exr, "
        ".hdr or .tif (linear); for a folder, a folder",
    )  # fmt: skip
    _add_overwrite(convert)
    convert.add_argument(
        "--to", default="jpg", choices=("jpg", "avif", "png", "exr", "hdr", "tif"),
        help="what a folder is converted to (jpg)",
    )  # fmt: skip
    convert.add_argument("--jobs", type=positive_int, default=2, help="photos at a time (2)")
    add_photo_options(convert)


def run(args: argparse.Namespace) -> int:
    """Run one of the commands."""
    status: int = args.run(args)
    return status


def _command(
    commands: argparse._SubParsersAction[argparse.ArgumentParser],
    runner: Callable[[argparse.Namespace], int],
    name: str,
    text: str,
) -> argparse.ArgumentParser:
    parser = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
    parser.set_defaults(run=runner)
    return parser


def _add_overwrite(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--overwrite", action="store_true", help="replace OUT if it exists")


def _add_input(parser: argparse.ArgumentParser, what: str) -> None:
    parser.add_argument(
        "input", type=Path, nargs="?", metavar="IN", help=f"a gain map photo{what}, or a folder "
        "with sdr.png, gainmap.png and metadata.json or qmax.npy",
    )  # fmt: skip
    parser.add_argument("output", type=Path, metavar="OUT")
    _add_overwrite(parser)
    parts = parser.add_argument_group("parts instead of IN")
    parts.add_argument("--sdr", type=Path, metavar="FILE", help="SDR picture")
    parts.add_argument("--gainmap", type=Path, metavar="FILE", help="gain map")
    parts.add_argument("--metadata", type=Path, metavar="FILE", help=".json of photo extract")
    parts.add_argument("--qmax", type=Path, metavar="FILE", help=".npy, stops, as published")


def add_photo_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of `ConvertOptions` and `PhotoPredictor`."""
    add_group(parser, "photo", ConvertOptions, flags=FLAGS)
    network = add_group(parser, "network", Inference, only=("preset", "device", "dtype"))
    network.add_argument(
        "--weights", metavar="NAME|FILE", help="bundled weights, or a file of others (fast)"
    )


def make_predictor(args: argparse.Namespace, streams: int = 1) -> PhotoPredictor:
    """Return the network that the options describe."""
    from vs_gainmap.photo.predict import PhotoPredictor

    return PhotoPredictor(
        args.weights,
        preset=args.weights_preset,
        device=args.device,
        dtype=args.dtype,
        num_streams=streams,
    )


def _given[T: Options](args: argparse.Namespace, options: type[T]) -> T:
    """Return the options that the user gave, and the defaults of all others."""
    given = {each.name: getattr(args, each.name, None) for each in fields(options)}
    return options(**{name: value for name, value in given.items() if value is not None})


def convert_options(args: argparse.Namespace) -> ConvertOptions:
    """Return how photos are converted."""
    return _given(args, ConvertOptions)


def _extract(args: argparse.Namespace) -> int:
    from vs_gainmap.photo.extract import extract_photo
    from vs_gainmap.photo.read import read_photo

    photo = read_photo(args.input, _given(args, ReadOptions))
    for path in extract_photo(photo, args.output, source=args.input, overwrite=args.overwrite):
        print(path)
    return 0


def _read(args: argparse.Namespace, options: RenderOptions) -> tuple[GainMapPhoto, Eotf | None]:
    """Return the photo, and how its SDR picture is decoded; None for its own profile."""
    from vs_gainmap.errors import OptionError
    from vs_gainmap.photo.extract import read_extracted, read_extracted_folder
    from vs_gainmap.photo.read import read_photo

    parts = args.sdr is not None or args.gainmap is not None
    if parts == (args.input is not None) or (parts and None in (args.sdr, args.gainmap)):
        raise OptionError("give IN, or --sdr and --gainmap with --metadata or --qmax")
    if not parts and not args.input.is_dir():
        return read_photo(args.input, options), options.eotf
    if parts:
        photo, eotf = read_extracted(
            args.sdr, args.gainmap, metadata=args.metadata, qmax=args.qmax, options=options
        )
    else:
        photo, eotf = read_extracted_folder(args.input, options)
    # sRGB is the profile's own curve, without a detour.
    return photo, options.eotf or (None if eotf == "srgb" else eotf)


def _check_output(args: argparse.Namespace, suffixes: tuple[str, ...], what: str) -> None:
    from vs_gainmap.errors import MediaError
    from vs_gainmap.photo.extract import PARTS

    if args.output.suffix.lower() not in suffixes:
        raise MediaError(f"{args.output.name}: {what} goes into {', '.join(suffixes)}")
    sources = [args.input, args.sdr, args.gainmap, args.metadata, args.qmax]
    if args.input is not None and args.input.is_dir():
        sources += [args.input / name for name in PARTS]
    check_output(args.output, sources, overwrite=args.overwrite)


def _render(args: argparse.Namespace) -> int:
    from vs_gainmap.photo.linear import write_linear
    from vs_gainmap.photo.render import render_photo

    options = _given(args, RenderOptions)
    _check_output(args, LINEAR_SUFFIXES, "linear light")
    photo, eotf = _read(args, options)
    primaries = options.primaries or "bt709"
    hdr = render_photo(photo, display_boost=options.display_boost, primaries=primaries, eotf=eotf)
    write_linear(args.output, hdr, primaries, options.sdr_white, overwrite=args.overwrite)
    print(args.output)
    return 0


def _pq(args: argparse.Namespace) -> int:
    from vs_gainmap.photo.linear import read_linear
    from vs_gainmap.photo.render import render_photo
    from vs_gainmap.photo.write import write_pq

    options = _given(args, RenderOptions)
    _check_output(args, PQ_SUFFIXES, "PQ")
    if args.input is not None and args.input.suffix.lower() in LINEAR_SUFFIXES:
        hdr, stored = read_linear(args.input, options)
        primaries = stored or options.primaries or "bt709"
    else:
        photo, eotf = _read(args, options)
        primaries = "bt2020"
        hdr = render_photo(
            photo, display_boost=options.display_boost, primaries=primaries, eotf=eotf
        )
    write_pq(
        args.output,
        hdr,
        primaries,
        options.sdr_white,
        quality=options.quality,
        overwrite=args.overwrite,
    )
    print(args.output)
    return 0


def _dataset(args: argparse.Namespace) -> int:
    from vs_gainmap.gainmap import PRESETS
    from vs_gainmap.photo.dataset import make_dataset

    train, test, left_out = make_dataset(
        args.input,
        args.output,
        test_every=max(args.test_every, 0),
        preset=PRESETS[args.weights_preset],
        track=lambda paths: _track(paths, len(paths)),
    )
    for line in left_out:
        print(f"vs-gainmap: left out: {printable(line)}", file=sys.stderr)
    print(f"{args.output}: {train} photos in train/, {test} in test/")
    return 0 if train + test else 1


def _track[T](items: Iterable[T], total: int) -> Iterable[T]:
    from tqdm import tqdm

    return tqdm(items, total=total, unit=" photos", disable=None, dynamic_ncols=True)


def _convert(args: argparse.Namespace) -> int:
    from vs_gainmap.photo.convert import check_target, convert_photo

    options = convert_options(args)
    if args.input.is_dir():
        return _convert_folder(args, options)
    check_target(args.output)
    check_output(args.output, [args.input], overwrite=args.overwrite)
    convert_photo(args.input, args.output, make_predictor(args), options, overwrite=args.overwrite)
    print(args.output)
    return 0


def _convert_folder(args: argparse.Namespace, options: ConvertOptions) -> int:
    from tqdm import tqdm

    from vs_gainmap.errors import AlreadyHdrError, MediaError
    from vs_gainmap.photo.convert import convert_folder, plan_folder

    if args.output.is_file():
        raise MediaError(f"{args.output}: a folder is converted into a folder")
    jobs = plan_folder(args.input, args.output, f".{args.to}")
    left = [job for job in jobs if args.overwrite or not job.is_done]
    failed = hdr = 0
    if left:
        finished = convert_folder(left, make_predictor(args, args.jobs), options, workers=args.jobs)
        for _, error in _track(finished, len(left)):
            if isinstance(error, AlreadyHdrError):
                hdr += 1
                tqdm.write(f"vs-gainmap: left out: {printable(error)}", file=sys.stderr)
            elif error is not None:
                failed += 1
                tqdm.write(f"vs-gainmap: error: {printable(error)}", file=sys.stderr)
    skipped = len(jobs) - len(left)
    print(
        f"{args.output}: {len(left) - failed - hdr} converted, {skipped} were done already, "
        f"{hdr} left out as HDR, {failed} failed"
    )
    return 1 if failed else 0

"""`vs-gainmap photo`: gain map photos in and out."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vs_gainmap.cli.values import positive_int
from vs_gainmap.files import check_output

if TYPE_CHECKING:
    from vs_gainmap.color.transfer import Eotf
    from vs_gainmap.photo.convert import ConvertOptions
    from vs_gainmap.photo.input import ReadOptions
    from vs_gainmap.photo.predict import PhotoPredictor
    from vs_gainmap.photo.read import GainMapPhoto

PRIMARIES = ("bt709", "p3d65", "bt2020")
# What `read_linear` reads; the module imports too much for `--help`.
LINEAR = (".exr", ".hdr", ".tif", ".tiff")
NEEDED = "give IN, or --sdr and --gainmap with --metadata or --qmax"


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
    _add_reading(extract)

    render = _command(commands, _render, "render", "render to linear .exr, .hdr or float .tif")
    _add_input(render, "")
    render.add_argument(
        "--primaries", choices=PRIMARIES, default="bt709", help="of the result (bt709)"
    )
    _add_white(render, "203")

    pq = _command(commands, _pq, "pq", "write PQ: .png of 16 bits with cICP, or .avif")
    _add_input(pq, ", linear .exr, .hdr or .tif")
    pq.add_argument(
        "--primaries", choices=PRIMARIES, help="of a linear IN that does not name them (bt709)"
    )
    pq.add_argument("--quality", type=int, default=90, help="of AVIF, 0 to 100 (90)")
    _add_white(pq, "203")

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


def _add_white(parser: argparse._ActionsContainer, default: str) -> None:
    parser.add_argument(
        "--white", type=float, metavar="NITS", help=f"cd/m2 of SDR white (1.0) ({default})"
    )


def _add_reading(parser: argparse._ActionsContainer) -> None:
    parser.add_argument(
        "--sampling", choices=("libultrahdr", "smooth"), default="libultrahdr",
        help="of chroma and smaller maps: as libultrahdr does, or as Chrome does (libultrahdr)",
    )  # fmt: skip
    parser.add_argument(
        "--max-pixels", type=positive_int, metavar="N",
        help="read pictures of up to N pixels (134 million, less where a file is very small)",
    )  # fmt: skip


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
    rendering = parser.add_argument_group("rendering")
    rendering.add_argument(
        "--display-boost", type=float, metavar="RATIO",
        help="render for a display that goes so far over SDR white (default: HDR in full)",
    )  # fmt: skip
    rendering.add_argument(
        "--eotf", choices=("srgb", "gamma22", "bt1886"), help="how the SDR picture is decoded"
    )
    _add_reading(rendering)


def add_photo_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of `ConvertOptions` and `PhotoPredictor`."""
    rendering = parser.add_argument_group("rendering")
    rendering.add_argument(
        "--strength", type=float, default=1.0, help="factor on the gain in stops (1)"
    )
    _add_white(rendering, "of the weights; PQ output")
    rendering.add_argument(
        "--primaries", choices=PRIMARIES, default="bt709", help="of linear output (bt709)"
    )
    _add_reading(rendering)
    file = parser.add_argument_group("file")
    file.add_argument("--map-channels", type=int, choices=(1, 3), default=3,
                      help="3 is exact; 1 is smaller (3)")  # fmt: skip
    file.add_argument("--map-scale", type=int, choices=(1, 2, 4), default=1,
                      help="gain map at 1/N of the size (1)")  # fmt: skip
    file.add_argument("--map-quality", type=int, default=98, help="JPEG quality of the map (98)")
    file.add_argument("--quality", type=int, help="of a new base JPEG (95), or of AVIF (90)")
    network = parser.add_argument_group("network")
    network.add_argument("--weights", metavar="NAME|FILE", help="bundled weights, or a file")
    network.add_argument("--weights-preset", choices=("synthetic", "real-world"),
                         help="how published weights are applied")  # fmt: skip
    network.add_argument("--device", help="cuda, cuda:1, mps or cpu; chosen when left out")
    network.add_argument("--dtype", choices=("float32", "float16", "bfloat16"))


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


def _reading(args: argparse.Namespace) -> ReadOptions:
    from vs_gainmap.photo.input import ReadOptions

    return ReadOptions(sampling=args.sampling, max_pixels=args.max_pixels)


def convert_options(args: argparse.Namespace) -> ConvertOptions:
    """Return how photos are converted."""
    from vs_gainmap.photo.convert import ConvertOptions

    given: dict[str, Any] = {}
    if args.quality is not None:
        given = {"base_quality": args.quality, "avif_level": args.quality}
    return ConvertOptions(
        strength=args.strength,
        sdr_white=args.white,
        map_channels=args.map_channels,
        map_scale=args.map_scale,
        map_quality=args.map_quality,
        primaries=args.primaries,
        reading=_reading(args),
        **given,
    )


def _extract(args: argparse.Namespace) -> int:
    from vs_gainmap.photo.extract import extract_photo
    from vs_gainmap.photo.read import read_photo

    photo = read_photo(args.input, _reading(args))
    for path in extract_photo(photo, args.output, source=args.input, overwrite=args.overwrite):
        print(path)
    return 0


def _read(args: argparse.Namespace) -> tuple[GainMapPhoto, Eotf | None]:
    from vs_gainmap.errors import MediaError
    from vs_gainmap.photo.extract import read_extracted, read_extracted_folder
    from vs_gainmap.photo.read import read_photo

    parts = args.sdr is not None or args.gainmap is not None
    if parts == (args.input is not None) or (parts and None in (args.sdr, args.gainmap)):
        raise MediaError(NEEDED)
    if parts:
        return read_extracted(
            args.sdr, args.gainmap, metadata=args.metadata, qmax=args.qmax, options=_reading(args)
        )
    if args.input.is_dir():
        return read_extracted_folder(args.input, _reading(args))
    return read_photo(args.input, _reading(args)), None


def _check_output(args: argparse.Namespace, suffixes: tuple[str, ...], what: str) -> float:
    """Check the output's name and SDR white; return that."""
    from vs_gainmap.color.transfer import REFERENCE_WHITE_NITS
    from vs_gainmap.errors import MediaError
    from vs_gainmap.photo.extract import PARTS
    from vs_gainmap.photo.input import check_range
    from vs_gainmap.photo.write import WHITE_RANGE

    if args.output.suffix.lower() not in suffixes:
        raise MediaError(f"{args.output.name}: {what} goes into {', '.join(suffixes)}")
    sources = [args.input, args.sdr, args.gainmap, args.metadata, args.qmax]
    if args.input is not None and args.input.is_dir():
        sources += [args.input / name for name in PARTS]
    check_output(args.output, sources, overwrite=args.overwrite)
    white: float = REFERENCE_WHITE_NITS if args.white is None else args.white
    check_range("white", white, *WHITE_RANGE)
    return white


def _own_eotf(args: argparse.Namespace, stored: Eotf | None) -> Eotf | None:
    chosen: Eotf | None = args.eotf or stored
    # A photo's own curve is sRGB already, or an ICC profile that describes it better.
    return None if chosen == "srgb" and args.eotf is None else chosen


def _render(args: argparse.Namespace) -> int:
    from vs_gainmap.photo.linear import write_linear
    from vs_gainmap.photo.render import render_photo

    white = _check_output(args, LINEAR, "linear light")
    photo, eotf = _read(args)
    hdr = render_photo(
        photo,
        display_boost=args.display_boost,
        primaries=args.primaries,
        eotf=_own_eotf(args, eotf),
    )
    write_linear(args.output, hdr, args.primaries, white)
    return 0


def _pq(args: argparse.Namespace) -> int:
    from vs_gainmap.photo.linear import read_linear
    from vs_gainmap.photo.render import render_photo
    from vs_gainmap.photo.write import PQ_SUFFIXES, write_pq

    white = _check_output(args, PQ_SUFFIXES, "PQ")
    if args.input is not None and args.input.suffix.lower() in LINEAR:
        hdr, stored = read_linear(args.input, _reading(args))
        primaries = stored or args.primaries or "bt709"
    else:
        photo, eotf = _read(args)
        primaries = "bt2020"
        hdr = render_photo(
            photo,
            display_boost=args.display_boost,
            primaries=primaries,
            eotf=_own_eotf(args, eotf),
        )
    write_pq(args.output, hdr, primaries, white, level=args.quality)
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
        print(f"vs-gainmap: left out: {line}", file=sys.stderr)
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
    convert_photo(args.input, args.output, make_predictor(args), options)
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
                tqdm.write(f"vs-gainmap: left out: {error}", file=sys.stderr)
            elif error is not None:
                failed += 1
                tqdm.write(f"vs-gainmap: error: {error}", file=sys.stderr)
    skipped = len(jobs) - len(left)
    print(
        f"{args.output}: {len(left) - failed - hdr} converted, {skipped} were done already, "
        f"{hdr} left out as HDR, {failed} failed"
    )
    return 1 if failed else 0

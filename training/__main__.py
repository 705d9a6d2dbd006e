"""Command line of training: one subcommand for each step from HDR pictures to weights.

Each `_add_...` function declares a subcommand's options, and the function before it runs it.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import Any

from vs_gainmap.cli.values import positive_int
from vs_gainmap.errors import GainMapError


def _whole(text: str) -> int:
    """Read a whole number of at least zero."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number")
    return int(text)


def _render(args: argparse.Namespace) -> int:
    from training.data.scenes import render_views

    width, height = args.size
    made = render_views(
        args.sources,
        args.out,
        views=args.views,
        width=width,
        height=height,
        seed=args.seed,
        video_frames=args.frames,
    )
    print(f"{made.count} views in {args.out}")
    if made.left_out:
        names = ", ".join(path.name for path in made.left_out)
        print(f"render: {len(made.left_out)} files could not be read: {names}", file=sys.stderr)
        return 1
    return 0


def _add_render(commands: Any) -> None:
    command = commands.add_parser("render", help="HDR pictures and videos -> views")
    command.set_defaults(run=_render)
    command.add_argument("sources", type=Path, nargs="+", help="folders with HDR")
    command.add_argument("--out", type=Path, required=True)
    command.add_argument("--views", type=int, default=28, help="for each panorama")
    command.add_argument("--size", type=int, nargs=2, default=(384, 216), metavar=("W", "H"))
    command.add_argument("--frames", type=int, default=16, help="for each video")
    command.add_argument("--seed", type=_whole, default=0)


def _dataset(args: argparse.Namespace) -> None:
    from training.paper.make_layout import make_layout

    make_layout(
        args.views,
        args.out,
        preset_name=args.preset,
        count=args.count,
        test=args.test,
        seed=args.seed,
        held_out=args.held_out,
    )


def _add_dataset(commands: Any) -> None:
    command = commands.add_parser("dataset", help="views -> data set in the paper's layout")
    command.set_defaults(run=_dataset)
    command.add_argument("views", type=Path, help="folder that `render` wrote")
    command.add_argument("--out", type=Path, required=True)
    command.add_argument("--count", type=_whole, default=1000, help="training pictures")
    command.add_argument("--test", type=_whole, default=100, help="test pictures, held-out scenes")
    command.add_argument("--preset", default="video", help="synthetic, real-world or video")
    command.add_argument("--seed", type=_whole, default=0)
    _add_held_out(command)


def _crop(args: argparse.Namespace) -> None:
    from training.paper.crop import crop_folder

    count = crop_folder(args.source, args.out, crop=args.crop, step=args.step, threads=args.threads)
    print(f"{count} patches in {args.out}")


def _add_crop(commands: Any) -> None:
    command = commands.add_parser("crop", help="cut pictures into patches as the paper does")
    command.set_defaults(run=_crop)
    command.add_argument("source", type=Path)
    command.add_argument("out", type=Path)
    command.add_argument("--crop", type=int, default=480)
    command.add_argument("--step", type=int, default=480)
    command.add_argument("--threads", type=int, default=os.cpu_count() or 1)


def _train(args: argparse.Namespace) -> None:
    import torch

    from training.config import TrainingError, load_config
    from training.export import load_trained
    from training.train import train

    if args.threads:
        torch.set_num_threads(args.threads)
    config = load_config(args.config, args.set)
    initial = None
    if args.initial is not None:
        initial = load_trained(args.initial, preset=config.preset.build()).weights.model
        initial.requires_grad_(True)
    try:
        train(config, args.out, initial=initial)
    except torch.OutOfMemoryError as error:
        raise TrainingError(
            f"train: the device's memory is too small; lower data.batch, now {config.data.batch}"
        ) from error


def _add_train(commands: Any) -> None:
    command = commands.add_parser("train", help="train, or continue a run")
    command.set_defaults(run=_train)
    command.add_argument("config", type=Path, help="TOML, see training/configs")
    command.add_argument("--out", type=Path, required=True, help="checkpoints, log and curves")
    command.add_argument("--initial", help="weights, or a checkpoint, to start from")
    command.add_argument("--threads", type=positive_int, help="CPU threads of the network")
    command.add_argument(
        "--set", nargs="*", action="extend", default=[], help="overrides, such as run.steps=100"
    )


def _mix(args: argparse.Namespace) -> None:
    from training.config import PresetConfig
    from training.data.mix import draw_table

    print(draw_table(args.views, PresetConfig().build(), count=args.count, held_out=args.held_out))


def _add_mix(commands: Any) -> None:
    command = commands.add_parser("mix", help="gain by SDR luma of what training draws")
    command.set_defaults(run=_mix)
    command.add_argument("views", type=Path, help="folder that `render` wrote")
    command.add_argument("--count", type=positive_int, default=1000, help="pairs")
    _add_held_out(command)


def _evaluate(args: argparse.Namespace) -> None:
    from training.evaluation.command import evaluate

    evaluate(args)


def _add_evaluate(commands: Any) -> None:
    command = commands.add_parser("evaluate", help="measure weights and baselines")
    command.set_defaults(run=_evaluate)
    command.add_argument(
        "weights", nargs="+", help="files, checkpoints too, or names of bundled weights"
    )
    source = command.add_mutually_exclusive_group(required=True)
    source.add_argument("--views", type=Path, help="held-out views, every operator")
    source.add_argument("--video", type=Path, nargs="+", help="HDR video, every operator")
    source.add_argument(
        "--real", type=Path, help="folder of NAME.hdr.png and NAME.OPERATOR.sdr.png"
    )
    source.add_argument("--layout", type=Path, help="published protocol on a test folder")
    command.add_argument(
        "--pictures", action="store_true", help="save NAME_pd.tif and NAME_gt.tif of a layout"
    )
    _add_weights_preset(command)
    command.add_argument(
        "--count",
        type=positive_int,
        default=4,
        help="views an operator, or runs of 3 frames a video",
    )
    command.add_argument(
        "--subtitles", action="store_true", help="on every view, and how light they come out"
    )
    command.add_argument("--lines", type=_whole, default=540, help="shrink video to this height")
    command.add_argument("--map-scale", type=positive_int, help="other than the preset's")
    command.add_argument("--cvvdp", action="store_true", help="add ColorVideoVDP (slow)")
    command.add_argument("--no-libplacebo", action="store_true")
    command.add_argument(
        "--out", type=Path, required=True, help="gets report.html and .json, or sheet.png"
    )
    _add_held_out(command)


def _flicker(args: argparse.Namespace) -> None:
    import json
    from dataclasses import asdict

    from training.evaluation.flicker import measure_shots, summary
    from training.evaluation.shots import make_shots
    from vs_gainmap.models.weights import load_weights

    shots = make_shots(
        args.hdr,
        load_weights(args.weights).preset,
        count=args.scenes,
        size=tuple(args.size),
        length=args.length,
        kinds=args.kind,
        held_out=args.held_out,
    )
    rows = []
    for row in measure_shots(shots, args.weights, args.radius):
        rows.append(row)
        print(f"{row.kind}, {row.scene}: {row.variant}", file=sys.stderr, flush=True)
    print(summary(rows))
    if args.out is not None:
        args.out.write_text(json.dumps([asdict(row) for row in rows], indent=1))


def _add_flicker(commands: Any) -> None:
    command = commands.add_parser("flicker", help="measure steadiness on videos of panoramas")
    command.set_defaults(run=_flicker)
    command.add_argument("weights", help="a file, or the name of bundled weights")
    command.add_argument("--hdr", type=Path, required=True, help="folder of HDR panoramas")
    command.add_argument("--scenes", type=positive_int, default=4, help="held-out panoramas")
    command.add_argument(
        "--size", type=positive_int, nargs=2, default=(384, 216), metavar=("W", "H")
    )
    command.add_argument("--length", type=positive_int, default=48, help="frames in a shot")
    command.add_argument("--radius", type=_whole, nargs="+", default=[24], help="beside 0")
    command.add_argument("--kind", nargs="+", help="kinds of shots; all by default")
    command.add_argument("--out", type=Path, help="JSON with every shot")
    _add_held_out(command)


def _export(args: argparse.Namespace) -> None:
    from training.export import export

    print(export(args.checkpoints, args.out, preset=args.weights_preset))


def _add_export(commands: Any) -> None:
    command = commands.add_parser("export", help="checkpoint -> weights")
    command.set_defaults(run=_export)
    command.add_argument(
        "checkpoints", type=Path, nargs="+", help="or weights; several give their mean"
    )
    command.add_argument("out", type=Path, help=".safetensors, or .pth for a state dict")
    _add_weights_preset(command)


def _add_weights_preset(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--weights-preset", help="of a .pth, which has none: synthetic or real-world"
    )


def _add_held_out(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--held-out",
        nargs="+",
        default=(),
        metavar="GLOB",
        help="scenes for the test, such as 'night_*'; by default ours, or one in ten of yours",
    )


def main(argv: list[str] | None = None) -> int:
    """Run a command; return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m training", description="From HDR to weights, one command a step."
    )
    commands = parser.add_subparsers(required=True)
    _add_render(commands)
    _add_dataset(commands)
    _add_crop(commands)
    _add_train(commands)
    _add_mix(commands)
    _add_evaluate(commands)
    _add_flicker(commands)
    _add_export(commands)
    args = parser.parse_args(argv)
    try:
        status: int | None = args.run(args)
    except (GainMapError, ImportError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    return status or 0


if __name__ == "__main__":
    sys.exit(main())

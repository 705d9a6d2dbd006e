"""What `python -m training` takes, command by command."""

from __future__ import annotations

import argparse
import os
from pathlib import Path


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    top = argparse.ArgumentParser(
        prog="python -m training", description="From HDR to weights, one command a step."
    )
    commands = top.add_subparsers(dest="command", required=True)

    render = commands.add_parser("render", help="HDR pictures and video -> cached views")
    render.add_argument("sources", type=Path, nargs="+", help="folders with HDR")
    render.add_argument("--out", type=Path, required=True)
    render.add_argument("--views", type=int, default=28, help="views per panorama")
    render.add_argument("--size", type=int, nargs=2, default=(384, 216), metavar=("W", "H"))
    render.add_argument("--frames", type=int, default=16, help="of a video, of different shots")
    render.add_argument("--seed", type=int, default=0)

    dataset = commands.add_parser("dataset", help="views -> the paper's layout")
    dataset.add_argument("views", type=Path, help="folder that `render` wrote")
    dataset.add_argument("--out", type=Path, required=True)
    dataset.add_argument("--count", type=int, default=1000, help="training pictures")
    dataset.add_argument("--test", type=int, default=100, help="test pictures, held-out scenes")
    dataset.add_argument("--preset", default="video", help="synthetic, real-world or video")
    dataset.add_argument("--seed", type=int, default=0)
    _add_held_out(dataset)

    crop = commands.add_parser("crop", help="cut pictures into patches, as published")
    crop.add_argument("source", type=Path)
    crop.add_argument("out", type=Path)
    crop.add_argument("--crop", type=int, default=480)
    crop.add_argument("--step", type=int, default=480)
    crop.add_argument("--threads", type=int, default=os.cpu_count() or 1)

    train = commands.add_parser("train", help="train, or go on")
    train.add_argument("config", type=Path, help="TOML, see training/configs")
    train.add_argument("--out", type=Path, required=True, help="checkpoints and curves")
    train.add_argument("--initial", type=Path, help="weights to start from")
    train.add_argument("--threads", type=int, help="CPU threads of the network")
    _add_set(train)

    evaluate = commands.add_parser("evaluate", help="measure weights beside baselines")
    evaluate.add_argument("weights", nargs="+", help="files, or names of bundled weights")
    source = evaluate.add_mutually_exclusive_group(required=True)
    source.add_argument("--views", type=Path, help="held-out views, every operator")
    source.add_argument("--video", type=Path, nargs="+", help="HDR video, every operator")
    source.add_argument("--photos", type=Path, help="folder of gain map photos")
    source.add_argument("--layout", type=Path, help="published protocol on a test folder")
    evaluate.add_argument("--preset", help="for weights that carry none")
    evaluate.add_argument(
        "--count", type=int, default=4, help="views an operator, or runs of 3 frames a video"
    )
    evaluate.add_argument(
        "--survey", type=int, default=0, help="more views of each film, more frames of each video"
    )
    evaluate.add_argument(
        "--subtitles", action="store_true", help="on every view, and how light they come out"
    )
    evaluate.add_argument("--lines", type=int, default=540, help="shrink video to this height")
    evaluate.add_argument("--map-scale", type=int, help="other than the preset's")
    evaluate.add_argument("--cvvdp", action="store_true", help="add ColorVideoVDP (slow)")
    evaluate.add_argument("--no-libplacebo", action="store_true")
    _add_held_out(evaluate)
    evaluate.add_argument("--out", type=Path, required=True, help="gets report.html and .json")

    flicker = commands.add_parser("flicker", help="measure steadiness on videos of panoramas")
    flicker.add_argument("weights", help="a file, or the name of bundled weights")
    flicker.add_argument("--hdr", type=Path, required=True, help="folder of HDR panoramas")
    flicker.add_argument("--scenes", type=int, default=4, help="held-out panoramas")
    flicker.add_argument("--size", type=int, nargs=2, default=(384, 216), metavar=("W", "H"))
    flicker.add_argument("--length", type=int, default=48, help="frames a shot")
    flicker.add_argument("--radius", type=int, nargs="+", default=[24], help="beside 0")
    flicker.add_argument("--kind", nargs="+", help="kinds of shots; all by default")
    flicker.add_argument("--out", type=Path, help="JSON of every shot")
    _add_held_out(flicker)

    export = commands.add_parser("export", help="checkpoint -> safetensors")
    export.add_argument(
        "checkpoints", type=Path, nargs="+", help="of several runs, or weights: their mean"
    )
    export.add_argument("out", type=Path)
    return top


def _add_set(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--set", nargs="*", action="extend", default=[], help="overrides, such as run.steps=100"
    )


def _add_held_out(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--held-out",
        nargs="+",
        default=(),
        metavar="GLOB",
        help="scenes for the test, such as 'night_*'; by default ours, or one in ten of yours",
    )

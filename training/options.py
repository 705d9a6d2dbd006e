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
    render.add_argument("--motion", type=int, default=0, help="short videos per panorama, too")
    render.add_argument("--length", type=int, default=48, help="frames of each short video")
    render.add_argument("--seed", type=int, default=0)

    build = commands.add_parser("build", help="places, drawn and rendered whole -> panoramas")
    build.add_argument("out", type=Path, help="what is there is kept")
    build.add_argument("--count", type=int, default=60, help="panoramas")
    build.add_argument("--width", type=int, default=1024)
    build.add_argument("--samples", type=int, default=24, help="rays a pixel, then denoised")
    build.add_argument("--seed", type=int, default=0)
    build.add_argument("--threads", type=int, default=0, help="of the renderer; 0: every core")

    stage = commands.add_parser("stage", help="people and things in panoramas -> cached views")
    stage.add_argument("sources", type=Path, nargs="+", help="folders with HDR panoramas")
    stage.add_argument("--out", type=Path, required=True, help="what is there is kept")
    stage.add_argument("--views", type=int, default=6, help="views per panorama")
    stage.add_argument("--size", type=int, nargs=2, default=(384, 256), metavar=("W", "H"))
    stage.add_argument("--samples", type=int, default=12, help="rays a pixel, then denoised")
    stage.add_argument("--scenes", default="*", help="only panoramas named so, such as 'blender*'")
    stage.add_argument("--seed", type=int, default=0)
    stage.add_argument("--threads", type=int, default=0, help="of the renderer; 0: every core")

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

    remember = commands.add_parser("remember", help="make films for `head`, once")
    remember.add_argument("config", type=Path, help="TOML of the fast model")
    remember.add_argument("--initial", type=Path, required=True, help="weights that look at them")
    remember.add_argument("--films", type=int, default=8000, help="how many (8000)")
    remember.add_argument("--out", type=Path, required=True, help="what is there is kept")
    remember.add_argument(
        "--unseen", action="store_true", help="of held-out scenes, every operator, to `measure` on"
    )
    _add_set(remember)

    head = commands.add_parser("head", help="train what follows the convolutions, from memory")
    head.add_argument("config", type=Path, help="TOML of the fast model")
    head.add_argument(
        "--films", type=Path, nargs="+", required=True, help="folders that `remember` wrote"
    )
    head.add_argument("--initial", type=Path, required=True, help="weights to start from")
    head.add_argument("--out", type=Path, required=True, help="checkpoints and curves")
    head.add_argument("--threads", type=int, help="CPU threads of the network")
    _add_set(head)

    measure = commands.add_parser("measure", help="the fast model on many unseen films at once")
    measure.add_argument("weights", nargs="+", help="files, or names of bundled weights")
    measure.add_argument(
        "--films", type=Path, required=True, help="from `remember --unseen`, or the training's"
    )
    measure.add_argument(
        "--heard", type=int, nargs="+", default=(), metavar="N", help="smaller surveys as well"
    )
    measure.add_argument(
        "--stops",
        type=float,
        nargs="+",
        default=(),
        metavar="S",
        help="with so much added to all gain as well: what being brighter or darker does",
    )

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

    skin = commands.add_parser("skin", help="measure PQ error on skin, in staged views")
    skin.add_argument("weights", nargs="+", help="files, or names of bundled weights")
    skin.add_argument("--views", type=Path, required=True, help="folder that `stage` wrote")
    skin.add_argument("--preset", help="for weights that carry none")
    skin.add_argument("--count", type=int, default=8, help="views an operator, held-out scenes")
    _add_held_out(skin)
    skin.add_argument("--out", type=Path, help="JSON of every picture")

    subjects = commands.add_parser("subjects", help="a sheet of subjects to look at")
    subjects.add_argument("weights", help="a file, or the name of bundled weights")
    subjects.add_argument("--hdr", type=Path, required=True, help="folder of HDR panoramas")
    subjects.add_argument("--staged", type=Path, help="folder that `stage` wrote, for skin")
    subjects.add_argument("--operator", default="bt2390", help="that made the SDR of all")
    subjects.add_argument("--out", type=Path, required=True, help="JPEG")

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

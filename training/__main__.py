"""`python -m training`: from HDR to weights, one command a step."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from vs_gainmap.errors import GainMapError


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    top = argparse.ArgumentParser(prog="python -m training", description=__doc__)
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
    _add_set(remember)

    head = commands.add_parser("head", help="train what follows the convolutions, from memory")
    head.add_argument("config", type=Path, help="TOML of the fast model")
    head.add_argument("--films", type=Path, required=True, help="folder that `remember` wrote")
    head.add_argument("--initial", type=Path, required=True, help="weights to start from")
    head.add_argument("--out", type=Path, required=True, help="checkpoints and curves")
    head.add_argument("--threads", type=int, help="CPU threads of the network")
    _add_set(head)

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
    export.add_argument("checkpoints", type=Path, nargs="+", help="of several runs: their mean")
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


def _render(args: argparse.Namespace) -> int:
    from training.motion import VIDEOS, MotionWriter
    from training.scenes import render_views

    width, height = args.size
    videos = None
    if args.motion:
        videos = MotionWriter(
            args.out / "motion",
            count=args.motion,
            length=args.length,
            size=(width, height),
            seed=args.seed,
        )
    made = render_views(
        args.sources,
        args.out,
        views=args.views,
        width=width,
        height=height,
        seed=args.seed,
        video_frames=args.frames,
        also=videos.add if videos else None,
    )
    print(f"{made.count} views in {args.out}")
    if videos:
        print(f"{len(videos.rows)} videos, listed in {videos.out / VIDEOS}")
    if made.left_out:
        names = ", ".join(path.name for path in made.left_out)
        print(f"render: {len(made.left_out)} files could not be read: {names}", file=sys.stderr)
        return 1
    return 0


def _train(args: argparse.Namespace) -> None:
    import torch

    from training.config import TrainingError, load_config
    from training.train import train
    from vs_gainmap.models import GridNet
    from vs_gainmap.weights import load_weights

    if args.threads:
        torch.set_num_threads(args.threads)
    config = load_config(args.config, args.set)
    initial = None
    if args.initial is not None:
        initial = load_weights(args.initial, preset=config.preset.build()).model
        if isinstance(initial, GridNet):
            initial = initial.with_peaks()
        initial.requires_grad_(True)
    try:
        train(config, args.out, initial=initial)
    except torch.OutOfMemoryError as error:
        raise TrainingError(
            f"train: the device's memory is too small; lower data.batch, now {config.data.batch}"
        ) from error


def _remember(args: argparse.Namespace) -> None:
    from training.config import load_config
    from training.head import load_initial
    from training.memory import keep_memory
    from training.remembered import remember

    keep_memory()
    config = load_config(args.config, args.set)
    model = load_initial(args.initial, config)
    print(remember(config, model, args.out, count=args.films))


def _head(args: argparse.Namespace) -> None:
    import torch

    from training.config import load_config
    from training.head import load_initial, train_head

    if args.threads:
        torch.set_num_threads(args.threads)
    config = load_config(args.config, args.set)
    train_head(config, load_initial(args.initial, config), args.films, args.out)


def _skin(args: argparse.Namespace) -> None:
    from training.baselines import baselines
    from training.evaluate import (
        Method,
        baseline_method,
        format_table,
        network_method,
        oracle_method,
        summary,
        write_json,
    )
    from training.skin import measure_skin
    from training.validate import split_views
    from training.views import read_index
    from vs_gainmap.weights import load_weights

    sets = [load_weights(name, preset=args.preset) for name in args.weights]
    preset = sets[0].preset
    ours: dict[str, Method] = {
        Path(each.name).stem: network_method(each, map_scale=1) for each in sets
    }
    others = baselines(with_libplacebo=False).items()
    methods = ours | {name: baseline_method(each, preset.peak_nits) for name, each in others}
    methods["oracle map"] = oracle_method(preset)
    _, held_out = split_views(read_index(args.views), held_out=args.held_out)
    rows = measure_skin(methods, held_out, preset, args.count)
    print(format_table(summary(rows, by=lambda row: row.method)))
    for method in ours:
        mine = [row for row in rows if row.method == method]
        print(f"\n{method}\n{format_table(summary(mine, by=lambda row: row.operator))}")
    if args.out is not None:
        write_json(rows, args.out)


def _subjects(args: argparse.Namespace) -> None:
    from training.evaluate import network_method
    from training.operators import OPERATORS
    from training.subjects import as_film, draw_subjects, format_looks, make_sheet, write_sheet
    from vs_gainmap.errors import MediaError
    from vs_gainmap.weights import load_weights

    if args.operator not in OPERATORS:
        known = ", ".join(OPERATORS)
        raise MediaError(f"subjects: --operator must be one of {known}, got {args.operator}")
    weights = load_weights(args.weights)
    film = as_film(draw_subjects(args.hdr, args.staged), args.operator, weights.preset)
    # Views stand for frames that are at map size already.
    sheet, looks = make_sheet(film, network_method(weights, map_scale=1))
    write_sheet(sheet, args.out)
    print(format_looks(looks))


def _flicker(args: argparse.Namespace) -> None:
    import json

    from training.flicker import measure_shots, summary, table_rows
    from training.shots import make_shots
    from vs_gainmap.weights import load_weights

    preset = load_weights(args.weights).preset
    shots = make_shots(
        args.hdr,
        preset,
        count=args.scenes,
        size=tuple(args.size),
        length=args.length,
        kinds=args.kind,
        held_out=args.held_out,
    )
    rows = []
    for row in measure_shots(shots, args.weights, args.radius):
        rows.append(row)
        print(f"{row.kind}, {row.scene}: {row.way}", file=sys.stderr, flush=True)
        if args.out is not None:
            args.out.write_text(json.dumps(table_rows(rows), indent=1))
    print(summary(rows))


def main(argv: list[str] | None = None) -> int:
    """Run a command; return the exit status."""
    args = parser().parse_args(argv)
    try:
        if args.command == "render":
            return _render(args)
        if args.command == "build":
            from training.staging.places import PlaceSettings, build_places

            settings = PlaceSettings(width=args.width, samples=args.samples, seed=args.seed)
            number = build_places(args.out, settings, count=args.count, threads=args.threads)
            print(f"{number} panoramas rendered into {args.out}")
        elif args.command == "stage":
            from training.staging.command import StageSettings, stage_views

            width, height = args.size
            number = stage_views(
                args.sources,
                args.out,
                StageSettings(width=width, height=height, samples=args.samples, seed=args.seed),
                views=args.views,
                scenes=args.scenes,
                threads=args.threads,
            )
            print(f"{number} views in {args.out}")
        elif args.command == "dataset":
            from training.make_layout import make_layout

            make_layout(
                args.views,
                args.out,
                preset_name=args.preset,
                count=args.count,
                test=args.test,
                seed=args.seed,
                held_out=args.held_out,
            )
        elif args.command == "crop":
            from training.layout import crop_folder

            number = crop_folder(
                args.source, args.out, crop=args.crop, step=args.step, threads=args.threads
            )
            print(f"{number} patches in {args.out}")
        elif args.command == "train":
            _train(args)
        elif args.command == "remember":
            _remember(args)
        elif args.command == "head":
            _head(args)
        elif args.command == "evaluate":
            from training.evaluate_command import evaluate

            evaluate(args)
        elif args.command == "skin":
            _skin(args)
        elif args.command == "subjects":
            _subjects(args)
        elif args.command == "flicker":
            _flicker(args)
        else:
            from training.export import export

            print(export(args.checkpoints, args.out))
    except (GainMapError, ImportError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

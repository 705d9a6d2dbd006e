"""`python -m training`: from HDR to weights, one command a step."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from training.options import parser
from vs_gainmap.errors import GainMapError


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
    print(remember(config, model, args.out, count=args.films, held_out=args.unseen))


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
        elif args.command == "measure":
            from training.measure import compare, measure, report

            scores = [
                measure(name, args.films, heard=args.heard, stops=args.stops)
                for name in args.weights
            ]
            for name, mine in zip(args.weights, scores, strict=True):
                print(f"{name}\n{report(mine)}\n")
            for name, mine in zip(args.weights[1:], scores[1:], strict=True):
                print(f"{name} over {args.weights[0]}\n{compare(mine, scores[0])}\n")
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

"""`python -m training`: from HDR to weights, one command a step."""

from __future__ import annotations

import argparse
import sys

from training.options import parser
from vs_gainmap.errors import GainMapError


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


def _train(args: argparse.Namespace) -> None:
    import torch

    from training.config import TrainingError, load_config
    from training.train import train
    from vs_gainmap.models import GridNet
    from vs_gainmap.models.weights import load_weights

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


def _flicker(args: argparse.Namespace) -> None:
    import json

    from training.evaluation.flicker import measure_shots, summary, table_rows
    from training.evaluation.shots import make_shots
    from vs_gainmap.models.weights import load_weights

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
        if args.command == "dataset":
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
        elif args.command == "crop":
            from training.paper.layout import crop_folder

            number = crop_folder(
                args.source, args.out, crop=args.crop, step=args.step, threads=args.threads
            )
            print(f"{number} patches in {args.out}")
        elif args.command == "train":
            _train(args)
        elif args.command == "evaluate":
            from training.evaluate_command import evaluate

            evaluate(args)
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

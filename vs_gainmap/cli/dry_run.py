"""`convert --dry-run`: what would be done, with time and size guessed from a few frames."""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import vapoursynth as vs

from vs_gainmap.cli.conversion import Conversion
from vs_gainmap.cli.describe import describe_color, describe_network
from vs_gainmap.cli.options import output_format
from vs_gainmap.cli.progress import format_size, format_time
from vs_gainmap.video import Selection, convert
from vs_gainmap.video.encoders import Encoder
from vs_gainmap.video.index import scan
from vs_gainmap.video.inputs import open_input
from vs_gainmap.video.open_film import check_target
from vs_gainmap.video.streams import plan_streams, stream_name

TRIAL_FRAMES = 48


def dry_run(conversion: Conversion) -> list[tuple[str, str]]:
    """Convert a few frames into a temporary file, and return what the whole would be.

    Returns:
        Names and values.

    Raises:
        MediaError: anything that can't be done as asked.
        vs.Error: a filter failed.
    """
    args, options, selection = conversion.args, conversion.options, conversion.selection
    graph = conversion.graph.on_device(args.devices[0]) if args.devices else conversion.graph
    encoder, container = check_target(args.target, args.input, options)
    index = scan(args.input)
    first, count = selection.range(index)
    with open_input(args.input) as opened:
        plan = plan_streams(
            opened,
            args.input,
            container,
            encoder=encoder,
            audio=args.audio,
            audio_codec=args.audio_codec,
        )
        kept = [
            stream_name(stream)
            for stream in opened.streams
            if stream.index in (*plan.kept, *plan.recoded)
        ]

    color: list[tuple[str, str]] = []
    clips: list[vs.VideoNode] = []
    moments: list[float] = []
    sizes = [0]

    def described(clip: vs.VideoNode) -> vs.VideoNode:
        color.extend(describe_color(args, clip))
        clips.append(clip)
        return graph(clip)

    def update(done: int, total: int, size: int) -> None:  # noqa: ARG001
        moments.append(time.monotonic())
        sizes.append(size)

    own = options.copy()
    own["progress"] = update
    # A few frames are one chunk, and made here.
    own["workers"] = 1
    frames = min(count, TRIAL_FRAMES)
    start = index.seconds(first + (count - frames) // 2) - index.seconds(0)
    with tempfile.TemporaryDirectory() as folder:
        trial = Path(folder) / f"trial.{container.suffix}"
        part = Selection(start=start, frames=frames)
        convert(
            args.input,
            trial,
            described,
            selection=part,
            assume_progressive=args.assume_progressive,
            **own,
        )
    # The first frame waits for what is set up once.
    fps = (frames - 1) / max(moments[-1] - moments[0], 1e-6) if frames > 1 else 0.0
    seconds = format_time(count / fps) if fps else "unknown"
    size = format_size(round(sizes[-1] / frames * count))
    rate = f", {float(clips[0].fps):.6g} frames a second" if clips[0].fps else ""
    shape = f"{clips[0].format.name}, {index.width}x{index.height}"
    return [
        ("input", f"{args.input.name}, {shape}, {count} frames{rate}"),
        *color,
        ("network", str(describe_network(args))),
        ("output", f"{args.target.name}, {output_format(args).name}, {_settings(args, encoder)}"),
        ("goes along", ", ".join(kept) or "nothing"),
        *(("note", note) for note in plan.notes),
        ("guess", f"{fps:.2f} frames a second, {seconds}, {size} of video"),
    ]


def _settings(args: argparse.Namespace, encoder: Encoder) -> str:
    crf = encoder.crf if args.crf is None else args.crf
    settings = [] if crf is None else [f"crf {crf:g}"]
    preset = args.preset or encoder.preset
    settings += [f"preset {preset}"] if preset else []
    return f"{(args.output or 'pq').upper()} by {' '.join([encoder.name, *settings])}"

"""One file of `vs-gainmap convert`: what its options mean, and what is said of it."""

from __future__ import annotations

import argparse
import json
import sys
import time
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Unpack

from vs_gainmap.cli.describe import Network, describe_filters, describe_network
from vs_gainmap.cli.options import make_graph
from vs_gainmap.cli.progress import Progress, Share, format_size, format_time
from vs_gainmap.cli.values import content_light
from vs_gainmap.errors import OptionError, printable
from vs_gainmap.files import check_output
from vs_gainmap.preview.stats import stats_of, write_stats
from vs_gainmap.video import Encoded, Selection
from vs_gainmap.video.convert import open_file
from vs_gainmap.video.crew import Crew
from vs_gainmap.video.open_film import EncodeOptions, OpenFilm
from vs_gainmap.video.work_folder import Resume, WorkFolder, count_chunks


class Conversion:
    """The conversion of one file.

    `work` is its folder of finished chunks, once it has one.

    Args:
        args: of `convert`, with one `input`.
        workers: see `encode`.
        shared: others are converted at the same time, and show how far they are in one.

    Raises:
        OptionError: options don't go together.
        MediaError: a file can't be written.
    """

    def __init__(
        self, args: argparse.Namespace, workers: int | Crew, *, shared: bool = False
    ) -> None:
        self.args, self._shared = args, shared
        self.work: Path | None = None
        self._began, self._before = time.monotonic(), 0
        if args.stats is not None:
            check_output(args.stats, [args.input, args.target], overwrite=args.overwrite)
        if args.hdr10plus and args.output == "hlg":
            raise OptionError("HDR10+ goes with PQ alone: leave out --hdr10plus or --output hlg")
        light = content_light(args.max_cll, args.max_fall)
        self._network = describe_network(args)
        self._measured = light is None or args.stats is not None
        self.graph = make_graph(args, measure=self._measured, hdr10plus=args.hdr10plus)
        self.selection = Selection(start=args.start, end=args.end, frames=args.frames)
        self.options = EncodeOptions(
            encoder=args.encoder,
            crf=args.crf,
            preset=args.preset,
            encoder_params=args.encoder_params,
            content_light=light,
            hdr10plus=args.hdr10plus,
            audio=args.audio,
            audio_codec=args.audio_codec,
            overwrite=args.overwrite,
            workers=workers,
        )

    def open(
        self, shown: Progress | Share, **options: Unpack[EncodeOptions]
    ) -> AbstractContextManager[OpenFilm]:
        """Open the file; see `open_film`.

        Raises:
            MediaError: anything that can't be done as asked.
            vs.Error: a filter failed.
        """
        args = self.args

        def begun(folder: WorkFolder) -> None:
            self.work = folder.path
            self._before = sum(chunk.frames for chunk in folder.found.values())
            shown.resume(folder.path.name, self._before)

        def update(done: int, total: int, size: int) -> None:
            shown.stage("encoding")
            shown.update(done, total, size)
            if done == total:
                shown.stage("finishing")

        options["progress"] = update
        if args.resume:
            described = describe_filters(args, self._network)
            described |= {"light levels": str(self._measured)}
            options["resume"] = Resume(described=described, restart=args.restart, begun=begun)
        return open_file(
            args.input,
            args.target,
            self.graph,
            selection=self.selection,
            assume_progressive=args.assume_progressive,
            chunk_seconds=args.chunk_seconds,
            indexed=lambda _: shown.stage("analyzing"),
            **options,
        )

    def report(self, made: Encoded, progress: Progress) -> None:
        """Write what is kept of a finished file, and say what it is."""
        if self.args.stats is not None:
            write_stats(self.args.stats, stats_of(made.film))
        for note in made.notes:
            progress.say(f"vs-gainmap: note: {printable(note)}", sys.stderr)
        elapsed = time.monotonic() - self._began
        # Of workers that others have, too, it would mean nothing.
        fps = None if self._shared else (made.frames - self._before) / elapsed or None
        if progress.mode == "json":
            figures = _figures(made, self.args.encoder, self._network, elapsed, fps)
            progress.say(json.dumps(figures), sys.stdout)
        elif progress.mode != "none":
            summary = _summary(made, self.args.encoder, self._network, elapsed, fps)
            progress.say(summary, sys.stdout)

    def kept(self) -> str:
        """Return what an error or a signal leaves of it, in words; nothing is ""."""
        # What another run works on, or what was begun with other options, is not ours.
        chunks = 0 if self.work is None else count_chunks(self.work)
        return f"{chunks} finished chunk{'s' * (chunks > 1)} kept in {self.work}" * (chunks > 0)


def _summary(
    made: Encoded, encoder: str, network: Network, elapsed: float, fps: float | None
) -> str:
    parts = [
        f"{made.frames} frames in {format_time(elapsed)}" + (f" ({fps:.2f} fps)" if fps else ""),
        format_size(made.path.stat().st_size),
        f"{network}, {encoder}",
    ]
    if made.mastering is not None:
        low, high = made.mastering.min_nits, made.mastering.max_nits
        parts.append(f"mastering display {low:g} to {high:g} cd/m2")
    if made.light is not None:
        how = "measured" if made.measured else "as given"
        parts.append(f"MaxCLL {made.light.max_cll}, MaxFALL {made.light.max_fall} ({how})")
    if made.scenes:
        parts.append(f"HDR10+ of {made.scenes} scenes")
    return f"{made.path}: " + ", ".join(parts)


def _figures(
    made: Encoded, encoder: str, network: Network, elapsed: float, fps: float | None
) -> dict[str, Any]:
    """Return the summary for a program."""
    return {
        "stage": "done",
        "path": str(made.path),
        "frames": made.frames,
        "seconds": round(elapsed, 2),
        "fps": None if fps is None else round(fps, 2),
        "bytes": made.path.stat().st_size,
        **network._asdict(),
        "encoder": encoder,
        "mastering_nits": made.mastering and [made.mastering.min_nits, made.mastering.max_nits],
        "max_cll": made.light and made.light.max_cll,
        "max_fall": made.light and made.light.max_fall,
        "measured": made.measured,
        "hdr10plus_scenes": made.scenes,
        "notes": made.notes,
    }

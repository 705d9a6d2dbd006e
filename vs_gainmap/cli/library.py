"""`convert` of folders and of several files, whose chunks are one queue."""

from __future__ import annotations

import argparse
import os
import sys
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from vs_gainmap.cli.interrupt import check, leaves, what_is_left
from vs_gainmap.cli.progress import Progress, Share, Shares, choose_mode

if TYPE_CHECKING:
    from vs_gainmap.cli.conversion import Conversion
    from vs_gainmap.video.crew import Crew
    from vs_gainmap.video.open_film import OpenFilm

# What is taken for a video in a folder; a file that is named may be called anything.
SUFFIXES = (
    ".3gp", ".avi", ".flv", ".hevc", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg",
    ".mts", ".mxf", ".ogv", ".qt", ".ts", ".vob", ".webm", ".wmv", ".y4m",
)  # fmt: skip
# Seconds between two looks at whether the user wants to stop.
_PERIOD = 0.2
# Files that are open at once; each takes two of the process's file descriptors.
_MOST_OPEN = 64


class Task(NamedTuple):
    """A file, and where it goes."""

    source: Path
    target: Path

    def of(self, args: argparse.Namespace) -> argparse.Namespace:
        """Return the arguments of `convert` for it alone."""
        return argparse.Namespace(**{**vars(args), "input": self.source, "target": self.target})


def is_library(inputs: Sequence[Path]) -> bool:
    """Say whether inputs go into a folder."""
    return len(inputs) > 1 or inputs[0].is_dir()


def plan_library(inputs: Sequence[Path], out: Path, suffix: str) -> list[Task]:
    """List what is to be converted, subfolders included.

    Two files that differ in their suffix alone keep it in their targets' names.

    Args:
        inputs: files and folders.
        out: the folder that they go into.
        suffix: of the targets, with its dot.

    Raises:
        MediaError: there are no videos, or `out` is a file or within one of the folders.
    """
    from vs_gainmap.errors import MediaError

    if out.exists() and not out.is_dir():
        raise MediaError(f"{out}: is a file; several videos go into a folder")
    tasks: dict[Path, Task] = {}
    for given in inputs:
        found = [(given, given.name)]
        if given.is_dir():
            if out.resolve().is_relative_to(given.resolve()):
                raise MediaError(f"{out}: the output folder must not be within {given}")
            videos = sorted(
                path for path in given.rglob("*")
                if path.suffix.lower() in SUFFIXES and path.is_file()
            )  # fmt: skip
            if not videos:
                raise MediaError(f"{given}: no videos in it")
            found = [(path, os.fspath(path.relative_to(given))) for path in videos]
        for path, name in found:
            target = (out / name).with_suffix(suffix)
            if target in tasks:
                target = out / (name + suffix)
            tasks[target] = Task(path, target)
    return list(tasks.values())


def convert_library(args: argparse.Namespace, crew: Crew) -> int:
    """Convert what is not there yet; an error in one does not stop the others.

    Args:
        args: of `convert`.
        crew: who makes the chunks, of several files at the same time if it can.

    Returns:
        1 if one failed.

    Raises:
        MediaError: nothing can be done as asked.
        OptionError: an option is wrong.
    """
    from vs_gainmap.errors import OptionError

    for name, given in (("--stats", args.stats is not None), ("--dry-run", args.dry_run)):
        if given:
            raise OptionError(f"{name} goes with one input")
    tasks = plan_library(args.inputs, args.target, f".{args.to}")
    left = [task for task in tasks if args.overwrite or not os.path.lexists(task.target)]
    mode = choose_mode(as_json=args.progress == "json", quiet=args.quiet)
    with closing(Progress(str(args.target), mode, stage="opening", check=check)) as progress:
        library = _Library(args, crew, progress, len(left))
        library.convert(deque(left))
    if mode != "json":
        print(
            f"{args.target}: {len(left) - library.failed} converted, {len(tasks) - len(left)} were "
            f"done already, {library.failed} failed"
        )
    return 1 if library.failed else 0


class _Open(NamedTuple):
    """A file on its way, and what closes it."""

    conversion: Conversion
    opened: OpenFilm
    share: Share
    stack: ExitStack


class _Library:
    """Files on their way; `failed` counts those that could not be converted."""

    def __init__(
        self, args: argparse.Namespace, crew: Crew, progress: Progress, files: int
    ) -> None:
        self.failed = 0
        self._args, self._crew, self._progress = args, crew, progress
        self._shares = Shares(progress, str(args.target), files)
        self._open: list[_Open] = []

    def convert(self, waiting: deque[Task]) -> None:
        """Convert all; begin with a file when no chunks of others wait."""
        try:
            while waiting or self._open:
                self._end_some()
                more = waiting and self._crew.is_idle() and len(self._open) < _MOST_OPEN
                if more:
                    with self._failing():
                        self._begin(waiting.popleft())
                if not all(each.opened.film.ended for each in self._open):
                    self._crew.wait(0 if more else _PERIOD)
        except BaseException:
            kept = [each.conversion.kept() for each in self._open]
            leaves("; ".join(filter(None, kept)) or what_is_left())
            # The last one first: who works on others would take it up.
            for each in reversed(self._open):
                # It raises what it is given, in the end.
                with suppress(BaseException):
                    each.stack.__exit__(*sys.exc_info())
            raise

    def _begin(self, task: Task) -> None:
        from vs_gainmap.cli.conversion import Conversion

        share = self._shares.begin()
        with ExitStack() as stack:
            stack.callback(self._shares.end, share)
            task.target.parent.mkdir(parents=True, exist_ok=True)
            conversion = Conversion(task.of(self._args), self._crew, shared=True)
            opened = stack.enter_context(conversion.open(share, **conversion.options))
            stack.callback(self._crew.drop, opened.film)
            if opened.film.ended:
                opened.film.release()
            else:
                self._crew.add(opened.film)
            self._open.append(_Open(conversion, opened, share, stack.pop_all()))

    def _end_some(self) -> None:
        """Make the files of all films whose chunks are there."""
        for each in [each for each in self._open if each.opened.film.ended]:
            with self._failing():
                try:
                    self._end(each)
                finally:
                    check()
                    self._open.remove(each)

    def _end(self, each: _Open) -> None:
        try:
            with each.stack:
                if each.opened.film.error is not None:
                    raise each.opened.film.error
                made = each.opened.finish()
        except Exception:
            if kept := each.conversion.kept():
                self._progress.say(f"vs-gainmap: note: {kept}", sys.stderr)
            raise
        each.conversion.report(made, self._progress)

    @contextmanager
    def _failing(self) -> Iterator[None]:
        """Say an error of one file, unless it is one of them all."""
        import vapoursynth as vs

        from vs_gainmap.cli.program import is_usage_error, one_line
        from vs_gainmap.errors import GainMapError

        try:
            yield
        except (GainMapError, vs.Error, OSError) as error:
            check()
            if is_usage_error(error):
                raise
            self.failed += 1
            self._progress.say(f"vs-gainmap: error: {one_line(error)}", sys.stderr)

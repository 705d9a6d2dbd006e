"""`convert` of folders and of several files, whose chunks are one queue."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections import Counter, deque
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

    Files that differ in their suffix alone all keep it in their targets' names.

    Args:
        inputs: files and folders.
        out: the folder that they go into.
        suffix: of the targets, with its dot.

    Raises:
        MediaError: there are no videos, two have one name, or `out` is a file or within one of the
            folders.
    """
    from vs_gainmap.errors import MediaError

    if out.exists() and not out.is_dir():
        raise MediaError(f"{out}: is a file; several videos go into a folder")
    # By the file itself, which may be given twice.
    names: dict[Path, tuple[Path, str]] = {}
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
            names.setdefault(path.resolve(), (path, name))
    short = Counter((out / name).with_suffix(suffix) for _, name in names.values())
    tasks: dict[Path, Task] = {}
    for path, name in names.values():
        target = (out / name).with_suffix(suffix)
        if short[target] > 1:
            target = out / (name + suffix)
        if target in tasks:
            raise MediaError(
                f"{tasks[target].source} and {path} would both become {target}; convert one of "
                "them by itself"
            )
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
    from vs_gainmap.cli.describe import describe_network
    from vs_gainmap.errors import OptionError

    for name, given in (("--stats", args.stats is not None), ("--dry-run", args.dry_run)):
        if given:
            raise OptionError(f"{name} goes with one input")
    tasks = plan_library(args.inputs, args.target, f".{args.to}")
    # What is wrong for all is said once.
    describe_network(args)
    mode = choose_mode(as_json=args.progress == "json", quiet=args.quiet)
    with closing(Progress(str(args.target), mode, stage="opening", check=check)) as progress:
        library = _Library(args, crew, progress, len(tasks))
        library.convert(deque(tasks))
    counts = {
        "converted": library.converted,
        "done_already": len(tasks) - library.converted - library.failed,
        "failed": library.failed,
    }
    if mode == "json":
        print(json.dumps({"stage": "all done", **counts}), flush=True)
    elif mode != "none":
        print(
            f"{args.target}: {counts['converted']} converted, {counts['done_already']} were done "
            f"already, {counts['failed']} failed"
        )
    return 1 if library.failed else 0


class _Open(NamedTuple):
    """A file on its way, and what closes it."""

    task: Task
    conversion: Conversion
    opened: OpenFilm
    share: Share
    stack: ExitStack


class _Library:
    """Files on their way, and how many were converted or have failed."""

    def __init__(
        self, args: argparse.Namespace, crew: Crew, progress: Progress, files: int
    ) -> None:
        self.converted = self.failed = 0
        self._args, self._crew, self._progress = args, crew, progress
        self._shares = Shares(progress, str(args.target), files)
        self._open: list[_Open] = []

    def convert(self, waiting: deque[Task]) -> None:
        """Convert what is not there yet; begin with a file when no chunks of others wait."""
        try:
            while waiting or self._open:
                self._end_some()
                more = waiting and self._crew.is_idle() and len(self._open) < _MOST_OPEN
                if more:
                    task = waiting.popleft()
                    with self._failing(task):
                        self._begin(task)
                if not all(each.opened.film.ended for each in self._open):
                    self._crew.wait(0 if more else _PERIOD)
        except BaseException:
            left = [f"{self.converted} converted"] if self.converted else []
            left += filter(None, [each.conversion.kept() for each in self._open])
            leaves("; ".join(left) or what_is_left())
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
            # It may have come there meanwhile.
            if os.path.lexists(task.target) and not self._args.overwrite:
                return
            task.target.parent.mkdir(parents=True, exist_ok=True)
            conversion = Conversion(task.of(self._args), self._crew, shared=True)
            opened = stack.enter_context(conversion.open(share, **conversion.options))
            stack.callback(self._crew.drop, opened.film)
            if opened.film.ended:
                opened.film.release()
            else:
                self._crew.add(opened.film)
            self._open.append(_Open(task, conversion, opened, share, stack.pop_all()))

    def _end_some(self) -> None:
        """Make the files of all films whose chunks are there."""
        for each in [each for each in self._open if each.opened.film.ended]:
            with self._failing(each.task):
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
        self.converted += 1
        each.conversion.report(made, self._progress)

    @contextmanager
    def _failing(self, task: Task) -> Iterator[None]:
        """Say an error of one file, unless it is one of them all."""
        import vapoursynth as vs

        from vs_gainmap.cli.program import is_usage_error, one_line
        from vs_gainmap.errors import GainMapError, printable

        try:
            yield
        except (GainMapError, vs.Error, OSError) as error:
            check()
            if is_usage_error(error):
                raise
            self.failed += 1
            text, name = one_line(error), printable(str(task.source))
            if not any(str(path) in text for path in task):
                text = f"{name}: {text}"
            self._progress.say(f"vs-gainmap: error: {text}", sys.stderr)

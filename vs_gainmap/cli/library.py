"""`convert` of folders and of several files, one after another."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

# What is taken for a video in a folder; a file that is named may be called anything.
SUFFIXES = (
    ".3gp", ".avi", ".flv", ".hevc", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg",
    ".mts", ".mxf", ".ogv", ".qt", ".ts", ".vob", ".webm", ".wmv", ".y4m",
)  # fmt: skip


class Task(NamedTuple):
    """A file, and where it goes."""

    source: Path
    target: Path


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


def convert_library(
    args: argparse.Namespace, convert_file: Callable[[argparse.Namespace], int]
) -> int:
    """Convert what is not there yet; an error in one does not stop the others.

    Args:
        args: of `convert`.
        convert_file: converts `args.input` to `args.target`.

    Returns:
        1 if one failed.

    Raises:
        MediaError: nothing can be done as asked.
        OptionError: an option is wrong.
    """
    import vapoursynth as vs

    from vs_gainmap.cli.interrupt import check
    from vs_gainmap.cli.program import is_usage_error, one_line
    from vs_gainmap.errors import GainMapError, OptionError

    for name, given in (("--stats", args.stats is not None), ("--dry-run", args.dry_run)):
        if given:
            raise OptionError(f"{name} goes with one input")
    tasks = plan_library(args.inputs, args.target, f".{args.to}")
    left = [task for task in tasks if args.overwrite or not os.path.lexists(task.target)]
    failed = 0
    for task in left:
        own = argparse.Namespace(**{**vars(args), "input": task.source, "target": task.target})
        try:
            task.target.parent.mkdir(parents=True, exist_ok=True)
            convert_file(own)
        except (GainMapError, vs.Error, OSError) as error:
            check()
            if is_usage_error(error):
                raise
            failed += 1
            print(f"vs-gainmap: error: {one_line(error)}", file=sys.stderr)
    if args.progress is None:
        print(
            f"{args.target}: {len(left) - failed} converted, {len(tasks) - len(left)} were done "
            f"already, {failed} failed"
        )
    return 1 if failed else 0

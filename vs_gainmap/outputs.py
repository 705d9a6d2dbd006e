"""Where a file may be written: asked before any work is done, by every command alike."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from vs_gainmap.errors import MediaError


def check_output(path: Path, sources: Iterable[Path | None], *, overwrite: bool) -> None:
    """Refuse a path that can't be written, or must not be.

    Args:
        path: where a file is to be.
        sources: what is read or written beside it, there or not; none of them is ever replaced.
            None is left out.
        overwrite: whether another file that is there may be replaced.

    Raises:
        MediaError: its folder doesn't exist or can't be written to, it is a folder, one of the
            sources, or there already without `overwrite`.
    """
    if not path.parent.is_dir():
        raise MediaError(f"{path}: the folder doesn't exist")
    if path.is_dir():
        raise MediaError(f"{path}: is a folder")
    for source in sources:
        if source is not None and _is_same(path, source):
            raise MediaError(f"{path}: is the same file as {source}")
    if path.exists() and not overwrite:
        raise MediaError(f"{path}: exists already; add --overwrite (overwrite=True) to replace it")
    if not os.access(path.parent, os.W_OK):
        raise MediaError(f"{path}: the folder can't be written to")


def _is_same(one: Path, other: Path) -> bool:
    """Say whether two paths are one file, or would be once they are written."""
    if one.exists() or other.exists():
        return one.exists() and other.exists() and one.samefile(other)
    if not other.parent.is_dir() or not one.parent.samefile(other.parent):
        return False
    # Some systems take names that differ in case for one; nobody means two files by them.
    return one.name.casefold() == other.name.casefold()

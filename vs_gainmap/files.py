"""Files: outputs that are complete or not there, checks before any work, and the cache folder."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from vs_gainmap.errors import BackendError, MediaError

READ_SIZE = 1 << 20
NAME_BYTES = 40
PARTIAL = ".partial"


@contextmanager
def replacing(path: Path, *, overwrite: bool = True) -> Iterator[Path]:
    """Give a path to write to, and put the result in place when all went well.

    The path is nobody else's, so that two writers at a time leave one of two whole files.

    Args:
        path: where the file is to be; its folder must exist.
        overwrite: whether a file that is there by then is replaced.

    Raises:
        MediaError: it can't be written, or is there by then without `overwrite`.
    """
    # Short, since a name may have 255 bytes at most.
    start = os.fsencode(path.stem)[:NAME_BYTES].decode(errors="ignore")
    partial = path.with_name(f".{start}.{secrets.token_hex(4)}.partial{path.suffix}")
    try:
        yield partial
        if not overwrite:
            _claim(partial, path)
        partial.replace(path)
    except FileExistsError as error:
        raise MediaError(f"{path}: another file has come there meanwhile") from error
    except OSError as error:
        raise MediaError(f"{path}: {error.strerror or error}") from error
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def durable(path: Path) -> Iterator[BinaryIO]:
    """Give a file to write, and put it in place, replacing, when it is safe on the disk.

    A process that is killed or a power cut leave the whole file or none of this name; what a
    killed process leaves has a name that ends in `PARTIAL`.

    Args:
        path: where the file is to be; its folder must exist.

    Raises:
        OSError: it can't be written.
    """
    partial = path.with_name(f"{path.name}.{secrets.token_hex(4)}{PARTIAL}")
    try:
        with partial.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
        _sync_folder(path.parent)
    finally:
        partial.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    """Have a folder's new names written to the disk, where a system can do that."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        # Some network drives can't.
        with suppress(OSError):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_bytes(path: Path, most: int) -> bytes:
    """Return a file's bytes; also of a device, which has no size and may have no end.

    Raises:
        MediaError: it can't be read, or has more than `most` bytes.
    """
    parts = []
    try:
        with path.open("rb") as file:
            while most >= 0 and (part := file.read(min(most + 1, READ_SIZE))):
                parts.append(part)
                most -= len(part)
    except OSError as error:
        raise MediaError(f"{path}: {error.strerror or error}") from error
    if most < 0:
        raise MediaError(f"{path}: larger than any such file is")
    return b"".join(parts)


def _claim(partial: Path, path: Path) -> None:
    """Give a file its second name, which unlike a rename fails where there is a file.

    Raises:
        FileExistsError: there is one.
    """
    try:
        os.link(partial, path)
    except FileExistsError:
        raise
    except OSError:
        # A file system without links.
        if os.path.lexists(path):
            raise FileExistsError(path) from None


def write_bytes(path: Path, data: bytes, *, overwrite: bool = True) -> None:
    """Write a file in one step; see `replacing`.

    Raises:
        MediaError: it can't be written, or is there by then without `overwrite`.
    """
    with replacing(path, overwrite=overwrite) as partial:
        partial.write_bytes(data)


def cache_folder() -> Path:
    """Return the user's cache folder, for files that can be made again; made if need be.

    Raises:
        BackendError: it can't be made.
    """
    # Only who needs the folder needs the library.
    from platformdirs import user_cache_path

    folder = user_cache_path("vs-gainmap", appauthor=False)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BackendError(f"the cache folder {folder} can't be made: {error.strerror}") from error
    return folder


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
    if os.path.lexists(path) and not overwrite:
        raise MediaError(f"{path}: exists already; add --overwrite (overwrite=True) to replace it")
    if not os.access(path.parent, os.W_OK):
        raise MediaError(f"{path}: the folder can't be written to")


def _is_same(one: Path, other: Path) -> bool:
    """Return whether two paths are one file, or would be once they are written."""
    if one.exists() or other.exists():
        return one.exists() and other.exists() and one.samefile(other)
    if not other.parent.is_dir() or not one.parent.samefile(other.parent):
        return False
    # Some systems take names that differ in case for one; nobody means two files by them.
    return one.name.casefold() == other.name.casefold()

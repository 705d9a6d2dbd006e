"""The folder of unfinished work beside an output: one that goes away, or one that is gone on with.

A kept folder has a manifest that says what is being made, a file for each finished chunk, and a
lock. All are written in one step, so that it is usable whenever the process ends.
"""

from __future__ import annotations

import errno
import json
import logging
import os
import secrets
import shutil
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from filelock import FileLock, Timeout

from vs_gainmap.errors import MediaError, MetadataError
from vs_gainmap.files import PARTIAL, durable
from vs_gainmap.untrusted import read_json
from vs_gainmap.video.chunk_file import Chunk, CodedFilm
from vs_gainmap.video.chunks import Run, key_of

log = logging.getLogger(__name__)

SUFFIX = ".work"
FORMAT, VERSION = "vs_gainmap work folder", 1
_MANIFEST, _LOCK, _OWNER = "manifest.json", "lock", "owner.txt"
_CHUNK, _FINISHED = ".chunk", "finished"
# File systems take names of 255 bytes.
_NAME_BYTES = 240
_DISK_ERRORS = {
    errno.ENOSPC, errno.EFBIG, errno.EIO, errno.EROFS, errno.EACCES, errno.EPERM,
    *([errno.EDQUOT] if hasattr(errno, "EDQUOT") else []),
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Resume:
    """How a conversion that was stopped goes on.

    `described` says by name what its pictures depend on, beside input and encoder. `restart`
    begins anew. `begun` is called with the folder when it is open.
    """

    described: Mapping[str, str] = field(default_factory=dict)
    restart: bool = False
    begun: Callable[[WorkFolder], None] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkFolder:
    """A folder with the chunks of one output.

    `runs` are all of them, `key` tells them from those of another conversion, and `found` are
    those that were there, whole, when it was opened.
    """

    path: Path
    runs: tuple[Run, ...]
    key: str
    found: Mapping[int, Chunk]

    @property
    def missing(self) -> list[int]:
        """Return the numbers of the chunks that were not there."""
        return [n for n in range(len(self.runs)) if n not in self.found]

    def chunk_path(self, number: int) -> Path:
        """Return where a chunk's file is or is to be."""
        return _chunk_path(self.path, number)

    def finished_path(self, suffix: str) -> Path:
        """Return where the finished file is made, before it gets its name."""
        return self.path / f"{_FINISHED}.{suffix}"

    def film(self) -> CodedFilm:
        """Return all chunks, which must be there by now.

        Raises:
            MediaError: one isn't, or is damaged.
        """
        return CodedFilm([Chunk.read(self.chunk_path(n)) for n in range(len(self.runs))])


def _chunk_path(folder: Path, number: int) -> Path:
    return folder / f"{number:05}{_CHUNK}"


def _find_chunks(folder: Path, runs: Sequence[Run], key: str) -> dict[int, Chunk]:
    """Return the chunks that are there, whole and of this conversion; others are logged."""
    found = {}
    for number, run in enumerate(runs):
        path = _chunk_path(folder, number)
        if not path.exists():
            continue
        try:
            chunk = Chunk.read(path)
            chunk.verify()
        except MediaError as error:
            log.warning("%s; it is made again", error)
            continue
        if chunk.key != key or chunk.frames != run.frames:
            log.warning("%s: belongs to another conversion; it is made again", path)
            continue
        found[number] = chunk
    return found


@contextmanager
def temporary_folder(target: Path, runs: Sequence[Run]) -> Iterator[WorkFolder]:
    """Yield a folder beside a file that goes away in any case.

    Its name is chosen before it is made: Ctrl-C between the two would leave what `tempfile`
    makes behind.

    Raises:
        MediaError: what is done in it meets a full or broken disk.
    """
    folder = target.with_name(f".{_shortened(target)}.{secrets.token_hex(4)}")
    try:
        with _disk_errors(target, folder):
            folder.mkdir(mode=0o700)
            yield WorkFolder(path=folder, runs=tuple(runs), key=secrets.token_hex(16), found={})
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def kept_folder(
    target: Path, runs: Sequence[Run], identity: Mapping[str, str], resume: Resume
) -> Iterator[WorkFolder]:
    """Yield a folder beside a file that is removed only when all goes well.

    An error leaves it, unless no chunk is finished.

    Args:
        target: the file.
        runs: its chunks.
        identity: by name, what they depend on.
        resume: whether to begin anew, and who is told what is there.

    Raises:
        MediaError: it is none of ours, was begun with something else, another run works on it, or
            what is done in it meets a full or broken disk.
    """
    path, key = work_folder_of(target), key_of(dict(identity), runs)
    with _disk_errors(target, path), _locked(path):
        _prepare(path, runs, identity, restart=resume.restart)
        found = _find_chunks(path, runs, key)
        folder = WorkFolder(path=path, runs=tuple(runs), key=key, found=found)
        if resume.begun is not None:
            resume.begun(folder)
        yield folder
        _remove(path)


def work_folder_of(target: Path) -> Path:
    """Return the folder in which a file's chunks are kept."""
    return target.with_name(_shortened(target) + SUFFIX)


def count_chunks(folder: Path) -> int:
    """Return how many chunks are finished in a folder that was kept; 0 where there is none."""
    return len(list(folder.glob(f"*{_CHUNK}")))


def _shortened(target: Path) -> str:
    return os.fsencode(target.name)[:_NAME_BYTES].decode(errors="ignore")


@contextmanager
def _disk_errors(target: Path, folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in _DISK_ERRORS or not folder.is_dir():
            raise MediaError(f"{target}: can't be written: {error.strerror}") from error
        raise


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold a folder's lock, which the system gives back however the process ends.

    An error removes the folder where no chunk is finished.

    Raises:
        MediaError: another run holds it, or the folder is none of ours.
    """
    lock = FileLock(folder / _LOCK)
    try:
        while True:
            _make(folder)
            try:
                lock.acquire(timeout=0)
            except Timeout:
                raise MediaError(f"{folder}: {_owner(folder)} works on it; wait for it") from None
            except FileNotFoundError:
                continue
            if (folder / _LOCK).exists():
                break
            # In between, another run has finished and removed it.
            lock.release()
        with durable(folder / _OWNER) as file:
            file.write(f"process {os.getpid()} on {socket.gethostname()}".encode())
        yield
    except BaseException:
        # Whenever it comes, Ctrl-C before the first chunk leaves nothing.
        if lock.is_locked and folder.is_dir() and not count_chunks(folder):
            _remove(folder)
        raise
    finally:
        lock.release()
        with suppress(OSError):
            folder.rmdir()


def _owner(folder: Path) -> str:
    try:
        return (folder / _OWNER).read_text(encoding="utf-8", errors="replace")[:200].strip()
    except OSError:
        return "another run"


def _make(folder: Path) -> None:
    """Make a folder, or find that it is one of ours.

    Raises:
        MediaError: it isn't.
    """
    try:
        folder.mkdir(mode=0o755)
    except FileExistsError:
        if not folder.is_dir() or not _is_ours(folder):
            raise MediaError(
                f"{folder}: is in the way, and no work folder of vs_gainmap; rename it, or choose "
                "another OUT"
            ) from None


def _is_ours(folder: Path) -> bool:
    """Say whether a folder has our manifest, or nothing but our lock: begun and killed at once."""
    if (folder / _MANIFEST).is_file():
        with suppress(MetadataError):
            return read_json(folder / _MANIFEST).get("format") == FORMAT
        return False
    return all(_is_our_name(path) for path in folder.iterdir())


def _is_our_name(path: Path) -> bool:
    return (
        path.name in (_MANIFEST, _LOCK, _OWNER)
        or path.suffix in (_CHUNK, PARTIAL)
        or path.stem == _FINISHED
    )


def _prepare(
    folder: Path, runs: Sequence[Run], identity: Mapping[str, str], *, restart: bool
) -> None:
    """Write a folder's manifest, or compare with the one that is there.

    Raises:
        MediaError: it says something else.
    """
    manifest = folder / _MANIFEST
    if restart:
        for path in folder.iterdir():
            if _is_our_name(path) and path.name not in (_LOCK, _OWNER):
                path.unlink()
    # Of a run that was killed.
    for path in (*folder.glob(f"*{PARTIAL}"), *folder.glob(f"{_FINISHED}.*")):
        path.unlink()
    if manifest.exists() and count_chunks(folder):
        _compare(folder, read_json(manifest), runs, identity)
        return
    fields = {"format": FORMAT, "version": VERSION, "conversion": dict(identity), "chunks": runs}
    with durable(manifest) as file:
        file.write(json.dumps(fields, indent=1).encode())


def _compare(
    folder: Path, fields: Mapping[str, object], runs: Sequence[Run], identity: Mapping[str, str]
) -> None:
    how = "; give the same to go on, or --restart (restart=True) to begin anew"
    if fields.get("version") != VERSION:
        raise MediaError(
            f"{folder}: was begun by another version of vs_gainmap, whose folders have format "
            f"{str(fields.get('version'))[:20]}, not {VERSION}{how}"
        )
    before = fields.get("conversion")
    before = before if isinstance(before, dict) else {}
    changed = [
        f"{name} {_said(before.get(name))}, now {_said(identity.get(name))}"
        for name in dict.fromkeys((*identity, *before))
        if before.get(name) != identity.get(name)
    ]
    if not changed and fields.get("chunks") != [list(run) for run in runs]:
        changed = ["other chunks"]
    if changed:
        raise MediaError(f"{folder}: was begun with {'; with '.join(changed)}{how}")


def _said(value: object) -> str:
    return "not given" if value is None else str(value)[:100]


def _remove(folder: Path) -> None:
    """Remove what is ours; whatever else somebody put there stays, and the folder with it."""
    for path in sorted(folder.iterdir(), key=lambda path: path.name == _LOCK):
        if _is_our_name(path):
            # A system that can't remove an open file keeps the lock.
            with suppress(PermissionError):
                path.unlink()

"""Write files in one step: complete, or not at all."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vs_gainmap.errors import MediaError


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a path to write to, and put the result in place when all went well.

    The path is nobody else's, so that two writers at a time leave one of two whole files.

    Args:
        path: where the file is to be; its folder must exist.

    Raises:
        MediaError: it can't be written.
    """
    partial = path.with_name(f".{path.stem}.{secrets.token_hex(4)}.partial{path.suffix}")
    try:
        yield partial
        partial.replace(path)
    except OSError as error:
        raise MediaError(f"{path}: {error.strerror or error}") from error
    finally:
        partial.unlink(missing_ok=True)


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file in one step.

    Raises:
        MediaError: it can't be written.
    """
    with replacing(path) as partial:
        partial.write_bytes(data)

"""Write files in one step: complete, or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vs_gainmap.errors import MediaError


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a path to write to, and put the result in place when all went well.

    Args:
        path: where the file is to be; its folder must exist.

    Raises:
        MediaError: it can't be written.
    """
    partial = path.with_name(f".{path.stem}.{os.getpid()}.partial{path.suffix}")
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

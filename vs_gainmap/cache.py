"""The user's cache: files that can be made again, each written in one step."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vs_gainmap.errors import BackendError

CACHE_VARIABLE = "VS_GAINMAP_CACHE"


def cache_folder() -> Path:
    """Return the folder, made if need be: the system's usual place, or $VS_GAINMAP_CACHE.

    Raises:
        BackendError: platformdirs, which knows the usual place, is not installed.
    """
    given = os.environ.get(CACHE_VARIABLE)
    if given:
        folder = Path(given)
    else:
        try:
            from platformdirs import user_cache_path
        except ImportError as error:
            raise BackendError(
                f"platformdirs is missing: pip install platformdirs, or set {CACHE_VARIABLE}"
            ) from error
        folder = user_cache_path("vs-gainmap", appauthor=False)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a path beside `path`; what is written there becomes `path` if nothing is raised.

    Readers see the old file or the whole new one, also while two processes write.
    """
    handle, name = tempfile.mkstemp(prefix=path.stem + ".", suffix=path.suffix, dir=path.parent)
    os.close(handle)
    partial = Path(name)
    try:
        yield partial
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)

"""Libraries of the package's extras: imported when they are needed, with one clear error."""

from __future__ import annotations

import json
from contextlib import suppress
from importlib import import_module
from importlib.metadata import PackageNotFoundError, distribution
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

from vs_gainmap.errors import MediaError


def load(module: str, library: str, *, extra: str = "photo", purpose: str = "photos") -> Any:
    """Import a module of an extra.

    Args:
        module: its import name.
        library: the name it is installed by.
        extra: of this package, that has it.
        purpose: what it is needed for, in the plural.

    Raises:
        MediaError: it is not installed.
    """
    try:
        return import_module(module)
    except ImportError as error:
        raise MediaError(
            f"{purpose} need {library}, which is missing: {install_command(extra)}"
        ) from error


def install_command(extra: str) -> str:
    """Return the command that installs an extra, from the clone if this package came from one."""
    origin: dict[str, Any] = {}
    with suppress(PackageNotFoundError, ValueError):
        origin = json.loads(distribution("vs-gainmap").read_text("direct_url.json") or "{}")
    url = urlsplit(origin.get("url", ""))
    if url.scheme != "file":
        return f'pip install "vs-gainmap[{extra}]"'
    editable = "--editable " if origin.get("dir_info", {}).get("editable") else ""
    return f'pip install {editable}"{url2pathname(url.path)}[{extra}]"'

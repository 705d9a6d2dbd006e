"""Import the libraries of an extra when they are needed, with one clear error."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from vs_gainmap.errors import MediaError


def load(module: str, distribution: str, *, extra: str = "photo", purpose: str = "photos") -> Any:
    """Import a module of an extra.

    Args:
        module: its import name.
        distribution: what to install for it.
        extra: of this package, that has it.
        purpose: what it is needed for, in the plural.

    Raises:
        MediaError: it is not installed.
    """
    try:
        return import_module(module)
    except ImportError as error:
        raise MediaError(
            f'{purpose} need {distribution}: install it with pip install "vs-gainmap[{extra}]"'
        ) from error

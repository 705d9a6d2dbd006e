"""Import the libraries of the ``photo`` extra when they are needed, with one clear error."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from vs_gainmap.errors import MediaError


def load(module: str, distribution: str) -> Any:
    """Import a module of the ``photo`` extra.

    Args:
        module: its import name.
        distribution: what to install for it.

    Raises:
        MediaError: it is not installed.
    """
    try:
        return import_module(module)
    except ImportError as error:
        raise MediaError(
            f'photos need {distribution}: install it with pip install "vs-gainmap[photo]"'
        ) from error

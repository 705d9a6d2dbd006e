"""A folder that a command fills and goes on with: all that is in it was made in one way."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from vs_gainmap.errors import MediaError
from vs_gainmap.photo.files import write_bytes

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


def check_settings(path: Path, settings: DataclassInstance) -> None:
    """Write down how a folder is filled, or see that it is filled on in the same way.

    Args:
        path: of the JSON, named after the command.
        settings: that all of the folder shares.

    Raises:
        MediaError: the folder was filled with other settings.
    """
    if not path.exists():
        write_bytes(path, json.dumps(asdict(settings)).encode())
    elif json.loads(path.read_text()) != asdict(settings):
        raise MediaError(
            f"{path.stem}: {path.parent} was filled with other settings ({path.read_text()}); "
            "use another folder"
        )

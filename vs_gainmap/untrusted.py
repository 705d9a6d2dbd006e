"""Values from small files that anyone may have written: JSON, TOML, and single numbers in .npy.

Each is decoded here, with its range, so that nothing behind has to check again.
"""

from __future__ import annotations

import io
import json
import math
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from vs_gainmap.errors import MediaError, MetadataError
from vs_gainmap.files import read_bytes

SMALL_FILE = 1 << 20
MOST_NUMBERS = 16


def read_json(path: Path, most: int = SMALL_FILE) -> dict[str, Any]:
    """Return the object that a JSON file holds.

    Raises:
        MetadataError: the file can't be read, is too large, no JSON, or no object.
    """
    try:
        data = read_bytes(path, most)
    except MediaError as error:
        raise MetadataError(str(error)) from error
    return parse_json(data, str(path))


def parse_json(data: bytes, name: str) -> dict[str, Any]:
    """Return the object that JSON holds.

    Raises:
        MetadataError: it is no JSON, or no object; the message begins with `name`.
    """
    try:
        fields = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise MetadataError(f"{name}: no JSON: {str(error)[:100]}") from error
    if not isinstance(fields, dict):
        raise MetadataError(f"{name}: not an object")
    return fields


def read_toml(path: Path) -> dict[str, Any]:
    """Return what a TOML file holds.

    Raises:
        MetadataError: the file can't be read, is too large, or no TOML.
    """
    try:
        # Some editors begin a text with a mark.
        return tomllib.loads(read_bytes(path, SMALL_FILE).decode("utf-8-sig"))
    except MediaError as error:
        raise MetadataError(str(error)) from error
    # ValueError: TOML's own, bytes that are no text, and integers of more digits than Python reads.
    except (ValueError, RecursionError) as error:
        raise MetadataError(f"{path}: no TOML: {str(error)[:100]}") from error


def as_number(value: object, name: str, low: float, high: float) -> float:
    """Return a number of JSON.

    Raises:
        MetadataError: it is none, or not within `low` and `high`.
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise MetadataError(f"{name} must be a number, got {_short(value)}")
    # Before it becomes a float, which the largest integers can't.
    if not low <= value <= high:
        raise MetadataError(f"{name} must be within {low:g}..{high:g}, got {_short(value)}")
    return float(value)


def as_integer(value: object, name: str, low: int, high: int) -> int:
    """Return a whole number of JSON.

    Raises:
        MetadataError: it is none, or not within `low` and `high`.
    """
    if isinstance(value, bool) or not isinstance(value, int):
        raise MetadataError(f"{name} must be a whole number, got {_short(value)}")
    if not low <= value <= high:
        raise MetadataError(f"{name} must be within {low}..{high}, got {_short(value)}")
    return value


def as_list(value: object, name: str, length: int | None = None) -> list[Any]:
    """Return a list of JSON, of a given length.

    Raises:
        MetadataError: it is none, or of another length.
    """
    if not isinstance(value, list) or length not in (None, len(value)):
        raise MetadataError(f"{name} must be a list{'' if length is None else f' of {length}'}")
    return value


def as_choice[T: str](value: object, name: str, choices: Mapping[T, object]) -> T:
    """Return one of a table's names.

    Raises:
        MetadataError: it is none of them.
    """
    for choice in choices:
        if isinstance(value, str) and value == choice:
            return choice
    raise MetadataError(f"{name} must be one of {', '.join(choices)}, got {_short(value)}")


def read_npy_header(file: BinaryIO, path: Path) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Return shape and type of the array in a .npy file, and leave the file at its data.

    Args:
        file: open at its start.
        path: its name, for errors.

    Raises:
        MetadataError: it is none.
    """
    try:
        version = np.lib.format.read_magic(file)
        read = {(1, 0): np.lib.format.read_array_header_1_0}.get(
            version, np.lib.format.read_array_header_2_0
        )
        shape, _, dtype = read(file)
    # Whatever the parser raises over damaged or hostile bytes.
    except Exception as error:
        raise MetadataError(f"{path}: no .npy file: {str(error)[:100]}") from error
    return shape, dtype


def read_npy_number(path: Path, low: float, high: float) -> float:
    """Return the number that a .npy file holds, the first one of a few.

    Raises:
        MetadataError: the file can't be read, holds something else, or the number is not within
            `low` and `high`.
    """
    try:
        file = io.BytesIO(read_bytes(path, SMALL_FILE))
    except MediaError as error:
        raise MetadataError(str(error)) from error
    shape, dtype = read_npy_header(file, path)
    data = file.read()
    few = 1 <= math.prod(shape) <= MOST_NUMBERS
    if dtype.kind not in "fiu" or not few or len(data) < dtype.itemsize:
        raise MetadataError(f"{path}: must hold one number, got {dtype} of shape {shape}"[:200])
    value = float(np.frombuffer(data, dtype, 1)[0])
    if not low <= value <= high:
        raise MetadataError(f"{path}: must be within {low:g}..{high:g} stops, got {value:g}")
    return value


def _short(value: object) -> str:
    if isinstance(value, int) and abs(value) > 1 << 64:
        return "a huge number"
    text = repr(value)
    return text if len(text) <= 40 else text[:40] + "..."

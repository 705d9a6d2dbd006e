"""Argument values: times, mastering displays, light levels."""

from __future__ import annotations

import argparse
import re
from fractions import Fraction
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from vs_gainmap.color.h273 import Kind
    from vs_gainmap.hdr10 import ContentLight, MasteringDisplay

_TIME = re.compile(r"(?:(?:(\d+):)?(\d+):)?(\d+(?:\.\d*)?|\.\d+)")
_X265 = re.compile(
    r"G\((\d+),(\d+)\)B\((\d+),(\d+)\)R\((\d+),(\d+)\)WP\((\d+),(\d+)\)L\((\d+),(\d+)\)"
)


def seconds(text: str) -> Fraction:
    """Read seconds, or hours, minutes and seconds with colons, exactly."""
    match = _TIME.fullmatch(text.strip())
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r} is neither seconds nor HH:MM:SS.mmm")
    hours, minutes, rest = match.groups()
    return int(hours or 0) * 3600 + int(minutes or 0) * 60 + Fraction(rest)


def length(text: str) -> float:
    """Read a length in seconds, from a tenth to an hour."""
    value = seconds(text)
    if not 0.1 <= value <= 3600:
        raise argparse.ArgumentTypeError(f"{text!r} is not from 0.1 to 3600 seconds")
    return float(value)


def devices(text: str) -> tuple[str, ...]:
    """Read names of devices with commas between."""
    names = tuple(name.strip() for name in text.split(","))
    if not all(names):
        raise argparse.ArgumentTypeError(f"{text!r} is not a list such as cuda:0,cuda:1")
    return names


def share(text: str) -> float:
    """Read a number of cores or GPUs, which may be a part of one; 0 is none."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 4096:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 on")
    return value


def positive_int(text: str) -> int:
    """Read a whole number of at least one."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above zero")
    return int(text)


def percentile(text: str) -> float:
    """Read a percentile that a maximum can be: above 0 and up to 100."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value <= 100:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0 and up to 100")
    return value


def color_code(kind: str, text: str) -> str:
    """Read a color property: its name, such as 709, or its code in H.273."""
    from vs_gainmap.color.h273 import find_code

    try:
        find_code(cast("Kind", kind), text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error).removeprefix(f"{kind} ")) from error
    return text


def mastering_display(text: str) -> MasteringDisplay:
    """Read a mastering display: ``p3d65,1000,0.0001``, or as x265 writes it.

    Raises:
        OptionError: neither, or values out of range.
    """
    from vs_gainmap.errors import MetadataError, OptionError

    try:
        return _mastering_display(text)
    except MetadataError as error:
        raise OptionError(str(error)) from error


def _mastering_display(text: str) -> MasteringDisplay:
    from vs_gainmap.color.primaries import PRIMARIES, Primaries
    from vs_gainmap.errors import MetadataError
    from vs_gainmap.hdr10 import CHROMATICITY_STEPS, LUMINANCE_STEPS, MasteringDisplay

    match = _X265.fullmatch(text)
    if match is not None:
        numbers = [int(group) for group in match.groups()]
        x, y = numbers[0:8:2], numbers[1:8:2]
        green, blue, red, white = (
            (a / CHROMATICITY_STEPS, b / CHROMATICITY_STEPS) for a, b in zip(x, y, strict=True)
        )
        return MasteringDisplay(
            primaries=Primaries(red=red, green=green, blue=blue, white=white),
            max_nits=numbers[8] / LUMINANCE_STEPS,
            min_nits=numbers[9] / LUMINANCE_STEPS,
        )
    name, *levels = text.split(",")
    primaries = {str(key): value for key, value in PRIMARIES.items()}
    try:
        high, low = (float(level) for level in (*levels, "0.0001")[:2])
    except ValueError:
        high, low = -1.0, -1.0
    if name not in primaries or high < 0 or len(levels) > 2:
        raise MetadataError(
            f"mastering display {text!r}: must be a name of {', '.join(primaries)} with maximum "
            "and minimum cd/m2, as p3d65,1000,0.0001, or G(..)B(..)R(..)WP(..)L(..) as x265 has it"
        )
    return MasteringDisplay(primaries=primaries[name], max_nits=high, min_nits=low)


def content_light(max_cll: int | None, max_fall: int | None) -> ContentLight | None:
    """Return the light levels that the user gives: both or none.

    Raises:
        OptionError: only one is given, or MaxFALL is above MaxCLL.
    """
    from vs_gainmap.errors import MetadataError, OptionError
    from vs_gainmap.hdr10 import ContentLight

    if max_cll is None and max_fall is None:
        return None
    if max_cll is None or max_fall is None:
        raise OptionError("--max-cll and --max-fall belong together: give both or none")
    try:
        return ContentLight(max_cll=max_cll, max_fall=max_fall)
    except MetadataError as error:
        raise OptionError(str(error)) from error

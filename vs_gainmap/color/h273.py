"""The code points of ITU-T H.273 and their names: the only table of them.

Codes are H.273's (2021, tables 2 to 4) for matrix, transfer and primaries. For range and chroma
location they are those of VapourSynth's props `_Range` and `_ChromaLocation`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Literal

from vs_gainmap.color.primaries import PrimariesName
from vs_gainmap.errors import did_you_mean

Kind = Literal["matrix", "transfer", "primaries", "range", "chroma_location"]

UNSPECIFIED = 2


@dataclass(frozen=True, slots=True)
class CodePoint:
    """One value of a color property and what it is called."""

    code: int
    name: str
    """zimg's name, which scripts use."""
    ffmpeg: str | None
    """FFmpeg's and x265's name; None where they have none."""
    title: str
    """In words, for people."""
    aliases: tuple[str, ...] = ()
    """What else it is called, by ffmpeg, x265, vstools or custom."""


TABLE: dict[Kind, tuple[CodePoint, ...]] = {
    "matrix": (
        CodePoint(0, "rgb", "gbr", "RGB"),
        CodePoint(1, "709", "bt709", "BT.709"),
        CodePoint(4, "fcc", "fcc", "FCC"),
        CodePoint(5, "470bg", "bt470bg", "BT.601, 625 lines"),
        CodePoint(6, "170m", "smpte170m", "BT.601, 525 lines", ("601", "bt601", "st170_m")),
        CodePoint(7, "240m", "smpte240m", "SMPTE 240M", ("st240_m",)),
        CodePoint(8, "ycgco", "ycgco", "YCgCo", ("ycocg",)),
        CodePoint(
            9, "2020ncl", "bt2020nc", "BT.2020 non-constant luminance", ("2020", "bt2020_ncl")
        ),
        CodePoint(10, "2020cl", "bt2020c", "BT.2020 constant luminance", ("bt2020_cl",)),
        CodePoint(12, "chromancl", "chroma-derived-nc", "chroma-derived, non-constant luminance"),
        CodePoint(13, "chromacl", "chroma-derived-c", "chroma-derived, constant luminance"),
        CodePoint(14, "ictcp", "ictcp", "ICtCp"),
    ),
    "transfer": (
        CodePoint(1, "709", "bt709", "BT.709", ("1886", "bt1886")),
        CodePoint(4, "470m", "gamma22", "gamma 2.2", ("bt470m",)),
        CodePoint(5, "470bg", "gamma28", "gamma 2.8", ("bt470bg",)),
        CodePoint(6, "601", "smpte170m", "BT.601", ("170m", "bt601")),
        CodePoint(7, "240m", "smpte240m", "SMPTE 240M", ("st240_m",)),
        CodePoint(8, "linear", "linear", "linear light"),
        CodePoint(9, "log100", "log100", "log, 100:1", ("log",)),
        CodePoint(10, "log316", "log316", "log, 316:1"),
        CodePoint(11, "xvycc", "iec61966-2-4", "IEC 61966-2-4", ("iec_61966_2_4",)),
        CodePoint(12, "1361", "bt1361e", "BT.1361"),
        CodePoint(13, "srgb", "iec61966-2-1", "sRGB", ("iec_61966_2_1",)),
        CodePoint(14, "2020_10", "bt2020-10", "BT.2020, 10 bit", ("2020", "bt2020")),
        CodePoint(15, "2020_12", "bt2020-12", "BT.2020, 12 bit"),
        CodePoint(16, "st2084", "smpte2084", "PQ", ("pq",)),
        CodePoint(17, "st428", "smpte428", "SMPTE 428", ("st428_1",)),
        CodePoint(18, "std-b67", "arib-std-b67", "HLG", ("hlg", "arib_b67")),
    ),
    "primaries": (
        CodePoint(1, "709", "bt709", "BT.709"),
        CodePoint(4, "470m", "bt470m", "BT.470 M"),
        CodePoint(5, "470bg", "bt470bg", "BT.601, 625 lines"),
        CodePoint(6, "170m", "smpte170m", "BT.601, 525 lines", ("601", "bt601", "st170_m")),
        CodePoint(7, "240m", "smpte240m", "SMPTE 240M", ("st240_m",)),
        CodePoint(8, "film", "film", "film"),
        CodePoint(9, "2020", "bt2020", "BT.2020"),
        CodePoint(10, "st428", "smpte428", "XYZ", ("xyz",)),
        CodePoint(11, "st431-2", "smpte431", "DCI-P3", ("dci-p3", "st431_2")),
        CodePoint(12, "st432-1", "smpte432", "P3-D65", ("p3", "p3d65", "display-p3", "st432_1")),
        CodePoint(22, "jedec-p22", "ebu3213", "EBU 3213", ("ebu3213_e", "ebu3213-e")),
    ),
    "range": (
        CodePoint(0, "limited", "tv", "limited", ("mpeg", "range_limited")),
        CodePoint(1, "full", "pc", "full", ("jpeg", "range_full")),
    ),
    "chroma_location": (
        CodePoint(0, "left", "left", "left"),
        CodePoint(1, "center", "center", "center"),
        CodePoint(2, "top_left", "topleft", "top left"),
        CodePoint(3, "top", "top", "top"),
        CodePoint(4, "bottom_left", "bottomleft", "bottom left"),
        CodePoint(5, "bottom", "bottom", "bottom"),
    ),
}

# Not in the table, since it is no answer.
_UNSPECIFIED_KINDS = ("matrix", "transfer", "primaries")
# zimg's, FFmpeg's and x265's names.
_NAMES_OF_UNSPECIFIED = ("unspec", "unknown", "undef")

HDR_TRANSFERS = {16: "PQ", 18: "HLG"}
# Light that is no display signal: there is no EOTF to undo, or not ours.
FOREIGN_TRANSFERS = {8: "linear light", 9: "log", 10: "log", 17: "ST 428 cinema"}
# Primaries close enough to BT.709 that the network's picture needs no conversion.
NARROW_PRIMARIES = {1, 5, 6, 7, 22}
KNOWN_PRIMARIES: dict[int, PrimariesName] = {
    1: "bt709",
    5: "bt470bg",
    6: "smpte170m",
    7: "smpte170m",
    9: "bt2020",
    12: "p3d65",
}


def find_code(kind: Kind, value: str | int) -> int:
    """Return the code that a user means.

    Args:
        kind: of the property.
        value: a code, an enum of VapourSynth's or vstools', or a name of zimg's, FFmpeg's or
            x265's, in either case of letters.

    Raises:
        ValueError: no such code or name; lists which there are.
    """
    if isinstance(value, Enum) and kind == "range":
        # The numbers of vstools' enum are the other way around.
        value = value.name.lower().removeprefix("range_")
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise ValueError(f"{kind} must be a name or a code, got {value!r}")
    if isinstance(value, int):
        if value in (point.code for point in TABLE[kind]):
            return int(value)
        if is_unspecified(kind, value):
            return UNSPECIFIED
        raise ValueError(f"{kind} has no code {value} in H.273 that zimg knows")
    known = _names(kind)
    code = known.get(value.lower())
    if code is None and value.isdecimal() and len(value) < 4:
        # A code, as on a command line.
        return find_code(kind, int(value))
    if code is None:
        hint = did_you_mean(value.lower(), known)
        names = ", ".join(point.name for point in TABLE[kind])
        raise ValueError(f"{kind} must be one of {names}, got {value!r}{hint}")
    return code


def is_unspecified(kind: Kind, code: int) -> bool:
    """Say whether a code is no answer; 2 is a chroma location."""
    return code == UNSPECIFIED and kind in _UNSPECIFIED_KINDS


def find_point(kind: Kind, code: int | None) -> CodePoint | None:
    """Return a code's row of the table, or None where it is unspecified or unknown."""
    return next((point for point in TABLE[kind] if point.code == code), None)


def _names(kind: Kind) -> dict[str, int]:
    names = dict.fromkeys(_NAMES_OF_UNSPECIFIED, UNSPECIFIED) if kind in _UNSPECIFIED_KINDS else {}
    for point in TABLE[kind]:
        for name in (point.name, point.ffmpeg, *point.aliases):
            if name is not None:
                names[name] = point.code
        if point.name[0].isdigit():
            names[f"bt{point.name}"] = point.code
    return names

"""Color tags: frame props as FFmpeg's settings, by number and by name."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

from vs_gainmap.errors import MediaError
from vs_gainmap.filters import props

# FFmpeg's names for H.273 codes, those that HDR and its kin use.
_PRIMARIES = {1: "bt709", 5: "bt470bg", 6: "smpte170m", 9: "bt2020", 12: "smpte432"}
_TRANSFERS = {1: "bt709", 6: "smpte170m", 8: "linear", 13: "iec61966-2-1", 14: "bt2020-10",
              16: "smpte2084", 18: "arib-std-b67"}  # fmt: skip
_MATRICES = {0: "rgb", 1: "bt709", 5: "bt470bg", 6: "smpte170m", 9: "bt2020nc", 10: "bt2020c",
             14: "ictcp"}  # fmt: skip
_SETPARAMS = {
    "color_primaries": "color_primaries",
    "color_trc": "color_trc",
    "colorspace": "colorspace",
    "color_range": "range",
}
_CHROMA = ("left", "center", "topleft", "top", "bottomleft", "bottom")


def context_color(known: Mapping[str, object]) -> dict[str, int]:
    """Return settings of a codec context: H.273 codes, and FFmpeg's own for the rest.

    Raises:
        MediaError: transfer or primaries are missing.
    """
    if props.TRANSFER not in known or props.PRIMARIES not in known:
        raise MediaError(
            "the clip doesn't say its transfer or primaries; set the props "
            f"{props.TRANSFER} and {props.PRIMARIES}, for example with std.SetFrameProps"
        )
    out = {
        "color_trc": _int(known[props.TRANSFER]),
        "color_primaries": _int(known[props.PRIMARIES]),
        # AVColorRange: 1 is limited, 2 is full.
        "color_range": 2 if _int(known.get(props.RANGE, 0)) == 1 else 1,
    }
    if props.MATRIX in known:
        out["colorspace"] = _int(known[props.MATRIX])
    if props.CHROMA_LOCATION in known:
        # AVChromaLocation: 1 is left, where VapourSynth has 0.
        out["chroma_sample_location"] = _int(known[props.CHROMA_LOCATION]) + 1
    return out


def color_flags(known: Mapping[str, object]) -> list[str]:
    """Return the same as flags of the ffmpeg command.

    The frames themselves are tagged, by a filter: since ffmpeg 7 what they say, though it be
    nothing, wins over the encoder's options. Only a chroma location that isn't the usual one
    is among the tags, since ffmpeg before 7.1 knows no such tag.

    Raises:
        MediaError: transfer or primaries are missing, or FFmpeg has no name for a value.
    """
    color = context_color(known)
    flags: list[str] = []
    tags: list[str] = []
    for flag, name, table in (
        ("-color_primaries", "color_primaries", _PRIMARIES),
        ("-color_trc", "color_trc", _TRANSFERS),
        ("-colorspace", "colorspace", _MATRICES),
        ("-color_range", "color_range", {1: "tv", 2: "pc"}),
        ("-chroma_sample_location", "chroma_sample_location", dict(enumerate(_CHROMA, 1))),
    ):
        if name not in color:
            continue
        if color[name] not in table:
            raise MediaError(f"there is no {flag} of ffmpeg's for {name} {color[name]}")
        value = table[color[name]]
        flags += [flag, value]
        if name == "chroma_sample_location" and value != "left":
            tags.append(f"chroma_location={value}")
        elif name in _SETPARAMS:
            tags.append(f"{_SETPARAMS[name]}={value}")
    return ["-vf", "setparams=" + ":".join(tags), *flags]


def sample_aspect(known: Mapping[str, object]) -> Fraction | None:
    """Return the shape of a sample, width over height, or None."""
    if not (known.get("_SARNum") and known.get("_SARDen")):
        return None
    return Fraction(_int(known["_SARNum"]), _int(known["_SARDen"]))


def frame_duration(known: Mapping[str, object]) -> Fraction | None:
    """Return for how long a frame is shown, in seconds, or None."""
    if not (known.get("_DurationNum") and known.get("_DurationDen")):
        return None
    return Fraction(_int(known["_DurationNum"]), _int(known["_DurationDen"]))


def _int(value: object) -> int:
    return int(value) if isinstance(value, int) else int(str(value))

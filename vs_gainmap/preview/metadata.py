"""The metadata of an HDR file, in words."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import vapoursynth as vs

from vs_gainmap.color.h273 import (
    HDR_TRANSFERS,
    KNOWN_PRIMARIES,
    TABLE,
    UNSPECIFIED,
    Kind,
    find_point,
)
from vs_gainmap.color.primaries import PRIMARIES, Primaries
from vs_gainmap.errors import MediaError, MetadataError
from vs_gainmap.filters import props
from vs_gainmap.filters.color_props import PROP_OF

# Coded in steps of 0.00002, and rounded by some to thousandths.
_CLOSE = 0.001
# H.273's codes of the primaries that mastering displays have.
_DISPLAYS = (1, 9, 12)


def complete_hdr(clip: vs.VideoNode) -> tuple[vs.VideoNode, list[str]]:
    """Return an HDR clip with matrix and primaries set, and what had to be assumed.

    Raises:
        MediaError: it is neither PQ nor HLG.
    """
    with clip.get_frame(0) as frame:
        found = dict(frame.props)
    if found.get(props.TRANSFER) not in HDR_TRANSFERS:
        name = color_name("transfer", found)
        raise MediaError(f"report: the video is neither PQ nor HLG; its transfer is {name}")
    wanted: dict[Kind, int] = {"primaries": int(vs.PRIMARIES_BT2020)}
    if clip.format.color_family == vs.YUV:
        wanted["matrix"] = int(vs.MATRIX_BT2020_NCL)
    missing = {
        kind: code for kind, code in wanted.items()
        if found.get(PROP_OF[kind], UNSPECIFIED) == UNSPECIFIED
    }  # fmt: skip
    if not missing:
        return clip, []
    titles = [(kind, point.title) for kind, code in missing.items()
              if (point := find_point(kind, code))]  # fmt: skip
    notes = [f"The file has no {kind}; {title} is assumed." for kind, title in titles]
    return clip.std.SetFrameProps(**{PROP_OF[k]: code for k, code in missing.items()}), notes


def color_name(kind: Kind, found: Mapping[str, object]) -> str:
    """Return a color prop's value in words, with its code."""
    code = found.get(PROP_OF[kind])
    if not isinstance(code, int):
        return "unspecified"
    point = find_point(kind, code)
    if point is None:
        return "unspecified" if code == UNSPECIFIED else f"unknown ({code})"
    return f"{point.title} ({code})"


def metadata_rows(clip: vs.VideoNode, *, varies: bool = False) -> list[tuple[str, str]]:
    """Return the first frame's metadata: name and value, for a table.

    Args:
        clip: the HDR clip.
        varies: its frames last differently, and its rate is their average.
    """
    with clip.get_frame(0) as frame:
        found = dict(frame.props)
    rate = f", {float(clip.fps):.6g} frames a second" if clip.fps and not varies else ""
    if varies:
        rate = ", of a variable frame rate"
    size = f"{clip.width}x{clip.height}"
    return [
        ("format", f"{clip.format.name}, {size}, {clip.num_frames} frames{rate}"),
        *((kind.replace("_", " "), color_name(kind, found)) for kind in TABLE),
        ("mastering display", _or_problem(lambda: _display(found))),
        ("MaxCLL, MaxFALL in the file", _or_problem(lambda: _light(found))),
        ("HDR10+", "yes" if props.HDR10_PLUS in found else "none"),
    ]


def _or_problem(read: Callable[[], str]) -> str:
    """Return what is read; where a value is not valid, what is wrong with it."""
    try:
        return read()
    except MetadataError as error:
        return f"not usable: {error}"


def _display(found: Mapping[str, object]) -> str:
    display = props.read_mastering(found)
    if display is None:
        return "none"
    luminance = f"{display.min_nits:g} to {display.max_nits:g} cd/m²"
    return f"{_primaries(display.primaries)}, {luminance}"


def _primaries(given: Primaries) -> str:
    points = _points(given)
    for code in _DISPLAYS:
        same = zip(points, _points(PRIMARIES[KNOWN_PRIMARIES[code]]), strict=True)
        point = find_point("primaries", code)
        if point is not None and all(abs(one - other) <= _CLOSE for one, other in same):
            return point.title
    pairs = zip("RGBW", zip(points[::2], points[1::2], strict=True), strict=True)
    return " ".join(f"{name}({x:.4f}, {y:.4f})" for name, (x, y) in pairs)


def _points(primaries: Primaries) -> tuple[float, ...]:
    return (*primaries.red, *primaries.green, *primaries.blue, *primaries.white)


def _light(found: Mapping[str, object]) -> str:
    light = props.read_light(found)
    return "none" if light is None else f"{light.max_cll}, {light.max_fall} cd/m²"

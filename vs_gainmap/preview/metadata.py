"""What an HDR file says of itself, in words."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import vapoursynth as vs

from vs_gainmap.color.h273 import HDR_TRANSFERS, UNSPECIFIED
from vs_gainmap.color.primaries import PRIMARIES, Primaries
from vs_gainmap.errors import MediaError, MetadataError
from vs_gainmap.filters import props

# ITU-T H.273 (2021), tables 2 to 4, and VapourSynth's own numbers for the last two.
_NAMES: dict[str, dict[int, str]] = {
    props.PRIMARIES: {
        1: "BT.709", 4: "BT.470 M", 5: "BT.601, 625 lines", 6: "BT.601, 525 lines",
        7: "SMPTE 240M", 8: "film", 9: "BT.2020", 10: "XYZ", 11: "DCI-P3", 12: "P3-D65",
        22: "EBU 3213",
    },
    props.TRANSFER: {
        1: "BT.709", 4: "gamma 2.2", 5: "gamma 2.8", 6: "BT.601", 7: "SMPTE 240M", 8: "linear",
        9: "log", 10: "log", 11: "IEC 61966-2-4", 13: "sRGB", 14: "BT.2020, 10 bit",
        15: "BT.2020, 12 bit", 16: "PQ", 17: "SMPTE 428", 18: "HLG",
    },
    props.MATRIX: {
        0: "RGB", 1: "BT.709", 4: "FCC", 5: "BT.601", 6: "BT.601", 7: "SMPTE 240M", 8: "YCgCo",
        9: "BT.2020 non-constant luminance", 10: "BT.2020 constant luminance", 14: "ICtCp",
    },
    props.RANGE: {0: "limited", 1: "full"},
    props.CHROMA_LOCATION: dict(
        enumerate(("left", "center", "top left", "top", "bottom left", "bottom"))
    ),
}  # fmt: skip
_LABELS = {
    props.PRIMARIES: "primaries",
    props.TRANSFER: "transfer",
    props.MATRIX: "matrix",
    props.RANGE: "range",
    props.CHROMA_LOCATION: "chroma location",
}
# 2 is a chroma location like the others; where color is concerned, it is no answer.
_MAYBE_UNSPECIFIED = (props.PRIMARIES, props.TRANSFER, props.MATRIX)
# Coded in steps of 0.00002, and rounded by some to thousandths.
_CLOSE = 0.001
_DISPLAYS = {"bt709": "BT.709", "bt2020": "BT.2020", "p3d65": "P3-D65"}


def complete_hdr(clip: vs.VideoNode) -> tuple[vs.VideoNode, list[str]]:
    """Return an HDR clip with matrix and primaries set, and what had to be assumed.

    Raises:
        MediaError: it is neither PQ nor HLG.
    """
    with clip.get_frame(0) as frame:
        found = dict(frame.props)
    if found.get(props.TRANSFER) not in HDR_TRANSFERS:
        said = color_name(props.TRANSFER, found)
        raise MediaError(f"report: the video is neither PQ nor HLG; its transfer is {said}")
    wanted = {props.PRIMARIES: int(vs.PRIMARIES_BT2020)}
    if clip.format.color_family == vs.YUV:
        wanted[props.MATRIX] = int(vs.MATRIX_BT2020_NCL)
    missing = {name: code for name, code in wanted.items() if _code(name, found) is None}
    if not missing:
        return clip, []
    texts = [f"{_LABELS[name]}, {_NAMES[name][code]} assumed" for name, code in missing.items()]
    return clip.std.SetFrameProps(**missing), [f"The file doesn't say its {t}." for t in texts]


def color_name(name: str, found: Mapping[str, object]) -> str:
    """Return a color prop's value in words, with its code."""
    code = _code(name, found)
    if code is None:
        return "not said"
    return f"{_NAMES[name].get(code, 'unknown')} ({code})"


def metadata_rows(clip: vs.VideoNode, *, varies: bool = False) -> list[tuple[str, str]]:
    """Return what the first frame says: name and value, for a table.

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
        *((label, color_name(name, found)) for name, label in _LABELS.items()),
        ("mastering display", _told(lambda: _display(found))),
        ("MaxCLL, MaxFALL in the file", _told(lambda: _light(found))),
        ("HDR10+", "yes" if props.HDR10_PLUS in found else "none"),
    ]


def _code(name: str, found: Mapping[str, object]) -> int | None:
    value = found.get(name)
    if not isinstance(value, int) or (name in _MAYBE_UNSPECIFIED and value == UNSPECIFIED):
        return None
    return int(value)


def _told(read: Callable[[], str]) -> str:
    """Return what is read; of a file that tells nonsense, what is wrong with it."""
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
    for name, known in PRIMARIES.items():
        same = zip(points, _points(known), strict=True)
        if name in _DISPLAYS and all(abs(one - other) <= _CLOSE for one, other in same):
            return _DISPLAYS[name]
    pairs = zip("RGBW", zip(points[::2], points[1::2], strict=True), strict=True)
    return " ".join(f"{name}({x:.4f}, {y:.4f})" for name, (x, y) in pairs)


def _points(primaries: Primaries) -> tuple[float, ...]:
    return (*primaries.red, *primaries.green, *primaries.blue, *primaries.white)


def _light(found: Mapping[str, object]) -> str:
    light = props.read_light(found)
    return "none" if light is None else f"{light.max_cll}, {light.max_fall} cd/m²"

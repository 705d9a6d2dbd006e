"""What an SDR clip's color is: frame props first, the usual rule by size for the rest.

zimg reads the props of every frame by itself, so all that is done here is to check the
first frame, fill in what is missing, and say so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import vapoursynth as vs

from vs_gainmap.color.h273 import (
    FOREIGN_TRANSFERS,
    HDR_TRANSFERS,
    TABLE,
    UNSPECIFIED,
    Kind,
    find_code,
    find_point,
)
from vs_gainmap.filters import props

PROP_OF: dict[Kind, str] = {
    "matrix": props.MATRIX,
    "transfer": props.TRANSFER,
    "primaries": props.PRIMARIES,
    "range": props.RANGE,
    "chroma_location": props.CHROMA_LOCATION,
}
_MATRIX_PRIMARIES = {5: 5, 6: 6, 7: 7, 9: 9, 10: 9}


@dataclass(frozen=True, slots=True, kw_only=True)
class ColorOverrides:
    """What the user says about the input, over frame props: names or codes, see `color.h273`."""

    matrix: str | int | None = None
    transfer: str | int | None = None
    primaries: str | int | None = None
    range: str | int | None = None
    chroma_location: str | int | None = None

    def codes(self, function: str) -> dict[Kind, int]:
        """Return what is given as integer codes.

        Raises:
            vs.Error: a name or code is unknown.
        """
        codes = {}
        for kind in TABLE:
            value = getattr(self, kind)
            if value is None:
                continue
            try:
                codes[kind] = find_code(kind, value)
            except ValueError as error:
                raise vs.Error(f"{function}: {error}") from error
        return codes


def check_sdr_clip(clip: vs.VideoNode, function: str) -> None:
    """Check what can be said before any frame is made.

    Raises:
        vs.Error: not a constant format and size, not 8 to 16 bit integer or float, too small
            or too large.
    """
    if not isinstance(clip, vs.VideoNode):
        raise vs.Error(f"{function}: clip must be a video clip, got {type(clip).__name__}")
    if clip.format is None or clip.format.color_family == vs.UNDEFINED or clip.width == 0:
        raise vs.Error(
            f"{function}: clip must have a constant format and size, got a variable one; "
            "convert it first, e.g. clip.resize.Bicubic(1920, 1080, format=vs.YUV420P8)"
        )
    bits = clip.format.bits_per_sample
    if clip.format.sample_type == vs.INTEGER and bits > 16:
        raise vs.Error(
            f"{function}: clip must be 8 to 16 bit integer or float, got {clip.format.name}"
        )
    if min(clip.width, clip.height) < 16 or max(clip.width, clip.height) > 8192:
        raise vs.Error(
            f"{function}: clip must be between 16x16 and 8192x8192, got {clip.width}x{clip.height}"
        )


def check_frame_color(frame_props: Mapping[str, object], function: str, n: int) -> None:
    """Refuse a frame that is HDR already, linear, or interlaced.

    Raises:
        vs.Error: with the frame number and what to do.
    """
    transfer = _code(frame_props.get(props.TRANSFER))
    if transfer in HDR_TRANSFERS:
        raise vs.Error(
            f"{function}: frame {n} is {HDR_TRANSFERS[transfer]} already; SDR is wanted. "
            'If the tag is wrong, pass transfer="709" (--transfer 709)'
        )
    if transfer in FOREIGN_TRANSFERS:
        raise vs.Error(
            f"{function}: frame {n} is {FOREIGN_TRANSFERS[transfer]}, an SDR display signal is "
            'wanted; convert it first, or pass transfer="709" if the tag is wrong'
        )
    if _code(frame_props.get(props.FIELD_BASED)) in (1, 2):
        raise vs.Error(
            f"{function}: frame {n} is interlaced; deinterlace first (e.g. with bwdif), or set "
            "_FieldBased=0 (--assume-progressive) if the tag is wrong"
        )


def tag_sdr_clip(clip: vs.VideoNode, overrides: ColorOverrides, function: str) -> vs.VideoNode:
    """Return the clip with every color prop set, and say what had to be assumed.

    Overrides beat props; a prop that is missing or unspecified on the first frame is set on
    all frames by the usual rule: RGB is full-range sRGB; YUV and GRAY are limited BT.709,
    or BT.601 up to 1024x576 (625 lines at a height of 576, else 525 lines).

    Raises:
        vs.Error: the clip is not usable SDR.
    """
    check_sdr_clip(clip, function)
    given = overrides.codes(function)
    with clip.get_frame(0) as frame:
        found = dict(frame.props)
    seen = found | {PROP_OF[kind]: code for kind, code in given.items()}
    check_frame_color(seen, function, 0)

    known = {kind: _known(seen, kind) for kind in TABLE}
    assumed = _assume(clip, known)
    if assumed:
        text = ", ".join(f"{kind} {_name(kind, code)}" for kind, code in assumed.items())
        log_warning(
            f"{function}: not in the frame props, assumed for {clip.width}x{clip.height} "
            f"{clip.format.name}: {text}"
        )
    settings = {PROP_OF[kind]: code for kind, code in (assumed | given).items()}
    if not settings:
        return clip
    if "range" in assumed | given and props.COLOR_RANGE in found:
        clip = clip.std.RemoveFrameProps(props.COLOR_RANGE)
    return clip.std.SetFrameProps(**settings)


def chroma_shift(layout: vs.VideoFormat, location: int) -> tuple[float, float]:
    """Return how far chroma stands from the middle of its pixels, right and down, in pixels.

    Args:
        layout: YUV.
        location: H.273's code.
    """
    left = location in (vs.CHROMA_LEFT, vs.CHROMA_TOP_LEFT, vs.CHROMA_BOTTOM_LEFT)
    top = location in (vs.CHROMA_TOP, vs.CHROMA_TOP_LEFT)
    bottom = location in (vs.CHROMA_BOTTOM, vs.CHROMA_BOTTOM_LEFT)
    right = 0.5 * ((1 << layout.subsampling_w) - 1)
    down = 0.5 * ((1 << layout.subsampling_h) - 1)
    return -right if left else 0.0, down * (bottom - top)


def log_warning(message: str) -> None:
    """Say something through VapourSynth's log, which vspipe and editors show."""
    vs.core.log_message(vs.MESSAGE_TYPE_WARNING, message)


def _assume(clip: vs.VideoNode, known: Mapping[Kind, int | None]) -> dict[Kind, int]:
    rgb = clip.format.color_family == vs.RGB
    small = clip.width <= 1024 and clip.height <= 576
    matrix = 0 if rgb else (1 if not small else (5 if clip.height == 576 else 6))
    matrix = matrix if known["matrix"] is None else known["matrix"]
    rule: dict[Kind, int] = {
        "matrix": matrix,
        "primaries": _MATRIX_PRIMARIES.get(matrix, 1),
        "transfer": 13 if rgb else (6 if matrix in (5, 6) else 1),
        "range": 1 if rgb else 0,
    }
    if clip.format.subsampling_w or clip.format.subsampling_h:
        rule["chroma_location"] = 0
    return {kind: code for kind, code in rule.items() if known[kind] is None}


def _known(frame_props: Mapping[str, object], kind: Kind) -> int | None:
    code = _code(frame_props.get(PROP_OF[kind]))
    if kind == "range":
        if code is None and props.COLOR_RANGE in frame_props:
            inverse = _code(frame_props[props.COLOR_RANGE])
            return None if inverse is None else 1 - inverse
        return code
    if kind == "chroma_location":
        return code
    return None if code == UNSPECIFIED else code


def _code(value: object) -> int | None:
    return int(value) if isinstance(value, int) else None


def _name(kind: Kind, code: int) -> str:
    point = find_point(kind, code)
    return str(code) if point is None else point.name

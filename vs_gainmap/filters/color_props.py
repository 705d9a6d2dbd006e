"""What an SDR clip's color is: the user's word, the first frame's props, or the usual rule by size.

It is decided once, from frame 0, and set on every frame. A later frame without a prop takes frame
0's; one that contradicts it is an error.
"""

from __future__ import annotations

from collections.abc import Mapping

import vapoursynth as vs

from vs_gainmap.color.h273 import (
    FOREIGN_TRANSFERS,
    HDR_TRANSFERS,
    TABLE,
    Kind,
    find_code,
    find_point,
    is_unspecified,
)
from vs_gainmap.color.transfer import BRIGHTEST_SIGNAL
from vs_gainmap.filters import props
from vs_gainmap.filters.options import InputColor

PROP_OF: dict[Kind, str] = {
    "matrix": props.MATRIX,
    "transfer": props.TRANSFER,
    "primaries": props.PRIMARIES,
    "range": props.RANGE,
    "chroma_location": props.CHROMA_LOCATION,
}
_MATRIX_PRIMARIES = {5: 5, 6: 6, 7: 7, 9: 9, 10: 9}


def tag_sdr_clip(clip: vs.VideoNode, color: InputColor, function: str) -> vs.VideoNode:
    """Return the clip with every color prop set, and log what had to be assumed.

    What is missing is set by the usual rule: RGB is full-range sRGB; YUV and GRAY are limited
    BT.709, or BT.601 up to 1024x576 (625 lines at a height of 576, else 525 lines). Samples of
    float clips that are no number become 0, and infinite ones finite.

    Raises:
        vs.Error: the clip is not usable SDR. Later frames fail with their number.
    """
    given = _given(color, function)
    decided, assumed = decide_color(clip, color, function)
    if assumed:
        text = ", ".join(f"{kind} {_name(kind, code)}" for kind, code in assumed.items())
        log_warning(
            f"{function}: not in the frame props, assumed for {clip.width}x{clip.height} "
            f"{clip.format.name}: {text}"
        )
    if clip.format.sample_type == vs.FLOAT:
        clip = vs.core.akarin.Expr(
            clip, f"x x = x {-BRIGHTEST_SIGNAL} {BRIGHTEST_SIGNAL} clamp 0 ?"
        )

    def check(n: int, f: vs.VideoFrame) -> vs.VideoFrame:
        found = dict(f.props)
        transfer = given.get("transfer", _code_of(found, "transfer"))
        _check_signal(transfer, found, function, n)
        for kind, code in decided.items():
            own = code if given.get(kind) is not None else _code_of(found, kind)
            if own is not None and own != code:
                raise vs.Error(
                    f"{function}: frame {n} is tagged {kind} {_name(kind, own)}, frame 0 "
                    f"{_name(kind, code)}; convert the parts apart, or pass "
                    f'{kind}="{_name(kind, code)}" (--{kind.replace("_", "-")} '
                    f"{_name(kind, code)}) for the whole clip"
                )
        return f

    checked = clip.std.ModifyFrame(clip, check).std.RemoveFrameProps(props.COLOR_RANGE)
    return checked.std.SetFrameProps(**{PROP_OF[kind]: code for kind, code in decided.items()})


def decide_color(
    clip: vs.VideoNode, color: InputColor, function: str
) -> tuple[dict[Kind, int], dict[Kind, int]]:
    """Return a clip's color, and the part of it that had to be assumed; see `tag_sdr_clip`.

    Raises:
        vs.Error: the clip is not usable SDR.
    """
    check_sdr_clip(clip, function)
    given = _given(color, function)
    with clip.get_frame(0) as frame:
        first = dict(frame.props)
    known = {kind: given.get(kind, _code_of(first, kind)) for kind in TABLE}
    _check_signal(known["transfer"], first, function, 0)
    assumed = _assume(clip, known)
    decided = {kind: code for kind, code in (known | assumed).items() if code is not None}
    matrix = decided["matrix"]
    if clip.format.color_family == vs.YUV and matrix in (vs.MATRIX_RGB, vs.MATRIX_ICTCP):
        raise vs.Error(
            f"{function}: clip is {clip.format.name}, but tagged as {_title('matrix', matrix)} "
            f'(_Matrix {matrix}); pass matrix="709" (--matrix 709)'
        )
    return decided, assumed


def check_sdr_clip(clip: vs.VideoNode, function: str) -> None:
    """Check what can be checked before any frame is made.

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


def log_warning(message: str) -> None:
    """Log through VapourSynth, which vspipe and editors show."""
    vs.core.log_message(vs.MESSAGE_TYPE_WARNING, message)


def _given(color: InputColor, function: str) -> dict[Kind, int | None]:
    """Return the user's options as codes; None is unspecified, whatever the frames say."""
    codes: dict[Kind, int | None] = {}
    for kind in TABLE:
        value = getattr(color, kind)
        if value is None:
            continue
        try:
            code = find_code(kind, value)
            codes[kind] = None if is_unspecified(kind, code) else code
        except ValueError as error:
            raise vs.Error(f"{function}: {error}") from error
    return codes


def _check_signal(transfer: int | None, found: Mapping[str, object], function: str, n: int) -> None:
    """Refuse a frame that is HDR already, linear, or interlaced."""
    if transfer in HDR_TRANSFERS:
        raise vs.Error(
            f"{function}: frame {n} is {HDR_TRANSFERS[transfer]} already; SDR is wanted. "
            'If the tag is wrong, pass transfer="709" (--transfer 709)'
        )
    metadata = [name for name in (*props.HDR_METADATA, props.DOLBY_VISION) if name in found]
    if transfer is None and metadata:
        raise vs.Error(
            f"{function}: frame {n} has metadata of HDR ({metadata[0]}) and no transfer; SDR is "
            'wanted. If it is SDR, pass transfer="709" (--transfer 709)'
        )
    if transfer in FOREIGN_TRANSFERS:
        raise vs.Error(
            f"{function}: frame {n} is {FOREIGN_TRANSFERS[transfer]}, an SDR display signal is "
            'wanted; convert it first, or pass transfer="709" if the tag is wrong'
        )
    if found.get(props.FIELD_BASED) in (1, 2):
        raise vs.Error(
            f"{function}: frame {n} is interlaced; deinterlace first (e.g. with bwdif), or set "
            "_FieldBased=0 (--assume-progressive) if the tag is wrong"
        )


def _assume(clip: vs.VideoNode, known: Mapping[Kind, int | None]) -> dict[Kind, int]:
    rgb = clip.format.color_family == vs.RGB
    small = clip.width <= 1024 and clip.height <= 576
    usual = 0 if rgb else (1 if not small else (5 if clip.height == 576 else 6))
    matrix = usual if known["matrix"] is None else known["matrix"]
    rule: dict[Kind, int] = {
        "matrix": matrix,
        "primaries": _MATRIX_PRIMARIES.get(matrix, 1),
        "transfer": 13 if rgb else (6 if matrix in (5, 6) else 1),
        "range": 1 if rgb else 0,
    }
    if clip.format.subsampling_w or clip.format.subsampling_h:
        rule["chroma_location"] = 0
    return {kind: code for kind, code in rule.items() if known[kind] is None}


def _code_of(found: Mapping[str, object], kind: Kind) -> int | None:
    """Return a property's code by a frame's props, None where it is missing or unspecified."""
    value = found.get(PROP_OF[kind])
    if kind == "range" and value is None and isinstance(found.get(props.COLOR_RANGE), int):
        return 1 - int(str(found[props.COLOR_RANGE]))
    if not isinstance(value, int):
        return None
    return None if is_unspecified(kind, value) else int(value)


def _title(kind: Kind, code: int) -> str:
    point = find_point(kind, code)
    return str(code) if point is None else point.title


def _name(kind: Kind, code: int) -> str:
    point = find_point(kind, code)
    return str(code) if point is None else point.name

"""What an SDR clip's color is: frame props first, the usual rule by size for the rest.

zimg reads the props of every frame by itself, so all that is done here is to check the
first frame, fill in what is missing, and say so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import vapoursynth as vs

from vs_gainmap import props
from vs_gainmap.color import PrimariesName

UNSPECIFIED = 2
HDR_TRANSFERS = {int(vs.TRANSFER_ST2084): "PQ", int(vs.TRANSFER_ARIB_B67): "HLG"}
# Light that is no display signal: there is no EOTF to undo, or not ours.
FOREIGN_TRANSFERS = {
    int(vs.TRANSFER_LINEAR): "linear light",
    int(vs.TRANSFER_LOG_100): "log",
    int(vs.TRANSFER_LOG_316): "log",
    int(vs.TRANSFER_ST428): "ST 428 cinema",
}
# Primaries close enough to BT.709 that the network's picture needs no conversion.
NARROW_PRIMARIES = {
    int(p)
    for p in (
        vs.PRIMARIES_BT709,
        vs.PRIMARIES_BT470_BG,
        vs.PRIMARIES_ST170_M,
        vs.PRIMARIES_ST240_M,
        vs.PRIMARIES_EBU3213_E,
    )
}

NAMES: dict[str, dict[str, int]] = {
    "matrix": {
        "rgb": 0,
        "709": 1,
        "fcc": 4,
        "470bg": 5,
        "170m": 6,
        "240m": 7,
        "2020ncl": 9,
        "2020cl": 10,
    },
    "transfer": {"709": 1, "470m": 4, "470bg": 5, "601": 6, "240m": 7, "srgb": 13, "2020": 14},
    "primaries": {
        "709": 1,
        "470m": 4,
        "470bg": 5,
        "170m": 6,
        "240m": 7,
        "2020": 9,
        "p3": 12,
        "ebu3213": 22,
    },
    "range": {"limited": 0, "full": 1},
    "chroma_location": {
        "left": 0,
        "center": 1,
        "top_left": 2,
        "top": 3,
        "bottom_left": 4,
        "bottom": 5,
    },
}
# Other codes of H.273 that zimg knows; 2 is for nothing said.
_MORE_CODES = {
    "matrix": {2, 8, 12, 13, 14},
    "transfer": {2, 8, 9, 10, 11, 12, 15, 16, 17, 18},
    "primaries": {2, 8, 10, 11},
}
PROP_OF = {
    "matrix": props.MATRIX,
    "transfer": props.TRANSFER,
    "primaries": props.PRIMARIES,
    "range": props.RANGE,
    "chroma_location": props.CHROMA_LOCATION,
}
# Weights of R' and B' in luma, by H.273's code of the matrix.
LUMA_WEIGHTS = {
    1: (0.2126, 0.0722),
    4: (0.30, 0.11),
    5: (0.299, 0.114),
    6: (0.299, 0.114),
    7: (0.212, 0.087),
    9: (0.2627, 0.0593),
}
KNOWN_PRIMARIES: dict[int, PrimariesName] = {
    1: "bt709",
    5: "bt470bg",
    6: "smpte170m",
    7: "smpte170m",
    9: "bt2020",
    12: "p3d65",
}
_MATRIX_PRIMARIES = {5: 5, 6: 6, 7: 7, 9: 9, 10: 9}


@dataclass(frozen=True, slots=True, kw_only=True)
class ColorOverrides:
    """What the user says about the input, over frame props; names as in `NAMES`, or H.273 codes."""

    matrix: str | int | None = None
    transfer: str | int | None = None
    primaries: str | int | None = None
    range: str | int | None = None
    chroma_location: str | int | None = None

    def codes(self, function: str) -> dict[str, int]:
        """Return what is given as integer codes.

        Raises:
            vs.Error: a name or code is unknown.
        """
        codes = {}
        for kind, table in NAMES.items():
            value = getattr(self, kind)
            if value is None:
                continue
            if isinstance(value, str):
                if value not in table:
                    known = ", ".join(table)
                    raise vs.Error(f"{function}: {kind} must be one of {known}, got {value!r}")
                value = table[value]
            elif value not in {*table.values(), *_MORE_CODES.get(kind, ())}:
                known = ", ".join(table)
                raise vs.Error(
                    f"{function}: {kind} must be one of {known}, or its code in H.273; {value} is "
                    "none that zimg knows"
                )
            codes[kind] = int(value)
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

    known = {kind: _known(seen, kind) for kind in NAMES}
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


def _assume(clip: vs.VideoNode, known: Mapping[str, int | None]) -> dict[str, int]:
    rgb = clip.format.color_family == vs.RGB
    small = clip.width <= 1024 and clip.height <= 576
    matrix = 0 if rgb else (1 if not small else (5 if clip.height == 576 else 6))
    matrix = matrix if known["matrix"] is None else known["matrix"]
    rule = {
        "matrix": matrix,
        "primaries": _MATRIX_PRIMARIES.get(matrix, 1),
        "transfer": 13 if rgb else (6 if matrix in (5, 6) else 1),
        "range": 1 if rgb else 0,
    }
    if clip.format.subsampling_w or clip.format.subsampling_h:
        rule["chroma_location"] = 0
    return {kind: code for kind, code in rule.items() if known[kind] is None}


def _known(frame_props: Mapping[str, object], kind: str) -> int | None:
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


def _name(kind: str, code: int) -> str:
    return next((name for name, value in NAMES[kind].items() if value == code), str(code))

"""Names of frame props: the only file that spells them.

Props that begin with an underscore are VapourSynth's own. The mastering display and light
level props are those that BestSource, L-SMASH and libplacebo's plugin read and write. The
gain map's follow ISO 21496-1 (and the hdrgm names of Ultra HDR) in stops.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from vs_gainmap.color.primaries import Primaries
from vs_gainmap.hdr10 import ContentLight, MasteringDisplay
from vs_gainmap.hdr10plus import FrameLight

MATRIX = "_Matrix"
TRANSFER = "_Transfer"
PRIMARIES = "_Primaries"
RANGE = "_Range"
# Deprecated inverse of _Range: 0 = full, 1 = limited. Older source filters still set it alone.
COLOR_RANGE = "_ColorRange"
CHROMA_LOCATION = "_ChromaLocation"
FIELD_BASED = "_FieldBased"
SCENE_CHANGE_PREV = "_SceneChangePrev"
# Closed captions of a frame, cc_data of ATSC A/53 part 4.
CAPTIONS = "ClosedCaptions"

GAIN_MAP_MIN = "GainMapMin"
GAIN_MAP_MAX = "GainMapMax"
# Between filters of `apply` only, never on its result: coefficients.
GAIN_MAP_CURVE = "GainMapCurve"
GAIN_MAP_GAMMA = "GainMapGamma"
GAIN_MAP_BASE_OFFSET = "GainMapBaseOffset"
GAIN_MAP_ALTERNATE_OFFSET = "GainMapAlternateOffset"
GAIN_MAP_BASE_HEADROOM = "GainMapBaseHeadroom"
GAIN_MAP_ALTERNATE_HEADROOM = "GainMapAlternateHeadroom"
# Not in the standard, which leaves absolute light to the display: nits of SDR white, and
# the curve that the SDR picture is to be decoded with.
GAIN_MAP_SDR_WHITE = "GainMapSDRWhite"
GAIN_MAP_EOTF = "GainMapEOTF"

MASTERING_X = "MasteringDisplayPrimariesX"
MASTERING_Y = "MasteringDisplayPrimariesY"
MASTERING_WHITE_X = "MasteringDisplayWhitePointX"
MASTERING_WHITE_Y = "MasteringDisplayWhitePointY"
MASTERING_MIN = "MasteringDisplayMinLuminance"
MASTERING_MAX = "MasteringDisplayMaxLuminance"
MAX_CLL = "ContentLightLevelMax"
MAX_FALL = "ContentLightLevelAverage"

# Per frame, cd/m2: the maximum and the mean of max(R, G, B) after CTA-861.3.
FRAME_MAX_NITS = "FrameMaxNits"
FRAME_AVERAGE_NITS = "FrameAverageNits"
# Left, top, right, bottom edge of the picture without black bars, in pixels.
FRAME_ACTIVE_AREA = "FrameActiveArea"
# For HDR10+: the maxima of R, G and B, cd/m2, and little-endian 32-bit counts of pixels for
# each 10-bit code of max(R, G, B) in full-range PQ.
FRAME_MAX_RGB_NITS = "FrameMaxRGBNits"
FRAME_LIGHT_HISTOGRAM = "FrameLightHistogram"

# BestSource's, of a file that has it: the message of ST 2094-40 as it is coded.
HDR10_PLUS = "HDR10Plus"
DOLBY_VISION = "DolbyVisionRPU"
# What only HDR has; below Dolby Vision there may be SDR.
HDR_METADATA = (MASTERING_MAX, MAX_CLL, HDR10_PLUS)

PropValue = int | float | str | list[int] | list[float]


def mastering_props(display: MasteringDisplay) -> dict[str, PropValue]:
    """Return a mastering display as frame props; primaries in the order R, G, B."""
    p = display.primaries
    return {
        MASTERING_X: [p.red[0], p.green[0], p.blue[0]],
        MASTERING_Y: [p.red[1], p.green[1], p.blue[1]],
        MASTERING_WHITE_X: p.white[0],
        MASTERING_WHITE_Y: p.white[1],
        MASTERING_MIN: display.min_nits,
        MASTERING_MAX: display.max_nits,
    }


def light_props(light: ContentLight) -> dict[str, PropValue]:
    """Return MaxCLL and MaxFALL as frame props."""
    return {MAX_CLL: light.max_cll, MAX_FALL: light.max_fall}


def read_mastering(props: Mapping[str, object]) -> MasteringDisplay | None:
    """Return the mastering display of frame props, or None.

    Raises:
        MetadataError: the luminances make no sense.
    """
    if MASTERING_X not in props or MASTERING_MAX not in props:
        return None
    xs, ys = _floats(props[MASTERING_X]), _floats(props[MASTERING_Y])
    red, green, blue = zip(xs, ys, strict=True)
    white = (_floats(props[MASTERING_WHITE_X])[0], _floats(props[MASTERING_WHITE_Y])[0])
    return MasteringDisplay(
        primaries=Primaries(red=red, green=green, blue=blue, white=white),
        min_nits=_floats(props[MASTERING_MIN])[0],
        max_nits=_floats(props[MASTERING_MAX])[0],
    )


def read_light(props: Mapping[str, object]) -> ContentLight | None:
    """Return MaxCLL and MaxFALL of frame props, or None."""
    if MAX_CLL not in props:
        return None
    cll, fall = _floats(props[MAX_CLL])[0], _floats(props.get(MAX_FALL, 0))[0]
    return ContentLight(max_cll=round(cll), max_fall=round(fall))


def _floats(value: object) -> list[float]:
    values = value if isinstance(value, list | tuple) else [value]
    return [float(str(v)) for v in values]


def read_eotf(props: Mapping[str, object]) -> str:
    """Return the name of the curve that the weights were trained with; the paper's by default."""
    name = props.get(GAIN_MAP_EOTF, "gamma22")
    return name.decode() if isinstance(name, bytes) else str(name)


def read_active_area(props: Mapping[str, object]) -> tuple[int, int, int, int] | None:
    """Return the active area that `measure` found, or None."""
    if FRAME_ACTIVE_AREA not in props:
        return None
    left, top, right, bottom = (round(v) for v in _floats(props[FRAME_ACTIVE_AREA]))
    return left, top, right, bottom


def read_frame_light(props: Mapping[str, object]) -> FrameLight | None:
    """Return what `measure(hdr10plus=True)` found, or None."""
    histogram = props.get(FRAME_LIGHT_HISTOGRAM)
    if not isinstance(histogram, bytes) or FRAME_MAX_RGB_NITS not in props:
        return None
    red, green, blue = _floats(props[FRAME_MAX_RGB_NITS])
    return FrameLight(
        max_rgb=(red, green, blue),
        average=_floats(props[FRAME_AVERAGE_NITS])[0],
        histogram=np.frombuffer(histogram, "<u4"),
    )

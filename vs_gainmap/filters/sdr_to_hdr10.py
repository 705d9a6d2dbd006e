"""`sdr_to_hdr10`: the whole way in one call."""

from __future__ import annotations

import vapoursynth as vs

from vs_gainmap.filters.apply import Constants, apply_tagged
from vs_gainmap.filters.color_props import tag_sdr_clip
from vs_gainmap.filters.options import Conversion, with_options
from vs_gainmap.filters.predict import predict_tagged


@with_options(Conversion)
def sdr_to_hdr10(clip: vs.VideoNode, conversion: Conversion) -> vs.VideoNode:
    """Turn an SDR clip into HDR10: `predict` and `apply` in one.

    Args:
        clip: SDR; constant-format YUV, RGB or GRAY, 8 to 16 bit integer or float, any
            subsampling and range, progressive, 16x16 to 8192x8192.

    Returns:
        PQ / BT.2020 YUV420P10, limited range, with color and HDR10 props, unless asked
        otherwise.

    Raises:
        vs.Error: the clip or an option is not usable; the message says what to do.
    """
    tagged = tag_sdr_clip(clip, conversion, "sdr_to_hdr10")
    gain_map, preset = predict_tagged(tagged, conversion)
    return apply_tagged(tagged, gain_map, conversion, Constants.of(preset))

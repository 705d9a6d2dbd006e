"""The gain map's way up to the picture's size, guided by the picture's own luma.

A gain map is, nearly, a local curve over luma. So around each sample of the small map a line
is fitted to map over luma, and the large picture's luma goes through that line: the guided
filter (He, Sun, Tang, "Guided Image Filtering", TPAMI 2013) with its coefficients found at
the small size and brought up bilinearly (He, Sun, "Fast Guided Filter", 2015). Edges stay
where the picture has them.
"""

from __future__ import annotations

from typing import Literal

import vapoursynth as vs

Upsampling = Literal["bilinear", "guided"]
UPSAMPLINGS = ("bilinear", "guided")

# Samples of the small map on either side of a window. Of 1, 2 and 4, 2 lost least at 1/2 to 1/8.
RADIUS = 2
# Variance of luma, 0..1, below which a window counts as flat and the map is only averaged: a
# hundredth of the range, well above the rounding and noise of 8 bits. From 1e-2 to 1e-4, less
# was better.
FLAT = 1e-4


def guided_upsample(gain_map: vs.VideoNode, tagged: vs.VideoNode) -> vs.VideoNode:
    """Bring a gain map up to a picture's size.

    Args:
        gain_map: GRAYS, any size.
        tagged: the SDR clip that it belongs to, with all its color props.

    Returns:
        GRAYS at the picture's size, with the map's props; the map itself where the sizes agree.
    """
    if (gain_map.width, gain_map.height) == (tagged.width, tagged.height):
        return gain_map
    large = _luma(tagged)
    small = large.resize.Bicubic(
        gain_map.width, gain_map.height, filter_param_a=0.0, filter_param_b=0.5
    )
    mean_y, mean_g = _mean(small), _mean(gain_map)
    mean_yy = _mean(vs.core.akarin.Expr(small, "x x *"))
    mean_yg = _mean(vs.core.akarin.Expr([small, gain_map], "x y *"))
    slope = vs.core.akarin.Expr(
        [mean_y, mean_g, mean_yy, mean_yg], f"a x y * - z x x * - 0 max {FLAT!r} + /"
    )
    offset = vs.core.akarin.Expr([mean_y, mean_g, slope], "y z x * -")
    coefficients = [
        _mean(clip).resize.Bilinear(tagged.width, tagged.height) for clip in (slope, offset)
    ]
    fitted = vs.core.akarin.Expr([large, *coefficients], "x y * z +")
    return fitted.std.CopyFrameProps(gain_map)


def _luma(tagged: vs.VideoNode) -> vs.VideoNode:
    """Return GRAYS, full range, gamma-coded, about 0..1."""
    if tagged.format.color_family == vs.RGB:
        return tagged.resize.Bicubic(format=vs.GRAYS, matrix=int(vs.MATRIX_BT709))
    first = tagged.std.ShufflePlanes(0, vs.GRAY)
    return first.resize.Bicubic(format=vs.GRAYS, range=int(vs.RANGE_FULL))


def _mean(clip: vs.VideoNode) -> vs.VideoNode:
    return clip.std.BoxBlur(hradius=RADIUS, vradius=RADIUS)

"""Previews: false color of the gain map and of nits, for previewers."""

from __future__ import annotations

import numpy as np
import vapoursynth as vs

from vs_gainmap.color.h273 import HDR_TRANSFERS
from vs_gainmap.filters import props
from vs_gainmap.filters.false_color import NitsScale, Rgb, StopsScale


def gainmap_overlay(
    clip: vs.VideoNode, gain_map: vs.VideoNode, *, opacity: float = 1.0
) -> vs.VideoNode:
    """Paint a gain map in false color, over its SDR clip.

    Args:
        clip: the SDR clip, with its color props.
        gain_map: from `predict`, with its props, of any size.
        opacity: 1 shows the map alone, 0.5 both.

    Returns:
        RGB24 at the clip's size: blue darkens, gray leaves alone, orange to white brightens
        up to the weights' log2(peak).

    Raises:
        vs.Error: `gain_map` has no GainMapMax, or opacity is not 0 to 1.
    """
    if not 0 <= opacity <= 1:
        raise vs.Error(f"gainmap_overlay: opacity must be 0 to 1, got {opacity}")
    with gain_map.get_frame(0) as frame:
        found = dict(frame.props)
    if props.GAIN_MAP_MAX not in found:
        raise vs.Error("gainmap_overlay: gain_map has no GainMapMax; use predict()")
    low = min(float(found.get(props.GAIN_MAP_MIN, 0.0)), 0.0)
    high = float(found.get(props.GAIN_MAP_ALTERNATE_HEADROOM) or found[props.GAIN_MAP_MAX])
    scale = StopsScale(low, max(high, 0.1))
    stops = f"x x.{props.GAIN_MAP_MAX} {low!r} - * {low!r} +"
    index = vs.core.akarin.Expr(
        gain_map.resize.Bilinear(clip.width, clip.height, format=vs.GRAYS),
        f"{stops} {low!r} - {255 / (scale.high - scale.low)!r} * 0 max 255 min",
        vs.GRAY8,
    )
    painted = _paint(index, scale.table)
    if opacity == 1:
        return painted
    under = clip.resize.Bicubic(format=vs.RGB24)
    return vs.core.std.Merge(under, painted, weight=opacity)


def nits_overlay(clip: vs.VideoNode) -> vs.VideoNode:
    """Paint the light of a PQ or HLG clip in false color.

    Args:
        clip: with its color props, YUV or RGB.

    Returns:
        RGB24: max(R, G, B) of every pixel on a PQ scale, 0 to 4000 cd/m2.

    Raises:
        vs.Error: the clip is neither PQ nor HLG.
    """
    with clip.get_frame(0) as frame:
        transfer = frame.props.get(props.TRANSFER)
    if transfer not in HDR_TRANSFERS:
        raise vs.Error(f"nits_overlay: clip must be PQ or HLG by its _Transfer, got {transfer}")
    pq = clip.resize.Bicubic(format=vs.RGBS, transfer=int(vs.TRANSFER_ST2084))
    scale = NitsScale()
    index = vs.core.akarin.Expr(
        pq.std.SplitPlanes(),
        f"x y max z max {255 / scale.top!r} * 0 max 255 min",
        vs.GRAY8,
    )
    return _paint(index, scale.table)


def _paint(index: vs.VideoNode, table: Rgb) -> vs.VideoNode:
    planes = [index.std.Lut(lut=np.asarray(table[:, c]).tolist()) for c in range(3)]
    rgb = vs.core.std.ShufflePlanes(planes, [0, 0, 0], vs.RGB)
    return rgb.std.RemoveFrameProps([props.TRANSFER, props.MATRIX]).std.SetFrameProps(
        **{props.MATRIX: 0, props.TRANSFER: 13, props.PRIMARIES: 1, props.RANGE: 1}
    )

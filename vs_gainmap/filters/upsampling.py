"""The gain map's way up to the picture's size, guided by the picture's own luma.

A gain map is, nearly, a curve over luma. So for every frame a curve is fitted to the small map
over the small picture's luma; what the curve does not explain goes up bilinearly, and the
curve is added again, of the large picture's luma. Edges stay where the picture has them, and
at the map's own samples nothing changes. (Lines fitted around each sample, as in the guided
filter of He, Sun and Tang, TPAMI 2013, lost more.)
"""

from __future__ import annotations

import numpy as np
import vapoursynth as vs

from vs_gainmap.curve import DEGREE, SAMPLES_ACROSS, fit_curve
from vs_gainmap.filters import props
from vs_gainmap.filters.network_input import BICUBIC


def guided_upsample(gain_map: vs.VideoNode, tagged: vs.VideoNode) -> vs.VideoNode:
    """Bring a gain map up to a picture's size.

    Args:
        gain_map: GRAYS, any size.
        tagged: the SDR clip that it belongs to, with all its color props.

    Returns:
        GRAYS at the picture's size, with the map's props.
    """
    return vs.core.akarin.Expr(*guide(gain_map, tagged))


def guide(gain_map: vs.VideoNode, tagged: vs.VideoNode) -> tuple[list[vs.VideoNode], str]:
    """Return what `guided_upsample` is computed of, for an expression that goes on with it.

    Args:
        gain_map: GRAYS, any size.
        tagged: the SDR clip that it belongs to, with all its color props.

    Returns:
        Two clips of one plane at the picture's size, the first of GRAYS with the map's props,
        and the expression of the map's value.
    """
    luma = _luma(tagged, gain_map.width, gain_map.height)
    step = max(-(-gain_map.width // SAMPLES_ACROSS), 1)
    few = (max(gain_map.width // step, 1), max(gain_map.height // step, 1))

    def fit(n: int, f: list[vs.VideoFrame]) -> vs.VideoFrame:  # noqa: ARG001
        out = f[0].copy()
        for k, value in enumerate(fit_curve(np.asarray(f[1][0]), np.asarray(f[2][0]))):
            out.props[f"{props.GAIN_MAP_CURVE}{k}"] = float(value)
        return out

    samples = [luma.resize.Point(*few), gain_map.resize.Point(*few)]
    fitted = gain_map.std.ModifyFrame([gain_map, *samples], fit)
    rest = vs.core.akarin.Expr([fitted, luma], f"y luma! x {_curve_expr('x')} -")
    size = (tagged.width, tagged.height)
    plane, value = _large_luma(tagged)
    return [rest.resize.Bilinear(*size), plane], f"{value} luma! x {_curve_expr('x')} +"


def _curve_expr(clip: str) -> str:
    """Return the expression of the curve at `luma@`, its coefficients in the props of a clip."""
    terms = f"luma@ 0 1 clamp 2 * 1 - l! {clip}.{props.GAIN_MAP_CURVE}{DEGREE}"
    for k in reversed(range(DEGREE)):
        terms += f" l@ * {clip}.{props.GAIN_MAP_CURVE}{k} +"
    return terms


def _luma(tagged: vs.VideoNode, width: int, height: int) -> vs.VideoNode:
    """Return GRAYS, full range, gamma-coded, about 0..1; smaller as the network gets it."""
    if tagged.format.color_family == vs.RGB:
        gray: dict[str, int] = {"matrix": int(vs.MATRIX_BT709)}
    else:
        tagged, gray = tagged.std.ShufflePlanes(0, vs.GRAY), {"range": int(vs.RANGE_FULL)}
    # Both must be averages of the same pixels, or edges get halos.
    return tagged.resize.Bicubic(width, height, format=vs.GRAYS, **BICUBIC, **gray)


def _large_luma(tagged: vs.VideoNode) -> tuple[vs.VideoNode, str]:
    """Return a plane y and the expression of its luma, as `_luma` has it."""
    if tagged.format.color_family == vs.RGB:
        return _luma(tagged, tagged.width, tagged.height), "y"
    plane, bits = tagged.std.ShufflePlanes(0, vs.GRAY), tagged.format.bits_per_sample
    if tagged.format.sample_type == vs.FLOAT:
        return plane, "y"
    with tagged.get_frame(0) as frame:
        limited = int(frame.props[props.RANGE]) == int(vs.RANGE_LIMITED)
    black, white = (16 << bits - 8, 235 << bits - 8) if limited else (0, (1 << bits) - 1)
    return plane, f"y {black} - {1 / (white - black)!r} *"

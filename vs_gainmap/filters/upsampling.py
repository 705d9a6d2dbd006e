"""The gain map's way up to the picture's size, guided by the picture's own luma.

A gain map is, nearly, a curve over luma. So for every frame a curve is fitted to the small map
over the small picture's luma; what the curve does not explain goes up bilinearly, and the
curve is added again, of the large picture's luma. Edges stay where the picture has them, and
at the map's own samples nothing changes. (Lines fitted around each sample, as in the guided
filter of He, Sun and Tang, TPAMI 2013, lost more: docs/performance.md.)
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
import vapoursynth as vs
from numpy.typing import NDArray

from vs_gainmap.curve import DEGREE, SAMPLES_ACROSS, fit_curve
from vs_gainmap.filters import props

Upsampling = Literal["bilinear", "guided"]
UPSAMPLINGS = ("bilinear", "guided")

# Catmull-Rom, the bicubic of the published thumbnails, in which the network sees pictures.
BICUBIC = {"filter_param_a": 0.0, "filter_param_b": 0.5}


class Guided(NamedTuple):
    """A map as a curve over luma and a rest, or, without a curve, the map itself."""

    whole: vs.VideoNode
    """GRAYS, the map, with the curve in its props."""
    rest: vs.VideoNode
    """GRAYS at the map's own size with the map's props: what the curve does not explain."""
    curve: str | None = None
    """Expression of what is to be added for luma `luma@` (0 = black, 1 = white), reading the
    props of clip y."""
    codes: vs.VideoNode | None = None
    """GRAY16, the small picture's luma, of clips in integer YUV."""

    @classmethod
    def plain(cls, gain_map: vs.VideoNode) -> Guided:
        """Return a map without a curve."""
        return cls(gain_map, gain_map)


def guide(
    gain_map: vs.VideoNode, tagged: vs.VideoNode, small: vs.VideoNode | None = None
) -> Guided:
    """Take a map apart into a curve over luma and a rest.

    Args:
        gain_map: GRAYS, any size.
        tagged: the SDR clip that it belongs to, with all its color props.
        small: YUV444P16 or GRAY16, the clip at the map's size, where someone has it.
    """
    if (gain_map.width, gain_map.height) == (tagged.width, tagged.height):
        return Guided.plain(gain_map)
    if small is not None:
        luma = small_luma(small, gain_map.width, gain_map.height)
        codes = small.std.ShufflePlanes(0, vs.GRAY)
    else:
        codes = _small_codes(tagged, gain_map.width, gain_map.height)
        luma = small_luma(tagged if codes is None else codes, gain_map.width, gain_map.height)
    step = max(-(-gain_map.width // SAMPLES_ACROSS), 1)
    few = (max(gain_map.width // step, 1), max(gain_map.height // step, 1))

    def fit(n: int, f: list[vs.VideoFrame]) -> vs.VideoFrame:  # noqa: ARG001
        out = f[0].copy()
        put_curve(out, np.asarray(f[1][0]), np.asarray(f[2][0]))
        return out

    # Chosen before they become floats: where a compiled pass takes the codes, no others do.
    chosen = small_luma((luma if codes is None else codes).resize.Point(*few), *few)
    seen = [chosen, gain_map.resize.Point(*few)]
    fitted = gain_map.std.ModifyFrame([gain_map, *seen], fit)
    rest = vs.core.akarin.Expr([fitted, luma], f"y luma! x {curve_expr('x')} -")
    return Guided(fitted, rest, curve_expr("y"), codes)


def guided_upsample(gain_map: vs.VideoNode, tagged: vs.VideoNode) -> vs.VideoNode:
    """Bring a gain map up to a picture's size.

    Args:
        gain_map: GRAYS, any size.
        tagged: the SDR clip that it belongs to, with all its color props.

    Returns:
        GRAYS at the picture's size, with the map's props; the map itself where the sizes agree.
    """
    parts = guide(gain_map, tagged)
    if parts.curve is None:
        return gain_map
    size = (tagged.width, tagged.height)
    large = [small_luma(tagged, *size), parts.rest.resize.Bilinear(*size)]
    value = vs.core.akarin.Expr(large, f"x luma! y {parts.curve} +")
    return value.std.CopyFrameProps(gain_map)


def put_curve(frame: vs.VideoFrame, luma: NDArray[np.float32], values: NDArray[np.float32]) -> None:
    """Fit a curve over luma to a map, and write its coefficients into a frame's props."""
    for k, value in enumerate(fit_curve(luma, values)):
        frame.props[f"{props.GAIN_MAP_CURVE}{k}"] = float(value)


def curve_expr(clip: str) -> str:
    """Return the expression of the curve at `luma@`, its coefficients in the props of a clip."""
    terms = f"luma@ 0 1 clamp 2 * 1 - l! {clip}.{props.GAIN_MAP_CURVE}{DEGREE}"
    for k in reversed(range(DEGREE)):
        terms += f" l@ * {clip}.{props.GAIN_MAP_CURVE}{k} +"
    return terms


def small_luma(tagged: vs.VideoNode, width: int, height: int) -> vs.VideoNode:
    """Return GRAYS, full range, gamma-coded, about 0..1; smaller as the network sees it."""
    if tagged.format.color_family == vs.RGB:
        gray: dict[str, int] = {"matrix": int(vs.MATRIX_BT709)}
    else:
        tagged, gray = tagged.std.ShufflePlanes(0, vs.GRAY), {"range": int(vs.RANGE_FULL)}
    # Both must be averages of the same pixels, or edges get halos.
    return tagged.resize.Bicubic(width, height, format=vs.GRAYS, **BICUBIC, **gray)


def _small_codes(tagged: vs.VideoNode, width: int, height: int) -> vs.VideoNode | None:
    """Return the luma of integer YUV in 16 bits, at which zimg is quickest; None of the rest."""
    form = tagged.format
    if form.color_family == vs.RGB or form.sample_type != vs.INTEGER:
        return None
    luma = tagged.std.ShufflePlanes(0, vs.GRAY)
    return luma.resize.Bicubic(width, height, format=vs.GRAY16, **BICUBIC)

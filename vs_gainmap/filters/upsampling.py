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

from vs_gainmap import props

Picture = NDArray[np.floating]
Upsampling = Literal["bilinear", "guided"]
UPSAMPLINGS = ("bilinear", "guided")

# The curve is a polynomial: a few multiplications a pixel, where 16 pieces took more time than
# all the rest.
DEGREE = 8
_BINS = 64
# Samples of the small map that the fit sees, about: enough for a mean in every bin.
_SAMPLES_ACROSS = 160
# Catmull-Rom, the bicubic of the published thumbnails, in which the network sees pictures.
BICUBIC = {"filter_param_a": 0.0, "filter_param_b": 0.5}
# What a bend of the curve costs beside the error, and what a slope does: next to nothing, but
# where nothing else counts the curve goes on straight, and over a single luma it is flat.
_BEND, _SLOPE = 1e-3, 1e-5


def _powers(luma: Picture) -> Picture:
    """Return (N, DEGREE + 1) powers of luma, counted from -1 (black) to 1 (white)."""
    return np.vander(2 * luma - 1, DEGREE + 1, increasing=True)


def _stiffness() -> Picture:
    """Return the matrix of what bends and slopes cost."""
    curve = _powers(np.linspace(0, 1, 17))
    bends, slopes = np.diff(curve, 2, axis=0), np.diff(curve, 1, axis=0)
    return np.asarray(_BEND * bends.T @ bends + _SLOPE * slopes.T @ slopes)


class Guided(NamedTuple):
    """A map as a curve over luma and a rest.

    `rest` is GRAYS at the map's own size with the map's props; with a `curve`, the expression
    of what is to be added for luma `luma@` (0 = black, 1 = white), reading the props of clip y,
    without one it is the map itself.
    """

    rest: vs.VideoNode
    curve: str | None


def guide(gain_map: vs.VideoNode, tagged: vs.VideoNode) -> Guided:
    """Take a map apart into a curve over luma and a rest.

    Args:
        gain_map: GRAYS, any size.
        tagged: the SDR clip that it belongs to, with all its color props.
    """
    if (gain_map.width, gain_map.height) == (tagged.width, tagged.height):
        return Guided(gain_map, None)
    luma = _luma(tagged, gain_map.width, gain_map.height)
    step = max(-(-gain_map.width // _SAMPLES_ACROSS), 1)
    few = (max(gain_map.width // step, 1), max(gain_map.height // step, 1))

    def fit(n: int, f: list[vs.VideoFrame]) -> vs.VideoFrame:  # noqa: ARG001
        out = f[0].copy()
        curve = fit_curve(np.asarray(f[1][0]), np.asarray(f[2][0]))
        for k, value in enumerate(curve):
            out.props[f"{props.GAIN_MAP_CURVE}{k}"] = float(value)
        return out

    seen = [clip.resize.Point(*few) for clip in (luma, gain_map)]
    fitted = gain_map.std.ModifyFrame([gain_map, *seen], fit)
    rest = vs.core.akarin.Expr([fitted, luma], f"y luma! x {_curve_expr('x')} -")
    return Guided(rest, _curve_expr("y"))


def guided_upsample(gain_map: vs.VideoNode, tagged: vs.VideoNode) -> vs.VideoNode:
    """Bring a gain map up to a picture's size.

    Args:
        gain_map: GRAYS, any size.
        tagged: the SDR clip that it belongs to, with all its color props.

    Returns:
        GRAYS at the picture's size, with the map's props; the map itself where the sizes agree.
    """
    rest, curve = guide(gain_map, tagged)
    if curve is None:
        return gain_map
    size = (tagged.width, tagged.height)
    large = [_luma(tagged, *size), rest.resize.Bilinear(*size)]
    value = vs.core.akarin.Expr(large, f"x luma! y {curve} +")
    return value.std.CopyFrameProps(gain_map)


def fit_curve(luma: Picture, values: Picture) -> Picture:
    """Fit a polynomial by least squares, straight where there are no values.

    Thin bright strokes are gray in a small picture, so it is asked for more than it has seen.

    Args:
        luma: any shape; what is outside 0..1 counts as the end.
        values: of the same shape.

    Returns:
        (DEGREE + 1,): coefficients of the powers of 2 luma - 1, from the constant up.
    """
    places = np.clip(np.nan_to_num(luma.reshape(-1)), 0, 1).astype(np.float64)
    bins = (places * (_BINS - 1) + 0.5).astype(np.int64)
    count = np.bincount(bins, minlength=_BINS)
    seen = count > 0
    weight = count[seen]
    means = [
        np.bincount(bins, part, _BINS)[seen] / weight
        for part in (places, values.reshape(-1).astype(np.float64))
    ]
    powers = _powers(means[0])
    weighed = powers * (weight / places.size)[:, None]
    return np.linalg.solve(powers.T @ weighed + _stiffness(), weighed.T @ means[1])


def _curve_expr(clip: str) -> str:
    """Return the expression of the curve at `luma@`, its coefficients in the props of a clip."""
    terms = f"luma@ 0 1 clamp 2 * 1 - l! {clip}.{props.GAIN_MAP_CURVE}{DEGREE}"
    for k in reversed(range(DEGREE)):
        terms += f" l@ * {clip}.{props.GAIN_MAP_CURVE}{k} +"
    return terms


def _luma(tagged: vs.VideoNode, width: int, height: int) -> vs.VideoNode:
    """Return GRAYS, full range, gamma-coded, about 0..1; smaller as the network sees it."""
    if tagged.format.color_family == vs.RGB:
        gray: dict[str, int] = {"matrix": int(vs.MATRIX_BT709)}
    else:
        tagged, gray = tagged.std.ShufflePlanes(0, vs.GRAY), {"range": int(vs.RANGE_FULL)}
    # Both must be averages of the same pixels, or edges get halos.
    return tagged.resize.Bicubic(width, height, format=vs.GRAYS, **BICUBIC, **gray)

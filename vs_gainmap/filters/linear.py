"""SDR clip to linear light: the curves that `apply` knows, as VapourSynth filters."""

from __future__ import annotations

import vapoursynth as vs

from vs_gainmap.color.transfer import BRIGHTEST_SIGNAL
from vs_gainmap.filters import props

# zimg has these curves as display-referred: a power of 2.2, BT.1886 with black at zero, sRGB.
EOTF_TRANSFERS: dict[str, int] = {
    "gamma22": int(vs.TRANSFER_BT470_M),
    "bt1886": int(vs.TRANSFER_BT709),
    "srgb": int(vs.TRANSFER_IEC_61966_2_1),
}
# sRGB above its linear foot, as a polynomial of the square root of the signal, from the constant
# term up. Least squares on the relative error, reweighted until it was even: 1e-5 from 0.04 to
# 1.5. zimg has a table for this curve, which takes three times as long, and has steps of 3e-5.
_SRGB = (
    0.0008610195,
    -0.000178752,
    0.03368275,
    0.04073047,
    0.2280749,
    0.732796,
    -0.03596369,
)


def linear_light(tagged: vs.VideoNode, eotf: str) -> tuple[vs.VideoNode, str]:
    """Decode an SDR clip to the light of its display, as far as zimg is quick at it.

    Args:
        tagged: SDR with all its color props.
        eotf: a name of `EOTF_TRANSFERS`, whatever the props are.

    Returns:
        RGBS in the clip's own primaries, tagged as linear, and the expression for akarin's
        Expr that makes x, a sample of it, linear light: 1.0 = SDR white, more where the clip
        overshoots. It is left to the caller so that one pass over memory can do more.
    """
    with tagged.get_frame(0) as frame:
        constant_luminance = int(frame.props[props.MATRIX]) == int(vs.MATRIX_BT2020_CL)
    if constant_luminance:
        # Bound to the camera's curve: R'G'B' comes first.
        tagged = tagged.resize.Bicubic(format=vs.RGBS)
    # Props beat arguments in zimg, so the curve goes in as a prop.
    signal = tagged.std.SetFrameProp(props.TRANSFER, intval=EOTF_TRANSFERS[eotf])
    if eotf != "srgb":
        return signal.resize.Bicubic(format=vs.RGBS, transfer=int(vs.TRANSFER_LINEAR)), "x"
    rgb = signal.resize.Bicubic(format=vs.RGBS)
    return rgb.std.SetFrameProp(props.TRANSFER, intval=int(vs.TRANSFER_LINEAR)), _SRGB_EXPR


def _srgb_expr() -> str:
    terms = [repr(c) for c in reversed(_SRGB)]
    polynomial = terms[0] + "".join(f" r@ * {c} +" for c in terms[1:])
    # IEC 61966-2-1: the foot ends at 0.04045.
    return f"x 0 {BRIGHTEST_SIGNAL} clamp x! x@ sqrt r! x@ 0.04045 > {polynomial} x@ 12.92 / ?"


_SRGB_EXPR = _srgb_expr()

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
# x ** 2.2 = r ** 6 * P(r) for r = x ** (1/4), P from the constant term up. Least squares on the
# relative error, reweighted until it was even: 6e-5 from x = 3e-5 to 1.5, which is 0.005 codes
# of PQ in 10 bit. zimg has a table for this curve, which takes three times as long (and so
# does Expr's own `pow`), and steps of 3e-5.
_POWER_22 = (
    0.0001010439,
    -0.003654144,
    0.07137305,
    1.173658,
    -0.4007254,
    0.2128781,
    -0.05357294,
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
    if eotf != "gamma22":
        return signal.resize.Bicubic(format=vs.RGBS, transfer=int(vs.TRANSFER_LINEAR)), "x"
    rgb = signal.resize.Bicubic(format=vs.RGBS)
    return rgb.std.SetFrameProp(props.TRANSFER, intval=int(vs.TRANSFER_LINEAR)), _POWER_22_EXPR


def _power_22_expr() -> str:
    terms = [repr(c) for c in reversed(_POWER_22)]
    polynomial = terms[0] + "".join(f" r@ * {c} +" for c in terms[1:])
    return f"x 0 {BRIGHTEST_SIGNAL} clamp x! x@ sqrt h! h@ sqrt r! {polynomial} x@ h@ * *"


_POWER_22_EXPR = _power_22_expr()

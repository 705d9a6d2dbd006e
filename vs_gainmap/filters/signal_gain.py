"""Gain on the coded signal, where the display's curve is a power.

Light times g is signal times g ** (1 / p) under an EOTF of power p, and Y'CbCr are sums of
R'G'B'. So the gain goes onto the planes as they are, chroma at its own size, and zimg takes them
to PQ in one pass. There is no RGB picture in floats in between, which took most of the time
and of the memory. Where a chroma sample stands for several pixels it gets the gain of their
mean luma.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import vapoursynth as vs

from vs_gainmap.filters import props
from vs_gainmap.filters.color_props import chroma_shift
from vs_gainmap.filters.upsampling import Guided

# p of each curve that is one. BT.1886 is, with black at zero, as zimg has it.
POWERS = {"gamma22": 2.2, "bt1886": 2.4}
# What is left of 16 bits when the signal is divided so that the brightest gain fits: at four
# times, an 8-bit step is still 64.
_MOST_STOPS = 2 * 2.2
_BLACK, _SPAN, _WIDER, _BLACK_16 = (
    f"{props.GAIN_MAP_SIGNAL}{name}" for name in ("Black", "Span", "Wider", "Black16")
)
# Y'CbCr of these is no sum of R'G'B': luminance is coded, or the colors in between are LMS.
_NOT_LINEAR = {
    int(m) for m in (vs.MATRIX_BT2020_CL, vs.MATRIX_CHROMATICITY_DERIVED_CL, vs.MATRIX_ICTCP)
}
_LN2 = math.log(2)


@dataclass(frozen=True, slots=True, kw_only=True)
class GainedSignal:
    """SDR times gain, still gamma-coded: 1.0 is `white_nits`."""

    clip: vs.VideoNode
    white_nits: float


def can_gain_signal(
    tagged: vs.VideoNode, eotf: str, target: vs.VideoFormat, most_stops: float
) -> bool:
    """Say whether this way is open, and exact enough.

    Args:
        tagged: the SDR clip.
        eotf: how SDR becomes light.
        target: the output's format: for 10 bits, 16 in between leave no trace.
        most_stops: the largest log gain.
    """
    source = tagged.format
    with tagged.get_frame(0) as frame:
        matrix = int(frame.props[props.MATRIX])
    return (
        eotf in POWERS
        and matrix not in _NOT_LINEAR
        and source.color_family == vs.YUV
        and source.sample_type == vs.INTEGER
        and target.sample_type == vs.INTEGER
        and target.bits_per_sample <= 10
        and most_stops <= _MOST_STOPS
    )


def gain_signal(
    tagged: vs.VideoNode,
    gain_map: Guided,
    log_gain: str,
    *,
    eotf: str,
    most_stops: float,
    sdr_white: float,
) -> GainedSignal:
    """Multiply a YUV clip's signal.

    Args:
        tagged: SDR in integer YUV, with all its color props.
        gain_map: the map, at any size.
        log_gain: expression of the log gain in stops of a map value `value@`, reading the
            props of clip y.
        eotf: a name of `POWERS`.
        most_stops: no log gain is above.
        sdr_white: cd/m2.

    Returns:
        YUV of 16 bits, of the same subsampling and range, for zimg to decode with `eotf`.
    """
    power = POWERS[eotf]
    bits = tagged.format.bits_per_sample
    target = vs.core.query_video_format(
        vs.YUV, vs.INTEGER, 16, tagged.format.subsampling_w, tagged.format.subsampling_h
    )
    ranged = _with_range(gain_map.rest, tagged)
    operands = [tagged, _spread(tagged, ranged)]
    value = "y value!"
    if gain_map.curve is not None:
        operands.append(_spread(tagged, tagged.std.ShufflePlanes(0, vs.GRAY)))
        value = f"z y.{_BLACK} - y.{_SPAN} / luma! y {gain_map.curve} + value!"
    stops = f"{log_gain} {most_stops!r} -"
    # 2 ** x by `exp`: `pow` takes a logarithm of 2 for every pixel.
    gain = f"{value} {stops} {_LN2 / power!r} * exp y.{_WIDER} * gain!"
    y = f"{gain} x y.{_BLACK} - gain@ * y.{_BLACK_16} +"
    uv = f"{gain} x {2.0 ** (bits - 1)!r} - gain@ * {2.0**15!r} +"
    clip = vs.core.akarin.Expr(operands, [y, uv, uv], format=target.id)
    return GainedSignal(clip=clip, white_nits=sdr_white * 2**most_stops)


def _with_range(rest: vs.VideoNode, tagged: vs.VideoNode) -> vs.VideoNode:
    """Put on each frame what black and white are in the clip's codes, and in 16 bits.

    Once a frame: asked for in the expression of a pixel, the range is looked at for each.
    """
    bits = tagged.format.bits_per_sample
    full, scale, top = f"y.{props.RANGE} 1 =", 2.0 ** (bits - 8), 2.0**bits - 1
    return vs.core.akarin.PropExpr(
        [rest, tagged],
        lambda: {
            _BLACK: f"{full} 0 {16 * scale!r} ?",
            _SPAN: f"{full} {top!r} {219 * scale!r} ?",
            _WIDER: f"{full} {65535 / top!r} {2.0 ** (16 - bits)!r} ?",
            _BLACK_16: f"{full} 0 4096 ?",
        },
    )


def _spread(tagged: vs.VideoNode, plane: vs.VideoNode) -> vs.VideoNode:
    """Resize one plane to the size of luma and to where chroma stands, as one YUV clip."""
    ssw, ssh = tagged.format.subsampling_w, tagged.format.subsampling_h
    large = plane
    if (plane.width, plane.height) != (tagged.width, tagged.height):
        large = plane.resize.Bilinear(tagged.width, tagged.height)
    small = large
    if ssw or ssh:
        width, height = tagged.width >> ssw, tagged.height >> ssh
        with tagged.get_frame(0) as frame:
            location = int(frame.props.get(props.CHROMA_LOCATION, 0))
        right, down = chroma_shift(tagged.format, location)
        small = plane.resize.Bilinear(
            width,
            height,
            src_left=right * plane.width / tagged.width,
            src_top=down * plane.height / tagged.height,
        )
    return vs.core.std.ShufflePlanes([large, small, small], [0, 0, 0], vs.YUV)

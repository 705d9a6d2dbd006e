"""`measure`: light levels of HDR frames."""

from __future__ import annotations

import math

import numpy as np
import torch
import vapoursynth as vs
from numpy.typing import NDArray

from vs_gainmap.color.h273 import HDR_TRANSFERS
from vs_gainmap.color.transfer import pq_eotf, pq_inverse_eotf
from vs_gainmap.filters import props
from vs_gainmap.hdr10plus import BINS

# In linear light 1.0 is this many cd/m2 here; any number does, it only keeps floats near one.
_UNIT_NITS = 100.0
# Of 16-bit signals.
_CODES = 65535
# What a bar is: no pixel of the row or column is brighter. Black after a codec and our gain
# stays far below; of a dark scene the bars' size does not depend on it, since the brightest
# pictures of a title decide.
BLACK_NITS = 0.5
_BLACK_SIGNAL = float(pq_inverse_eotf(torch.tensor(BLACK_NITS)))


def measure(
    clip: vs.VideoNode, *, percentile: float = 100.0, hdr10plus: bool = False
) -> vs.VideoNode:
    """Attach the light levels of every frame after CTA-861.3.

    They are those of the clip as it is delivered: chroma of half the size changes the brightest
    pixels.

    Args:
        clip: PQ or HLG (as a 1000 cd/m2 display shows it), YUV or RGB, with its color props.
        percentile: of max(R, G, B), that is to count as a frame's maximum; 100 is CTA-861.3,
            99.99 leaves out what a few pixels of ringing or noise do.
        hdr10plus: also attach what `encode` makes HDR10+ metadata of.

    Returns:
        The clip itself, with FrameMaxNits, the maximum over all pixels of max(R, G, B);
        FrameAverageNits, its mean over the whole frame, in cd/m2; and FrameActiveArea, the
        left, top, right and bottom edge, in pixels, of what is left without black bars.
        MaxCLL and MaxFALL of a title are made of these by `hdr10.LightMeter`. For HDR10+:
        FrameMaxRGBNits and FrameLightHistogram, pixels a 10-bit PQ code of max(R, G, B).

    Raises:
        vs.Error: the clip is neither PQ nor HLG, or the percentile is out of range.
    """
    if not 0 < percentile <= 100:
        raise vs.Error(f"measure: percentile must be above 0 and at most 100, got {percentile:g}")
    with clip.get_frame(0) as frame:
        transfer = frame.props.get(props.TRANSFER)
    if transfer not in HDR_TRANSFERS:
        raise vs.Error(
            f"measure: clip must be PQ or HLG by its _Transfer prop, got {transfer}; "
            "set it with std.SetFrameProps(_Transfer=16)"
        )
    pq = clip.resize.Bicubic(format=vs.RGB48, transfer=int(vs.TRANSFER_ST2084))
    return attach_light_levels(clip, pq, percentile=percentile, hdr10plus=hdr10plus)


def attach_light_levels(
    target: vs.VideoNode, pq: vs.VideoNode, *, percentile: float = 100.0, hdr10plus: bool = False
) -> vs.VideoNode:
    """Put the light levels of one clip on another clip's frames.

    Args:
        target: gets the props.
        pq: RGB48, PQ, BT.2020, the same length.
        percentile: see `measure`.
        hdr10plus: see `measure`.

    Returns:
        `target` with the props that `measure` describes.
    """
    # Integers end where a display does, at 10 000 cd/m2; chroma overshoots. max(R, G, B) of
    # signals is that of their light, since the curve rises: one plane is decoded, not three.
    brightest = vs.core.akarin.Expr(
        pq.std.SplitPlanes(), f"x y max z max {1 / _CODES!r} *", format=vs.GRAYS
    ).std.SetFrameProps(
        **{
            props.MATRIX: int(vs.MATRIX_BT2020_NCL),
            props.TRANSFER: int(vs.TRANSFER_ST2084),
            props.PRIMARIES: int(vs.PRIMARIES_BT2020),
            props.RANGE: int(vs.RANGE_FULL),
        }
    )
    linear = brightest.resize.Bicubic(
        transfer=int(vs.TRANSFER_LINEAR), nominal_luminance=_UNIT_NITS
    )
    sources = [brightest.std.PlaneStats(), linear.std.PlaneStats()]
    names = [props.FRAME_MAX_NITS, props.FRAME_AVERAGE_NITS, props.FRAME_ACTIVE_AREA]
    if hdr10plus:
        codes = f"x {BINS - 1} * 0.5 + floor"
        sources += [vs.core.akarin.Expr(brightest, codes, format=vs.GRAY16), pq]
        names += [props.FRAME_MAX_RGB_NITS, props.FRAME_LIGHT_HISTOGRAM]
    # A sample to put props on: a frame of light is large, and need not wait with them.
    blank = vs.core.std.BlankClip(
        format=vs.GRAY8, width=1, height=1, length=target.num_frames, keep=True
    )

    def note(n: int, f: list[vs.VideoFrame]) -> vs.VideoFrame:  # noqa: ARG001
        out, signal = f[0].copy(), np.asarray(f[1][0])
        top = float(str(f[1].props["PlaneStatsMax"]))
        if percentile < 100:
            place = math.ceil(signal.size * percentile / 100) - 1
            top = float(np.partition(signal, place, axis=None)[place])
        out.props[props.FRAME_MAX_NITS] = _nits(top)
        average = float(str(f[2].props["PlaneStatsAverage"]))
        out.props[props.FRAME_AVERAGE_NITS] = average * _UNIT_NITS
        out.props[props.FRAME_ACTIVE_AREA] = list(active_area(signal, _BLACK_SIGNAL))
        if hdr10plus:
            counts = np.bincount(np.asarray(f[3][0]).reshape(-1), minlength=BINS)
            out.props[props.FRAME_LIGHT_HISTOGRAM] = counts.astype("<u4").tobytes()
            tops = [int(np.asarray(f[4][plane]).max()) / _CODES for plane in range(3)]
            out.props[props.FRAME_MAX_RGB_NITS] = [_nits(value) for value in tops]
        return out

    noted = blank.std.ModifyFrame([blank, *sources], note)
    return target.std.CopyFrameProps(noted, props=names)


def active_area(light: NDArray[np.float32], black: float) -> tuple[int, int, int, int]:
    """Return the picture without black bars at its edges.

    Args:
        light: (H, W), signal or light.
        black: what no pixel of a bar is above.

    Returns:
        Left, top, right, bottom; all 0 when everything is black.
    """
    height, width = light.shape
    # Most pictures have no bars: four lines show it, and the rest need not be read.
    edges = (light[:, 0], light[0], light[:, -1], light[-1])
    if min(float(edge.max()) for edge in edges) > black:
        return 0, 0, width, height
    rows = np.flatnonzero(light.max(axis=1) > black)
    columns = np.flatnonzero(light.max(axis=0) > black)
    if not rows.size:
        return 0, 0, 0, 0
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def _nits(signal: float) -> float:
    return float(pq_eotf(torch.tensor(signal, dtype=torch.float64)))

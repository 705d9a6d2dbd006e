"""`measure`: light levels of HDR frames."""

from __future__ import annotations

import math

import numpy as np
import torch
import vapoursynth as vs
from numpy.typing import NDArray

from vs_gainmap.color.h273 import HDR_TRANSFERS
from vs_gainmap.color.transfer import PQ_PEAK_NITS, pq_eotf, pq_inverse_eotf
from vs_gainmap.filters import props
from vs_gainmap.filters.compiled import (
    LEAST_SIZE,
    can_read_planes,
    choose_known,
    in_lanes,
    planes_of,
    small_color,
    small_picture,
    source_color,
)
from vs_gainmap.filters.expressions import pq_signal
from vs_gainmap.fused.parameters import parameters
from vs_gainmap.hdr10plus import BINS

# In linear light 1.0 is this many cd/m2 here; any number does, it only keeps floats near one.
_UNIT_NITS = 100.0
# What a bar is: no pixel of the row or column is brighter. Black after a codec and our gain
# stays far below; of a dark scene the bars' size does not hang on it, since the brightest
# pictures of a title decide.
BLACK_NITS = 0.5
_BLACK_SIGNAL = float(pq_inverse_eotf(torch.tensor(BLACK_NITS)))


def measure(
    clip: vs.VideoNode, *, percentile: float = 100.0, hdr10plus: bool = False
) -> vs.VideoNode:
    """Attach the light levels of every frame after CTA-861.3.

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
    return measure_shown(
        clip,
        is_pq=transfer == int(vs.TRANSFER_ST2084),
        percentile=percentile,
        hdr10plus=hdr10plus,
    )


def measure_shown(
    clip: vs.VideoNode, *, is_pq: bool, percentile: float = 100.0, hdr10plus: bool = False
) -> vs.VideoNode:
    """Do what `measure` does, of a clip whose props are known: as it is delivered.

    Chroma of half the size changes the brightest pixels, so it is this that must be measured.

    Args:
        clip: PQ or HLG.
        is_pq: which.
        percentile: see `measure`.
        hdr10plus: see `measure`.
    """
    linear = clip.resize.Bicubic(
        format=vs.RGBS, transfer=int(vs.TRANSFER_LINEAR), nominal_luminance=_UNIT_NITS
    )
    by_filters = attach_light_levels(
        clip, linear, _UNIT_NITS, percentile=percentile, hdr10plus=hdr10plus
    )
    if not is_pq or percentile < 100 or hdr10plus or not can_read_planes(clip, _try_out):
        return by_filters
    return choose_known(_meter(clip), by_filters, clip)


def _meter(clip: vs.VideoNode) -> vs.VideoNode:
    def note(n: int, f: list[vs.VideoFrame]) -> vs.VideoFrame:  # noqa: ARG001
        from vs_gainmap.fused.metering import meter

        out = f[0].copy()
        color = source_color(clip.format, f[1].props, eotf="bt1886", sdr_white=_UNIT_NITS)
        mean, rows, columns = meter(planes_of(f[1]), clip.width, clip.height, parameters(color))
        top = float(pq_eotf(torch.tensor(float(rows.max()), dtype=torch.float64)))
        out.props[props.FRAME_MAX_NITS], out.props[props.FRAME_AVERAGE_NITS] = top, mean
        out.props[props.FRAME_ACTIVE_AREA] = list(lit_area(rows, columns, _BLACK_SIGNAL))
        return out

    blank = _sample(clip)
    names = [props.FRAME_MAX_NITS, props.FRAME_AVERAGE_NITS, props.FRAME_ACTIVE_AREA]
    return clip.std.CopyFrameProps(in_lanes(blank, [blank, clip], note), props=names)


def _sample(clip: vs.VideoNode) -> vs.VideoNode:
    """Return a sample to hang props on: a frame of light is large, and need not wait with them."""
    return vs.core.std.BlankClip(
        format=vs.GRAY8, width=1, height=1, length=clip.num_frames, keep=True
    )


def _try_out(kind: type[np.uint8] | type[np.uint16]) -> None:
    """Measure a small gray picture."""
    from vs_gainmap.fused.metering import meter

    meter(small_picture(kind)[0], LEAST_SIZE, LEAST_SIZE, parameters(small_color(kind)))


def attach_light_levels(
    target: vs.VideoNode,
    linear: vs.VideoNode,
    unit_nits: float,
    *,
    percentile: float = 100.0,
    hdr10plus: bool = False,
) -> vs.VideoNode:
    """Put the light levels of a linear clip on another clip's frames.

    Args:
        target: gets the props.
        linear: RGBS or RGBH, linear light, BT.2020, the same length.
        unit_nits: cd/m2 of 1.0 in `linear`.
        percentile: see `measure`.
        hdr10plus: see `measure`.

    Returns:
        `target` with the props that `measure` describes.
    """
    # zimg goes on beyond PQ's end where chroma overshoots; a display does not.
    top = PQ_PEAK_NITS / unit_nits
    brightest = vs.core.akarin.Expr(
        linear.std.SplitPlanes(), f"x y max z max 0 {top!r} clamp", format=vs.GRAYS
    )
    stats = brightest.std.PlaneStats()
    levels = stats.akarin.PropExpr(
        lambda: {
            props.FRAME_MAX_NITS: f"x.PlaneStatsMax {unit_nits!r} *",
            props.FRAME_AVERAGE_NITS: f"x.PlaneStatsAverage {unit_nits!r} *",
        }
    )
    sources = [levels]
    names = [props.FRAME_MAX_NITS, props.FRAME_AVERAGE_NITS, props.FRAME_ACTIVE_AREA]
    if hdr10plus:
        signal = f"{pq_signal(f'x {unit_nits / PQ_PEAK_NITS!r} *')} {BINS - 1} * 0.5 + floor"
        sources += [vs.core.akarin.Expr(brightest, signal, format=vs.GRAY16), linear]
        names += [props.FRAME_MAX_RGB_NITS, props.FRAME_LIGHT_HISTOGRAM]
    blank = _sample(target)

    def note(n: int, f: list[vs.VideoFrame]) -> vs.VideoFrame:  # noqa: ARG001
        out = f[0].copy()
        light = np.asarray(f[1][0])
        for name in (props.FRAME_MAX_NITS, props.FRAME_AVERAGE_NITS):
            out.props[name] = f[1].props[name]
        out.props[props.FRAME_ACTIVE_AREA] = list(active_area(light, BLACK_NITS / unit_nits))
        if percentile < 100:
            place = math.ceil(light.size * percentile / 100) - 1
            chosen = float(np.partition(light, place, axis=None)[place])
            out.props[props.FRAME_MAX_NITS] = chosen * unit_nits
        if hdr10plus:
            counts = np.bincount(np.asarray(f[2][0]).reshape(-1), minlength=BINS)
            out.props[props.FRAME_LIGHT_HISTOGRAM] = counts.astype("<u4").tobytes()
            tops = [min(max(float(np.asarray(f[3][p]).max()), 0.0), top) for p in range(3)]
            out.props[props.FRAME_MAX_RGB_NITS] = [value * unit_nits for value in tops]
        return out

    noted = blank.std.ModifyFrame([blank, *sources], note)
    return target.std.CopyFrameProps(noted, props=names)


def active_area(light: NDArray[np.float32], black: float) -> tuple[int, int, int, int]:
    """Return the picture without black bars at its edges.

    Args:
        light: (H, W).
        black: what no pixel of a bar is above.

    Returns:
        Left, top, right, bottom; all 0 when everything is black.
    """
    height, width = light.shape
    # Most pictures have no bars: four lines tell, and the whole is looked at for the others.
    edges = (light[:, 0], light[0], light[:, -1], light[-1])
    if min(float(edge.max()) for edge in edges) > black:
        return 0, 0, width, height
    return lit_area(light.max(axis=1), light.max(axis=0), black)


def lit_area(
    rows: NDArray[np.float32], columns: NDArray[np.float32], black: float
) -> tuple[int, int, int, int]:
    """Return what `active_area` does, of the brightest of each row and of each column."""
    lit_rows, lit_columns = np.flatnonzero(rows > black), np.flatnonzero(columns > black)
    if not lit_rows.size:
        return 0, 0, 0, 0
    edges = lit_columns[0], lit_rows[0], lit_columns[-1] + 1, lit_rows[-1] + 1
    left, top, right, bottom = (int(edge) for edge in edges)
    return left, top, right, bottom

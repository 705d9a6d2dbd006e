"""`measure`: light levels of HDR frames."""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import numpy as np
import torch
import vapoursynth as vs
from numpy.typing import NDArray

from vs_gainmap.color.h273 import HDR_TRANSFERS
from vs_gainmap.color.transfer import pq_eotf, pq_inverse_eotf
from vs_gainmap.filters import props
from vs_gainmap.hdr10plus import BINS

# Of 16-bit signals.
_CODES = 65535
# Y, Cb and Cr of 16-bit limited range in units of 16-bit full range, and what R, G and B are of
# them (ITU-R BT.2020, table 4).
_SPLIT = (
    f"x 4096 - {_CODES / 56064!r} * Y! y 32768 - {_CODES / 57344!r} * B! "
    f"z 32768 - {_CODES / 57344!r} * R!"
)
_RED, _BLUE = "Y@ R@ 1.4746 * +", "Y@ B@ 1.8814 * +"
_GREEN = f"Y@ R@ {0.2627 * 1.4746 / 0.678!r} * - B@ {0.0593 * 1.8814 / 0.678!r} * -"
# What a bar is: no pixel of the row or column is brighter. Black after a codec and our gain
# stays far below; of a dark scene the bars' size does not depend on it, since the brightest
# pictures of a title decide.
BLACK_NITS = 0.5
_BLACK_CODE = _CODES * float(pq_inverse_eotf(torch.tensor(BLACK_NITS)))


@cache
def _nits() -> list[float]:
    """Return the light of every code, cd/m2."""
    signal = torch.arange(_CODES + 1, dtype=torch.float64) / _CODES
    return [float(nits) for nits in pq_eotf(signal)]


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
    is_number = isinstance(percentile, int | float)
    if not is_number or not 0 < percentile <= 100:
        raise vs.Error(f"measure: percentile must be above 0 and at most 100, got {percentile!r}")
    with clip.get_frame(0) as frame:
        transfer = frame.props.get(props.TRANSFER)
    if transfer not in HDR_TRANSFERS:
        raise vs.Error(
            f"measure: clip must be PQ or HLG by its _Transfer prop, got {transfer}; "
            "set it with std.SetFrameProps(_Transfer=16)"
        )
    return attach_light_levels(clip, percentile=percentile, hdr10plus=hdr10plus)


def attach_light_levels(
    clip: vs.VideoNode,
    *,
    percentile: float = 100.0,
    hdr10plus: bool = False,
    nominal_luminance: float | None = None,
) -> vs.VideoNode:
    """Do what `measure` does for a clip that is known to be HDR.

    Args:
        clip: with its color props.
        percentile: see `measure`.
        hdr10plus: see `measure`.
        nominal_luminance: of 1.0 in linear light, cd/m2; PQ and HLG have their own.
    """
    # Of 4:2:0 only the chroma is work for zimg; going to RGB there takes twice as long.
    planes = clip.resize.Bicubic(
        format=vs.YUV444P16,
        matrix=int(vs.MATRIX_BT2020_NCL),
        transfer=int(vs.TRANSFER_ST2084),
        range=int(vs.RANGE_LIMITED),
        nominal_luminance=nominal_luminance,
    ).std.SplitPlanes()
    # Integers end where a display does, at 10 000 cd/m2; chroma overshoots. max(R, G, B) of
    # signals is that of their light, since the curve rises: one plane is decoded, not three.
    brightest = vs.core.akarin.Expr(
        planes, f"{_SPLIT} {_RED} {_GREEN} max {_BLUE} max", format=vs.GRAY16
    )
    nits = _nits()
    light = brightest.std.Lut(lutf=nits, floatout=True).std.PlaneStats()
    sources = [brightest, light]
    names = [props.FRAME_MAX_NITS, props.FRAME_AVERAGE_NITS, props.FRAME_ACTIVE_AREA]
    if hdr10plus:
        codes = f"x {(BINS - 1) / _CODES!r} * 0.5 + floor"
        sources.append(vs.core.akarin.Expr(brightest, codes))
        for channel in (_RED, _GREEN, _BLUE):
            signal = vs.core.akarin.Expr(planes, f"{_SPLIT} {channel}", format=vs.GRAY16)
            sources.append(signal.std.PlaneStats())
        names += [props.FRAME_MAX_RGB_NITS, props.FRAME_LIGHT_HISTOGRAM]
    # A sample to put props on: a frame of light is large, and need not wait with them.
    blank = vs.core.std.BlankClip(
        format=vs.GRAY8, width=1, height=1, length=clip.num_frames, keep=True
    )

    def note(n: int, f: list[vs.VideoFrame]) -> vs.VideoFrame:  # noqa: ARG001
        out, signal = f[0].copy(), np.asarray(f[1][0])
        top = float(str(f[2].props["PlaneStatsMax"]))
        if percentile < 100:
            place = math.ceil(signal.size * percentile / 100) - 1
            top = nits[int(np.partition(signal, place, axis=None)[place])]
        out.props[props.FRAME_MAX_NITS] = top
        out.props[props.FRAME_AVERAGE_NITS] = float(str(f[2].props["PlaneStatsAverage"]))
        out.props[props.FRAME_ACTIVE_AREA] = list(active_area(signal, _BLACK_CODE))
        if hdr10plus:
            counts = np.bincount(np.asarray(f[3][0]).reshape(-1), minlength=BINS)
            out.props[props.FRAME_LIGHT_HISTOGRAM] = counts.astype("<u4").tobytes()
            tops = [int(str(channel.props["PlaneStatsMax"])) for channel in f[4:]]
            out.props[props.FRAME_MAX_RGB_NITS] = [nits[code] for code in tops]
        return out

    noted = blank.std.ModifyFrame([blank, *sources], note)
    return clip.std.CopyFrameProps(noted, props=names)


def active_area(light: NDArray[np.number[Any]], black: float) -> tuple[int, int, int, int]:
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

"""`measure`: light levels of HDR frames."""

from __future__ import annotations

import vapoursynth as vs

from vs_gainmap import props
from vs_gainmap.color import PQ_PEAK_NITS
from vs_gainmap.colorimetry import HDR_TRANSFERS

# In linear light 1.0 is this many cd/m2 here; any number does, it only keeps floats near one.
_UNIT_NITS = 100.0


def measure(clip: vs.VideoNode) -> vs.VideoNode:
    """Attach the light levels of every frame after CTA-861.3.

    Args:
        clip: PQ or HLG (as a 1000 cd/m2 display shows it), YUV or RGB, with its color props.

    Returns:
        The clip itself, with FrameMaxNits, the maximum over all pixels of max(R, G, B), and
        FrameAverageNits, its mean, in cd/m2. MaxCLL and MaxFALL of a title are the maxima of
        these two over its frames.

    Raises:
        vs.Error: the clip is neither PQ nor HLG.
    """
    with clip.get_frame(0) as frame:
        transfer = frame.props.get(props.TRANSFER)
    if transfer not in HDR_TRANSFERS:
        raise vs.Error(
            f"measure: clip must be PQ or HLG by its _Transfer prop, got {transfer}; "
            "set it with std.SetFrameProps(_Transfer=16)"
        )
    linear = clip.resize.Bicubic(
        format=vs.RGBS, transfer=int(vs.TRANSFER_LINEAR), nominal_luminance=_UNIT_NITS
    )
    return attach_light_levels(clip, linear, _UNIT_NITS)


def attach_light_levels(
    target: vs.VideoNode, linear: vs.VideoNode, unit_nits: float
) -> vs.VideoNode:
    """Put the light levels of a linear clip on another clip's frames.

    Args:
        target: gets FrameMaxNits and FrameAverageNits.
        linear: RGBS, linear light, BT.2020, the same length.
        unit_nits: cd/m2 of 1.0 in `linear`.

    Returns:
        `target` with the two props.
    """
    # zimg goes on beyond PQ's end where chroma overshoots; a display does not.
    top = PQ_PEAK_NITS / unit_nits
    brightest = vs.core.akarin.Expr(linear.std.SplitPlanes(), f"x y max z max 0 {top!r} clamp")
    stats = brightest.std.PlaneStats()
    levels = stats.akarin.PropExpr(
        lambda: {
            props.FRAME_MAX_NITS: f"x.PlaneStatsMax {unit_nits!r} *",
            props.FRAME_AVERAGE_NITS: f"x.PlaneStatsAverage {unit_nits!r} *",
        }
    )
    names = [props.FRAME_MAX_NITS, props.FRAME_AVERAGE_NITS]
    return target.std.CopyFrameProps(levels, props=names)

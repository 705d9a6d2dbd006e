"""`apply`: SDR clip and gain map clip to HDR."""

from __future__ import annotations

import math
from dataclasses import dataclass

import vapoursynth as vs

from vs_gainmap.filters import props
from vs_gainmap.filters.color_props import ColorOverrides, tag_sdr_clip
from vs_gainmap.filters.linear import EOTF_TRANSFERS, linear_light
from vs_gainmap.filters.measure import attach_light_levels, measure_shown
from vs_gainmap.filters.one_pass import Grade, can_pass_once, pass_once
from vs_gainmap.filters.output import (
    DITHERS,
    OUTPUT_TRANSFERS,
    Output,
    Rendering,
    choose_guided,
    choose_light,
    hdr10_props,
    require_gain_map_max,
    target_color,
)
from vs_gainmap.filters.signal_gain import can_gain_signal, gain_signal
from vs_gainmap.filters.upsampling import (
    Guided,
    Upsampling,
    guide,
    guided_upsample,
)
from vs_gainmap.gainmap import largest_gain
from vs_gainmap.hdr10 import MasteringDisplay


def apply(
    clip: vs.VideoNode,
    gain_map: vs.VideoNode,
    *,
    sdr_white: float | None = None,
    peak_nits: float | None = None,
    strength: float = 1.0,
    eotf: str | None = None,
    upsampling: Upsampling | None = None,
    format: int = vs.YUV420P10,  # noqa: A002 - VapourSynth's own word
    output: Output = "pq",
    output_chroma_location: str = "left",
    dither: str = "none",
    mastering: MasteringDisplay | None = None,
    max_cll: int | None = None,
    max_fall: int | None = None,
    measure: bool = False,
    matrix: str | int | None = None,
    transfer: str | int | None = None,
    primaries: str | int | None = None,
    range: str | int | None = None,  # noqa: A002 - VapourSynth's own word
    chroma_location: str | int | None = None,
) -> vs.VideoNode:
    """Apply a gain map clip to the SDR clip that it belongs to.

    HDR = EOTF(SDR) * 2 ** log_gain, where log_gain = min + map * (max - min) in stops, clamped
    to what the weights allow, with min and max from each frame's props.

    Args:
        clip: the SDR clip, as for `predict`.
        gain_map: one plane of float or integer, any size, the same length, with GainMapMax
            on every frame.
        sdr_white: cd/m2 of SDR white; None is what the weights were trained for.
        peak_nits: the brightest output, cd/m2; the log gain above SDR white is scaled to
            reach it. None is as far above SDR white as the weights' peak is above theirs.
        strength: factor on the log gain, 0 (SDR as it is) to 4; gain ends where SDR white
            reaches the peak.
        eotf: how SDR becomes light: "gamma22" (the paper's), "bt1886" or "srgb"; None is
            what the weights were trained with.
        upsampling: how a smaller map goes up: "bilinear", as published, or "guided" by the
            clip's luma, which keeps edges sharp and costs a little time; None guides.
        format: YUV of 10 bits or more, RGB of 10 bits or more, or RGBS.
        output: "pq", "hlg", or "linear" with 1.0 = SDR white, which wants RGBS or RGBH.
        output_chroma_location: for subsampled formats; "left" is what a decoder assumes,
            "top_left" what UHD Blu-ray and BT.2100 have.
        dither: "none", "ordered", "random" or "error_diffusion", by zimg.
        mastering: for the props; None makes one from the peak: P3-D65 (BT.2020 when the
            input is), 0.0001 to `peak_nits` cd/m2.
        max_cll: MaxCLL when it is known, cd/m2, with `max_fall`, for the props.
        max_fall: MaxFALL, cd/m2.
        measure: attach FrameMaxNits and FrameAverageNits to every frame.
        matrix: of the input, over its props, as the next four are; see `predict`.
        transfer: only says that the clip is SDR; the curve is `eotf`.
        primaries: of the input.
        range: of the input.
        chroma_location: of the input.

    Returns:
        HDR in BT.2020: YUV is non-constant luminance, limited range. All color props, the
        mastering display, and the light levels where known, are set; GainMapMax stays.

    Raises:
        vs.Error: the clips or an argument are not usable; the message says what to do.
    """
    overrides = ColorOverrides(
        matrix=matrix,
        transfer=transfer,
        primaries=primaries,
        range=range,
        chroma_location=chroma_location,
    )
    wanted = Rendering(
        sdr_white=sdr_white,
        peak_nits=peak_nits,
        strength=strength,
        eotf=eotf,
        upsampling=upsampling,
        format=format,
        output=output,
        output_chroma_location=output_chroma_location,
        dither=dither,
        mastering=mastering,
        max_cll=max_cll,
        max_fall=max_fall,
        measure=measure,
    )
    return render(tag_sdr_clip(clip, overrides, "apply"), gain_map, wanted)


def render(
    tagged: vs.VideoNode,
    gain_map: vs.VideoNode,
    wanted: Rendering,
    *,
    small: vs.VideoNode | None = None,
) -> vs.VideoNode:
    """Apply a gain map clip to an SDR clip that has all its color props; see `apply`.

    Args:
        tagged: the SDR clip.
        gain_map: of that clip.
        wanted: how it is to look.
        small: the clip at the map's size, as for `guide`, where it is being made anyway.
    """
    constants = _read_constants(tagged, gain_map)
    strength = wanted.strength
    white, peak, curve = choose_light(
        sdr_white=wanted.sdr_white,
        peak_nits=wanted.peak_nits,
        strength=strength,
        eotf=wanted.eotf,
        own_white=constants.sdr_white,
        own_headroom=constants.headroom,
        own_eotf=constants.eotf,
    )
    guided = choose_guided(wanted.upsampling, gain_map.width, tagged.width)
    target = target_color(wanted.format, wanted.output, wanted.output_chroma_location)
    if wanted.dither not in DITHERS:
        raise vs.Error(f"apply: dither must be one of {', '.join(DITHERS)}, got {wanted.dither!r}")
    metadata = hdr10_props(tagged, peak, wanted)

    stops = math.log2(peak / white)
    log_gain = _log_gain_expr(gain_map, constants, strength, stops)
    unchecked = _as_float(gain_map)
    gain_map = _checked(unchecked)
    conversion: dict[str, int | float | str | bool] = {
        "format": wanted.format,
        "transfer": OUTPUT_TRANSFERS[wanted.output],
        "primaries": int(vs.PRIMARIES_BT2020),
        "dither_type": wanted.dither,
        # Fast curves are per channel; HLG's OOTF (BT.2100) works on luminance.
        "approximate_gamma": wanted.output != "hlg",
        **target,
    }
    # A gain of one number per pixel commutes with the change of primaries.
    most = stops * min(strength, 1.0)
    parts = guide(gain_map, tagged, small) if guided else Guided.plain(gain_map)
    if constants.is_plain and can_gain_signal(
        tagged, curve, vs.core.get_video_format(wanted.format), most
    ):
        gained = gain_signal(tagged, parts, log_gain, eotf=curve, most_stops=most, sdr_white=white)
        hdr = gained.clip.std.SetFrameProp(props.TRANSFER, intval=EOTF_TRANSFERS[curve])
        unit_nits = gained.white_nits
    else:
        sdr, linear = linear_light(tagged, curve)
        large = guided_upsample(gain_map, tagged) if guided else gain_map
        gain = _gain(large, sdr, log_gain)
        hdr = vs.core.akarin.Expr([sdr, gain], constants.render_expr(linear))
        unit_nits = white
    result = hdr.resize.Bicubic(nominal_luminance=unit_nits, **conversion)
    if (
        constants.is_plain
        and constants.gamma == 1
        and can_pass_once(tagged, gain_map, curve, conversion)
    ):
        grade = Grade(
            eotf=curve,
            sdr_white=white,
            headroom=largest_gain(constants.headroom, strength),
            stretch=stops / constants.headroom,
            strength=strength,
            chroma_location=target["chromaloc"],
        )
        # It looks at the props by itself, without a filter's time.
        parts = guide(unchecked, tagged, small) if guided else Guided.plain(unchecked)
        result = pass_once(tagged, parts, grade, result)
        gain_map = unchecked
    result = result.std.SetFrameProps(**metadata)
    # For whoever plots or logs them later.
    kept = [props.GAIN_MAP_MAX, props.SCENE_CHANGE_PREV]
    result = result.std.CopyFrameProps(gain_map, props=kept)
    if not wanted.measure:
        return result
    if wanted.output != "linear":
        return measure_shown(result, is_pq=wanted.output == "pq")
    light = hdr.resize.Bicubic(
        format=vs.RGBS,
        transfer=int(vs.TRANSFER_LINEAR),
        primaries=int(vs.PRIMARIES_BT2020),
        nominal_luminance=unit_nits,
    )
    return attach_light_levels(result, light, unit_nits)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Constants:
    """What the gain map's first frame says for the whole clip."""

    sdr_white: float
    headroom: float
    eotf: str
    gamma: float
    base_offset: float
    alternate_offset: float

    @property
    def is_plain(self) -> bool:
        """Whether HDR is SDR times gain, without the offsets of photographs."""
        return self.base_offset == 0 and self.alternate_offset == 0

    def render_expr(self, linear: str) -> str:
        """Return the expression for HDR of x, SDR, which `linear` decodes, and y, the gain."""
        if self.is_plain:
            return f"{linear} y *"
        return f"{linear} {self.base_offset!r} + y * {self.alternate_offset!r} -"


def _read_constants(clip: vs.VideoNode, gain_map: vs.VideoNode) -> _Constants:
    if not isinstance(gain_map, vs.VideoNode) or gain_map.format is None:
        raise vs.Error("apply: gain_map must be a video clip of constant format, as from predict()")
    if gain_map.format.num_planes != 1:
        raise vs.Error(
            f"apply: gain_map must be GRAY (one plane), got {gain_map.format.name}; "
            "take a plane with std.ShufflePlanes(gain_map, 0, vs.GRAY)"
        )
    if gain_map.num_frames != clip.num_frames:
        raise vs.Error(
            f"apply: gain_map has {gain_map.num_frames} frames and clip {clip.num_frames}; "
            "trim both alike"
        )
    with gain_map.get_frame(0) as frame:
        found = dict(frame.props)
    require_gain_map_max(found, 0)
    default_headroom = max(float(found[props.GAIN_MAP_MAX]), 1e-6)
    return _Constants(
        sdr_white=float(found.get(props.GAIN_MAP_SDR_WHITE, 203.0)),
        headroom=float(found.get(props.GAIN_MAP_ALTERNATE_HEADROOM, default_headroom)),
        eotf=props.read_eotf(found),
        gamma=float(found.get(props.GAIN_MAP_GAMMA, 1.0)),
        base_offset=float(found.get(props.GAIN_MAP_BASE_OFFSET, 0.0)),
        alternate_offset=float(found.get(props.GAIN_MAP_ALTERNATE_OFFSET, 0.0)),
    )


def _as_float(gain_map: vs.VideoNode) -> vs.VideoNode:
    return gain_map if gain_map.format.id == vs.GRAYS else gain_map.resize.Point(format=vs.GRAYS)


def _checked(gain_map: vs.VideoNode) -> vs.VideoNode:
    """Return the map, which then fails on a frame without its props.

    Otherwise such a frame would come out black: NaN in akarin's Expr.
    """

    def checked(n: int, f: vs.VideoFrame) -> vs.VideoNode:
        require_gain_map_max(dict(f.props), n)
        return gain_map

    return gain_map.std.FrameEval(checked, prop_src=gain_map)


def _log_gain_expr(
    gain_map: vs.VideoNode, constants: _Constants, strength: float, headroom: float
) -> str:
    """Return the expression for stops of a map value `value@`, with the props of clip y."""
    value = "value@" if constants.gamma == 1 else f"value@ 0 max {1 / constants.gamma!r} pow"
    low = f"y.{props.GAIN_MAP_MIN}"
    with gain_map.get_frame(0) as frame:
        if props.GAIN_MAP_MIN not in frame.props:
            low = "0"
    log_gain = f"{value} y.{props.GAIN_MAP_MAX} {low} - * {low} + {low} max"
    log_gain += f" {largest_gain(constants.headroom, strength)!r} min"
    stretch = headroom / constants.headroom
    if abs(stretch - 1) > 1e-6:
        # A brighter or darker display changes the headroom, not the grade below SDR white.
        log_gain += f" dup 0 max {stretch!r} * swap 0 min +"
    return f"{log_gain} {float(strength)!r} *"


def _gain(gain_map: vs.VideoNode, sdr: vs.VideoNode, log_gain: str) -> vs.VideoNode:
    """Return the linear gain in the size of `sdr`, three equal planes."""
    if (gain_map.width, gain_map.height) != (sdr.width, sdr.height):
        gain_map = gain_map.resize.Bilinear(sdr.width, sdr.height)
    gain = vs.core.akarin.Expr([gain_map, gain_map], f"x value! 2 {log_gain} pow")
    # Expr wants as many planes everywhere; three references to one cost nothing.
    return vs.core.std.ShufflePlanes([gain, gain, gain], [0, 0, 0], vs.RGB)

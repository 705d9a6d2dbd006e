"""`apply`: SDR clip and gain map clip to HDR."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, cast

import vapoursynth as vs

from vs_gainmap.color.transfer import Eotf
from vs_gainmap.errors import OptionError
from vs_gainmap.filters import props
from vs_gainmap.filters.color_props import tag_sdr_clip
from vs_gainmap.filters.linear import linear_light
from vs_gainmap.filters.measure import attach_light_levels
from vs_gainmap.filters.options import Rendering, with_map_and_options
from vs_gainmap.filters.output import OUTPUT_TRANSFERS, check_size, target_color, target_format
from vs_gainmap.filters.upsampling import guide
from vs_gainmap.gainmap import GainMapPreset, largest_gain
from vs_gainmap.hdr10 import ContentLight, MasteringDisplay


@with_map_and_options(Rendering)
def apply(clip: vs.VideoNode, gain_map: vs.VideoNode, rendering: Rendering) -> vs.VideoNode:
    """Apply a gain map clip to the SDR clip that it belongs to.

    HDR = EOTF(SDR) * 2 ** (strength * log_gain), where log_gain = min + map * (max - min) in
    stops, clamped to what the weights allow, with min and max from each frame's props.

    Args:
        clip: the SDR clip, as for `predict`.
        gain_map: one plane of float or integer, any size, the same length, with GainMapMax
            on every frame.

    Returns:
        HDR in BT.2020: YUV is non-constant luminance, limited range. All color props, the
        mastering display, and the light levels where known, are set; GainMapMax stays.

    Raises:
        vs.Error: the clips or an option are not usable; the message says what to do.
    """
    tagged = tag_sdr_clip(clip, rendering, "apply")
    return apply_tagged(tagged, gain_map, rendering, _read_constants(tagged, gain_map))


def apply_tagged(
    tagged: vs.VideoNode, gain_map: vs.VideoNode, rendering: Rendering, constants: Constants
) -> vs.VideoNode:
    """Do what `apply` does for a clip that has all its color props, before any frame is made.

    Args:
        tagged: the SDR clip.
        gain_map: of that clip.
        rendering: the options.
        constants: what the map's props are to be on every frame.
    """
    light = choose_light(rendering, constants)
    target = target_format(rendering.format, rendering.output)
    check_size(tagged, target)
    metadata = _hdr10_props(tagged, light.peak_nits, rendering)
    log_gain = _log_gain_expr(constants, rendering.strength, light.stops)

    gain_map = _as_checked_float(gain_map)
    sdr, linear = linear_light(tagged, light.eotf)
    large, value = [gain_map], "x"
    if (gain_map.width, gain_map.height) != (tagged.width, tagged.height):
        if rendering.upsampling == "bilinear":
            large = [gain_map.resize.Bilinear(tagged.width, tagged.height)]
        else:
            large, value = guide(gain_map, tagged)
    # Faster than a power of 2.
    gain = vs.core.akarin.Expr(large, f"{value} value! {log_gain} {math.log(2)!r} * exp")
    # Expr wants as many planes everywhere; three references to one cost nothing.
    gain = vs.core.std.ShufflePlanes([gain, gain, gain], [0, 0, 0], vs.RGB)
    hdr = vs.core.akarin.Expr([sdr, gain], constants.render_expr(linear))
    result = hdr.resize.Bicubic(
        format=target.id,
        transfer=OUTPUT_TRANSFERS[rendering.output],
        primaries=int(vs.PRIMARIES_BT2020),
        nominal_luminance=light.sdr_white,
        dither_type=rendering.dither,
        # Fast curves are per channel; HLG's OOTF (BT.2100) works on luminance.
        approximate_gamma=rendering.output != "hlg",
        **target_color(target, rendering.output_chroma_location),
    ).std.SetFrameProps(**metadata)
    # For whoever plots or logs them later.
    kept = [props.GAIN_MAP_MAX, props.SCENE_CHANGE_PREV]
    result = result.std.CopyFrameProps(gain_map, props=kept)
    if not rendering.measure:
        return result
    linear_white = light.sdr_white if rendering.output == "linear" else None
    return attach_light_levels(result, nominal_luminance=linear_white)


@dataclass(frozen=True, slots=True, kw_only=True)
class Constants:
    """What is the same on every frame of a gain map clip; see `filters.props`."""

    sdr_white: float
    headroom: float
    eotf: str
    gamma: float = 1.0
    base_offset: float = 0.0
    alternate_offset: float = 0.0
    has_min: bool = True
    """Whether frames have GainMapMin; else it is 0."""

    @classmethod
    def of(cls, preset: GainMapPreset) -> Constants:
        """Return those of a map by `predict`."""
        return cls(sdr_white=preset.sdr_white, headroom=preset.max_log_gain, eotf=preset.eotf)

    def render_expr(self, linear: str) -> str:
        """Return the expression for HDR of x, SDR, which `linear` decodes, and y, the gain."""
        if self.base_offset == 0 and self.alternate_offset == 0:
            return f"{linear} y *"
        return f"{linear} {self.base_offset!r} + y * {self.alternate_offset!r} -"


@dataclass(frozen=True, slots=True, kw_only=True)
class Light:
    """Where SDR white and the peak are, cd/m2, and how SDR becomes light."""

    sdr_white: float
    peak_nits: float
    eotf: Eotf

    @property
    def stops(self) -> float:
        """Return log2 of the peak over SDR white."""
        return math.log2(self.peak_nits / self.sdr_white)


def choose_light(rendering: Rendering, constants: Constants) -> Light:
    """Return the light of a rendering: the options, or what the map is for.

    Raises:
        OptionError: the peak is not above SDR white, or beyond PQ.
    """
    white = rendering.sdr_white or constants.sdr_white
    peak = rendering.peak_nits or white * 2**constants.headroom
    if not white < peak <= 10_000:
        raise OptionError(
            f"peak_nits must be above sdr_white {white:g} and at most 10000, got {peak:g}"
        )
    return Light(sdr_white=white, peak_nits=peak, eotf=cast(Eotf, rendering.eotf or constants.eotf))


def _read_constants(clip: vs.VideoNode, gain_map: vs.VideoNode) -> Constants:
    if not isinstance(gain_map, vs.VideoNode) or gain_map.format is None:
        raise OptionError("gain_map must be a video clip of constant format, as from predict()")
    if gain_map.format.num_planes != 1:
        raise OptionError(
            f"gain_map must be GRAY (one plane), got {gain_map.format.name}; "
            "take a plane with std.ShufflePlanes(gain_map, 0, vs.GRAY)"
        )
    if gain_map.num_frames != clip.num_frames:
        raise OptionError(
            f"gain_map has {gain_map.num_frames} frames and clip {clip.num_frames}; trim both alike"
        )
    with gain_map.get_frame(0) as frame:
        found = dict(frame.props)
    _require_gain_map_max(found, 0)
    default_headroom = max(float(found[props.GAIN_MAP_MAX]), 1e-6)
    return Constants(
        sdr_white=float(found.get(props.GAIN_MAP_SDR_WHITE, 203.0)),
        headroom=float(found.get(props.GAIN_MAP_ALTERNATE_HEADROOM, default_headroom)),
        eotf=props.read_eotf(found),
        gamma=float(found.get(props.GAIN_MAP_GAMMA, 1.0)),
        base_offset=float(found.get(props.GAIN_MAP_BASE_OFFSET, 0.0)),
        alternate_offset=float(found.get(props.GAIN_MAP_ALTERNATE_OFFSET, 0.0)),
        has_min=props.GAIN_MAP_MIN in found,
    )


def _hdr10_props(
    tagged: vs.VideoNode, peak_nits: float, rendering: Rendering
) -> dict[str, props.PropValue]:
    """Return the HDR10 props of the output.

    Raises:
        MetadataError: the mastering display or the light levels are out of range.
    """
    mastering, found = rendering.mastering, {}
    if mastering is None:
        with tagged.get_frame(0) as frame:
            wide = int(frame.props[props.PRIMARIES]) == int(vs.PRIMARIES_BT2020)
        name: Literal["bt2020", "p3d65"] = "bt2020" if wide else "p3d65"
        mastering = MasteringDisplay.named(name, max_nits=float(round(peak_nits)))
    if rendering.output == "pq":
        found = props.mastering_props(mastering)
    if rendering.max_cll is not None and rendering.max_fall is not None:
        light = ContentLight(max_cll=rendering.max_cll, max_fall=rendering.max_fall)
        found |= props.light_props(light)
    return found


def _as_checked_float(gain_map: vs.VideoNode) -> vs.VideoNode:
    """Return the map as GRAYS, which fails on a frame without its props.

    Otherwise such a frame would come out black: NaN in akarin's Expr.
    """

    def check(n: int, f: vs.VideoFrame) -> vs.VideoFrame:
        _require_gain_map_max(f.props, n)
        return f

    checked = gain_map.std.ModifyFrame(gain_map, check)
    return checked if gain_map.format.id == vs.GRAYS else checked.resize.Point(format=vs.GRAYS)


def _log_gain_expr(constants: Constants, strength: float, headroom: float) -> str:
    """Return the expression for stops of a map value `value@`, with the props of clip x."""
    value = "value@" if constants.gamma == 1 else f"value@ 0 max {1 / constants.gamma!r} pow"
    low = f"x.{props.GAIN_MAP_MIN}" if constants.has_min else "0"
    log_gain = f"{value} x.{props.GAIN_MAP_MAX} {low} - * {low} + {low} max"
    log_gain += f" {largest_gain(constants.headroom, strength)!r} min"
    stretch = headroom / constants.headroom
    if abs(stretch - 1) > 1e-6:
        # A brighter or darker display changes the headroom, not the grade below SDR white.
        log_gain += f" dup 0 max {stretch!r} * swap 0 min +"
    return f"{log_gain} {float(strength)!r} *"


def _require_gain_map_max(found: Mapping[str, object], n: int) -> None:
    """Refuse frame n of a gain map without the prop that gives the map its unit.

    Raises:
        vs.Error: with the frame number and what to do.
    """
    if props.GAIN_MAP_MAX not in found:
        raise vs.Error(
            f"apply: gain_map frame {n} has no {props.GAIN_MAP_MAX} (log2 stops); use predict(), "
            "keep its props with std.CopyFrameProps, or set it with std.SetFrameProps"
        )

"""What HDR output may be, and what goes on its frames."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import vapoursynth as vs

from vs_gainmap.color.h273 import find_code
from vs_gainmap.color.transfer import SDR_EOTFS, Eotf
from vs_gainmap.errors import MetadataError
from vs_gainmap.filters import props
from vs_gainmap.filters.upsampling import UPSAMPLINGS, Upsampling
from vs_gainmap.hdr10 import ContentLight, MasteringDisplay

Output = Literal["pq", "hlg", "linear"]
OUTPUT_TRANSFERS: dict[str, int] = {
    "pq": int(vs.TRANSFER_ST2084),
    "hlg": int(vs.TRANSFER_ARIB_B67),
    "linear": int(vs.TRANSFER_LINEAR),
}
# Gain below 2^-16 of anything is darker than PQ can say.
MAX_STRENGTH = 4.0
DITHERS = ("none", "ordered", "random", "error_diffusion")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendering:
    """How HDR is to look and come out: arguments of `apply` of the same names."""

    sdr_white: float | None = None
    peak_nits: float | None = None
    strength: float = 1.0
    eotf: str | None = None
    upsampling: Upsampling | None = None
    format: int = int(vs.YUV420P10)
    output: Output = "pq"
    output_chroma_location: str = "left"
    dither: str = "none"
    mastering: MasteringDisplay | None = None
    max_cll: int | None = None
    max_fall: int | None = None
    measure: bool = False


def positive(name: str, value: float | None, default: float) -> float:
    """Return a luminance in cd/m2 that the user gave, or the default, checked."""
    chosen = default if value is None else float(value)
    if not 1 <= chosen <= 10_000:
        raise vs.Error(f"apply: {name} must be 1 to 10000 cd/m2, got {chosen:g}")
    return chosen


def choose_light(
    *,
    sdr_white: float | None,
    peak_nits: float | None,
    strength: float,
    eotf: str | None,
    own_white: float,
    own_headroom: float,
    own_eotf: str,
) -> tuple[float, float, Eotf]:
    """Return SDR white and peak in cd/m2, and how SDR becomes light, all checked.

    Args:
        sdr_white: of `apply`, as the next three are; None takes the map's own.
        peak_nits: likewise.
        strength: likewise; it is only checked.
        eotf: likewise.
        own_white: cd/m2 of SDR white that the map is for.
        own_headroom: stops between that and its peak.
        own_eotf: its EOTF.
    """
    white = positive("sdr_white", sdr_white, own_white)
    peak = positive("peak_nits", peak_nits, white * 2**own_headroom)
    if not white < peak <= 10_000:
        raise vs.Error(f"apply: peak_nits must be above sdr_white {white:g} and at most 10000")
    if not 0 <= strength <= MAX_STRENGTH:
        raise vs.Error(f"apply: strength must be 0 to {MAX_STRENGTH:g}, got {strength}")
    wanted = own_eotf if eotf is None else eotf
    for curve in SDR_EOTFS:
        if curve == wanted:
            return white, peak, curve
    raise vs.Error(f"apply: eotf must be one of {', '.join(SDR_EOTFS)}, got {wanted!r}")


def choose_guided(upsampling: str | None, map_width: int, width: int) -> bool:
    """Say whether a map goes up guided by luma; None guides all that are smaller."""
    if upsampling is None:
        return map_width < width
    if upsampling not in UPSAMPLINGS:
        known = ", ".join(UPSAMPLINGS)
        raise vs.Error(f"apply: upsampling must be one of {known}, got {upsampling!r}")
    return upsampling == "guided"


def target_color(format_id: int, output: str, chroma_location: str) -> dict[str, int]:
    """Check the output format and return zimg's matrix, range and chroma location for it."""
    if output not in OUTPUT_TRANSFERS:
        known = ", ".join(OUTPUT_TRANSFERS)
        raise vs.Error(f"apply: output must be one of {known}, got {output!r}")
    try:
        target = vs.core.get_video_format(int(format_id))
    except (vs.Error, TypeError, ValueError) as error:
        raise vs.Error(f"apply: format must be a VapourSynth format, got {format_id}") from error
    floating = target.sample_type == vs.FLOAT
    if target.color_family not in (vs.YUV, vs.RGB) or target.bits_per_sample < 10:
        raise vs.Error(
            "apply: format must be YUV or RGB of at least 10 bits, "
            f"got {target.name or format_id}; "
            "HDR10 is vs.YUV420P10"
        )
    if output == "linear" and not (floating and target.color_family == vs.RGB):
        raise vs.Error(f'apply: output "linear" needs format=vs.RGBS, got {target.name}')
    if target.color_family == vs.RGB:
        return {"matrix": int(vs.MATRIX_RGB), "range": int(vs.RANGE_FULL)}
    color = {"matrix": int(vs.MATRIX_BT2020_NCL), "range": int(vs.RANGE_LIMITED)}
    if target.subsampling_w or target.subsampling_h:
        try:
            color["chromaloc"] = find_code("chroma_location", chroma_location)
        except ValueError as error:
            raise vs.Error(f"apply: output_{error}") from error
    return color


def hdr10_props(
    tagged: vs.VideoNode, peak_nits: float, wanted: Rendering
) -> dict[str, props.PropValue]:
    """Return the HDR10 props of an output."""
    mastering, max_cll, max_fall = wanted.mastering, wanted.max_cll, wanted.max_fall
    if (max_cll is None) != (max_fall is None):
        raise vs.Error("apply: max_cll and max_fall go together; give both or neither")
    try:
        if mastering is None:
            with tagged.get_frame(0) as frame:
                wide = int(frame.props[props.PRIMARIES]) == int(vs.PRIMARIES_BT2020)
            name: Literal["bt2020", "p3d65"] = "bt2020" if wide else "p3d65"
            mastering = MasteringDisplay.named(name, max_nits=float(round(peak_nits)))
        found = props.mastering_props(mastering) if wanted.output == "pq" else {}
        if max_cll is not None and max_fall is not None:
            found |= props.light_props(ContentLight(max_cll=max_cll, max_fall=max_fall))
    except MetadataError as error:
        raise vs.Error(f"apply: {error}") from error
    return found


def require_gain_map_max(found: Mapping[str, object], n: int) -> None:
    """Refuse frame n of a gain map whose props don't say what the map counts.

    Raises:
        vs.Error: with the frame number and what to do.
    """
    if props.GAIN_MAP_MAX not in found:
        raise vs.Error(
            f"apply: gain_map frame {n} has no {props.GAIN_MAP_MAX} (log2 stops); use predict(), "
            "keep its props with std.CopyFrameProps, or set it with std.SetFrameProps"
        )

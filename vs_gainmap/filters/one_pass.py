"""SDR planes and gain map to HDR10 planes in one compiled pass; see `vs_gainmap.fused`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import vapoursynth as vs

from vs_gainmap.filters import props
from vs_gainmap.filters.compiled import (
    LEAST_SIZE,
    NO_CURVE,
    can_read,
    choose_known,
    coefficients,
    in_lanes,
    planes_of,
    rows_of,
    small_color,
    small_picture,
    small_rows,
    source_color,
)
from vs_gainmap.filters.output import require_gain_map_max
from vs_gainmap.filters.upsampling import Guided
from vs_gainmap.fused.parameters import gain_parameters, parameters


@dataclass(frozen=True, slots=True, kw_only=True)
class Grade:
    """How the gain map is applied, the same for all frames."""

    eotf: str
    sdr_white: float
    """cd/m2."""
    headroom: float
    """The largest log gain, in stops."""
    stretch: float
    """Factor on what is above SDR's own."""
    strength: float
    chroma_location: int
    """Of the output, H.273's code."""


def can_pass_once(
    tagged: vs.VideoNode, gain_map: vs.VideoNode, eotf: str, target: Mapping[str, Any]
) -> bool:
    """Say whether this way is open: integer YUV420 in, HDR10 of 10 bits out, and Numba there.

    Args:
        tagged: the SDR clip.
        gain_map: at most its size.
        eotf: how SDR becomes light.
        target: zimg's arguments for the output.
    """
    return (
        target["format"] == vs.YUV420P10
        and target["transfer"] == vs.TRANSFER_ST2084
        and target["dither_type"] == "none"
        and can_read(tagged, gain_map, eotf, _try_out)
    )


def pass_once(
    tagged: vs.VideoNode, gain_map: Guided, grade: Grade, otherwise: vs.VideoNode
) -> vs.VideoNode:
    """Render a clip for which `can_pass_once`.

    Args:
        tagged: SDR with all its color props.
        gain_map: GRAYS, with its props, and its curve if it has one.
        grade: how it is applied.
        otherwise: the same by other filters, for frames whose color is not among those known
            here. Frames decide by their own props.

    Returns:
        YUV420P10, PQ, BT.2020, limited range, with the clip's other props.
    """
    whole, guided = gain_map.whole, gain_map.codes is not None
    size = (tagged.width, tagged.height, whole.width, whole.height)
    form = vs.core.get_video_format(vs.YUV420P10)

    def draw(n: int, f: list[vs.VideoFrame]) -> vs.VideoFrame:
        from vs_gainmap.fused.kernel import render

        given = f[1].props
        color = source_color(
            tagged.format,
            f[0].props,
            eotf=grade.eotf,
            sdr_white=grade.sdr_white,
            chroma_location=grade.chroma_location,
        )
        require_gain_map_max(given, n)
        out = vs.core.create_video_frame(form, *size[:2])
        gain = gain_parameters(
            float(given.get(props.GAIN_MAP_MIN, 0.0)),
            float(given[props.GAIN_MAP_MAX]),
            grade.headroom,
            grade.stretch,
            grade.strength,
        )
        render(
            planes_of(f[0]), rows_of(f[1], 0), small_rows(f[2] if guided else None),
            planes_of(out), size, parameters(color), gain, guided,
            coefficients(given) if guided else NO_CURVE,
        )  # fmt: skip
        return out

    blank = vs.core.std.BlankClip(tagged, format=int(vs.YUV420P10), keep=True)
    codes = [] if gain_map.codes is None else [gain_map.codes]
    drawn = in_lanes(blank, [tagged, whole, *codes], draw)

    chosen = choose_known(drawn, otherwise, tagged)
    said: dict[str, int] = {
        props.MATRIX: int(vs.MATRIX_BT2020_NCL),
        props.TRANSFER: int(vs.TRANSFER_ST2084),
        props.PRIMARIES: int(vs.PRIMARIES_BT2020),
        props.RANGE: int(vs.RANGE_LIMITED),
        props.CHROMA_LOCATION: grade.chroma_location,
    }
    described = tagged.std.RemoveFrameProps(props.COLOR_RANGE).std.SetFrameProps(**said)
    return chosen.std.CopyFrameProps(described)


def _try_out(kind: type[np.uint8] | type[np.uint16]) -> None:
    """Render a small gray picture."""
    from vs_gainmap.fused.kernel import render

    planes, gain_map = small_picture(kind)
    side = LEAST_SIZE
    sizes = ((side, side), (side // 2, side // 2), (side // 2, side // 2))
    made = tuple(np.zeros(size, np.uint16) for size in sizes)
    gain = gain_parameters(0.0, 1.0, 1.0, 1.0, 1.0)
    render(
        planes, gain_map, small_rows(None), (made[0], made[1], made[2]), (side, side, side, side),
        parameters(small_color(kind)), gain, False, NO_CURVE,
    )  # fmt: skip

"""SDR planes and gain map to HDR10 planes in one compiled pass; see `vs_gainmap.fused`."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import vapoursynth as vs
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from vs_gainmap import props
from vs_gainmap.colorimetry import KNOWN_PRIMARIES, LUMA_WEIGHTS, chroma_shift, log_warning
from vs_gainmap.curve import DEGREE
from vs_gainmap.filters.output import require_gain_map_max
from vs_gainmap.filters.upsampling import Guided
from vs_gainmap.fused.parameters import Color, Floats, gain_parameters, parameters
from vs_gainmap.fused.polynomials import POWER

# Set to 0 in the environment, it leaves the work to filters: to compare, or to find a fault.
SWITCH = "VS_GAINMAP_ONE_PASS"
_LEAST_SIZE = 16
_NO_CURVE: Floats = (np.float32(0),) * (DEGREE + 1)


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
    source = tagged.format
    return (
        target["format"] == vs.YUV420P10
        and target["transfer"] == vs.TRANSFER_ST2084
        and target["dither_type"] == "none"
        and eotf in POWER
        and source.color_family == vs.YUV
        and source.sample_type == vs.INTEGER
        and (source.subsampling_w, source.subsampling_h) == (1, 1)
        and min(tagged.width, tagged.height) >= _LEAST_SIZE
        and gain_map.width <= tagged.width
        and gain_map.height <= tagged.height
        and os.environ.get(SWITCH) != "0"
        and _is_ready(source.bytes_per_sample)
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
    rest, curve = gain_map
    size = (tagged.width, tagged.height, rest.width, rest.height)
    form = vs.core.get_video_format(vs.YUV420P10)

    def draw(n: int, f: list[vs.VideoFrame]) -> vs.VideoFrame:
        from vs_gainmap.fused.kernel import render

        color, given = _color(tagged.format, f[0].props, grade), f[1].props
        require_gain_map_max(given, n)
        out = vs.core.create_video_frame(form, *size[:2])
        gain = gain_parameters(
            float(given.get(props.GAIN_MAP_MIN, 0.0)),
            float(given[props.GAIN_MAP_MAX]),
            grade.headroom,
            grade.stretch,
            grade.strength,
        )
        coefficients = _NO_CURVE if curve is None else _coefficients(given)
        render(
            _planes(f[0]), _rows(f[1], 0), _planes(out), size, parameters(color), gain,
            curve is not None, coefficients,
        )  # fmt: skip
        return out

    blank = vs.core.std.BlankClip(tagged, format=int(vs.YUV420P10), keep=True)
    drawn = _in_lanes(blank, [tagged, rest], draw)

    def choose(n: int, f: vs.VideoFrame) -> vs.VideoNode:  # noqa: ARG001
        return drawn if _is_known(f.props) else otherwise

    chosen = blank.std.FrameEval(choose, prop_src=tagged)
    said: dict[str, int] = {
        props.MATRIX: int(vs.MATRIX_BT2020_NCL),
        props.TRANSFER: int(vs.TRANSFER_ST2084),
        props.PRIMARIES: int(vs.PRIMARIES_BT2020),
        props.RANGE: int(vs.RANGE_LIMITED),
        props.CHROMA_LOCATION: grade.chroma_location,
    }
    described = tagged.std.RemoveFrameProps(props.COLOR_RANGE).std.SetFrameProps(**said)
    return chosen.std.CopyFrameProps(described)


def _in_lanes(
    blank: vs.VideoNode,
    sources: list[vs.VideoNode],
    callback: Callable[[int, list[vs.VideoFrame]], vs.VideoFrame],
) -> vs.VideoNode:
    """Return `std.ModifyFrame`, as many as there are cores: each runs one callback at a time."""
    count = min(vs.core.num_threads, blank.num_frames)
    if count == 1:
        return blank.std.ModifyFrame(sources, callback)
    lanes = []
    for k in range(count):
        pick = {"cycle": count, "offsets": [k], "modify_duration": False}
        own = [clip.std.SelectEvery(**pick) for clip in sources]
        lane = blank.std.SelectEvery(**pick)

        def numbered(n: int, f: list[vs.VideoFrame], k: int = k) -> vs.VideoFrame:
            return callback(n * count + k, f)

        lanes.append(lane.std.ModifyFrame(own, numbered))
    return vs.core.std.Interleave(lanes, modify_duration=False)


def _is_known(found: Mapping[str, Any]) -> bool:
    return found[props.MATRIX] in LUMA_WEIGHTS and found[props.PRIMARIES] in KNOWN_PRIMARIES


def _color(source: vs.VideoFormat, found: Mapping[str, Any], grade: Grade) -> Color:
    kr, kb = LUMA_WEIGHTS[int(found[props.MATRIX])]
    right, down = chroma_shift(source, int(found.get(props.CHROMA_LOCATION, 0)))
    target_right, target_down = chroma_shift(source, grade.chroma_location)
    return Color(
        bits=source.bits_per_sample,
        kr=kr,
        kb=kb,
        primaries=KNOWN_PRIMARIES[int(found[props.PRIMARIES])],
        full_range=int(found.get(props.RANGE, 0)) == int(vs.RANGE_FULL),
        right=right,
        down=down,
        target_right=target_right,
        target_down=target_down,
        eotf=grade.eotf,
        sdr_white=grade.sdr_white,
    )


def _coefficients(found: Mapping[str, Any]) -> Floats:
    return tuple(np.float32(found[f"{props.GAIN_MAP_CURVE}{k}"]) for k in range(DEGREE + 1))


def _planes(frame: vs.VideoFrame) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    return _rows(frame, 0), _rows(frame, 1), _rows(frame, 2)


def _rows(frame: vs.VideoFrame, plane: int) -> NDArray[Any]:
    """Return a plane with what pads its rows: contiguous, so one version of the kernel does."""
    pixels = np.asarray(frame[plane])
    if pixels.flags.c_contiguous:
        return pixels
    pitch = pixels.strides[0]
    shape = (pixels.shape[0], pitch // pixels.itemsize)
    return as_strided(pixels, shape, (pitch, pixels.itemsize), writeable=pixels.flags.writeable)


@cache
def _is_ready(sample_bytes: int) -> bool:
    """Compile the kernel for samples of a size, or load it; say once why it can't be had."""
    if importlib.util.find_spec("numba") is None:
        return False
    try:
        _try_out(np.uint8 if sample_bytes == 1 else np.uint16)
    # Whatever a compiler may raise: there is another way.
    except Exception as error:
        log_warning(f"vs_gainmap: Numba does not work here ({error}); rendering takes longer")
        return False
    return True


def _try_out(kind: type[np.uint8] | type[np.uint16]) -> None:
    """Render a small gray picture."""
    from vs_gainmap.fused.kernel import render

    color = Color(
        bits=8 * np.dtype(kind).itemsize, kr=0.2126, kb=0.0722, primaries="bt709",
        full_range=True, right=0.0, down=0.0, target_right=0.0, target_down=0.0,
        eotf="gamma22", sdr_white=203.0,
    )  # fmt: skip
    side = _LEAST_SIZE
    sizes = ((side, side), (side // 2, side // 2), (side // 2, side // 2))
    y, u, v = (np.zeros(size, kind) for size in sizes)
    for plane in (y, u, v):
        plane.flags.writeable = False
    gain_map = np.zeros((side, side), np.float32)
    gain_map.flags.writeable = False
    made = tuple(np.zeros(size, np.uint16) for size in sizes)
    gain = gain_parameters(0.0, 1.0, 1.0, 1.0, 1.0)
    render(
        (y, u, v), gain_map, (made[0], made[1], made[2]), (side, side, side, side),
        parameters(color), gain, False, _NO_CURVE,
    )  # fmt: skip

"""What passes compiled by Numba share: which clips they take, frames as arrays, lanes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import cache
from typing import Any

import numpy as np
import vapoursynth as vs
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from vs_gainmap.color.h273 import KNOWN_PRIMARIES, LUMA_WEIGHTS
from vs_gainmap.curve import DEGREE
from vs_gainmap.filters import props
from vs_gainmap.filters.color_props import chroma_shift, log_warning
from vs_gainmap.fused.parameters import Color, Floats
from vs_gainmap.fused.polynomials import POWER
from vs_gainmap.fused.readiness import find_fault, is_wanted

LEAST_SIZE = 16
NO_CURVE: Floats = (np.float32(0),) * (DEGREE + 1)
_NOTHING = np.zeros((1, 1), np.uint16)
# As the rows of frames are: the kernels are compiled for arrays that can't be written.
_NOTHING.flags.writeable = False

TryOut = Callable[[type[np.uint8] | type[np.uint16]], None]


def can_read(tagged: vs.VideoNode, gain_map: vs.VideoNode, eotf: str, try_out: TryOut) -> bool:
    """Say whether a kernel can read an SDR clip and its map.

    Args:
        tagged: the SDR clip.
        gain_map: at most its size.
        eotf: how SDR becomes light.
        try_out: runs the kernel on a small picture.
    """
    return (
        eotf in POWER
        and gain_map.width <= tagged.width
        and gain_map.height <= tagged.height
        and can_read_planes(tagged, try_out)
    )


def can_read_planes(clip: vs.VideoNode, try_out: TryOut) -> bool:
    """Say whether a kernel can read a clip: integer YUV420, and Numba there.

    Args:
        clip: constant format.
        try_out: runs the kernel on a small picture.
    """
    form = clip.format
    return (
        form.color_family == vs.YUV
        and form.sample_type == vs.INTEGER
        and (form.subsampling_w, form.subsampling_h) == (1, 1)
        and min(clip.width, clip.height) >= LEAST_SIZE
        and is_wanted()
        and _is_ready(try_out, form.bytes_per_sample)
    )


def small_picture(
    kind: type[np.uint8] | type[np.uint16],
) -> tuple[tuple[NDArray[Any], NDArray[Any], NDArray[Any]], NDArray[Any]]:
    """Return Y, Cb and Cr of a small picture, and a gain map, as frames have them."""
    side = LEAST_SIZE
    y, gain_map = np.zeros((side, side), kind), np.zeros((side, side), np.float32)
    cb, cr = np.zeros((2, side // 2, side // 2), kind)
    for plane in (y, cb, cr, gain_map):
        plane.flags.writeable = False
    return (y, cb, cr), gain_map


def small_rows(small: vs.VideoFrame | None) -> NDArray[Any]:
    """Return the small picture's luma, or something of the same type where there is no curve."""
    return _NOTHING if small is None else rows_of(small, 0)


def small_color(kind: type[np.uint8] | type[np.uint16]) -> Color:
    """Return a color for `small_picture`."""
    return Color(
        bits=8 * np.dtype(kind).itemsize, kr=0.2126, kb=0.0722, primaries="bt709",
        full_range=True, right=0.0, down=0.0, target_right=0.0, target_down=0.0,
        eotf="gamma22", sdr_white=203.0,
    )  # fmt: skip


def in_lanes(
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


def choose_known(
    compiled: vs.VideoNode, otherwise: vs.VideoNode, tagged: vs.VideoNode
) -> vs.VideoNode:
    """Take each frame of a compiled pass whose color `source_color` takes, and others elsewhere.

    Args:
        compiled: by the pass.
        otherwise: the same by filters.
        tagged: whose props decide.
    """
    matrix = _is_one_of(f"x.{props.MATRIX}", LUMA_WEIGHTS)
    primaries = _is_one_of(f"x.{props.PRIMARIES}", KNOWN_PRIMARIES)
    # Natively: a function in Python would be asked for every frame.
    return vs.core.akarin.Select([compiled, otherwise], tagged, f"{matrix} {primaries} and 0 1 ?")


def _is_one_of(value: str, numbers: Iterable[int]) -> str:
    first, *rest = (f"{value} {number} =" for number in numbers)
    return first + "".join(f" {other} or" for other in rest)


def source_color(
    source: vs.VideoFormat,
    found: Mapping[str, Any],
    *,
    eotf: str,
    sdr_white: float,
    chroma_location: int = 0,
) -> Color:
    """Return how a frame of known color comes in, and goes out.

    Args:
        source: its format.
        found: its props.
        eotf: how it becomes light.
        sdr_white: cd/m2.
        chroma_location: of what goes out, H.273's code.
    """
    kr, kb = LUMA_WEIGHTS[int(found[props.MATRIX])]
    right, down = chroma_shift(source, int(found.get(props.CHROMA_LOCATION, 0)))
    target_right, target_down = chroma_shift(source, chroma_location)
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
        eotf=eotf,
        sdr_white=sdr_white,
    )


def coefficients(found: Mapping[str, Any]) -> Floats:
    """Return those of a map's curve over luma."""
    return tuple(np.float32(found[f"{props.GAIN_MAP_CURVE}{k}"]) for k in range(DEGREE + 1))


def planes_of(frame: vs.VideoFrame) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Return the planes of a frame; see `rows_of`."""
    return rows_of(frame, 0), rows_of(frame, 1), rows_of(frame, 2)


def rows_of(frame: vs.VideoFrame, plane: int) -> NDArray[Any]:
    """Return a plane with what pads its rows: contiguous, so one version of the kernel does."""
    pixels = np.asarray(frame[plane])
    if pixels.flags.c_contiguous:
        return pixels
    pitch = pixels.strides[0]
    shape = (pixels.shape[0], pitch // pixels.itemsize)
    return as_strided(pixels, shape, (pitch, pixels.itemsize), writeable=pixels.flags.writeable)


@cache
def _is_ready(try_out: TryOut, sample_bytes: int) -> bool:
    """Compile the kernel for samples of a size, or load it; say once why it can't be had."""
    fault = find_fault(lambda: try_out(np.uint8 if sample_bytes == 1 else np.uint16))
    if fault:
        log_warning(f"vs_gainmap: Numba does not work here ({fault}); rendering takes longer")
    return fault is None

"""What `smooth` compares of frames, in one compiled pass; see `vs_gainmap.fused`."""

from __future__ import annotations

import numpy as np
import vapoursynth as vs

from vs_gainmap.filters import props
from vs_gainmap.filters.comparing import Signal, blank_grids, put_highlights
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
from vs_gainmap.filters.upsampling import Guided
from vs_gainmap.fused.parameters import gain_parameters, parameters
from vs_gainmap.highlights import BINS, MOST_NEAR, NEAR_LEVEL, Highlights, is_large, top_place

# No map is clamped before it is applied.
_ANY_STOPS = 100.0


def can_look_once(
    tagged: vs.VideoNode, gain_map: vs.VideoNode, signal: Signal, columns: int, rows: int
) -> bool:
    """Say whether this way is open: integer YUV420, and Numba there.

    Args:
        tagged: the SDR clip.
        gain_map: at most its size.
        signal: of the map.
        columns: of cells.
        rows: of cells.
    """
    return (
        columns <= tagged.width // 2
        and rows <= tagged.height // 2
        and can_read(tagged, gain_map, signal.eotf, _try_out)
    )


def look_once(
    tagged: vs.VideoNode,
    gain_map: Guided,
    signal: Signal,
    columns: int,
    rows: int,
    otherwise: vs.VideoNode,
) -> vs.VideoNode:
    """Return what `make_grids` does, for a clip for which `can_look_once`.

    Args:
        tagged: SDR with all its color props.
        gain_map: GRAYS, with its props, and its curve if it has one.
        signal: of the map.
        columns: of cells.
        rows: of cells.
        otherwise: the same by other filters, for frames whose color is not among those known.
    """
    whole, guided = gain_map.whole, gain_map.codes is not None
    width, height = tagged.width, tagged.height
    size = (width, height, whole.width, whole.height)
    step = 2 if is_large(width, height) else 1
    samples = -(-height // step) * (width // step)
    wanted = samples - 1 - top_place(samples)

    def see(n: int, f: list[vs.VideoFrame]) -> vs.VideoFrame:  # noqa: ARG001
        from vs_gainmap.fused.looking import look

        out, given = f[0].copy(), f[2].props
        color = source_color(tagged.format, f[1].props, eotf=signal.eotf, sdr_white=signal.white)
        low = float(given.get(props.GAIN_MAP_MIN, 0.0))
        high = float(given[props.GAIN_MAP_MAX])
        gain = gain_parameters(low, high, _ANY_STOPS, 1.0, 1.0)
        cells = np.empty((2, rows, columns))
        near, places = np.empty(MOST_NEAR, np.float32), np.empty((MOST_NEAR, 2), np.uint16)
        counts = np.empty(BINS, np.int64)
        level, amount = look(
            planes_of(f[1]), rows_of(f[2], 0), small_rows(f[3] if guided else None), cells, near,
            places, counts, size, step, wanted, NEAR_LEVEL, parameters(color), gain, guided,
            coefficients(given) if guided else NO_CURVE,
        )  # fmt: skip
        np.copyto(np.asarray(out[0]), cells.reshape(2 * rows, columns))
        put_highlights(out, Highlights(level, near[:amount], places[:amount], counts))
        return out

    blank = blank_grids(tagged, columns, 2 * rows)
    codes = [] if gain_map.codes is None else [gain_map.codes]
    seen = in_lanes(blank, [blank, tagged, whole, *codes], see)
    return choose_known(seen, otherwise, tagged)


def _try_out(kind: type[np.uint8] | type[np.uint16]) -> None:
    """Look at a small gray picture."""
    from vs_gainmap.fused.looking import look

    planes, gain_map = small_picture(kind)
    side = LEAST_SIZE
    look(
        planes, gain_map, small_rows(None), np.empty((2, 4, 4)),
        np.empty(64, np.float32), np.empty((64, 2), np.uint16), np.empty(BINS, np.int64),
        (side, side, side, side), 1, 2, NEAR_LEVEL,
        parameters(small_color(kind)), gain_parameters(0.0, 1.0, 1.0, 1.0, 1.0), False, NO_CURVE,
    )  # fmt: skip

"""`smooth`: hold the light of still regions steady over time."""

from __future__ import annotations

import numpy as np
import torch
import vapoursynth as vs
from numpy.typing import NDArray

from vs_gainmap.color.transfer import pq_eotf
from vs_gainmap.filters import props
from vs_gainmap.filters.color_props import ColorOverrides, tag_sdr_clip
from vs_gainmap.filters.comparing import (
    LEVEL,
    REST,
    TOP,
    ZERO,
    Signal,
    find_shifts,
    make_grids,
    put_wanted,
)
from vs_gainmap.filters.one_look import can_look_once, look_once
from vs_gainmap.filters.output import choose_guided
from vs_gainmap.filters.temporal import MAX_RADIUS, Vector, look_around, steady_cells, steady_level
from vs_gainmap.filters.upsampling import Guided, guide
from vs_gainmap.filters.window import DEFAULT_RADIUS, IN_FLIGHT, Neighborhood, hold
from vs_gainmap.gainmap import LEAST_RANGE
from vs_gainmap.highlights import FULL_STOPS, ZERO_STOPS, is_small

# Frames up to so many away count where a picture moves, too; beyond, where it stands still. All up
# to the radius are looked at: every third of them takes half as much out of what grain and coding
# do. Of those beyond, up to twice the radius, every third will do against slow drifts.
NEAR = 4
REACH = 2
# Cells across the picture: large enough for grain to average out, small enough for the blocks
# that an encoder codes anew at a key frame.
CELLS = 32
# Nothing that noise does is more than this, in stops; what is more is the scene's.
MAX_STOPS = 0.1
# cd/m2 under which a change of light is not worth correcting.
_FLOOR_NITS = 0.01


def smooth(
    clip: vs.VideoNode, gain_map: vs.VideoNode, *, radius: int = DEFAULT_RADIUS
) -> vs.VideoNode:
    """Take out of a gain map clip what noise and coding do to the light of still regions.

    Grain, key frames and the network make regions breathe that stand still. Where the SDR
    picture hardly changes from frame to frame, each of 32 cells across is given the mean PQ
    signal that it has on average over the frames around, by at most a tenth of a stop; then
    highlights, the brightest 1 %, are given the level that they have on average, by at most
    another. Motion, fades, flashes and cuts are left as they are. Grain itself stays.

    Args:
        clip: the SDR clip, as for `predict`, with its color props.
        gain_map: from `predict` (GRAYS, GainMapMax on every frame), of that clip.
        radius: frames on either side, 0 to 24, and of twice as many every third; 0 returns the
            map as it is.

    Returns:
        The map with the correction in it, its props unchanged. Frame n is a pure function of
        frames n - 2 radius to n + 2 radius.

    Raises:
        vs.Error: the clips don't belong together, or the radius is out of range.
    """
    if not 0 <= radius <= MAX_RADIUS:
        raise vs.Error(f"smooth: radius must be 0 to {MAX_RADIUS}, got {radius}")
    return smooth_tagged(tag_sdr_clip(clip, ColorOverrides(), "smooth"), gain_map, radius=radius)


def smooth_tagged(
    tagged: vs.VideoNode,
    gain_map: vs.VideoNode,
    *,
    radius: int,
    small: vs.VideoNode | None = None,
) -> vs.VideoNode:
    """Do what `smooth` does for a clip that has all its color props.

    Args:
        tagged: the SDR clip.
        gain_map: of that clip.
        radius: 0 to 24.
        small: the clip at the map's size, as for `guide`, where it is being made anyway.
    """
    if gain_map.format is None or gain_map.format.id != vs.GRAYS:
        name = gain_map.format.name if gain_map.format else "variable"
        raise vs.Error(f"smooth: gain_map must be GRAYS, as from predict(), got {name}")
    if gain_map.num_frames != tagged.num_frames:
        raise vs.Error(
            f"smooth: gain_map has {gain_map.num_frames} frames and clip {tagged.num_frames}; "
            "trim both alike"
        )
    if radius == 0 or tagged.num_frames == 1:
        return gain_map
    width, height = gain_map.width, gain_map.height
    rows, columns = cell_grid(width, height)
    held = window_length(radius)
    gain_map = hold(gain_map, held, check=_check)
    signal = Signal.of(gain_map)
    light = signal.light(tagged)
    # As `apply` brings it up, or grain would look other than it will.
    guided = choose_guided(None, width, tagged.width)
    parts = guide(gain_map, tagged, small) if guided else Guided.plain(gain_map)

    def look(parts: Guided) -> vs.VideoNode:
        pq = signal.pq(light, parts.rest, parts.curve)
        grids = make_grids(light.luma, pq, columns, rows)
        if can_look_once(tagged, parts.whole, signal, columns, rows):
            grids = look_once(tagged, parts, signal, columns, rows, grids)
        return grids

    grids = hold(look(parts), held)
    stops = steady_stops(grids, rows, radius)
    span = f"x.{props.GAIN_MAP_MAX} {signal.low} -"
    # A map whose range is nothing has no room for a correction.
    add = f"{span} {LEAST_RANGE!r} > x {{}} {span} / + x ?"
    spread = stops.resize.Bilinear(width, height)
    held_cells = vs.core.akarin.Expr([gain_map, spread], add.format("y"))
    small_enough = is_small(tagged.width, tagged.height)
    if small_enough:
        whole, rest = (
            vs.core.akarin.Expr([part, spread], add.format("y"))
            for part in (parts.whole, parts.rest)
        )
        grids = look(parts._replace(whole=whole, rest=rest))
    stops = find_shifts(stops, grids, held=small_enough)
    small_light = signal.small_light(tagged, width, height)
    found = small_light.std.CopyFrameProps(stops, props=[REST, TOP, ZERO])
    part = f"{signal.log_hdr('y', 'x')} y.{ZERO} - {ZERO_STOPS - FULL_STOPS!r} / 0 1 clamp"
    return vs.core.akarin.Expr(
        [held_cells, found], add.format(f"y.{TOP} y.{REST} - {part} * y.{REST} +")
    )


def window_length(radius: int) -> int:
    """Return how many frames are to be kept: a window on either side, and what is on its way."""
    return 2 * REACH * radius + IN_FLIGHT


def cell_grid(width: int, height: int) -> tuple[int, int]:
    """Return rows and columns of the cells that hold their light, for a map's size."""
    columns = min(CELLS, width)
    return min(max(round(columns * height / width), 1), height), columns


def steady_stops(grids: vs.VideoNode, rows: int, radius: int) -> vs.VideoNode:
    """Return what is to be added to the log gain so that cells which stand still hold their light.

    Args:
        grids: from `make_grids`; only cells and the level of highlights are looked at.
        rows: of cells.
        radius: frames on either side, at least 1; see `smooth`.

    Returns:
        GRAYS, a sample a cell, in stops, with props of where highlights ought to be.
    """
    around, length = Neighborhood(REACH * radius, radius), grids.num_frames
    blank = vs.core.std.BlankClip(
        format=vs.GRAYS, width=grids.width, height=rows, length=length, keep=True
    )

    def correct(n: int, base: vs.VideoFrame, f: list[vs.VideoFrame]) -> vs.VideoFrame:
        places = around.places(n, length)
        seen = np.stack([np.asarray(one[0])[: 2 * rows] for one in f])
        luma, signal, center = seen[:, :rows], seen[:, rows:], places.index(n)
        window = look_around(luma.reshape(len(luma), -1), places, n, near=NEAR)
        steady = steady_cells(luma, signal, window.weights, center)
        out = base.copy()
        np.copyto(np.asarray(out[0]), _stops(signal[center], steady))
        levels = np.array([one.props[LEVEL] for one in f])
        put_wanted(out, steady_level(levels, window.still, center))
        return out

    return around.modify(grids, blank, correct)


def _check(n: int, frame: vs.VideoFrame) -> None:
    if props.GAIN_MAP_MAX not in frame.props:
        raise vs.Error(
            f"smooth: gain_map frame {n} has no {props.GAIN_MAP_MAX} (log2 stops); use "
            "predict(), or keep its props with std.CopyFrameProps"
        )


def _stops(own: Vector, wanted: Vector) -> NDArray[np.float32]:
    """Return by how many stops light must change to get from one PQ signal to another."""
    before, after = (pq_eotf(torch.tensor(pq)).numpy() + _FLOOR_NITS for pq in (own, wanted))
    return np.clip(np.log2(after / before), -MAX_STOPS, MAX_STOPS).astype(np.float32)

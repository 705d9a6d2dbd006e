"""The local branch on every second, third or fourth frame, and its map carried to those between.

A gain map is, nearly, a curve over luma: the curve of the frames around, of the frame's own luma,
puts edges where this frame has them, whatever moved. What the curve doesn't explain is smooth
and is taken from where it was. Frames that show another picture than the frames around (a cut,
a flash, a fade) have a map of their own.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import vapoursynth as vs
from numpy.typing import NDArray

from vs_gainmap.curve import SAMPLES_ACROSS
from vs_gainmap.filters.upsampling import curve_expr, put_curve
from vs_gainmap.filters.window import IN_FLIGHT, hold, shifted
from vs_gainmap.gainmap import LEAST_RANGE
from vs_gainmap.models.statistics import LUMA

MAX_EVERY = 4
# How much a frame must count for another, of what that counts for itself, to lend it its map:
# two thirds of the way from a slow pan to a flash.
LEAST_ALIKE = 0.02
# Props between the filters here: the map's range in stops, and how alike frames around are.
_RANGE, ALIKE = "GainMapRange", "GainMapAlike"


def alike(weights: NDArray[np.float64], places: Sequence[int], n: int, every: int) -> list[float]:
    """Return how much the frames around a frame count for it, of what it counts for itself.

    Args:
        weights: of the frames in `places`, from `look_around`.
        places: frame numbers, ascending, n among them.
        n: the frame in question.
        every: `every` - 1 frames on either side are told of.

    Returns:
        2 every - 1 values, of frames n - every + 1 and on; 0 where there is none.
    """
    found = dict(zip(places, weights.tolist(), strict=True))
    return [found.get(n + k, 0.0) / found[n] for k in range(1 - every, every)]


def carry(
    gain_map: vs.VideoNode,
    picture: vs.VideoNode,
    features: vs.VideoNode,
    every: int,
    *,
    size: int,
    low: float,
    high: float,
) -> vs.VideoNode:
    """Return a gain map clip for which only every so many-th frame of another is asked.

    Args:
        gain_map: GRAYS, from a backend's `local`.
        picture: RGBS, that the local branch sees.
        features: one row a frame, which begins with the network's vector, with `ALIKE`.
        every: 2 to `MAX_EVERY`.
        size: length of the vector; qmax_norm is its last number.
        low: log gain in stops where the map is 0.
        high: log gain in stops of qmax_norm 1.

    Returns:
        GRAYS like `gain_map`; frames whose number is a multiple of `every` are its own.
    """
    own = hold(gain_map, IN_FLIGHT)
    weights = " ".join(f"{name} {weight!r} *" for name, weight in zip("xyz", LUMA, strict=True))
    planes = [picture.std.ShufflePlanes(plane, vs.GRAY) for plane in range(3)]
    luma = vs.core.akarin.Expr(planes, f"{weights} + +")

    def measure(n: int, f: list[vs.VideoFrame]) -> vs.VideoFrame:  # noqa: ARG001
        out = f[0].copy()
        qmax = float(np.asarray(f[1][0])[0, size - 1]) * high
        out.props[_RANGE] = max(qmax - low, LEAST_RANGE)
        return out

    known = luma.std.ModifyFrame([luma, features], measure)
    step = max(-(-picture.width // SAMPLES_ACROSS), 1)

    def fit(n: int, f: list[vs.VideoFrame]) -> vs.VideoFrame:  # noqa: ARG001
        out = f[0].copy()
        put_curve(out, *(np.asarray(frame[0])[::step, ::step] for frame in f))
        return out

    fitted = known.std.ModifyFrame([known, own], fit)
    # What a key frame lends: what its curve leaves, and the curve as props.
    rest = vs.core.akarin.Expr([fitted, own], f"x luma! y {curve_expr('x')} -")
    rest = hold(rest, IN_FLIGHT)

    def lent(*lenders: tuple[int, float]) -> vs.VideoNode:
        """Return frames made of those so many frames away, each with its share."""
        stops = [
            f"{name} {curve_expr(name)} + {name}.{_RANGE} * {share!r} *"
            for name, (_, share) in zip("yz", lenders, strict=False)
        ]
        total = f"x luma! {' '.join(stops)} {'+ ' * (len(stops) - 1)}x.{_RANGE} /"
        made = vs.core.akarin.Expr([known, *(shifted(rest, away) for away, _ in lenders)], total)
        # Only its samples: all props are the frame's own, as `gain_map` has them.
        return made.std.CopyFrameProps(planes[0])

    ways: dict[tuple[int, bool, bool], vs.VideoNode] = {}
    for phase in range(1, every):
        before, after = (-phase, 1 - phase / every), (every - phase, phase / every)
        ways[phase, True, True] = lent(before, after)
        ways[phase, True, False] = lent((-phase, 1.0))
        ways[phase, False, True] = lent((every - phase, 1.0))

    def choose(n: int, f: vs.VideoFrame) -> vs.VideoNode:
        phase = n % every
        if phase == 0:
            return own
        around = np.atleast_1d(np.asarray(f.props[ALIKE], dtype=np.float64))
        before = around[every - 1 - phase] > LEAST_ALIKE
        after = around[2 * every - 1 - phase] > LEAST_ALIKE
        return ways.get((phase, bool(before), bool(after)), own)

    blank = gain_map.std.BlankClip(keep=True)
    return blank.std.FrameEval(choose, prop_src=features)

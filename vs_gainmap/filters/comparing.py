"""What `smooth` compares of frames: light of cells, and the level of highlights."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import vapoursynth as vs

from vs_gainmap.color.h273 import KNOWN_PRIMARIES
from vs_gainmap.color.primaries import PrimariesName, rgb_to_xyz_matrix
from vs_gainmap.color.transfer import (
    BRIGHTEST_SIGNAL,
    EOTF_POWERS,
    PQ_PEAK_NITS,
    REFERENCE_WHITE_NITS,
)
from vs_gainmap.filters import props
from vs_gainmap.filters.expressions import pq_signal_of_log
from vs_gainmap.filters.temporal import Level
from vs_gainmap.highlights import (
    DARKEST,
    Highlights,
    find_highlights,
    hold_top,
    is_large,
    moved_level,
)

# Props of cells: `Highlights`.
LEVEL, TALLY, NEAR, PLACE = HIGHLIGHTS = ["_Highlights", "_Tally", "_Near", "_Places"]
# Props of what is to be added to cells: where highlights ought to be, a `Level`, and a `Shift`.
WANTED, SURE = "_Wanted", "_Sure"
REST, TOP, ZERO = "_Rest", "_Top", "_Zero"


class Light(NamedTuple):
    """The SDR picture as a display shows it, all of it or enough to look at."""

    luma: vs.VideoNode
    """GRAYS, Y', which is what a guided map is led by."""
    log_light: vs.VideoNode
    """GRAYS, logarithm to base 2 of luminance, 1.0 = SDR white."""


class Signal(NamedTuple):
    """How light and a gain map become HDR light."""

    white: float
    """cd/m2."""
    eotf: str
    power: float
    low: str
    """Expression for the log gain at 0 of a map x."""

    @classmethod
    def of(cls, gain_map: vs.VideoNode) -> Signal:
        """Read the props of a gain map's first frame.

        Raises:
            vs.Error: its EOTF is none that is a power.
        """
        with gain_map.get_frame(0) as frame:
            found = dict(frame.props)
        name = props.read_eotf(found)
        if name not in EOTF_POWERS:
            known = ", ".join(EOTF_POWERS)
            raise vs.Error(
                f"smooth: gain_map's {props.GAIN_MAP_EOTF} must be one of {known}, got {name!r}"
            )
        white = float(found.get(props.GAIN_MAP_SDR_WHITE, REFERENCE_WHITE_NITS))
        low = f"x.{props.GAIN_MAP_MIN}" if props.GAIN_MAP_MIN in found else "0"
        return cls(white, name, EOTF_POWERS[name], low)

    def light(self, tagged: vs.VideoNode) -> Light:
        """Return the light of an SDR clip, which has its color props.

        Luminance, not luma: saturated lamps are highlights, and grain moves their color, too.
        """
        primaries = _primaries(tagged)
        width, height, scale = tagged.width, tagged.height, tagged.resize.Bilinear
        if is_large(width, height):
            width, height, scale = -(-width // 2), -(-height // 2), tagged.resize.Point
        gray = {"matrix": int(vs.MATRIX_BT709)} if tagged.format.color_family == vs.RGB else {}
        luma = scale(width, height, format=vs.GRAYS, **gray)
        rgb = scale(width, height, format=vs.RGBS)
        return Light(luma, self._log_light(rgb, primaries))

    def small_light(self, tagged: vs.VideoNode, width: int, height: int) -> vs.VideoNode:
        """Return the logarithm of an SDR clip's light in another size, as `Light` has it."""
        return self._log_light(
            tagged.resize.Bilinear(width, height, format=vs.RGBS), _primaries(tagged)
        )

    def _log_light(self, rgb: vs.VideoNode, primaries: PrimariesName) -> vs.VideoNode:
        planes = rgb.std.SplitPlanes()
        parts = [
            f"{name} {DARKEST} {BRIGHTEST_SIGNAL!r} clamp {self.power!r} pow {float(weight)!r} *"
            for name, weight in zip("xyz", rgb_to_xyz_matrix(primaries)[1], strict=True)
        ]
        return vs.core.akarin.Expr(planes, f"{' '.join(parts)} + + log {1 / math.log(2)!r} *")

    def log_hdr(self, log_light: str, gain_map: str, curve: str | None = None) -> str:
        """Return the expression for the logarithm of HDR's light to base 2, of cd/m2."""
        low = self.low.replace("x.", f"{gain_map}.")
        value = gain_map if curve is None else f"{gain_map} {curve} +"
        stops = f"{value} {gain_map}.{props.GAIN_MAP_MAX} {low} - * {low} +"
        return f"{log_light} {stops} + {math.log2(self.white)!r} +"

    def pq(self, light: Light, gain_map: vs.VideoNode, curve: str | None) -> vs.VideoNode:
        """Return the HDR's PQ signal in the size of the light.

        Whatever the map's size: PQ is no straight line, so grain that is averaged before it does
        not show what it does to the mean.
        """
        gain_map = gain_map.resize.Bilinear(light.luma.width, light.luma.height)
        log = f"z luma! {self.log_hdr('x', 'y', curve)} {math.log2(PQ_PEAK_NITS)!r} - 0 min"
        pq = pq_signal_of_log(f"{log} {math.log(2)!r} *")
        return vs.core.akarin.Expr([light.log_light, gain_map, light.luma], pq)


def make_grids(luma: vs.VideoNode, pq: vs.VideoNode, columns: int, rows: int) -> vs.VideoNode:
    """Return what `steady_stops` compares.

    Cells of mean luma, and under them as many of the HDR's mean PQ signal, with props that say
    where highlights are.
    """
    blank = blank_grids(pq, columns, 2 * rows)

    def look(n: int, f: list[vs.VideoFrame]) -> vs.VideoFrame:  # noqa: ARG001
        out = f[0].copy()
        put_highlights(out, find_highlights(np.asarray(f[1][0])))
        return out

    cells = [plane.resize.Bilinear(columns, rows) for plane in (luma, pq)]
    seen = blank.std.ModifyFrame([blank, pq], look)
    return vs.core.std.StackVertical(cells).std.CopyFrameProps(seen, props=HIGHLIGHTS)


def blank_grids(clip: vs.VideoNode, columns: int, rows: int) -> vs.VideoNode:
    """Return a clip of so many cells, as long as another."""
    return vs.core.std.BlankClip(
        clip, format=vs.GRAYS, width=columns, height=rows, keep=True
    ).std.RemoveFrameProps()


def put_highlights(frame: vs.VideoFrame, seen: Highlights) -> None:
    """Write highlights into a frame's props."""
    frame.props[LEVEL], frame.props[TALLY] = seen.level, np.float32(seen.counts).tobytes()
    # VapourSynth has no prop of no bytes.
    frame.props[NEAR] = bytes(1) + seen.near.tobytes()
    frame.props[PLACE] = bytes(1) + seen.places.tobytes()


def read_highlights(frame: vs.VideoFrame) -> Highlights:
    """Return what `put_highlights` wrote."""
    said: dict[str, Any] = dict(frame.props)
    near = np.frombuffer(said[NEAR], np.float32, offset=1)
    places = np.frombuffer(said[PLACE], np.uint16, offset=1).reshape(-1, 2)
    return Highlights(float(said[LEVEL]), near, places, np.frombuffer(said[TALLY], np.float32))


def put_wanted(frame: vs.VideoFrame, wanted: Level) -> None:
    """Write where highlights ought to be into a frame's props."""
    frame.props[WANTED], frame.props[SURE] = wanted.value, wanted.sure


def read_wanted(frame: vs.VideoFrame) -> Level:
    """Return what `put_wanted` wrote."""
    return Level(float(frame.props[WANTED]), float(frame.props[SURE]))


def find_shifts(stops: vs.VideoNode, grids: vs.VideoNode, *, held: bool) -> vs.VideoNode:
    """Return a clip of `steady_stops` with props of how highlights are to be shifted.

    Args:
        stops: what is to be added to cells.
        grids: from `make_grids`.
        held: whether that is in the grids already; if not, what it does to highlights is taken
            from where they are.
    """

    def shift(n: int, f: list[vs.VideoFrame]) -> vs.VideoFrame:  # noqa: ARG001
        out, added = f[0].copy(), np.asarray(f[0][0])
        seen = read_highlights(f[1])
        own = seen.level if held else moved_level(seen, added)
        made = hold_top(own, seen.counts, read_wanted(f[0]))
        out.props[REST], out.props[TOP], out.props[ZERO] = made.rest, made.top, made.zero
        return out

    return stops.std.ModifyFrame([stops, grids], shift)


def _primaries(tagged: vs.VideoNode) -> PrimariesName:
    with tagged.get_frame(0) as frame:
        return KNOWN_PRIMARIES.get(int(frame.props[props.PRIMARIES]), "bt709")

"""What `smooth` compares of frames: light of cells, and the level of highlights."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import vapoursynth as vs

from vs_gainmap import props
from vs_gainmap.color import (
    BRIGHTEST_SIGNAL,
    EOTF_POWERS,
    PQ_PEAK_NITS,
    REFERENCE_WHITE_NITS,
    rgb_to_xyz_matrix,
)
from vs_gainmap.colorimetry import KNOWN_PRIMARIES
from vs_gainmap.filters.expressions import pq_signal_of_log
from vs_gainmap.highlights import DARKEST, hold_top, seen_size, tally, top_level
from vs_gainmap.temporal import Level

# Prop of cells: where highlights are, PQ signal. Of what is to be added: where they ought to be.
LEVEL = "_Highlights"
# How sure it is, where that is a level that it ought to have.
SURE = "_Sure"
# Props of a picture: a `Shift`.
REST, TOP, ZERO = "_Rest", "_Top", "_Zero"


class Light(NamedTuple):
    """The SDR picture as a display shows it, at the size at which levels are looked for."""

    luma: vs.VideoNode
    """GRAYS, Y', which is what a guided map is led by."""
    log_light: vs.VideoNode
    """GRAYS, logarithm to base 2 of luminance, 1.0 = SDR white."""


class Signal(NamedTuple):
    """How light and a gain map become HDR light."""

    white: float
    """cd/m2."""
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
        return cls(white, EOTF_POWERS[name], low)

    def light(self, tagged: vs.VideoNode) -> Light:
        """Return the light of an SDR clip, which has its color props.

        Luminance, not luma: saturated lamps are highlights, and grain moves their color, too.
        """
        with tagged.get_frame(0) as frame:
            primaries = KNOWN_PRIMARIES.get(int(frame.props[props.PRIMARIES]), "bt709")
        size = seen_size(tagged.width, tagged.height)
        gray = {"matrix": int(vs.MATRIX_BT709)} if tagged.format.color_family == vs.RGB else {}
        luma = tagged.resize.Bilinear(*size, format=vs.GRAYS, **gray)
        rgb = tagged.resize.Bilinear(*size, format=vs.RGBS)
        planes = rgb.std.SplitPlanes()
        parts = [
            f"{name} {DARKEST} {BRIGHTEST_SIGNAL!r} clamp {self.power!r} pow {float(weight)!r} *"
            for name, weight in zip("xyz", rgb_to_xyz_matrix(primaries)[1], strict=True)
        ]
        log_light = vs.core.akarin.Expr(planes, f"{' '.join(parts)} + + log {1 / math.log(2)!r} *")
        return Light(luma, log_light)

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
    """Return cells of mean luma, and under them as many of the HDR's mean PQ signal; `LEVEL`."""

    def note(n: int, f: vs.VideoFrame) -> vs.VideoFrame:  # noqa: ARG001
        out = f.copy()
        out.props[LEVEL] = top_level(np.asarray(f[0]))
        return out

    noted = pq.std.ModifyFrame(pq, note)
    cells = [plane.resize.Bilinear(columns, rows) for plane in (luma, noted)]
    return vs.core.std.StackVertical(cells).std.CopyFrameProps(cells[1], props=[LEVEL])


def wanted_level(stops: vs.VideoFrame) -> Level:
    """Return where a frame of `steady_stops` says that the highlights ought to be."""
    return Level(float(stops.props[LEVEL]), float(stops.props[SURE]))


def find_shifts(picture: vs.VideoNode, pq: vs.VideoNode, stops: vs.VideoNode) -> vs.VideoNode:
    """Return a picture with props: how its map is to be bent so that the highlights hold.

    Args:
        picture: what gets the props.
        pq: the HDR's PQ signal, as it is.
        stops: whose frames have `LEVEL` and `SURE`, as it is to be.
    """

    def find(n: int, f: list[vs.VideoFrame]) -> vs.VideoFrame:  # noqa: ARG001
        out = f[0].copy()
        signal = np.asarray(f[1][0])
        shift = hold_top(top_level(signal), tally(signal), wanted_level(f[2]))
        out.props[REST], out.props[TOP], out.props[ZERO] = shift.rest, shift.top, shift.zero
        return out

    return picture.std.ModifyFrame([picture, pq, stops], find)

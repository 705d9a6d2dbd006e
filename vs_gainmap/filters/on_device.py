"""The whole way on the network's device, as a filter; see `vs_gainmap.onboard`."""

from __future__ import annotations

import numpy as np
import vapoursynth as vs

from vs_gainmap.backends import TorchBackend
from vs_gainmap.backends.pytorch import frame_errors
from vs_gainmap.color.h273 import KNOWN_PRIMARIES, LUMA_WEIGHTS
from vs_gainmap.color.primaries import PrimariesName
from vs_gainmap.filters import props
from vs_gainmap.filters.color_props import check_frame_color, chroma_shift
from vs_gainmap.filters.comparing import LEVEL, blank_grids, read_wanted
from vs_gainmap.filters.judging import Judgement
from vs_gainmap.filters.measure import BLACK_NITS, lit_area
from vs_gainmap.filters.output import (
    Rendering,
    choose_guided,
    choose_light,
    hdr10_props,
    target_color,
)
from vs_gainmap.filters.smoothing import cell_grid, steady_stops, window_length
from vs_gainmap.filters.window import hold
from vs_gainmap.onboard import Judged, Levels, Look, Onboard, Steady
from vs_gainmap.planes import PlaneFormat

_INSTEAD = "leave on_device out for this clip"


def render_on_device(
    tagged: vs.VideoNode, known: Judgement, wanted: Rendering, *, radius: int
) -> vs.VideoNode:
    """Make HDR10 of an SDR clip on the device of its network.

    Args:
        tagged: SDR with all its color props.
        known: from `judge`.
        wanted: how it is to look.
        radius: of `smooth`.

    Returns:
        PQ, BT.2020, YUV, with all color and HDR10 props.

    Raises:
        vs.Error: this way is not open to the clip, the backend or the format.
    """
    if wanted.output != "pq" or wanted.dither != "none":
        raise vs.Error('sdr_to_hdr10: on_device makes output "pq" with dither "none" only')
    if not isinstance(known.network, TorchBackend):
        raise vs.Error('sdr_to_hdr10: on_device needs backend="torch"')
    network = known.network
    source, primaries = _source(tagged)
    target = _target(tagged, wanted)
    width, height = known.map_size
    rows, columns = cell_grid(width, height)
    look = _look(tagged, known, wanted, primaries)
    held = window_length(radius)
    onboard = Onboard(
        network.predictor,
        known.surveyor.predictor if known.surveyor else None,
        source,
        target,
        look,
        map_size=(height, width),
        cells=(rows, columns),
        keep=held,
    )
    size = network.features_size
    sources = [tagged, known.features, *([known.told] if known.told else [])]

    def judged(f: list[vs.VideoFrame]) -> Judged:
        vector = np.asarray(f[2][0])[0, :size].copy()
        told = np.asarray(f[3][0])[0].copy() if known.told else None
        return Judged(vector, told)

    def compare(n: int, f: list[vs.VideoFrame]) -> vs.VideoFrame:
        out = f[0].copy()
        with frame_errors(n):
            found = onboard.compare(n, _codes(f[1]), judged(f))
        np.copyto(np.asarray(out[0]), found.cells)
        out.props[LEVEL], out.props[props.GAIN_MAP_MAX] = found.level, found.qmax
        return out

    stops: list[vs.VideoNode] = []
    if radius > 0 and tagged.num_frames > 1:
        blank = blank_grids(tagged, columns, 2 * rows)
        grids = hold(network.modify(blank, [blank, *sources], compare), held)
        stops = [steady_stops(grids, rows, radius)]

    def render(n: int, f: list[vs.VideoFrame]) -> vs.VideoFrame:
        check_frame_color(f[1].props, "sdr_to_hdr10", n)
        out = f[0].copy()
        steady = None
        if stops:
            steady = Steady(np.asarray(f[-1][0]).copy(), read_wanted(f[-1]))
        with frame_errors(n):
            made = onboard.render(n, _codes(f[1]), judged(f), steady)
        for k, plane in enumerate(made.planes):
            np.copyto(np.asarray(out[k]), plane)
        out.props[props.GAIN_MAP_MAX] = made.qmax
        if props.SCENE_CHANGE_PREV in f[2].props:
            out.props[props.SCENE_CHANGE_PREV] = f[2].props[props.SCENE_CHANGE_PREV]
        if made.levels is not None:
            _note(out, made.levels)
        return out

    blank = _blank(tagged, wanted.format, tagged.width, tagged.height)
    # The source's own props first: what the result is, is said after.
    stale = [props.COLOR_RANGE, props.CHROMA_LOCATION]
    blank = blank.std.CopyFrameProps(tagged).std.RemoveFrameProps(stale)
    color: dict[str, props.PropValue] = {
        props.MATRIX: int(vs.MATRIX_BT2020_NCL),
        props.TRANSFER: int(vs.TRANSFER_ST2084),
        props.PRIMARIES: int(vs.PRIMARIES_BT2020),
        props.RANGE: int(vs.RANGE_LIMITED),
    }
    found = target_color(wanted.format, wanted.output, wanted.output_chroma_location)
    if "chromaloc" in found:
        color[props.CHROMA_LOCATION] = found["chromaloc"]
    color |= hdr10_props(tagged, look.peak_nits, wanted)
    blank = blank.std.SetFrameProps(**color)
    return network.modify(blank, [blank, *sources, *stops], render)


def _blank(tagged: vs.VideoNode, clip_format: int, width: int, height: int) -> vs.VideoNode:
    return vs.core.std.BlankClip(
        tagged, format=clip_format, width=width, height=height, keep=True
    ).std.RemoveFrameProps()


def _codes(frame: vs.VideoFrame) -> list[np.ndarray]:
    return [np.asarray(frame[plane]) for plane in range(3)]


def _note(frame: vs.VideoFrame, levels: Levels) -> None:
    frame.props[props.FRAME_MAX_NITS] = levels.max_nits
    frame.props[props.FRAME_AVERAGE_NITS] = levels.average_nits
    area = lit_area(levels.rows, levels.columns, BLACK_NITS)
    frame.props[props.FRAME_ACTIVE_AREA] = list(area)


def _source(tagged: vs.VideoNode) -> tuple[PlaneFormat, PrimariesName]:
    layout = tagged.format
    with tagged.get_frame(0) as frame:
        found = dict(frame.props)
    matrix, primaries = int(found[props.MATRIX]), int(found[props.PRIMARIES])
    fits = layout.color_family == vs.YUV and layout.sample_type == vs.INTEGER
    if not fits or matrix not in LUMA_WEIGHTS or primaries not in KNOWN_PRIMARIES:
        raise vs.Error(
            "sdr_to_hdr10: on_device takes integer YUV of BT.601, BT.709 or BT.2020 (not "
            f"constant luminance), got {layout.name}, matrix {matrix}, primaries {primaries}; "
            f"{_INSTEAD}"
        )
    location = int(found.get(props.CHROMA_LOCATION, 0))
    full = int(found.get(props.RANGE, 0)) == int(vs.RANGE_FULL)
    return _layout(layout, matrix, location, full_range=full), KNOWN_PRIMARIES[primaries]


def _target(tagged: vs.VideoNode, wanted: Rendering) -> PlaneFormat:
    color = target_color(wanted.format, wanted.output, wanted.output_chroma_location)
    layout = vs.core.get_video_format(wanted.format)
    if layout.color_family != vs.YUV or layout.sample_type != vs.INTEGER:
        raise vs.Error(f"sdr_to_hdr10: on_device makes integer YUV, not {layout.name}; {_INSTEAD}")
    if tagged.width % (1 << layout.subsampling_w) or tagged.height % (1 << layout.subsampling_h):
        raise vs.Error(
            f"sdr_to_hdr10: {tagged.width}x{tagged.height} can't be {layout.name}; crop it first"
        )
    return _layout(layout, color["matrix"], color.get("chromaloc", 0), full_range=False)


def _layout(layout: vs.VideoFormat, matrix: int, location: int, *, full_range: bool) -> PlaneFormat:
    kr, kb = LUMA_WEIGHTS[matrix]
    right, down = chroma_shift(layout, location)
    return PlaneFormat(
        bits=layout.bits_per_sample,
        subsampling_w=layout.subsampling_w,
        subsampling_h=layout.subsampling_h,
        kr=kr,
        kb=kb,
        full_range=full_range,
        right=right,
        down=down,
    )


def _look(
    tagged: vs.VideoNode, known: Judgement, wanted: Rendering, primaries: PrimariesName
) -> Look:
    preset = known.loaded.preset
    white, peak, eotf = choose_light(
        sdr_white=wanted.sdr_white,
        peak_nits=wanted.peak_nits,
        strength=wanted.strength,
        eotf=wanted.eotf,
        own_white=preset.sdr_white,
        own_headroom=preset.max_log_gain,
        own_eotf=preset.eotf,
    )
    guided = choose_guided(wanted.upsampling, known.map_size[0], tagged.width)
    return Look(
        eotf=eotf,
        primaries=primaries,
        low=preset.min_log_gain,
        high=preset.max_log_gain,
        sdr_white=white,
        peak_nits=peak,
        strength=wanted.strength,
        guided=guided and known.map_size != (tagged.width, tagged.height),
        measure=wanted.measure,
    )

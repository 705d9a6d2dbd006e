"""The report page: light, Qmax and cuts of an HDR file over time, and its metadata."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
import vapoursynth as vs

from vs_gainmap.color.transfer import pq_eotf, pq_inverse_eotf
from vs_gainmap.errors import MediaError
from vs_gainmap.filters import props
from vs_gainmap.filters.false_color import scale_top
from vs_gainmap.filters.measure import measure
from vs_gainmap.filters.temporal import distance, find_cuts, signature
from vs_gainmap.hdr10 import LightMeter
from vs_gainmap.photo.write import png_bytes
from vs_gainmap.preview.metadata import complete_hdr, metadata_rows
from vs_gainmap.preview.page import Hover, Page
from vs_gainmap.preview.pictures import square_size, tone_map
from vs_gainmap.preview.scopes import new_figure, nits_axis, to_svg
from vs_gainmap.preview.stats import STATS_SUFFIX, FrameStats
from vs_gainmap.video.pixels import sample_aspect

MAX_THUMBNAILS = 24
MAX_BRIGHTEST = 6
# Values along the plot that the pointer finds; more than pixels would only make the page large.
MAX_HOVER = 2000
# Stops that the axis of Qmax has at least, so that noise doesn't fill it.
LEAST_STOPS = 1.0
# What they fit into: 256x144 of 16:9, 256x192 of 4:3, 108x192 upright.
_BOX = (256, 192)
# Seconds by which steps of a constant rate differ at most, where times are milliseconds.
_ROUNDING = 0.0025


def measure_frames(
    clip: vs.VideoNode, progress: Callable[[int, int], None] | None = None
) -> list[FrameStats]:
    """Measure every frame of a PQ or HLG clip and find its cuts.

    Args:
        clip: with its color props.
        progress: called with frames done and frames in all.

    Raises:
        MediaError: the clip is neither PQ nor HLG.
    """
    clip, _ = complete_hdr(clip)
    measured = measure(clip)
    small = clip.resize.Bicubic(64, 64, format=vs.RGBS, transfer=int(vs.TRANSFER_BT709))
    both = measured.std.ModifyFrame([measured, small], lambda n, f: f[0])  # noqa: ARG005
    frames: list[FrameStats] = []
    steps: list[float] = []
    time, before = 0.0, None
    pairs = zip(both.frames(close=True), small.frames(close=True), strict=True)
    for n, (frame, thumbnail) in enumerate(pairs):
        found = frame.props
        now = signature([np.asarray(thumbnail[p]) for p in range(3)])
        steps.append(0.0 if before is None else distance(before, now))
        before = now
        frames.append(
            FrameStats(
                seconds=time,
                max_nits=float(found[props.FRAME_MAX_NITS]),
                average_nits=float(found[props.FRAME_AVERAGE_NITS]),
                active_area=props.read_active_area(found),
            )
        )
        time += found.get("_DurationNum", 1) / found.get("_DurationDen", 25)
        if progress is not None:
            progress(n + 1, clip.num_frames)
    cuts = find_cuts(steps)
    return [replace(f, begins_shot=cut) for f, cut in zip(frames, cuts, strict=True)]


def write_report(
    path: Path,
    clip: vs.VideoNode,
    frames: list[FrameStats],
    *,
    title: str,
    measured: str = "measured here, as decoded",
    notes: Sequence[str] = (),
    about: Sequence[tuple[str, str]] = (),
) -> None:
    """Write the page.

    Args:
        path: of the page, HTML with everything inside.
        clip: the PQ or HLG clip, for thumbnails and metadata.
        frames: of the whole clip.
        title: of the page.
        measured: where `frames` come from.
        notes: more about `frames`.
        about: names and values for the page's head.

    Raises:
        MediaError: matplotlib is not installed, `frames` are of another clip, or the clip is
            neither PQ nor HLG.
    """
    if len(frames) != clip.num_frames:
        raise MediaError(f"the stats have {len(frames)} frames, the clip {clip.num_frames}")
    full, assumed = complete_hdr(clip)
    page = Page(title)
    page.table(about)
    page.heading("Light over time")
    page.svg(*_plot(frames))
    for note in notes:
        page.note(note)
    if all(frame.qmax is None for frame in frames):
        page.note(
            "There is no Qmax: a video doesn't carry it. convert --stats keeps it, in a file that "
            f"report takes by --stats, or by itself when it is named VIDEO{STATS_SUFFIX}."
        )
    page.heading("Shots")
    shots = [0, *(n for n, f in enumerate(frames) if f.begins_shot)]
    if len(shots) > MAX_THUMBNAILS:
        shots = [shots[i * len(shots) // MAX_THUMBNAILS] for i in range(MAX_THUMBNAILS)]
    page.figures(_thumbnails(full, frames, shots), small=True)
    page.heading("Brightest frames")
    page.figures(_thumbnails(full, frames, _brightest(frames)), small=True)
    page.heading("Metadata")
    for note in assumed:
        page.note(note)
    page.table(
        [*metadata_rows(clip, varies=_varies(frames)), *_measured_rows(clip, frames, measured)]
    )
    page.note(
        "MaxCLL in the file and as decoded may differ: convert measures before the encoder, whose "
        "rounding and ringing at edges make single pixels brighter or darker."
    )
    page.write(path)


def _brightest(frames: list[FrameStats]) -> list[int]:
    """Return the brightest frame of each of the brightest shots, in the order of time."""
    best: dict[int, int] = {}
    shot = 0
    for n, frame in enumerate(frames):
        shot += frame.begins_shot
        if shot not in best or frame.max_nits > frames[best[shot]].max_nits:
            best[shot] = n
    return sorted(sorted(best.values(), key=lambda n: -frames[n].max_nits)[:MAX_BRIGHTEST])


def _varies(frames: list[FrameStats]) -> bool:
    """Say whether frames last differently, by more than Matroska's whole milliseconds make."""
    steps = np.diff([f.seconds for f in frames])
    return bool(steps.size and np.ptp(steps) > _ROUNDING)


def _plot(frames: list[FrameStats]) -> tuple[str, Hover]:
    seconds = [f.seconds for f in frames]
    has_qmax = any(f.qmax is not None for f in frames)
    figure, axes = new_figure(12.5, 5.2 if has_qmax else 3.4, rows=2 if has_qmax else 1)
    light = axes[0] if has_qmax else axes
    for values, color, label in (
        ([f.max_nits for f in frames], "#ffb040", "brightest pixel"),
        ([f.average_nits for f in frames], "#60b0ff", "frame average"),
    ):
        pq = pq_inverse_eotf(torch.tensor(values, dtype=torch.float64)).numpy()
        light.plot(seconds, pq, color=color, linewidth=1.2, label=label)
    nits_axis(light, scale_top(max(f.max_nits for f in frames)))
    if has_qmax:
        values = [np.nan if f.qmax is None else f.qmax for f in frames]
        axes[1].plot(seconds, values, color="#80e080", linewidth=1.2, label="Qmax")
        low, high = np.nanmin(values), np.nanmax(values)
        spare = max(LEAST_STOPS - (high - low), 0.1) / 2
        axes[1].set_ylim(low - spare, high + spare)
        axes[1].set_ylabel("stops", color="#ccc", fontsize=8)
    for ax in np.atleast_1d(axes):
        for frame in frames:
            if frame.begins_shot:
                ax.axvline(frame.seconds, color="#888", linewidth=0.8, linestyle=":")
        # Above the axes, where it hides no curve.
        ax.legend(
            fontsize=8, labelcolor="#ddd", frameon=False, ncols=2, loc="lower left",
            bbox_to_anchor=(0, 1),
        )  # fmt: skip
    np.atleast_1d(axes)[-1].set_xlabel("seconds; dotted lines are cuts", color="#ccc", fontsize=8)
    svg = to_svg(figure)
    # Layout is known once it is drawn.
    box, (first, last) = light.get_position(), light.get_xlim()
    step = -(-len(frames) // MAX_HOVER)
    shown = [max(frames[n : n + step], key=lambda f: f.max_nits)
             for n in range(0, len(frames), step)]  # fmt: skip
    texts = tuple((round(f.seconds, 3), _text(f)) for f in shown)
    return svg, Hover(left=box.x0, right=box.x1, first=first, last=last, texts=texts)


def _text(frame: FrameStats) -> str:
    qmax = "" if frame.qmax is None else f", Qmax {frame.qmax:+.2f} stops"
    light = f"{frame.max_nits:.0f} cd/m², average {frame.average_nits:.1f}"
    return f"{frame.seconds:.2f} s: {light}{qmax}"


def _thumbnails(
    clip: vs.VideoNode, frames: list[FrameStats], chosen: Sequence[int]
) -> list[tuple[str, bytes, str]]:
    with clip.get_frame(0) as frame:
        width, height = square_size(clip.width, clip.height, sample_aspect(frame.props))
    shrink = min(_BOX[0] / width, _BOX[1] / height)
    small = clip.resize.Bicubic(
        max(round(width * shrink), 1),
        max(round(height * shrink), 1),
        format=vs.RGBS,
        transfer=int(vs.TRANSFER_ST2084),
        primaries=int(vs.PRIMARIES_BT2020),
    )
    figures = []
    for n in chosen:
        with small.get_frame(n) as frame:
            pq = torch.from_numpy(np.stack([np.asarray(frame[p]) for p in range(3)]))
        picture = tone_map(pq_eotf(pq), 203.0)
        caption = f"{frames[n].seconds:.2f} s: {frames[n].max_nits:.0f} cd/m²"
        figures.append((caption, png_bytes(picture), "image/png"))
    return figures


def _measured_rows(
    clip: vs.VideoNode, frames: list[FrameStats], measured: str
) -> list[tuple[str, str]]:
    meter = LightMeter(clip.width, clip.height)
    for one in frames:
        meter.add(one.max_nits, one.average_nits, one.active_area)
    true = meter.result()
    left, top, right, bottom = meter.active_area
    return [
        ("picture without bars", f"{right - left}x{bottom - top} at {left}, {top}"),
        (f"MaxCLL, MaxFALL {measured}", f"{true.max_cll}, {true.max_fall} cd/m²"),
    ]

"""How steady the filter is in time, measured against videos with a known truth.

Flicker is what a picture's brightness does from one frame to the next beyond what the truth's
does. Everything runs through the real filter, from a coded file to light.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
import vapoursynth as vs
from numpy.typing import NDArray
from torch import Tensor

from training.evaluation.metrics import pq_psnr
from training.evaluation.shots import Shot, deliver
from vs_gainmap.color.primaries import luminance
from vs_gainmap.color.transfer import pq_eotf, pq_inverse_eotf
from vs_gainmap.filters import apply, predict, props, sdr_to_hdr10
from vs_gainmap.video import open_clip

CODES = 1023
PERCENTILE = 99.0
# How many frames around a cut or a flash are looked at for lag.
EVENT_REACH = 4
# A cut or flash of less than so many codes is nothing to lag behind.
LEAST_JUMP = 2.0
# Over how many frames a loss must last to be one: a network that judges each frame alone is
# sometimes lucky, and a steady one never is.
LASTING = 9


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """What one way of filtering made of a shot.

    `levels` is (frames, 2): mean and 99th percentile of PQ luminance, in steps of 10 bits;
    `psnr` (frames,) in dB, of the PQ signal against the truth.
    """

    levels: NDArray[np.float64]
    psnr: NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Steadiness:
    """A shot at one radius, beside radius 0.

    `flicker` is the mean excess change of the two levels a frame, in steps of 10 bits;
    `psnr` the mean in dB and `loss` what it lost against radius 0, mean over the shot, over the
    worst `LASTING` frames in a row and in the worst frame; `lag` frames, see `lag`.
    """

    kind: str
    scene: str
    way: str
    flicker: tuple[float, float]
    psnr: float
    loss: float
    lasting_loss: float
    worst_loss: float
    lag: float | None


def levels(nits: Tensor) -> tuple[float, float]:
    """Return mean and 99th percentile of PQ luminance in steps of 10 bits.

    Args:
        nits: (3, H, W), BT.2020, cd/m2.
    """
    signal = pq_inverse_eotf(luminance(nits, "bt2020")).numpy() * CODES
    return float(signal.mean()), float(np.percentile(signal, PERCENTILE))


def excess_change(levels: NDArray[np.float64], truth: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return how far a level's change from frame to frame goes beyond the truth's own.

    Args:
        levels: (frames, ...).
        truth: the same.

    Returns:
        (frames - 1, ...), not negative: 0 where it moves no more than the truth.
    """
    moved, meant = np.abs(np.diff(levels, axis=0)), np.abs(np.diff(truth, axis=0))
    return np.asarray(np.maximum(moved - meant, 0.0))


def lag(
    steady: NDArray[np.float64], alone: NDArray[np.float64], events: Sequence[int]
) -> float | None:
    """Return by how many frames' worth a way lags (or leads) at cuts and flashes.

    At each event the level of `alone` jumps. What `steady` still (or already) shows of the other
    side is expressed as a share of the jump and summed over the frames of the side: an
    exponential average of time constant T lags by T frames. A shift that is the same all over
    a shot is none: the median difference of the side is taken off.

    Args:
        steady: (frames,), one level.
        alone: the same at radius 0.
        events: first frames behind each jump.

    Returns:
        The largest, in frames; None without events whose jump is `LEAST_JUMP` or more.
    """
    found = []
    bounds = [0, *events, len(alone)]
    for at, start, end in zip(events, bounds[:-2], bounds[2:], strict=True):
        jump = alone[at] - alone[at - 1]
        if abs(jump) < LEAST_JUMP:
            continue
        for side, sign in ((slice(start, at), 1.0), (slice(at, end), -1.0)):
            difference = (steady - alone)[side]
            if len(difference) > 2 * EVENT_REACH:
                difference = difference - np.median(difference)
            near = difference[-EVENT_REACH:] if sign > 0 else difference[:EVENT_REACH]
            found.append(abs(float((near * sign / jump).sum())))
    return max(found, default=None)


def _running_mean(values: NDArray[np.float64], length: int) -> NDArray[np.float64]:
    length = min(length, len(values))
    return np.convolve(values, np.full(length, 1 / length), mode="valid")


def watch(clip: vs.VideoNode, truth: Sequence[Tensor]) -> Course:
    """Run a clip of PQ RGBS and measure it against the truth."""
    seen, psnr = [], []
    for frame, true in zip(clip.frames(close=True), truth, strict=True):
        signal = torch.from_numpy(np.stack([np.asarray(frame[p]) for p in range(3)]))
        nits = pq_eotf(signal)
        seen.append(levels(nits))
        psnr.append(pq_psnr(nits, true))
    return Course(levels=np.array(seen), psnr=np.array(psnr))


def compare(
    shot: Shot, truth: NDArray[np.float64], way: str, course: Course, alone: Course
) -> Steadiness:
    """Express a way's course beside that of radius 0; jumps at events are no flicker."""
    inner = [n - 1 for n in range(1, len(truth)) if n not in shot.events]
    flicker = excess_change(course.levels, truth)[inner].mean(axis=0)
    losses = alone.psnr - course.psnr
    return Steadiness(
        kind=shot.kind,
        scene=shot.scene,
        way=way,
        flicker=(float(flicker[0]), float(flicker[1])),
        psnr=float(course.psnr.mean()),
        loss=float(losses.mean()),
        lasting_loss=float(_running_mean(losses, LASTING).max()),
        worst_loss=float(losses.max()),
        lag=lag(course.levels[:, 0], alone.levels[:, 0], shot.events),
    )


def frozen(gain_map: vs.VideoNode) -> vs.VideoNode:
    """Return the mean of a gain map clip's frames on every frame: as steady as a map can be."""
    frames = list(gain_map.frames(close=False))
    mean = np.mean([np.asarray(frame[0], dtype=np.float64) for frame in frames], axis=0)
    qmax = float(np.mean([float(frame.props[props.GAIN_MAP_MAX]) for frame in frames]))

    def put(n: int, f: vs.VideoFrame) -> vs.VideoFrame:  # noqa: ARG001
        out = f.copy()
        np.copyto(np.asarray(out[0]), mean.astype(np.float32))
        out.props[props.GAIN_MAP_MAX] = qmax
        return out

    return gain_map.std.ModifyFrame(gain_map, put)


def ways(
    clip: vs.VideoNode, weights: str | Path, radii: Sequence[int], *, still: bool
) -> dict[str, vs.VideoNode]:
    """Return a clip filtered every way that is compared, as PQ in RGBS."""
    clip = clip.std.SetFrameProp(props.CHROMA_LOCATION, intval=int(vs.CHROMA_CENTER))
    alone = predict(clip, weights=weights, radius=0)
    made = {"radius 0": apply(clip, alone, format=vs.RGBS)}
    with alone.get_frame(0) as frame:
        known = {**frame.props, props.GAIN_MAP_MIN: 0.0, props.GAIN_MAP_MAX: 0.0}
    nothing = alone.std.BlankClip(keep=True).std.SetFrameProps(**known)
    made["SDR"] = apply(clip, nothing, format=vs.RGBS)
    if still:
        made["frozen map"] = apply(clip, frozen(alone), format=vs.RGBS)
    for radius in radii:
        made[f"radius {radius}"] = sdr_to_hdr10(
            clip, weights=weights, radius=radius, format=vs.RGBS
        )
    return made


def measure_shots(
    shots: Iterable[Shot], weights: str | Path, radii: Sequence[int]
) -> Iterator[Steadiness]:
    """Measure every shot at radius 0, at other radii, and two ways to compare with.

    Args:
        shots: from `training.evaluation.shots.make_shots`.
        weights: bundled name or file.
        radii: beside 0.

    Yields:
        One row a shot and way: "radius 0", "SDR" (a gain of 1: what flickers in the
        source), "frozen map" (still shots: the best that a steady map can do), ...
    """
    with tempfile.TemporaryDirectory() as folder:
        for number, shot in enumerate(shots):
            path = Path(folder) / f"{number}.mkv"
            deliver(shot, path)
            truth = np.array([levels(nits) for nits in shot.truth])
            alone: Course | None = None
            still = shot.kind.startswith("still")
            for way, clip in ways(open_clip(path), weights, radii, still=still).items():
                course = watch(clip, shot.truth)
                alone = alone or course
                yield compare(shot, truth, way, course, alone)


def summary(rows: Sequence[Steadiness]) -> str:
    """Format means by kind of shot, and the worst of losses and lags, as a table in Markdown."""
    lines = [
        "| shot | way | mean: excess | vs. 0 | 99 %: excess | vs. 0 | PQ-PSNR | worst loss: shot "
        f"| {LASTING} frames | frame | lag, frames |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for kind in dict.fromkeys(row.kind for row in rows):
        of_kind = [row for row in rows if row.kind == kind]
        base = _flicker([row for row in of_kind if row.way == "radius 0"])
        for way in dict.fromkeys(row.way for row in of_kind):
            these = [row for row in of_kind if row.way == way]
            mean, top = _flicker(these)
            lags = [row.lag for row in these if row.lag is not None]
            lines.append(
                f"| {kind} | {way} | {mean:.3f} | {_times(base[0], mean)} | {top:.3f} "
                f"| {_times(base[1], top)} | {np.mean([row.psnr for row in these]):.2f} "
                f"| {max(row.loss for row in these):+.3f} "
                f"| {max(row.lasting_loss for row in these):+.3f} "
                f"| {max(row.worst_loss for row in these):+.3f} "
                f"| {f'{max(lags):.3f}' if lags else ''} |"
            )
    return "\n".join(lines)


def _flicker(rows: Sequence[Steadiness]) -> tuple[float, float]:
    mean, top = np.mean([row.flicker for row in rows], axis=0)
    return float(mean), float(top)


def _times(base: float, value: float) -> str:
    return f"1/{base / value:.1f}" if value > 0 else "0"


def table_rows(rows: Sequence[Steadiness]) -> list[dict[str, object]]:
    """Return rows as plain values, for JSON."""
    return [asdict(row) for row in rows]

"""Measure how steady the filters are over time, on shots whose true HDR is known.

Flicker is the change of a picture's brightness from one frame to the next beyond the change of the
truth. Every shot is coded as video, read back and filtered as a user would do it.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import vapoursynth as vs
from numpy.typing import NDArray
from torch import Tensor

from training.evaluation.metrics import pq_psnr
from training.evaluation.shots import Shot, write_shot
from vs_gainmap import apply, predict
from vs_gainmap.color.primaries import luminance
from vs_gainmap.color.transfer import pq_eotf, pq_inverse_eotf
from vs_gainmap.filters import props
from vs_gainmap.video import open_clip

Values = NDArray[np.float64]

CODES = 1023
PERCENTILE = 99.0
# Frames on each side of a cut or flash that count for its lag.
EVENT_REACH = 4
# Smallest jump of a level at a cut or flash, in codes, for which lag is measured.
LEAST_JUMP = 2.0
# Frames over which a loss is averaged, so that single frames don't decide.
LASTING = 9


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One variant of a shot, frame by frame.

    Attributes:
        levels: (frames, 2), mean and 99th percentile of PQ luminance in 10-bit codes.
        psnr: (frames,), PQ-PSNR against the truth in dB.
    """

    levels: Values
    psnr: Values


@dataclass(frozen=True, slots=True, kw_only=True)
class Steadiness:
    """One variant of a shot compared with radius 0.

    Attributes:
        kind: of the shot.
        scene: of the shot.
        variant: "radius 0", "SDR" or another radius.
        flicker: mean excess change a frame of the two levels, in 10-bit codes.
        psnr: mean PQ-PSNR in dB.
        loss: how much lower `psnr` is than at radius 0.
        lasting_loss: the largest mean loss over `LASTING` consecutive frames.
        lag: in frames; see `lag`.
    """

    kind: str
    scene: str
    variant: str
    flicker: tuple[float, float]
    psnr: float
    loss: float
    lasting_loss: float
    lag: float | None


def levels(nits: Tensor) -> tuple[float, float]:
    """Return mean and 99th percentile of PQ luminance in 10-bit codes.

    Args:
        nits: (3, H, W), BT.2020, cd/m2.
    """
    signal = pq_inverse_eotf(luminance(nits, "bt2020")).numpy() * CODES
    return float(signal.mean()), float(np.percentile(signal, PERCENTILE))


def excess_change(levels: Values, truth: Values) -> Values:
    """Return how far a level changes from frame to frame beyond the truth's change.

    Args:
        levels: (frames, ...).
        truth: (frames, ...).

    Returns:
        (frames - 1, ...), at least 0.
    """
    moved, meant = np.abs(np.diff(levels, axis=0)), np.abs(np.diff(truth, axis=0))
    return np.asarray(np.maximum(moved - meant, 0.0))


def lag(steady: Values, alone: Values, events: Sequence[int]) -> float | None:
    """Return by how many frames a level comes late (or early) at cuts and flashes.

    The share of a jump that is missing, summed over the frames beside it: an exponential average
    with time constant T has a lag of T frames. The median difference on either side is taken off
    first, so a constant shift counts as none.

    Args:
        steady: (frames,), one level.
        alone: (frames,), the same level at radius 0.
        events: first frame after each jump.

    Returns:
        The largest lag in frames; None without a jump of at least `LEAST_JUMP`.
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


def measure_clip(clip: vs.VideoNode, truth: Sequence[Tensor]) -> Measured:
    """Measure every frame of a clip of PQ RGBS against the truth, (3, H, W), cd/m2."""
    found, psnr = [], []
    for frame, true in zip(clip.frames(close=True), truth, strict=True):
        nits = pq_eotf(torch.from_numpy(np.stack([np.asarray(frame[p]) for p in range(3)])))
        found.append(levels(nits))
        psnr.append(pq_psnr(nits, true))
    return Measured(levels=np.array(found), psnr=np.array(psnr))


def compare(
    shot: Shot, truth: Values, variant: str, measured: Measured, alone: Measured
) -> Steadiness:
    """Compare a variant with radius 0; jumps at cuts and flashes don't count as flicker."""
    inner = [n - 1 for n in range(1, len(truth)) if n not in shot.events]
    flicker = excess_change(measured.levels, truth)[inner].mean(axis=0)
    losses = alone.psnr - measured.psnr
    length = min(LASTING, len(losses))
    lasting = np.convolve(losses, np.full(length, 1 / length), mode="valid")
    return Steadiness(
        kind=shot.kind,
        scene=shot.scene,
        variant=variant,
        flicker=(float(flicker[0]), float(flicker[1])),
        psnr=float(measured.psnr.mean()),
        loss=float(losses.mean()),
        lasting_loss=float(lasting.max()),
        lag=lag(measured.levels[:, 0], alone.levels[:, 0], shot.events),
    )


def variants(
    clip: vs.VideoNode, weights: str | Path, radii: Sequence[int]
) -> dict[str, vs.VideoNode]:
    """Return a clip at radius 0, as plain SDR (a gain of 1) and at other radii: PQ in RGBS."""
    clip = clip.std.SetFrameProp(props.CHROMA_LOCATION, intval=int(vs.CHROMA_CENTER))
    maps = {f"radius {r}": predict(clip, weights=weights, radius=r) for r in (0, *radii)}
    alone = maps["radius 0"]
    with alone.get_frame(0) as frame:
        flat = {**frame.props, props.GAIN_MAP_MIN: 0.0, props.GAIN_MAP_MAX: 0.0}
    maps["SDR"] = alone.std.BlankClip(keep=True).std.SetFrameProps(**flat)
    return {name: apply(clip, gain_map, format=vs.RGBS) for name, gain_map in maps.items()}


def measure_shots(
    shots: Iterable[Shot], weights: str | Path, radii: Sequence[int]
) -> Iterator[Steadiness]:
    """Yield a row for every shot and variant, "radius 0" first.

    Args:
        shots: from `shots.make_shots`.
        weights: bundled name or file.
        radii: beside 0.
    """
    with tempfile.TemporaryDirectory() as folder:
        for number, shot in enumerate(shots):
            path = Path(folder) / f"{number}.mkv"
            write_shot(shot, path)
            truth = np.array([levels(nits) for nits in shot.truth])
            alone: Measured | None = None
            for name, clip in variants(open_clip(path), weights, radii).items():
                measured = measure_clip(clip, shot.truth)
                alone = alone or measured
                yield compare(shot, truth, name, measured, alone)


def summary(rows: Sequence[Steadiness]) -> str:
    """Return a Markdown table: means by kind of shot, and the largest losses and lags."""
    lines = [
        "| shot | variant | flicker: mean | of radius 0 | 99 % | of radius 0 | PQ-PSNR "
        f"| loss: shot | {LASTING} frames | lag, frames |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for kind in dict.fromkeys(row.kind for row in rows):
        of_kind = [row for row in rows if row.kind == kind]
        base = _mean_flicker([row for row in of_kind if row.variant == "radius 0"])
        for variant in dict.fromkeys(row.variant for row in of_kind):
            these = [row for row in of_kind if row.variant == variant]
            mean, top = _mean_flicker(these)
            lags = [row.lag for row in these if row.lag is not None]
            lines.append(
                f"| {kind} | {variant} | {mean:.3f} | {_share(mean, base[0])} | {top:.3f} "
                f"| {_share(top, base[1])} | {np.mean([row.psnr for row in these]):.2f} "
                f"| {max(row.loss for row in these):+.3f} "
                f"| {max(row.lasting_loss for row in these):+.3f} "
                f"| {f'{max(lags):.3f}' if lags else ''} |"
            )
    return "\n".join(lines)


def _mean_flicker(rows: Sequence[Steadiness]) -> tuple[float, float]:
    mean, top = np.mean([row.flicker for row in rows], axis=0)
    return float(mean), float(top)


def _share(value: float, base: float) -> str:
    return f"{value / base:.2f}" if base > 0 else ""

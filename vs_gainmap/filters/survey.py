"""What a film's other pictures say, for a network that sees one picture at a time.

GridNet judges a picture beside a survey of its film; GMNet, as published, can't. But the bundled
GMNet was taught its levels by GridNet, so the difference between GridNet's two judgements,
with the survey and without, is what the survey would have told it. GMNet's map, corrected by that,
and GridNet's are averaged (`OWN_SHARE`). What is added to GMNet's share is a grid of curves in
stops, sliced like any other.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import vapoursynth as vs
from numpy.typing import NDArray

from vs_gainmap.backends import RunOptions, TorchBackend
from vs_gainmap.gainmap import OWN_SHARE, GainMapPreset
from vs_gainmap.models.weights import WEIGHTS, Weights, load_weights

Vector = NDArray[np.float32]


def find_surveyor(loaded: Weights, device: str | None) -> TorchBackend | None:
    """Return GridNet, if it taught these weights, which can't be surveyed themselves.

    Args:
        loaded: bundled weights or anyone's own, with the preset that is used.
        device: where GridNet is to run.
    """
    entry = WEIGHTS.get(loaded.name)
    if entry is None or entry.teacher is None:
        return None
    teacher = load_weights(entry.teacher)
    if replace(teacher.preset, map_scale=loaded.preset.map_scale) != loaded.preset:
        return None  # another range: stops of one are not stops of the other
    return TorchBackend(teacher.model, RunOptions(device=device))


def judge_twice(surveyor: TorchBackend, thumbnail: vs.VideoNode, count: int) -> vs.VideoNode:
    """Return GridNet's judgements of every frame, with the survey and without, as one row.

    Args:
        surveyor: runs GridNet.
        thumbnail: RGBS, 256x256.
        count: pictures in the survey.
    """
    heard = surveyor.survey(thumbnail, count)
    assert heard is not None
    return surveyor.analyze_twice(thumbnail, heard)


def in_stops(vector: Vector, preset: GainMapPreset) -> Vector:
    """Turn GridNet's vector, curves of map values and qmax_norm, into curves in stops and Qmax.

    Args:
        vector: (features_size,), from `analyze`.
        preset: of both networks.

    Returns:
        The same length: log gain over the preset's minimum, and last Qmax, all in stops.
    """
    low, high = preset.min_log_gain, preset.max_log_gain
    qmax = float(vector[-1]) * high
    stops = vector * np.float32(qmax - low)
    stops[-1] = qmax
    return stops


def difference(
    features: vs.VideoNode, first: int, size: int, preset: GainMapPreset
) -> vs.VideoNode:
    """Return what is added to GMNet's share of a map, as a clip for GridNet's `local`.

    Args:
        features: GRAYS, one row a frame, with the two judgements one after the other.
        first: where the first, with the survey, begins.
        size: length of each.
        preset: of both networks.

    Returns:
        GRAYS, one row of `size`: curves in stops, and last what is added to a share of Qmax.
    """
    blank = vs.core.std.BlankClip(
        format=vs.GRAYS, width=size, height=1, length=features.num_frames, keep=True
    )

    def subtract(n: int, f: list[vs.VideoFrame]) -> vs.VideoFrame:  # noqa: ARG001
        out, row = f[0].copy(), np.asarray(f[1][0])[0]
        surveyed, alone = row[first : first + size], row[first + size : first + 2 * size]
        np.asarray(out[0])[0] = in_stops(surveyed, preset) - np.float32(OWN_SHARE) * in_stops(
            alone, preset
        )
        return out

    return blank.std.ModifyFrame([blank, features], subtract)

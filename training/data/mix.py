"""Tabulate the gain of drawn pairs by operator and by SDR luma."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
from torch import Tensor

from training.data.pairs import make_pair, true_log_gain
from training.data.splits import split_views
from training.data.views import read_index
from vs_gainmap.gainmap import GainMapPreset
from vs_gainmap.models.statistics import luma

EIGHTHS = 8
# Views are shrunk by it, which keeps the gain.
SHRINK = 4


def gain_by_luma(sdr_signal: Tensor, hdr: Tensor, preset: GainMapPreset) -> np.ndarray:
    """Return the mean log gain of a picture, and of each eighth of luma (NaN without a pixel).

    Args:
        sdr_signal: (3, H, W), 0..1, BT.709.
        hdr: (3, H, W), linear, BT.2020, 1.0 = SDR white.
        preset: the SDR's EOTF, and the range of the gain.

    Returns:
        (9,), stops.
    """
    gain = true_log_gain(sdr_signal, hdr, preset).flatten().numpy().astype(np.float64)
    place = (luma(sdr_signal[None]).flatten().numpy() * EIGHTHS).astype(int).clip(0, EIGHTHS - 1)
    count = np.bincount(place, minlength=EIGHTHS)
    total = np.bincount(place, gain, EIGHTHS)
    by_luma = np.where(count > 0, total / np.maximum(count, 1), np.nan)
    return np.concatenate([[gain.mean()], by_luma])


def gain_table(rows: Iterable[tuple[str, np.ndarray]]) -> str:
    """Format the table: mean and deviation from picture to picture, by operator and in all.

    Args:
        rows: operator and `gain_by_luma` of each picture.
    """
    found: dict[str, list[np.ndarray]] = defaultdict(list)
    for name, values in rows:
        found[name].append(values)
    everything = [values for mine in found.values() for values in mine]
    eighths = "".join(f"{k}/8".rjust(12) for k in range(1, EIGHTHS + 1))
    lines = [f"{'operator':16s}{'pictures':>9s}{'all':>12s}{eighths}"]
    for name, mine in [*sorted(found.items()), ("all", everything)]:
        cells = "".join(_cell(column[~np.isnan(column)]) for column in np.array(mine).T)
        lines.append(f"{name:16s}{len(mine):9d}{cells}")
    return "\n".join(lines)


def _cell(values: np.ndarray) -> str:
    return f"{values.mean():6.2f} ±{values.std():4.2f}" if values.size else f"{'-':>12s}"


def draw_table(
    views: Path, preset: GainMapPreset, *, count: int, held_out: Collection[str] = ()
) -> str:
    """Draw pairs as training does, without fades and titles, and return their table.

    Args:
        views: folder that `render` wrote.
        preset: SDR white and peak; its least gain is ignored.
        count: pairs.
        held_out: shell patterns of scenes to leave out; see `splits.choose_held_out`.
    """
    train, _ = split_views(read_index(views), held_out=held_out)
    wide = replace(preset, min_log_gain=-preset.max_log_gain)
    rows = []
    for number in range(count):
        rng = np.random.default_rng([number])
        view = replace(train[int(rng.integers(len(train)))], shrink=SHRINK)
        pair = make_pair(view, rng, wide)
        rows.append((pair.operator, gain_by_luma(pair.sdr_signal, pair.hdr, wide)))
    return gain_table(rows)

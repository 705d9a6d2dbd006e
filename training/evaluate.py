"""Measure weights and baselines on the same pictures, which `training.evaluation.items` has."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from training.data.pairs import make_thumbnail, robust_qmax, true_log_gain
from training.evaluation.baselines import Baseline
from training.evaluation.metrics import Scorer, errors_inside
from training.evaluation.resample import downsample, upsample
from training.paper.layout import shrink
from training.validate import run_network, to_nits
from vs_gainmap.color.transfer import SDR_EOTFS, pq_inverse_eotf
from vs_gainmap.errors import WeightsError
from vs_gainmap.gainmap import GainMapPreset, render_hdr
from vs_gainmap.models.weights import Weights


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """A picture to measure on.

    `sdr_signal` (3, H, W), 0..1; `truth` (3, H, W), BT.2020, cd/m2; `sequence` names the run of
    consecutive frames that a frame belongs to, None for stills; of one that `follows` another
    only the change is measured. `thumbnail` (3, 256, 256), where it is not that of `sdr_signal`.
    `title` (1, H, W), bool, where a title's letters are.
    """

    name: str
    operator: str
    sdr_signal: Tensor
    truth: Tensor
    sequence: str | None = None
    follows: bool = False
    thumbnail: Tensor | None = None
    title: Tensor | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """What a method made: BT.2020 light in cd/m2, and its Qmax where it has one."""

    nits: Tensor
    qmax_norm: float | None = None


Method = Callable[[Item], Output]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """Metrics of one method on one item."""

    method: str
    item: str
    operator: str
    values: dict[str, float] = field(default_factory=dict)


def network_method(weights: Weights, *, map_scale: int | None = None) -> Method:
    """Return the network as a method that goes the filters' way, one frame by itself.

    Args:
        weights: what to measure.
        map_scale: factor by which the network sees the picture smaller; None takes the preset's.
            Sides must be multiples of twice it.
    """
    preset = weights.preset
    scale = preset.map_scale if map_scale is None else map_scale

    @torch.inference_mode()
    def run(item: Item) -> Output:
        small, thumbnail = downsample(item.sdr_signal, scale), make_thumbnail(item.sdr_signal[None])
        gain_map, qmax_norm = run_network(weights.model, small, thumbnail)
        gain_map = upsample(gain_map, item.sdr_signal)
        light = render_hdr(item.sdr_signal[None], gain_map, qmax_norm, preset)
        return Output(nits=to_nits(light, preset)[0], qmax_norm=float(qmax_norm))

    return run


def published_method(weights: Weights, *, map_scale: int | None = None) -> Method:
    """Return the network as a method that goes the published test's way.

    Down by OpenCV's cubic filter, up bilinearly, and thumbnails are the data's.
    """
    scale = weights.preset.map_scale if map_scale is None else map_scale

    @torch.inference_mode()
    def run(item: Item) -> Output:
        signal = item.sdr_signal
        seen = make_thumbnail(signal[None]) if item.thumbnail is None else item.thumbnail[None]
        gain_map, qmax_norm = run_network(weights.model, shrink(signal, scale)[None], seen)
        gain_map = functional.interpolate(
            gain_map, size=signal.shape[-2:], mode="bilinear", align_corners=False
        )
        light = render_hdr(signal[None], gain_map, qmax_norm, weights.preset)
        return Output(nits=to_nits(light, weights.preset)[0], qmax_norm=float(qmax_norm))

    return run


def oracle_method(preset: GainMapPreset) -> Method:
    """Return the best that a map of one channel can do: the true luminance gain, unquantised."""

    def run(item: Item) -> Output:
        truth = item.truth / preset.sdr_white
        log_gain = true_log_gain(item.sdr_signal, truth, preset)
        light = SDR_EOTFS[preset.eotf](item.sdr_signal) * torch.exp2(log_gain)
        return Output(
            nits=to_nits(light, preset), qmax_norm=robust_qmax(log_gain, item.sdr_signal, preset)
        )

    return run


def baseline_method(baseline: Baseline, peak_nits: float) -> Method:
    """Return a baseline as a method, clipped to what the truth's display shows."""

    def run(item: Item) -> Output:
        return Output(nits=baseline(item.sdr_signal).clamp(0.0, peak_nits))

    return run


def measure(
    items: Iterable[Item], methods: dict[str, Method], preset: GainMapPreset, scorer: Scorer
) -> Iterator[tuple[Row, Item, Output]]:
    """Run every method on every item.

    Flicker is the error of the PQ signal's average, as it changes from one frame of a run to the
    next, in steps of 10 bits: the network's own, since nothing here smooths over time.
    """
    before: dict[tuple[str, str], float] = {}
    for item in items:
        gain = true_log_gain(item.sdr_signal, item.truth / preset.sdr_white, preset)
        truth_qmax = robust_qmax(gain, item.sdr_signal, preset)
        for name, method in methods.items():
            output = method(item)
            values = {} if item.follows else scorer(output.nits, item.truth)
            if output.qmax_norm is not None and not item.follows:
                values["qmax_error"] = abs(output.qmax_norm - truth_qmax) * preset.max_log_gain
            if item.title is not None:
                values |= errors_inside(output.nits, item.truth, item.title, "title")
            if item.sequence is not None:
                offset = _pq_mean(output.nits) - _pq_mean(item.truth)
                key = (item.sequence, name)
                if key in before:
                    values["flicker"] = abs(offset - before[key]) * 1023
                before[key] = offset
            row = Row(method=name, item=item.name, operator=item.operator, values=values)
            yield row, item, output


def _pq_mean(nits: Tensor) -> float:
    return float(pq_inverse_eotf(nits).mean())


def summary(rows: list[Row], *, by: Callable[[Row], str]) -> dict[str, dict[str, float]]:
    """Return means of every metric, grouped by what `by` returns."""
    groups: dict[str, dict[str, list[float]]] = {}
    for row in rows:
        for metric, value in row.values.items():
            groups.setdefault(by(row), {}).setdefault(metric, []).append(value)
    return {
        group: {metric: float(np.mean(values)) for metric, values in metrics.items()}
        for group, metrics in groups.items()
    }


def format_table(groups: dict[str, dict[str, float]]) -> str:
    """Format a summary as text."""
    metrics = list(dict.fromkeys(metric for values in groups.values() for metric in values))
    lines = [f"{'':24s}" + "".join(f"{metric:>16s}" for metric in metrics)]
    for group, values in groups.items():
        cells = (f"{values[m]:16.3f}" if m in values else f"{'':16s}" for m in metrics)
        lines.append(f"{group:24s}" + "".join(cells))
    return "\n".join(lines)


def write_json(rows: list[Row], path: Path) -> None:
    """Write every row and the summaries."""
    data = {
        "methods": summary(rows, by=lambda row: row.method),
        "operators": summary(rows, by=lambda row: f"{row.method} / {row.operator}"),
        "items": [
            {"method": r.method, "item": r.item, "operator": r.operator, **r.values} for r in rows
        ],
    }
    path.write_text(json.dumps(data, indent=1))


def name_sets(sets: Sequence[Weights]) -> dict[str, Weights]:
    """Name weights by their files' stems, or by whole paths where two have the same stem."""
    stems = [Path(each.name).stem for each in sets]
    names = [s if stems.count(s) == 1 else e.name for s, e in zip(stems, sets, strict=True)]
    return dict(zip(names, sets, strict=True))


def check_light(sets: Mapping[str, Weights], preset: GainMapPreset, whose: str) -> None:
    """Check that weights make light for the truth's display of SDR coded as theirs.

    Args:
        sets: by name.
        preset: the truth's.
        whose: says where that comes from.

    Raises:
        WeightsError: white, peak or EOTF differ.
    """
    for name, weights in sets.items():
        for field_name in ("sdr_white", "peak", "eotf"):
            own, wanted = getattr(weights.preset, field_name), getattr(preset, field_name)
            if own != wanted and (isinstance(own, str) or not math.isclose(own, wanted)):
                raise WeightsError(
                    f"evaluate: {name} has {field_name} {_short(own)}, but {whose} "
                    f"{_short(wanted)}; measure them apart"
                )


def _short(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:.4g}"

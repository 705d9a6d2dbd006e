"""Measure methods on items, and summarize the results."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from training.data.pairs import robust_qmax, true_log_gain
from training.evaluation.items import Item
from training.evaluation.methods import Method, Output
from training.evaluation.metrics import Scorer, errors_inside
from vs_gainmap.gainmap import GainMapPreset


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """Metrics of one method on one item."""

    method: str
    item: str
    operator: str
    values: dict[str, float] = field(default_factory=dict)


def measure(
    items: Iterable[Item], methods: dict[str, Method], preset: GainMapPreset, scorer: Scorer
) -> Iterator[tuple[Row, Item, Output]]:
    """Run every method on every item."""
    for item in items:
        gain = true_log_gain(item.sdr_signal, item.truth / preset.sdr_white, preset)
        truth_qmax = robust_qmax(gain, item.sdr_signal, preset)
        for name, method in methods.items():
            output = method(item)
            values = scorer(output.nits, item.truth)
            if output.qmax_norm is not None:
                values["qmax_error"] = abs(output.qmax_norm - truth_qmax) * preset.max_log_gain
            if item.title is not None:
                values |= errors_inside(output.nits, item.truth, item.title, "title")
            row = Row(method=name, item=item.name, operator=item.operator, values=values)
            yield row, item, output


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

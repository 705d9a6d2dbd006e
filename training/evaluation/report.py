"""An HTML page out of an evaluation: tables, bars, and the worst cases as pictures."""

from __future__ import annotations

import base64
import heapq
import html
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import torch

from training.evaluate import Item, Output, Row, summary
from training.evaluation.metrics import delta_e_itp
from training.validate import for_sdr_screen

STYLE = """
body { font: 15px/1.5 sans-serif; max-width: 1100px; margin: 2em auto; padding: 0 1em; }
table { border-collapse: collapse; margin: 1em 0; } td, th { padding: 3px 10px; text-align: right; }
tr:nth-child(even) { background: #f2f2f2; } th:first-child, td:first-child { text-align: left; }
figure { margin: 1em 0; } img { max-width: 100%; } .bar { fill: #3b6ea5; } .base { fill: #c9c9c9; }
"""


class WorstCases:
    """Keeps the pictures of the worst rows of one method."""

    def __init__(self, method: str, count: int) -> None:
        self.method = method
        self.count = count
        self._heap: list[tuple[float, int, str, bytes]] = []
        self._number = 0

    def add(self, row: Row, item: Item, output: Output) -> None:
        """Look at a row; keep its picture if it is among the worst by delta E ITP."""
        if row.method != self.method or "delta_e_itp" not in row.values:
            return
        self._number += 1
        score = row.values["delta_e_itp"]
        if len(self._heap) == self.count and score <= self._heap[0][0]:
            return
        title = (
            f"{row.item}, {row.operator}: delta E ITP {score:.1f}, "
            f"PQ-PSNR {row.values['pq_psnr']:.1f} dB"
        )
        entry = (score, self._number, title, comparison(item, output))
        if len(self._heap) < self.count:
            heapq.heappush(self._heap, entry)
        else:
            heapq.heapreplace(self._heap, entry)

    def sorted(self) -> list[tuple[str, bytes]]:
        """Return titles and JPEG bytes, worst first."""
        return [(title, data) for _, _, title, data in sorted(self._heap, reverse=True)]


def comparison(item: Item, output: Output) -> bytes:
    """Put SDR, output, truth and error side by side as JPEG; 100 in delta E ITP is white."""
    error = (delta_e_itp(output.nits, item.truth) / 100).clamp(0.0, 1.0).expand(3, -1, -1)
    panels = [item.sdr_signal, for_sdr_screen(output.nits), for_sdr_screen(item.truth), error]
    strip = torch.cat(panels, dim=-1)
    rgb = (strip.clamp(0, 1) * 255).byte().numpy().transpose(1, 2, 0)
    if rgb.shape[1] > 1600:
        size = (1600, round(rgb.shape[0] * 1600 / rgb.shape[1]))
        rgb = cv2.resize(rgb, size, interpolation=cv2.INTER_AREA)
    _, coded = cv2.imencode(".jpg", np.ascontiguousarray(rgb[..., ::-1]))
    return coded.tobytes()


def _table(groups: dict[str, dict[str, float]]) -> str:
    metrics = list(dict.fromkeys(metric for values in groups.values() for metric in values))
    head = "".join(f"<th>{html.escape(metric)}</th>" for metric in metrics)
    rows = []
    for group, values in groups.items():
        cells = "".join(
            f"<td>{values[m]:.2f}</td>" if m in values else "<td></td>" for m in metrics
        )
        rows.append(f"<tr><td>{html.escape(group)}</td>{cells}</tr>")
    return f"<table><tr><th></th>{head}</tr>{''.join(rows)}</table>"


def _bars(rows: list[Row], method: str, base: str, metric: str) -> str:
    """Draw one pair of bars an operator: the method over its baseline."""
    ours = summary([r for r in rows if r.method == method], by=lambda r: r.operator)
    theirs = summary([r for r in rows if r.method == base], by=lambda r: r.operator)
    top = max(v[metric] for v in [*ours.values(), *theirs.values()]) or 1.0
    parts = []
    for i, name in enumerate(ours):
        y = 26 * i
        a, b = ours[name][metric], theirs.get(name, {}).get(metric, 0.0)
        parts.append(
            f'<text x="0" y="{y + 16}" font-size="13">{html.escape(name)}</text>'
            f'<rect class="base" x="150" y="{y + 12}" width="{500 * b / top:.0f}" height="9"/>'
            f'<rect class="bar" x="150" y="{y + 2}" width="{500 * a / top:.0f}" height="9"/>'
            f'<text x="660" y="{y + 16}" font-size="12">{a:.1f} ({b:.1f})</text>'
        )
    height = 26 * len(ours) + 4
    return f'<svg width="780" height="{height}" role="img">{"".join(parts)}</svg>'


def write_html(
    rows: list[Row], sets: Sequence[WorstCases], path: Path, *, base: str, title: str
) -> None:
    """Write the page.

    Args:
        rows: all methods on all items.
        sets: pictures of each method in question.
        path: of the page.
        base: name of the method to compare with.
        title: of the page.
    """
    sections = "".join(_section(rows, worst, base) for worst in sets)
    path.write_text(
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{html.escape(title)}</title>'
        f"<style>{STYLE}</style><h1>{html.escape(title)}</h1>"
        f"<h2>All methods</h2>{_table(summary(rows, by=lambda r: r.method))}{sections}</html>"
    )


def _section(rows: list[Row], worst: WorstCases, base: str) -> str:
    """Return what the page says of one method."""
    method = html.escape(worst.method)
    figures = "".join(
        f"<figure><figcaption>{html.escape(text)}</figcaption>"
        f'<img alt="SDR, output, truth, error" src="data:image/jpeg;base64,'
        f'{base64.b64encode(data).decode()}"></figure>'
        for text, data in worst.sorted()
    )
    ours = [row for row in rows if row.method == worst.method]
    has_base = any(row.method == base for row in rows)
    bars = "".join(
        f"<h3>{metric} by operator (grey: {html.escape(base)})</h3>"
        + _bars(rows, worst.method, base, metric)
        for metric in ("pq_psnr", "delta_e_itp")
        if has_base
    )
    return (
        f"<h2>{method} by operator</h2>{_table(summary(ours, by=lambda r: r.operator))}"
        f"{bars}<h3>{method}, worst cases: SDR, output, truth, error</h3>{figures}"
    )

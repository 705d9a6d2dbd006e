"""Write an evaluation as an HTML page: tables, and the worst cases as pictures."""

from __future__ import annotations

import html
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from training.data.images import to_uint8
from training.evaluation.items import Item
from training.evaluation.measure import Row, summary
from training.evaluation.methods import Output
from training.evaluation.metrics import delta_e_itp
from vs_gainmap.color.primaries import convert_primaries
from vs_gainmap.color.transfer import gamma22_inverse_eotf
from vs_gainmap.preview.page import Figure, Page

# Pixels; wider pictures are made smaller.
MOST_WIDTH = 640


class WorstCases:
    """The pictures of one method with the largest delta E ITP.

    Args:
        method: name of the method.
        count: how many to keep.
    """

    def __init__(self, method: str, count: int) -> None:
        self.method = method
        self.count = count
        self._kept: list[tuple[float, str, list[Figure]]] = []

    def add(self, row: Row, item: Item, output: Output) -> None:
        """Keep the picture of a row if it is the method's and among the worst."""
        if row.method != self.method or "delta_e_itp" not in row.values:
            return
        score = row.values["delta_e_itp"]
        if len(self._kept) == self.count and score <= self._kept[-1][0]:
            return
        title = (
            f"{row.item}, {row.operator}: delta E ITP {score:.1f}, "
            f"PQ-PSNR {row.values['pq_psnr']:.1f} dB"
        )
        self._kept.append((score, title, comparison(item, output)))
        self._kept.sort(key=lambda kept: kept[0], reverse=True)
        del self._kept[self.count :]

    def pictures(self) -> list[tuple[str, list[Figure]]]:
        """Return titles and pictures, worst first."""
        return [(title, figures) for _, title, figures in self._kept]


def comparison(item: Item, output: Output) -> list[Figure]:
    """Return SDR, output, truth and error as JPEG; white is a delta E ITP of 100."""
    error = (delta_e_itp(output.nits, item.truth) / 100).expand(3, -1, -1)
    panels = {
        "SDR": item.sdr_signal,
        "output": for_sdr_screen(output.nits),
        "truth": for_sdr_screen(item.truth),
        "error": error,
    }
    return [(name, _jpeg(panel), "image/jpeg") for name, panel in panels.items()]


def _jpeg(signal: Tensor) -> bytes:
    """Code (3, H, W), 0..1, at most `MOST_WIDTH` wide."""
    bgr: NDArray[Any] = to_uint8(signal)[..., ::-1]
    if bgr.shape[1] > MOST_WIDTH:
        size = (MOST_WIDTH, round(bgr.shape[0] * MOST_WIDTH / bgr.shape[1]))
        bgr = cv2.resize(bgr, size, interpolation=cv2.INTER_AREA)
    _, coded = cv2.imencode(".jpg", np.ascontiguousarray(bgr))
    return coded.tobytes()


def for_sdr_screen(nits: Tensor, *, white_nits: float = 203.0) -> Tensor:
    """Return BT.2020 light as a signal for an SDR screen, (3, H, W), 0..1; highlights roll off."""
    light = convert_primaries(nits / white_nits, "bt2020", "bt709").clamp(min=0.0)
    return gamma22_inverse_eotf((light * (1 + light / 25) / (1 + light)).clamp(0.0, 1.0))


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
    page = Page(title)
    page.heading("All methods")
    page.svg(_table(summary(rows, by=lambda row: row.method)))
    for worst in sets:
        for method in dict.fromkeys((worst.method, base)):
            page.heading(f"{method} by operator")
            of_method = [row for row in rows if row.method == method]
            page.svg(_table(summary(of_method, by=lambda row: row.operator)))
        page.heading(f"{worst.method}, worst cases")
        for text, figures in worst.pictures():
            page.note(text)
            page.figures(figures)
    page.write(path)


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

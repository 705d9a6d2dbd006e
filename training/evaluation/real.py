"""Measure on real pairs: SDR that a tool or a camera made, with the true HDR.

A folder has `NAME.hdr.png`, the truth as a 16-bit PNG in PQ and BT.2020, and for each SDR made of
it `NAME.OPERATOR.sdr.png`, 8 bits, BT.709. The group of a pair is its name up to the first `_`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from training.data.images import read_rgb, to_uint8
from training.data.sources import read_pq_png
from training.evaluation.items import Item
from training.evaluation.methods import Method
from training.evaluation.metrics import best_exposure, delta_e_itp, pq_psnr
from vs_gainmap.color.primaries import convert_primaries, luminance
from vs_gainmap.color.transfer import gamma22_eotf, srgb_inverse_eotf
from vs_gainmap.errors import MediaError

# Added to luminance before levels are compared, cd/m2.
BLACK_NITS = 0.1
WORST, PANEL_HEIGHT = 10, 220
# Exposure of the sheet, so that highlights fit into SDR.
SHOWN_STOPS, SDR_WHITE = -2.0, 203.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Real:
    """Metrics of a method on a real pair; `level` is by how many stops it is too bright."""

    item: Item
    nits: Tensor
    pq_psnr: float
    delta_e: float
    level: float
    right: float
    """PQ-PSNR after the one exposure that brings it nearest."""


def real_pairs(folder: Path) -> Iterator[Item]:
    """Yield the pairs of a folder.

    Raises:
        MediaError: there is none, or one can't be read.
    """
    paths = sorted(folder.glob("*.*.sdr.png"))
    if not paths:
        raise MediaError(f"evaluate: no NAME.OPERATOR.sdr.png in {folder}")
    for path in paths:
        name, operator = path.name.removesuffix(".sdr.png").rsplit(".", 1)
        signal = read_rgb(path)
        truth = torch.from_numpy(read_pq_png(folder / f"{name}.hdr.png")).movedim(-1, 0)
        if signal.shape != truth.shape:
            raise MediaError(f"evaluate: {path} must be as large as its truth")
        yield Item(
            name=name,
            operator=operator,
            sdr_signal=signal,
            truth=truth.contiguous(),
        )


def measure_real(item: Item, method: Method, peak_nits: float) -> Real:
    """Measure a method on a pair, as a display of this peak shows both."""
    made = method(item).nits
    nits, truth = made.clamp(0.0, peak_nits), item.truth.clamp(0.0, peak_nits)
    ratio = (luminance(nits, "bt2020") + BLACK_NITS) / (luminance(truth, "bt2020") + BLACK_NITS)
    right = (made * 2.0 ** best_exposure(made, truth)).clamp(0.0, peak_nits)
    return Real(
        item=item,
        nits=nits,
        pq_psnr=pq_psnr(nits, truth),
        delta_e=float(delta_e_itp(nits, truth).mean()),
        level=float(torch.log2(ratio).mean()),
        right=pq_psnr(right, truth),
    )


def real_table(rows: list[Real]) -> str:
    """Format means by group and operator, and in all; there, every group counts the same."""
    by_operator: dict[tuple[str, str], list[Real]] = defaultdict(list)
    for row in rows:
        by_operator[row.item.name.split("_")[0], row.item.operator].append(row)
    groups: dict[str, list[np.ndarray]] = defaultdict(list)
    lines = ["group    operator  pairs  PQ-PSNR  delta E  level  set right"]
    for (group, operator), mine in sorted(by_operator.items()):
        mean = np.mean([(r.pq_psnr, r.delta_e, r.level, r.right) for r in mine], axis=0)
        groups[group].append(mean)
        lines.append(_line(group, operator, len(mine), mean))
    every = np.mean([np.mean(means, axis=0) for means in groups.values()], axis=0)
    return "\n".join([*lines, _line("all", "", len(rows), every)])


def _line(group: str, operator: str, count: int, mean: np.ndarray) -> str:
    psnr, delta_e, level, right = mean
    figures = f"{psnr:8.2f} {delta_e:8.1f} {level:+6.2f} {right:10.2f}"
    return f"{group:8s} {operator:8s} {count:6d} {figures}"


def write_sheet(rows: list[Real], path: Path) -> None:
    """Write the worst pairs: SDR at 203 cd/m2, result and truth, all two stops darker."""
    strips = []
    for row in sorted(rows, key=lambda row: row.pq_psnr)[:WORST]:
        light = gamma22_eotf(row.item.sdr_signal)
        sdr = convert_primaries(light, "bt709", "bt2020") * SDR_WHITE
        panels = [_shown(nits) for nits in (sdr, row.nits, row.item.truth)]
        height, width = panels[0].shape[:2]
        size = (round(width * PANEL_HEIGHT / height), PANEL_HEIGHT)
        strip = np.hstack([cv2.resize(p, size, interpolation=cv2.INTER_AREA) for p in panels])
        text = f"{row.item.name} {row.item.operator} {row.pq_psnr:.1f} dB {row.level:+.2f} stops"
        cv2.putText(strip, text, (5, 14), cv2.FONT_HERSHEY_SIMPLEX, 0.42, (0, 255, 255), 1)
        strips.append(strip)
    wide = max(strip.shape[1] for strip in strips)
    padded = [np.pad(s, ((0, 4), (0, wide - s.shape[1]), (0, 0))) for s in strips]
    cv2.imwrite(str(path), np.vstack(padded))


def _shown(nits: Tensor) -> np.ndarray:
    light = nits * 2.0**SHOWN_STOPS / SDR_WHITE
    light = convert_primaries(light, "bt2020", "bt709").clamp(0.0, 1.0)
    return cv2.cvtColor(to_uint8(srgb_inverse_eotf(light)), cv2.COLOR_RGB2BGR)

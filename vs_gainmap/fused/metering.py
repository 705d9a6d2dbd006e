"""The kernel that measures light of PQ planes: the brightest of each pixel's R, G and B."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from vs_gainmap.color.transfer import pq_eotf
from vs_gainmap.fused.parameters import Parameters
from vs_gainmap.fused.rows import ONE, ZERO, F, Row, compiled, make_desk, open_colors

# Steps of PQ that light is looked up at: four a code of 10 bits.
_STEPS = 4096
_NITS = pq_eotf(torch.arange(_STEPS + 1, dtype=torch.float64) / _STEPS).float().numpy()


@compiled
def _find_brightest(luma: Row, cb: Row, cr: Row, p: Parameters, out: Row, n: int) -> None:
    """Take half of a row to PQ signals of max(R, G, B), 0..1."""
    for k in range(n):
        b, r = cb[k], cr[k]
        most = max(p.chroma[0] * r, p.chroma[1] * b + p.chroma[2] * r)
        out[k] = min(max(luma[k] + max(most, p.chroma[3] * b), ZERO), ONE)


@compiled
def _sum_up(signal: Row, nits: Row, tops: Row, n: int) -> tuple[Any, Any]:
    """Return the light of half of a row, added up, and its brightest signal."""
    total, top, steps = ZERO, ZERO, F(len(nits) - 1)
    for k in range(n):
        tops[k] = max(tops[k], signal[k])
    for k in range(n):
        top = max(top, signal[k])
    for k in range(n):
        total += nits[np.int32(signal[k] * steps + F(0.5))]
    return total, top


@compiled
def _meter(source: tuple[Row, Row, Row], rows: Row, columns: Row, nits: Row, p: Parameters) -> Any:
    height, n = len(rows), columns.shape[1]
    desk, bright = make_desk(n, 1), np.empty(n, np.float32)
    even, odd = desk.even, desk.odd
    columns[:], total = 0, 0.0
    for y in range(height):
        open_colors(source, y, height, p, desk)
        _find_brightest(even.luma, even.blue, even.red, p, bright, n)
        some, top = _sum_up(bright, nits, columns[0], n)
        _find_brightest(odd.luma, odd.blue, odd.red, p, bright, n)
        more, other_top = _sum_up(bright, nits, columns[1], n)
        rows[y] = max(top, other_top)
        total += some + more
    return total / (2 * n * height)


def meter(
    source: tuple[Row, Row, Row], width: int, height: int, p: Parameters
) -> tuple[float, Row, Row]:
    """Measure a PQ picture.

    Args:
        source: Y (H, at least W), Cb and Cr (H / 2, at least W / 2), uint8 or uint16, rows
            contiguous.
        width: even.
        height: even.
        p: from `parameters`.

    Returns:
        The mean of max(R, G, B) in cd/m2, and its maxima of rows (H,) and of columns (W,), as PQ
        signal, 0..1.
    """
    rows, columns = np.empty(height, np.float32), np.empty((2, width // 2), np.float32)
    mean = _meter(source, rows, columns, _NITS, p)
    return float(mean), rows, columns.T.reshape(-1)

"""The kernel that measures light of PQ planes: the brightest of each pixel's R, G and B."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from vs_gainmap.color import pq_eotf
from vs_gainmap.fused.parameters import Floats, Parameters
from vs_gainmap.fused.rows import ONE, PAD, ZERO, F, Row, compiled, read_chroma, read_luma

# Steps of PQ that light is looked up at: four a code of 10 bits.
_STEPS = 4096
_NITS = pq_eotf(torch.arange(_STEPS + 1, dtype=torch.float64) / _STEPS).float().numpy()


@compiled
def _find_brightest(
    luma: Row, cb: Row, cr: Row, h: Floats, p: Parameters, out: Row, n: int
) -> None:
    """Take half of a row to PQ signals of max(R, G, B), 0..1."""
    here = h[2] == ONE
    for k in range(n):
        if here:
            b, r = cb[k + 2], cr[k + 2]
        else:
            b = h[0] * cb[k] + h[1] * cb[k + 1] + h[2] * cb[k + 2] + h[3] * cb[k + 3]
            r = h[0] * cr[k] + h[1] * cr[k + 1] + h[2] * cr[k + 2] + h[3] * cr[k + 3]
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
    line, padded = np.empty((3, n), np.float32), np.empty((2, n + 2 * PAD), np.float32)
    even, odd, bright, cb, cr = line[0], line[1], line[2], padded[0], padded[1]
    columns[:], total = 0, 0.0
    for y in range(height):
        along, first = p.along[y & 1], (y >> 1) - 2 + (y & 1)
        read_chroma(source[1], first, height // 2, along, p.middle, cb, n)
        read_chroma(source[2], first, height // 2, along, p.middle, cr, n)
        read_luma(source[0][y], p.luma, even, odd, n)
        _find_brightest(even, cb, cr, p.across[0], p, bright, n)
        some, top = _sum_up(bright, nits, columns[0], n)
        _find_brightest(odd, cb[1:], cr[1:], p.across[1], p, bright, n)
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

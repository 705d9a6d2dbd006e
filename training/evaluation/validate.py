"""Validate a network during training: held-out scenes through every operator."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from training.data.pairs import make_thumbnail
from training.evaluation.items import Item, to_nits
from training.evaluation.methods import run_network
from training.evaluation.metrics import delta_e_itp, pq_psnr
from training.evaluation.report import for_sdr_screen
from vs_gainmap.color.transfer import SDR_EOTFS
from vs_gainmap.gainmap import GainMapPreset, render_hdr
from vs_gainmap.models import Model


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """Means over the examples of one operator (or of all)."""

    operator: str
    pq_psnr: float
    delta_e: float
    scaling_pq_psnr: float
    scaling_delta_e: float


@torch.inference_mode()
def predict_nits(model: Model, sdr_signal: Tensor, preset: GainMapPreset) -> Tensor:
    """Predict and render (1, 3, H, W) SDR signal as BT.2020 light in cd/m2."""
    gain_map, qmax_norm = run_network(model, sdr_signal, make_thumbnail(sdr_signal))
    light = render_hdr(sdr_signal, gain_map.float(), qmax_norm.float(), preset)
    return to_nits(light, preset)


def picture(model: Model, item: Item, preset: GainMapPreset) -> Tensor:
    """Put SDR, output and truth side by side for an SDR screen: (3, H, 3 W), 0..1."""
    output = predict_nits(model, item.sdr_signal[None], preset)[0]
    panels = [item.sdr_signal, for_sdr_screen(output), for_sdr_screen(item.truth)]
    return torch.cat(panels, dim=-1)


def validate(model: Model, items: list[Item], preset: GainMapPreset) -> list[Score]:
    """Score a network beside scaling to SDR white, by operator; the last row is of all items."""
    rows: list[tuple[str, float, float, float, float]] = []
    for item in items:
        signal, truth = item.sdr_signal[None], item.truth[None]
        predicted = predict_nits(model, signal, preset)
        scaled = to_nits(SDR_EOTFS[preset.eotf](signal), preset)
        rows.append(
            (
                item.operator,
                pq_psnr(predicted, truth),
                float(delta_e_itp(predicted, truth).mean()),
                pq_psnr(scaled, truth),
                float(delta_e_itp(scaled, truth).mean()),
            )
        )
    names = list(dict.fromkeys(row[0] for row in rows))
    return [_mean(name, [row for row in rows if row[0] == name]) for name in names] + [
        _mean("all", rows)
    ]


def _mean(name: str, rows: list[tuple[str, float, float, float, float]]) -> Score:
    a, b, c, d = (float(np.mean(column)) for column in list(zip(*rows, strict=True))[1:])
    return Score(operator=name, pq_psnr=a, delta_e=b, scaling_pq_psnr=c, scaling_delta_e=d)


def table(scores: list[Score]) -> str:
    """Format scores as text."""
    lines = [f"{'operator':16s} PQ-PSNR (scaling)   delta E ITP (scaling)"]
    lines += [
        f"{s.operator:16s} {s.pq_psnr:6.2f} ({s.scaling_pq_psnr:6.2f})    "
        f"{s.delta_e:6.1f} ({s.scaling_delta_e:6.1f})"
        for s in scores
    ]
    return "\n".join(lines)

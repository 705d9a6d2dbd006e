"""The loss: terms of our own in the PQ signal of the rendered HDR, and the published ones."""

from __future__ import annotations

import torch
from torch import Tensor

from training.config import LossConfig
from training.data.pairs import true_log_gain
from vs_gainmap.color.primaries import convert_primaries
from vs_gainmap.color.transfer import SDR_EOTFS, pq_inverse_eotf
from vs_gainmap.gainmap import GainMapPreset

# PQ's slope is infinite at zero; light below this is black on any display.
FLOOR_NITS = 0.005


def pq_bt2020(linear_bt709: Tensor, preset: GainMapPreset) -> Tensor:
    """Return the PQ signal in BT.2020 of linear BT.709 light, 1.0 = SDR white."""
    wide = convert_primaries(linear_bt709, "bt709", "bt2020")
    return pq_inverse_eotf((wide * preset.sdr_white).clamp(min=FLOOR_NITS))


def gain_map_loss(
    gain_map: Tensor,
    qmax_norm: Tensor,
    batch: dict[str, Tensor],
    preset: GainMapPreset,
    weights: LossConfig,
) -> dict[str, Tensor]:
    """Compute the weighted sum ("total") and each term.

    - `pq`: mean and root mean square error of the rendered HDR's PQ signal in BT.2020.
    - `log_gain`: mean absolute error in stops, where the SDR is not black.
    - `shape`: the same without the crop's mean error.
    - `title`: mean error of the PQ signal where a title is.
    - `gain_map` and `product`: the published L1 of the map, and of Qmax times the map.
    - `qmax`: error of Qmax against the picture's robust maximum.
    - `outside`: by how much the map is outside 0..1.

    Args:
        gain_map: (N, 1, H, W), as predicted.
        qmax_norm: (N, 1, 1, 1), as predicted.
        batch: `sdr`, `hdr`, `qmax` and, for `title`, `title` as `PairDataset` has them.
        preset: range and EOTF.
        weights: of the terms; zero leaves one out.
    """
    sdr, hdr = batch["sdr"], batch["hdr"]
    low, high = preset.min_log_gain, preset.max_log_gain
    log_gain = low + gain_map * (qmax_norm * high - low)
    truth = true_log_gain(sdr, hdr, preset)
    terms: dict[str, Tensor] = {}
    if weights.pq or weights.title:
        light = SDR_EOTFS[preset.eotf](sdr)
        signal = pq_bt2020(light * torch.exp2(log_gain.clamp(low, high)), preset)
        target = pq_inverse_eotf((hdr * preset.sdr_white).clamp(min=FLOOR_NITS))
        if weights.pq:
            terms["pq"] = _mean_and_rms(signal - target)
        if weights.title:
            error = (signal - target).abs().mean(dim=1, keepdim=True)
            terms["title"] = (batch["title"] * error).sum() / batch["title"].sum().clamp(min=1.0)
    if weights.log_gain:
        lit = (6 * sdr.amax(dim=1, keepdim=True)).clamp(max=1.0)
        terms["log_gain"] = (lit * (log_gain - truth).abs()).mean()
    if weights.product:
        # Published for min = 0: L1 of qmax * map, both normalised by log2(peak).
        terms["product"] = (log_gain - truth).abs().mean() / (high - low)
    if weights.gain_map:
        top = (batch["qmax"] * high - low).clamp(min=1e-3)
        terms["gain_map"] = (gain_map - ((truth - low) / top).clamp(0.0, 1.0)).abs().mean()
    if weights.shape:
        lit = (6 * sdr.amax(dim=1, keepdim=True)).clamp(max=1.0)
        error = log_gain - truth
        level = (lit * error).sum((2, 3), keepdim=True) / lit.sum((2, 3), keepdim=True).clamp(1)
        terms["shape"] = (lit * (error - level)).abs().mean()
    if weights.qmax:
        terms["qmax"] = (qmax_norm - batch["qmax"]).abs().mean()
    if weights.outside:
        terms["outside"] = ((-gain_map).clamp(min=0) + (gain_map - 1).clamp(min=0)).mean()
    total = sum((getattr(weights, name) * term for name, term in terms.items()), torch.zeros(()))
    return {"total": total, **{name: term.detach() for name, term in terms.items()}}


def _mean_and_rms(error: Tensor) -> Tensor:
    rms = (error.square().mean(dim=(1, 2, 3)) + 1e-8).sqrt()
    return 0.5 * (error.abs().mean() + rms.mean())

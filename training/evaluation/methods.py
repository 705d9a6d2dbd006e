"""Ways from SDR to HDR that are compared: networks, baselines, and the best possible map."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from training.data.pairs import make_thumbnail, robust_qmax, true_log_gain
from training.evaluation.baselines import Baseline
from training.evaluation.items import Item, to_nits
from training.evaluation.resample import downsample, upsample
from training.paper.layout import shrink
from vs_gainmap.color.transfer import SDR_EOTFS
from vs_gainmap.gainmap import GainMapPreset, render_hdr
from vs_gainmap.models import Model
from vs_gainmap.models.weights import Weights


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """The result of a method: BT.2020 light in cd/m2, and its Qmax where it has one."""

    nits: Tensor
    qmax_norm: float | None = None


Method = Callable[[Item], Output]


def run_network(model: Model, sdr_signal: Tensor, thumbnail: Tensor) -> tuple[Tensor, Tensor]:
    """Run a network on its own device; return gain map and qmax_norm on that of `sdr_signal`.

    Args:
        model: the network.
        sdr_signal: (N, 3, H, W), 0..1, at the size of the map.
        thumbnail: (N, 3, 256, 256), 0..1.
    """
    device = next(model.parameters()).device
    features = model.analyze(thumbnail.to(device))
    gain_map = model.predict(sdr_signal.to(device), features)  # type: ignore[arg-type]
    return gain_map.to(sdr_signal.device), features.qmax_norm.to(sdr_signal.device)


def network_method(weights: Weights, *, map_scale: int | None = None) -> Method:
    """Return a network as a method that resamples as the filters do.

    Args:
        weights: of the network.
        map_scale: factor by which the network's picture is smaller; None takes the preset's.
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
    """Return a network as a method that resamples as the published test does.

    Down with OpenCV's cubic filter, up bilinearly without what is below 0, with the thumbnails of
    the data.
    """
    scale = weights.preset.map_scale if map_scale is None else map_scale

    @torch.inference_mode()
    def run(item: Item) -> Output:
        signal = item.sdr_signal
        thumbnail = make_thumbnail(signal[None]) if item.thumbnail is None else item.thumbnail[None]
        gain_map, qmax_norm = run_network(weights.model, shrink(signal, scale)[None], thumbnail)
        gain_map = functional.interpolate(
            gain_map.clamp(min=0.0), size=signal.shape[-2:], mode="bilinear", align_corners=False
        )
        light = render_hdr(signal[None], gain_map, qmax_norm, weights.preset)
        return Output(nits=to_nits(light, weights.preset)[0], qmax_norm=float(qmax_norm))

    return run


def oracle_method(preset: GainMapPreset) -> Method:
    """Return the best that a map of one channel can do: the true gain of luminance."""

    def run(item: Item) -> Output:
        truth = item.truth / preset.sdr_white
        log_gain = true_log_gain(item.sdr_signal, truth, preset)
        light = SDR_EOTFS[preset.eotf](item.sdr_signal) * torch.exp2(log_gain)
        return Output(
            nits=to_nits(light, preset), qmax_norm=robust_qmax(log_gain, item.sdr_signal, preset)
        )

    return run


def baseline_method(baseline: Baseline, peak_nits: float) -> Method:
    """Return a baseline as a method, clipped at the peak of the truth's display."""

    def run(item: Item) -> Output:
        return Output(nits=baseline(item.sdr_signal).clamp(0.0, peak_nits))

    return run

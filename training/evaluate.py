"""Measure weights and baselines on the same pictures: held-out views, the layout, or video."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from training.baselines import Baseline
from training.grade import Master
from training.layout import LayoutItem, list_layout, rebuild, shrink
from training.metrics import Scorer, linear_psnr, normalised_psnr
from training.operators import OPERATORS
from training.pairs import View, make_sdr, make_thumbnail, robust_qmax, show, true_log_gain
from training.validate import make_examples, run_network, to_nits
from training.video_source import frames
from vs_gainmap.color import SDR_EOTFS, pq_inverse_eotf
from vs_gainmap.gainmap import GainMapPreset, render_hdr
from vs_gainmap.models import Model
from vs_gainmap.weights import Weights


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """A picture to measure on.

    `sdr_signal` (3, H, W), 0..1; `truth` (3, H, W), BT.2020, cd/m2; `sequence` names the
    video that a frame belongs to, None for stills; `survey` (K, 3, 256, 256), thumbnails of other
    pictures of the same film.
    """

    name: str
    operator: str
    sdr_signal: Tensor
    truth: Tensor
    sequence: str | None = None
    survey: Tensor | None = None


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


def predict_map(
    model: Model, signal: Tensor, map_scale: int, survey: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Predict at 1/map_scale and bring the map up bilinearly.

    Args:
        model: the network.
        signal: (3, H, W), 0..1; H and W multiples of twice the scale.
        map_scale: factor by which the network sees the picture smaller.
        survey: (K, 3, 256, 256), other pictures of the film, for models that can.

    Returns:
        Map (1, 1, H, W) and qmax_norm (1, 1, 1, 1).
    """
    small = shrink(signal, map_scale)[None]
    gain_map, qmax_norm = run_network(model, small, make_thumbnail(signal[None]), survey)
    if map_scale > 1:
        gain_map = functional.interpolate(
            gain_map, size=signal.shape[-2:], mode="bilinear", align_corners=False
        )
    return gain_map, qmax_norm


def network_method(weights: Weights, *, map_scale: int | None = None) -> Method:
    """Return the network as a method, at the preset's map scale unless told another."""
    scale = weights.preset.map_scale if map_scale is None else map_scale

    @torch.inference_mode()
    def run(item: Item) -> Output:
        gain_map, qmax_norm = predict_map(weights.model, item.sdr_signal, scale, item.survey)
        light = render_hdr(item.sdr_signal[None], gain_map, qmax_norm, weights.preset)
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


def items_from_views(
    views: list[View], preset: GainMapPreset, per_operator: int, survey: int = 0
) -> Iterator[Item]:
    """Yield held-out views through every operator, as validation has them."""
    for number, example in enumerate(
        make_examples(views, preset, per_operator=per_operator, survey=survey)
    ):
        yield Item(
            name=f"{example.scene}_{number:03d}",
            operator=example.operator,
            sdr_signal=example.sdr_signal.float(),
            survey=example.survey,
            truth=example.hdr.float() * preset.sdr_white,
        )


def items_from_video(
    paths: Iterable[Path],
    preset: GainMapPreset,
    *,
    count: int,
    lines: int = 0,
    step: int = 8,
    seed: int = 0,
) -> Iterator[Item]:
    """Yield frames of HDR video through every operator at its usual settings.

    Args:
        paths: HDR10 or HLG files.
        preset: SDR white and peak of the truth.
        count: frames of a file, spread over it.
        lines: larger frames are shrunk to this height, in light; 0 leaves them.
        step: sides are cut to multiples of it.
        seed: 1 swaps the color space that each operator works in.
    """
    for row, path in enumerate(paths):
        pictures = [_even(_shrink(frame, lines), step) for frame in frames(path, count=count)]
        peak = max(float(p.max()) for p in pictures)
        settings = [(name, o) for name, entry in OPERATORS.items() for o in entry.usual]
        for column, (name, operator) in enumerate(settings):
            for number, nits in enumerate(pictures):
                master = Master(nits=nits, peak_nits=max(peak, 300.0))
                wide = (row + column + seed) % 2 == 0
                signal = make_sdr(master, operator, wide=wide, encoding="bt1886")
                yield Item(
                    name=f"{path.stem}_{number:03d}",
                    operator=name,
                    sdr_signal=(signal * 255).round() / 255,
                    truth=show(master, preset, rolled=False) * preset.sdr_white,
                    sequence=f"{path.stem}/{name}/{column}",
                )


def _shrink(picture: Tensor, lines: int) -> Tensor:
    height, width = picture.shape[-2:]
    if lines == 0 or height <= lines:
        return picture
    size = (lines, round(width * lines / height))
    return functional.interpolate(picture[None], size=size, mode="area")[0]


def _even(picture: Tensor, step: int) -> Tensor:
    height, width = (side // step * step for side in picture.shape[-2:])
    return picture[:, :height, :width]


def measure(
    items: Iterable[Item], methods: dict[str, Method], preset: GainMapPreset, scorer: Scorer
) -> Iterator[tuple[Row, Item, Output]]:
    """Run every method on every item.

    Flicker is the mean error of the PQ signal's average, as it changes from one frame of a
    sequence to the next, in steps of 10 bits.
    """
    before: dict[tuple[str, str], float] = {}
    for item in items:
        gain = true_log_gain(item.sdr_signal, item.truth / preset.sdr_white, preset)
        truth_qmax = robust_qmax(gain, item.sdr_signal, preset)
        for name, method in methods.items():
            output = method(item)
            values = scorer(output.nits, item.truth)
            if output.qmax_norm is not None:
                values["qmax_error"] = abs(output.qmax_norm - truth_qmax) * preset.max_log_gain
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
    lines = [f"{'':24s}" + "".join(f"{metric:>13s}" for metric in metrics)]
    for group, values in groups.items():
        cells = (f"{values[m]:13.3f}" if m in values else f"{'':13s}" for m in metrics)
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


@torch.inference_mode()
def published_test(weights: Weights, folder: Path) -> list[Row]:
    """Run the published test: PSNR and normalised PSNR of linear light over the peak.

    The truth is the SDR picture with its own true map, rendered; both maps go up from the
    map size bilinearly, and light stays in BT.709.

    Args:
        weights: what to test; its preset must be the data's.
        folder: in the layout, such as ``.../test``.
    """
    preset = weights.preset
    rows = []
    for layout in list_layout(folder):
        image, truth, thumbnail = _published_pair(layout, preset)
        small = shrink(image, preset.map_scale)[None]
        gain_map, qmax_norm = weights.model(small, thumbnail[None])
        gain_map = functional.interpolate(
            gain_map, size=image.shape[-2:], mode="bilinear", align_corners=False
        )
        light = render_hdr(image[None], gain_map, qmax_norm, preset)[0]
        values = {
            "psnr": linear_psnr(light, truth, peak_nits=preset.peak),
            "norm_psnr": normalised_psnr(light, truth),
        }
        rows.append(Row(method=weights.name, item=layout.image.stem, operator="", values=values))
    return rows


def _published_pair(layout: LayoutItem, preset: GainMapPreset) -> tuple[Tensor, Tensor, Tensor]:
    image, coded, qmax, thumbnail = layout.load()
    gain_map = functional.interpolate(
        coded[None], size=image.shape[-2:], mode="bilinear", align_corners=False
    )[0]
    return image, rebuild(image, gain_map, qmax, preset), thumbnail

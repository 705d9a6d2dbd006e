"""Validation: held-out scenes through every operator, held-out operators included."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from training.data.operators import OPERATORS
from training.data.pairs import make_pair, make_thumbnail
from training.data.views import View
from training.evaluation.metrics import delta_e_itp, pq_psnr
from vs_gainmap.color.primaries import convert_primaries
from vs_gainmap.color.transfer import SDR_EOTFS, gamma22_inverse_eotf
from vs_gainmap.errors import MediaError
from vs_gainmap.gainmap import GainMapPreset, render_hdr
from vs_gainmap.models import Model

VALIDATION_SEED = 2390


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """A whole picture to validate on, in half precision to save memory."""

    operator: str
    scene: str
    sdr_signal: Tensor
    hdr: Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """Means over the examples of one operator (or of all)."""

    operator: str
    pq_psnr: float
    delta_e: float
    scaling_pq_psnr: float
    scaling_delta_e: float


def make_examples(
    views: list[View],
    preset: GainMapPreset,
    *,
    per_operator: int,
) -> list[Example]:
    """Make the same examples every time: `per_operator` views of different scenes for each.

    Args:
        views: of held-out scenes.
        preset: SDR white and peak of the truth.
        per_operator: examples an operator.

    Raises:
        MediaError: there are no views.
    """
    if not views:
        raise MediaError(
            "training: no view is of a held-out scene; `render` two scenes or more, or name some"
        )
    scenes: dict[str, list[View]] = {}
    for view in views:
        scenes.setdefault(view.scene, []).append(view)
    names = sorted(scenes)
    examples = []
    for row, operator in enumerate(OPERATORS):
        for column in range(per_operator):
            rng = np.random.default_rng([VALIDATION_SEED, row, column])
            scene = row * per_operator + column
            choices = scenes[names[scene % len(names)]]
            view = _any(choices, rng)
            pair = make_pair(view, rng, preset, operator=operator)
            examples.append(
                Example(
                    operator=operator,
                    scene=view.scene,
                    sdr_signal=pair.sdr_signal.half(),
                    hdr=pair.hdr.half(),
                )
            )
    return examples


def _any(views: list[View], rng: np.random.Generator) -> View:
    return views[int(rng.integers(len(views)))]


def run_network(model: Model, sdr_signal: Tensor, thumbnail: Tensor) -> tuple[Tensor, Tensor]:
    """Run a network; it may be on a GPU, what it predicts comes back to where `sdr_signal` is."""
    place = next(model.parameters()).device
    features = model.analyze(thumbnail.to(place))
    gain_map = model.predict(sdr_signal.to(place), features)  # type: ignore[arg-type]
    return gain_map.to(sdr_signal.device), features.qmax_norm.to(sdr_signal.device)


@torch.inference_mode()
def predict_nits(model: Model, sdr_signal: Tensor, preset: GainMapPreset) -> Tensor:
    """Predict and render (1, 3, H, W) SDR signal as BT.2020 light in cd/m2."""
    gain_map, qmax_norm = run_network(model, sdr_signal, make_thumbnail(sdr_signal))
    light = render_hdr(sdr_signal, gain_map.float(), qmax_norm.float(), preset)
    return to_nits(light, preset)


def picture(model: Model, example: Example, preset: GainMapPreset) -> Tensor:
    """Put SDR, output and truth side by side for an SDR screen: (3, H, 3 W), 0..1."""
    signal = example.sdr_signal.float()
    output = predict_nits(model, signal[None], preset)[0]
    truth = example.hdr.float() * preset.sdr_white
    return torch.cat([signal, for_sdr_screen(output), for_sdr_screen(truth)], dim=-1)


def for_sdr_screen(nits: Tensor, *, white_nits: float = 203.0) -> Tensor:
    """Make BT.2020 light visible on an SDR screen: (3, H, W) signal, highlights bent, not cut."""
    light = convert_primaries(nits / white_nits, "bt2020", "bt709").clamp(min=0.0)
    return gamma22_inverse_eotf((light * (1 + light / 25) / (1 + light)).clamp(0.0, 1.0))


def to_nits(linear_bt709: Tensor, preset: GainMapPreset) -> Tensor:
    """Return BT.2020 light in cd/m2 of linear BT.709 light, 1.0 = SDR white."""
    return convert_primaries(linear_bt709, "bt709", "bt2020").clamp(min=0.0) * preset.sdr_white


def validate(model: Model, examples: list[Example], preset: GainMapPreset) -> list[Score]:
    """Score a network on examples, beside plain scaling to SDR white; the last row is all."""
    rows: list[tuple[str, float, float, float, float]] = []
    for example in examples:
        signal = example.sdr_signal.float()[None]
        truth = example.hdr.float()[None] * preset.sdr_white
        predicted = predict_nits(model, signal, preset)
        scaled = to_nits(SDR_EOTFS[preset.eotf](signal), preset)
        rows.append(
            (
                example.operator,
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

"""Validation: held-out scenes through every operator, held-out operators included."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from training.data.splits import choose_held_out
from training.data.views import View
from training.evaluation.metrics import delta_e_itp, pq_psnr
from training.mixes import MIXES
from training.pairs import Film, make_pair, make_thumbnail
from vs_gainmap.color.primaries import convert_primaries
from vs_gainmap.color.transfer import SDR_EOTFS, gamma22_inverse_eotf
from vs_gainmap.errors import MediaError
from vs_gainmap.gainmap import GainMapPreset, render_hdr
from vs_gainmap.models import GridNet, Model

VALIDATION_SEED = 2390


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """A whole picture to validate on, in half precision to save memory."""

    operator: str
    scene: str
    sdr_signal: Tensor
    hdr: Tensor
    survey: Tensor | None = None
    """(K, 3, 256, 256): thumbnails of other scenes of the same film."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """Means over the examples of one operator (or of all)."""

    operator: str
    pq_psnr: float
    delta_e: float
    scaling_pq_psnr: float
    scaling_delta_e: float


def split_views(
    views: list[View],
    *,
    scenes: Collection[str] | None = None,
    held_out: Collection[str] = (),
) -> tuple[list[View], list[View]]:
    """Return views of training scenes and of held-out scenes.

    Args:
        views: of one folder.
        scenes: names of all scenes of the data set, where it has more folders than this one.
        held_out: shell patterns of the scenes to hold out; see `held_out.choose_held_out`.
    """
    names = {view.scene for view in views} if scenes is None else scenes
    chosen = choose_held_out(names, held_out)
    train = [view for view in views if view.scene not in chosen]
    return train, [view for view in views if view.scene in chosen]


def make_examples(
    views: list[View],
    preset: GainMapPreset,
    *,
    per_operator: int,
    survey: int = 0,
    mix: str = "video",
) -> list[Example]:
    """Make the same examples every time: `per_operator` views of different scenes for each.

    Args:
        views: of held-out scenes.
        preset: SDR white and peak of the truth.
        per_operator: examples, and films, an operator.
        survey: how many more pictures of the same film come along as thumbnails.
        mix: whose operators.

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
    for row, operator in enumerate(MIXES[mix].operators):
        for column in range(per_operator):
            rng = np.random.default_rng([VALIDATION_SEED, row, column])
            scene = row * per_operator + column
            choices = scenes[names[scene % len(names)]]
            view = _any(choices, rng)
            film = Film.draw(rng, operator=operator, mix=mix)
            pair = make_pair(view, rng, preset, film)
            others = [_any(scenes[names[(scene + 1 + k) % len(names)]], rng) for k in range(survey)]
            examples.append(
                Example(
                    operator=operator,
                    scene=view.scene,
                    sdr_signal=pair.sdr_signal.half(),
                    hdr=pair.hdr.half(),
                    survey=_survey(others, rng, preset, film),
                )
            )
    return examples


def _any(views: list[View], rng: np.random.Generator) -> View:
    return views[int(rng.integers(len(views)))]


def _survey(
    views: list[View], rng: np.random.Generator, preset: GainMapPreset, film: Film
) -> Tensor | None:
    if not views:
        return None
    pictures = [make_pair(view, rng, preset, film).sdr_signal for view in views]
    return torch.cat([make_thumbnail(picture[None]) for picture in pictures]).half()


def run_network(
    model: Model, sdr_signal: Tensor, thumbnail: Tensor, survey: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Run a network, with other pictures of the film where there are some and it can.

    The network may be on a GPU; what it says comes back to where `sdr_signal` is.
    """
    place = next(model.parameters()).device
    signal, thumbnail = sdr_signal.to(place), thumbnail.to(place)
    if survey is None or not isinstance(model, GridNet):
        gain_map, qmax_norm = model(signal, thumbnail)
    else:
        others = survey.to(place).float()
        heard = model.gather(model.testify(torch.cat([thumbnail, others])))
        features = model.analyze(thumbnail, heard)
        gain_map, qmax_norm = model.predict(signal, features), features.qmax_norm
    return gain_map.to(sdr_signal.device), qmax_norm.to(sdr_signal.device)


@torch.inference_mode()
def predict_nits(
    model: Model, sdr_signal: Tensor, preset: GainMapPreset, survey: Tensor | None = None
) -> Tensor:
    """Predict and render (1, 3, H, W) SDR signal as BT.2020 light in cd/m2.

    `survey`, thumbnails of other pictures of the film, is used by models that can.
    """
    gain_map, qmax_norm = run_network(model, sdr_signal, make_thumbnail(sdr_signal), survey)
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
        predicted = predict_nits(model, signal, preset, example.survey)
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

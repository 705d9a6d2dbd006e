"""Measure the fast model on many films at once, from what `remember --unseen` keeps of them.

`evaluate` renders whole pictures, one or a few a film; of 16 films an operator, a mean is known to
half a decibel. Here hundreds of films are judged in a minute, each by several pictures, alone and
with their survey, and every mean comes with its standard error over films.

How bright a set is is one number, and what it gains with some operators it loses with others: so
there is what each is too bright by, and a set can be measured brighter and darker than it is.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from training.baselines import scaling
from training.config import ConfigError, PresetConfig
from training.films import draw_heard, hear
from training.metrics import delta_e_itp
from training.mixes import MIXES
from training.remembered import PIXELS, Remembered, check_films, load_films
from vs_gainmap.color import REFERENCE_WHITE_NITS, SDR_EOTFS, convert_primaries, pq_inverse_eotf
from vs_gainmap.gainmap import GainMapPreset, network_log_gain
from vs_gainmap.models import GridNet
from vs_gainmap.weights import load_weights

# Films that are judged at once.
AT_ONCE = 32
# Operators of the training's films.
DRAWN = "as training draws"


class Scores(NamedTuple):
    """What films have, each the mean of its judged pictures."""

    operators: list[str]
    """Of each film."""
    held_out: Tensor
    """(F,), whether training never draws its operator."""
    pq_psnr: dict[str, Tensor]
    """(F,) of each method, dB."""
    delta_e: dict[str, Tensor]
    """(F,) of each method, delta E ITP."""
    too_bright: dict[str, Tensor]
    """(F,) of each method, by how many steps of 10-bit PQ on average; negative is too dark."""


def measure(
    name: str, folder: Path, *, heard: Sequence[int] = (), stops: Sequence[float] = ()
) -> Scores:
    """Measure weights, with the survey of all of a film's pictures and alone, beside scaling.

    Args:
        name: a file, or the name of bundled weights of the fast model.
        folder: of films, of held-out scenes; those of the training's are measured as well, as
            one, to tell what is known by heart.
        heard: smaller surveys that are measured as well: so many pictures, the judged one too.
        stops: what is added to all gain, measured as well, with the survey of all.

    Raises:
        ConfigError: films and weights don't fit together, or no survey is so large.
        WeightsError: there are no such weights, or they are damaged.
    """
    weights = load_weights(name)
    model, preset = weights.model, weights.preset
    if not isinstance(model, GridNet):
        raise ConfigError(f"measure: {name} is no fast model")
    known = check_films(folder, model, _as_config(preset), held_out=None)
    films, _ = load_films(folder)
    entries = MIXES[known["data"]["mix"]].operators
    # What training draws its operators from is not kept.
    names = list(entries) if known["held_out"] else [DRAWN]
    operators = [names[number % len(names)] for number in range(len(films.measured))]
    pictures = films.measured.shape[1]
    if not all(1 <= number <= pictures for number in heard):
        raise ConfigError(f"measure: --heard must be 1 to {pictures}, the pictures of a film")
    shots: dict[str, list[Tensor]] = {}
    with torch.inference_mode():
        for first in range(0, len(operators), AT_ONCE):
            part = Remembered(*(each[first : first + AT_ONCE] for each in films))
            for method, nits in _judge(model.float().eval(), part, preset, heard, stops).items():
                shots.setdefault(method, []).append(_score(nits, part, preset))
    scores = {method: torch.cat(rows) for method, rows in shots.items()}
    return Scores(
        operators,
        torch.tensor([each != DRAWN and entries[each].held_out for each in operators]),
        *({method: each[:, k] for method, each in scores.items()} for k in range(3)),
    )


def report(scores: Scores) -> str:
    """Return a table, an operator a row, with what it has over scaling and that one's error."""
    found = f"{'films':>6}{'survey':>8}{'delta E':>8}{'alone':>8}{'delta E':>8}"
    lines = [f"{'operator':22}{found}{'scaling':>8}{'delta E':>8}{'over scaling':>16}"]
    rows = {
        name: torch.tensor([each == name for each in scores.operators])
        for name in dict.fromkeys(scores.operators)
    }
    together = _together(scores)
    over = scores.pq_psnr["survey"] - scores.pq_psnr["scaling 203"]
    for name, chosen in (rows | together).items():
        cells = "".join(
            f"{float(each[chosen].mean()):8.1f}"
            for method in ("survey", "alone", "scaling 203")
            for each in (scores.pq_psnr[method], scores.delta_e[method])
        )
        lines.append(f"{name:22}{int(chosen.sum()):6}{cells}{_known(over[chosen]):>16}")
    titles = "".join(f"{title:>22}{'delta E':>8}" for title in together)
    lines += ["", f"{'':18}{titles}{'too bright, steps':>22}"]
    for method, psnr in scores.pq_psnr.items():
        cells = "".join(
            f"{float(psnr[chosen].mean()):22.2f}{float(scores.delta_e[method][chosen].mean()):8.1f}"
            for chosen in together.values()
        )
        lines.append(f"{method:18}{cells}{_known(scores.too_bright[method]):>22}")
    return "\n".join(lines)


def compare(scores: Scores, base: Scores) -> str:
    """Return what weights have over others on the same films: PQ-PSNR, delta E ITP, brightness.

    Films differ by far more than weights do on one film, so the difference is taken film by film:
    its standard error is a fifth of that of the means. Steps are of 10-bit PQ: a set that is
    brighter gains with operators that darken, and loses with the others, whatever it knows.
    """
    over = {
        title: mine[method] - others[method]
        for method in ("survey", "alone")
        for title, mine, others in (
            (method, scores.pq_psnr, base.pq_psnr),
            (f"{method}, dE", scores.delta_e, base.delta_e),
            (f"{method}, steps", scores.too_bright, base.too_bright),
        )
    }
    lines = [f"{'operators':22}{'films':>6}" + "".join(f"{title:>16}" for title in over)]
    for name, chosen in _together(scores).items():
        cells = "".join(f"{_known(more[chosen]):>16}" for more in over.values())
        lines.append(f"{name:22}{int(chosen.sum()):6}{cells}")
    return "\n".join(lines)


def _together(scores: Scores) -> dict[str, Tensor]:
    """Return which films, (F,), the rows under the operators' own are of."""
    rows = {}
    if scores.held_out.any() and not scores.held_out.all():
        rows = {"trained operators": ~scores.held_out, "held-out operators": scores.held_out}
    return rows | {"all": torch.ones_like(scores.held_out)}


def _known(values: Tensor) -> str:
    """Return a mean and its standard error."""
    spread = float(values.std()) / math.sqrt(len(values)) if len(values) > 1 else math.nan
    return f"{float(values.mean()):+8.2f} +- {spread:.2f}"


def _as_config(preset: GainMapPreset) -> dict[str, object]:
    return {name: getattr(preset, name) for name in PresetConfig.__slots__}


def _judge(
    model: GridNet,
    films: Remembered,
    preset: GainMapPreset,
    heard: Sequence[int],
    stops: Sequence[float],
) -> dict[str, Tensor]:
    """Return what every judged picture becomes, (F * J, 3, PIXELS, 1), cd/m2, by method."""
    count, pictures = films.measured.shape[:2]
    judged = films.seen.shape[1]
    said = model.say(films.measured.float().flatten(0, 1), films.layout_mean.float().flatten(0, 1))
    said = said.view(count, pictures, -1)
    own, seen = said[:, :judged].flatten(0, 1), films.seen.float().flatten(0, 1)
    whole = torch.cat([model.gather(each) for each in said])
    surveys = {
        "survey": whole.repeat_interleave(judged, 0),
        "alone": hear(own[:, None], torch.ones(len(own), 1, dtype=torch.bool)),
    }
    which = torch.arange(judged).repeat(count)
    for number in heard:
        among = draw_heard(
            which, torch.full_like(which, number), pictures, torch.Generator().manual_seed(number)
        )
        surveys[f"survey of {number}"] = hear(said.repeat_interleave(judged, 0), among)
    sdr = films.sdr[..., :PIXELS].float().flatten(0, 1)[..., None]
    rows, columns = films.places[..., :PIXELS].float().flatten(0, 1)[..., None].unbind(1)
    light = SDR_EOTFS[preset.eotf](sdr)
    made = {}
    for method, survey in surveys.items():
        features = model.judge_seen(seen, own, survey)
        gain_map = model.slice_at(sdr, features, rows, columns)
        log_gain = network_log_gain(gain_map, features.qmax_norm, preset)
        levels = {method: 0.0}
        if method == "survey":
            levels |= {f"survey {more:+.2f} stops": more for more in stops}
        for title, more in levels.items():
            hdr = convert_primaries(light * torch.exp2(log_gain + more), "bt709", "bt2020")
            made[title] = hdr * preset.sdr_white
    made["scaling 203"] = scaling(sdr, white_nits=REFERENCE_WHITE_NITS)
    return {method: nits.clamp(0.0, preset.peak_nits) for method, nits in made.items()}


def _score(nits: Tensor, films: Remembered, preset: GainMapPreset) -> Tensor:
    """Return PQ-PSNR, dB, delta E ITP and steps too bright of each film, (F, 3)."""
    truth = films.hdr[..., :PIXELS].float().flatten(0, 1)[..., None] * preset.sdr_white
    error = pq_inverse_eotf(nits) - pq_inverse_eotf(truth)
    psnr = -10 * torch.log10(error.square().mean(dim=(1, 2, 3)).clamp(min=1e-10))
    difference = delta_e_itp(nits, truth).mean(dim=(1, 2, 3))
    steps = 1023 * error.mean(dim=(1, 2, 3))
    return torch.stack([psnr, difference, steps], dim=1).view(*films.seen.shape[:2], 3).mean(1)

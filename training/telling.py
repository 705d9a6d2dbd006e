"""What a film's pictures tell of how its SDR was made: `python -m training.telling VIEWS`.

A perceptron sees the fast model's statistics of a picture and of others of its film, and yields a
curve of gain over luma. It learns in minutes on films that stay in memory, and is measured on
luminance alone, so that what other films, losses or ways to listen would change can be tried before
the network is trained. Two runs with other seeds differ by some tenths of a decibel.
"""

from __future__ import annotations

import argparse
import copy
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from training.films import ALONE, Locations, draw_heard, hear
from training.memory import keep_memory
from training.operators import OPERATORS
from training.pairs import FILM_STREAM, Film, make_pair, make_thumbnail
from training.train import update_average
from training.validate import split_views
from training.views import View, read_index
from vs_gainmap.color import SDR_EOTFS, luminance, pq_inverse_eotf
from vs_gainmap.gainmap import GainMapPreset
from vs_gainmap.models.gridnet import BINS
from vs_gainmap.models.measuring import STATISTICS, luma, statistics
from vs_gainmap.weights import load_weights

NAMES = tuple(OPERATORS)
# Pixels of a picture that are kept, at places drawn anew for each.
PIXELS = 256
HIDDEN = 192
BATCH = 128
EMA = 0.998
LEAST_ERROR = 1e-8


class Films(NamedTuple):
    """Films as the perceptron sees them."""

    statistics: Tensor
    """(F, K, STATISTICS), of K pictures of each film."""
    light: Tensor
    """(F, K, 3, PIXELS): luma, 0..1; luminance of SDR and of the truth, 1.0 = SDR white."""
    operators: Tensor
    """(F,), of `NAMES`."""


def draw_films(
    views: list[View],
    preset: GainMapPreset,
    *,
    count: int,
    pictures: int,
    seed: int,
    every_operator: bool = False,
) -> Films:
    """Draw films and their pictures as training does.

    Args:
        views: of the scenes that films are shot at.
        preset: SDR white, peak and EOTF.
        count: films.
        pictures: of each.
        seed: of all that is drawn.
        every_operator: for validation: operators in turn, held-out ones too, and no picture
            varied; otherwise as in training.
    """
    locations, decode = Locations(views), SDR_EOTFS[preset.eotf]
    seen, light, operators = [], [], []
    for number in range(count):
        of_film = np.random.default_rng([seed, number, FILM_STREAM])
        name = NAMES[number % len(NAMES)] if every_operator else None
        film = Film.draw(of_film, operator=name)
        places = locations.draw(of_film)
        operators.append(NAMES.index(film.name))
        for index in range(number * pictures, (number + 1) * pictures):
            rng = np.random.default_rng([seed, index])
            view = locations.draw_view(places, rng)
            others = None if every_operator else views
            pair = make_pair(view, rng, preset, film, vary_with=others)
            small = functional.avg_pool2d(make_thumbnail(pair.sdr_signal[None]), 2)
            seen.append(statistics(small)[0].half())
            where = torch.from_numpy(rng.integers(pair.sdr_signal[0].numel(), size=PIXELS))
            signal, hdr = (x.flatten(1)[:, where, None] for x in (pair.sdr_signal, pair.hdr))
            rows = (
                luma(signal[None])[0],
                luminance(decode(signal), "bt709"),
                luminance(hdr, "bt2020"),
            )
            light.append(torch.cat([row[..., 0] for row in rows]).half())
    return Films(
        torch.stack(seen).view(count, pictures, STATISTICS),
        torch.stack(light).view(count, pictures, 3, PIXELS),
        torch.tensor(operators),
    )


class Perceptron(nn.Module):
    """GridNet's way to listen without its convolutions and places.

    Args:
        films: whose statistics are brought to mean 0 and deviation 1.
        told: whether it is told the operator's name.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, films: Films, *, told: bool = False) -> None:
        super().__init__()
        self.told = told
        known = films.statistics.flatten(0, 1).float()
        self.register_buffer("mean", known.mean(0))
        self.register_buffer("deviation", known.std(0) + 1e-4)
        self.witness = nn.Sequential(
            nn.Linear(STATISTICS, HIDDEN),
            nn.GELU(),
            nn.Dropout(0.1),
            nn.Linear(HIDDEN, HIDDEN),
            nn.GELU(),
        )
        self.judge = nn.Sequential(
            nn.Linear(3 * HIDDEN + told * len(NAMES), HIDDEN),
            nn.GELU(),
            nn.Dropout(0.1),
            nn.Linear(HIDDEN, BINS),
        )

    def forward(self, measured: Tensor, own: Tensor, heard: Tensor, operators: Tensor) -> Tensor:
        """Judge one picture of each film.

        Args:
            measured: (N, K, STATISTICS), of all pictures.
            own: (N,), which one is judged.
            heard: (N, K), which ones are heard, it among them.
            operators: (N,), of `NAMES`.

        Returns:
            (N, BINS), gain in stops by luma.
        """
        said = self.witness((measured.float() - self.mean) / self.deviation)
        known = [said[torch.arange(len(said)), own], hear(said, heard)]
        if self.told:
            known.append(functional.one_hot(operators, len(NAMES)).float())
        curves: Tensor = self.judge(torch.cat(known, dim=1))
        return curves


def error(curves: Tensor, light: Tensor, preset: GainMapPreset) -> Tensor:
    """Return the error of the PQ signal of luminance.

    Args:
        curves: (N, BINS), stops.
        light: (N, 3, PIXELS); see `Films`.
        preset: SDR white and peak.

    Returns:
        (N, PIXELS), of full signal.
    """
    y, before, truth = light.float().unbind(1)
    place = y.clamp(0, 1) * (BINS - 1)
    lower = place.floor().clamp(max=BINS - 2).long()
    stops = torch.lerp(curves.gather(1, lower), curves.gather(1, lower + 1), place - lower)
    after = before * torch.exp2(stops.clamp(preset.min_log_gain, preset.max_log_gain))
    white, top = preset.sdr_white, preset.peak
    return pq_inverse_eotf(after.clamp(max=top) * white) - pq_inverse_eotf(truth * white)


def fit(
    films: Films, preset: GainMapPreset, *, steps: int, seed: int, told: bool = False
) -> Perceptron:
    """Train a perceptron, whose weights are averaged, on whole films."""
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    network = Perceptron(films, told=told)
    averaged = copy.deepcopy(network)
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    total, pictures = films.statistics.shape[:2]
    for step in range(steps):
        film, own, more = (
            torch.randint(end, (BATCH,), generator=generator) for end in (total, pictures, pictures)
        )
        alone = torch.rand(BATCH, generator=generator) < ALONE
        heard = draw_heard(own, 1 + more.masked_fill(alone, 0), pictures, generator)
        curves = network(films.statistics[film], own, heard, films.operators[film])
        wrong = error(curves, films.light[film, own], preset)
        loss = wrong.abs().mean() + (wrong.square().mean(1) + LEAST_ERROR).sqrt().mean()
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
        update_average(averaged, network, step, EMA)
    return averaged.eval()


@torch.inference_mode()
def measure(network: Perceptron, films: Films, preset: GainMapPreset, *, heard: int) -> Tensor:
    """Return PQ-PSNR of luminance in dB, (F,), the mean over each film's pictures."""
    generator = torch.Generator().manual_seed(0)
    total, pictures = films.statistics.shape[:2]
    scores = []
    for index in range(pictures):
        own, count = torch.full((total,), index), torch.full((total,), heard)
        among = draw_heard(own, count, pictures, generator)
        curves = network(films.statistics, own, among, films.operators)
        scores.append(decibels(error(curves, films.light[:, index], preset)))
    return torch.stack(scores).mean(0)


def scaling(films: Films, preset: GainMapPreset) -> Tensor:
    """Return what no gain at all has, (F,), dB."""
    nothing = torch.zeros(films.light[:, :, 0, :1].numel(), BINS)
    scores = decibels(error(nothing, films.light.flatten(0, 1), preset))
    return scores.view(films.light.shape[:2]).mean(1)


def decibels(wrong: Tensor) -> Tensor:
    """Return PSNR of (N, PIXELS) errors of full signal, (N,)."""
    return -10 * torch.log10(wrong.square().mean(1) + LEAST_ERROR)


def main(argv: Sequence[str] | None = None) -> None:
    """Draw films, train, and print dB by how many pictures are heard."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("views", type=Path, help="folder that `render` wrote")
    parser.add_argument("--films", type=int, default=1400, help="to learn from (1400)")
    parser.add_argument("--pictures", type=int, default=32, help="of each (32)")
    parser.add_argument("--measured", type=int, default=12, help="films an operator (12)")
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2], help="a run each (1 2)")
    parser.add_argument("--shrink", type=int, default=2, help="of views (2)")
    parser.add_argument("--told", action="store_true", help="say the operator's name")
    args = parser.parse_args(argv)
    keep_memory()
    preset = load_weights("fast").preset
    views = [replace(view, shrink=args.shrink) for view in read_index(args.views)]
    train, held_out = split_views(views)
    films = draw_films(train, preset, count=args.films, pictures=args.pictures, seed=1)
    total = args.measured * len(NAMES)
    unseen = draw_films(
        held_out, preset, count=total, pictures=args.pictures, seed=2, every_operator=True
    )
    known = torch.tensor([not OPERATORS[NAMES[int(n)]].held_out for n in unseen.operators])
    print(f"{'PQ-PSNR of luminance, dB':28}{'heard':>6}{'trained':>10}{'held out':>10}")

    def say(what: str, heard: str, scores: Tensor) -> None:
        unknown = "" if args.told else f"{scores[~known].mean():10.2f}"  # names never heard of
        print(f"{what:28}{heard:>6}{scores[known].mean():10.2f}{unknown}", flush=True)

    say("scaling", "", scaling(unseen, preset))
    for seed in args.seeds:
        network = fit(films, preset, steps=args.steps, seed=seed, told=args.told)
        for heard in sorted({min(n, args.pictures) for n in (1, 2, 4, 8, 16, args.pictures)}):
            say(f"seed {seed}", str(heard), measure(network, unseen, preset, heard=heard))


if __name__ == "__main__":
    main()

"""Train what follows the fast model's convolutions, from films that stay in memory.

`train` makes a film of 32 pictures for every lesson and sees each a few times; here thousands lie
in memory, `remembered.remember` made them, and a step takes a tenth of a second for lessons that
cost `train` four. The convolutions stay as they are, and so do the means that statistics are
brought to.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

from training.batches import open_data
from training.board import Board, open_examples
from training.checkpoint import (
    CHECKPOINT,
    check_same,
    load_checkpoint,
    pack,
    restore,
    save_checkpoint,
)
from training.config import Config, ConfigError, LossConfig, TrainingError, to_dict
from training.films import ALONE, draw_heard, hear
from training.loss import gain_map_loss
from training.memory import keep_memory
from training.remembered import PIXELS, Remembered, check_films, load_films
from training.train import learning_rate, update_average
from vs_gainmap.gainmap import GainMapPreset
from vs_gainmap.models import GridNet
from vs_gainmap.weights import load_weights

# Pictures of a film that are judged in one step: its testimonies are the dearest part.
TOGETHER = 2
# Noise on statistics in training, in standard deviations of each: every film is met fifty times,
# and to the last digit its numbers would say which one it is.
NOISE = 0.2


class Lessons(NamedTuple):
    """What a step learns from: N pictures."""

    films: Tensor
    """(N // TOGETHER,), whose pictures testify."""
    rows: Tensor
    """(N,), which of these a picture is of."""
    own: Tensor
    """(N,), which of its film's pictures it is."""
    heard: Tensor
    """(N, K), which of its film's pictures it is judged with, itself among them."""


def load_initial(path: Path, config: Config) -> GridNet:
    """Load the fast model that a run starts from.

    Raises:
        ConfigError: it is no fast model, or of another preset.
        WeightsError: there is none, or it is damaged.
    """
    weights = load_weights(path)
    if not isinstance(weights.model, GridNet):
        raise ConfigError(f"training: {path} is no fast model; only that has a head of its own")
    if weights.preset != config.preset.build():
        raise ConfigError(f"training: {path} was trained for {weights.preset}, not [preset]")
    return weights.model.with_peaks().float()


def draw_lessons(films: Remembered, batch: int, seed: int, step: int) -> Lessons:
    """Draw a step's pictures, and which others each is judged with: a function of its number."""
    generator = torch.Generator().manual_seed(hash((seed, step)) % 2**63)
    count, pictures = films.measured.shape[:2]
    chosen = torch.randint(count, (batch // TOGETHER,), generator=generator)
    rows = torch.arange(batch // TOGETHER).repeat_interleave(TOGETHER)
    own = torch.randint(films.seen.shape[1], rows.shape, generator=generator)
    more = torch.randint(pictures, rows.shape, generator=generator)
    alone = torch.rand(rows.shape, generator=generator) < ALONE
    heard = draw_heard(own, 1 + more.masked_fill(alone, 0), pictures, generator)
    return Lessons(chosen, rows, own, heard)


def blur(model: GridNet, measured: Tensor) -> Tensor:
    """Put noise on statistics: `NOISE` of what each has among all pictures."""
    variance = model.normalize.running_var
    assert variance is not None
    return measured + NOISE * variance.sqrt() * torch.randn_like(measured)


def learn(
    model: GridNet, films: Remembered, lessons: Lessons, preset: GainMapPreset, loss: LossConfig
) -> dict[str, Tensor]:
    """Judge a step's pictures and return the losses that `loss.gain_map_loss` does."""
    chosen, rows, own, heard = lessons
    measured, layout_mean = (
        part[chosen].float().flatten(0, 1) for part in (films.measured, films.layout_mean)
    )
    if model.training:
        measured = blur(model, measured)
    said = model.say(measured, layout_mean).view(len(chosen), heard.shape[1], -1)[rows]
    which = chosen[rows], own
    features = model.judge_seen(
        films.seen[which].float(), said[torch.arange(len(own)), own], hear(said, heard)
    )
    sdr, hdr, places = (
        part[which].float().unsqueeze(-1) for part in (films.sdr, films.hdr, films.places)
    )
    made = model.slice_at(sdr, features, *places.unbind(1))
    qmax = features.qmax_norm
    pixels, letters = (
        {"sdr": sdr[:, :, part], "hdr": hdr[:, :, part]}
        for part in (slice(PIXELS), slice(PIXELS, None))
    )
    pixels["qmax"] = films.qmax[which].float().view(-1, 1, 1, 1)
    terms = gain_map_loss(made[:, :, :PIXELS], qmax, pixels, preset, replace(loss, title=0.0))
    if loss.title:
        letters["title"] = torch.ones_like(letters["sdr"][:, :1])
        letters["title"] *= films.titled[which].float().view(-1, 1, 1, 1)
        only = LossConfig(pq=0.0, log_gain=0.0, qmax=0.0, outside=0.0, title=loss.title)
        titles = gain_map_loss(made[:, :, PIXELS:], qmax, letters, preset, only)
        terms |= {"title": titles["title"], "total": terms["total"] + titles["total"]}
    return terms


def train_head(
    config: Config,
    model: GridNet,
    folders: Sequence[Path],
    out: Path,
    *,
    stop_at: int | None = None,
) -> GridNet:
    """Train on the CPU, or go on where `out` has a checkpoint.

    Args:
        config: the run; `data.batch` is how many pictures a step judges, the held-out views of
            `data.folder` are what it validates on.
        model: to start from; it is trained itself.
        folders: films that `remember` wrote, seen by this model's convolutions.
        out: gets ``last.ckpt``, TensorBoard curves and ``validation.txt``.
        stop_at: leave after this step, as a kill would; None goes to the end.

    Returns:
        The averaged model.

    Raises:
        ConfigError: the films, the checkpoint and the configuration don't fit together.
        WeightsError: the checkpoint is damaged.
        MediaError: views can't be read.
        TrainingError: the loss or a gradient is not finite.
    """
    keep_memory()
    if config.loss.teacher or config.data.batch % TOGETHER:
        raise ConfigError(
            f"head: loss.teacher must be empty and data.batch a multiple of {TOGETHER}, "
            f'got "{config.loss.teacher}" and {config.data.batch}'
        )
    for folder in folders:
        check_films(folder, model, to_dict(config)["preset"])
    films, data_id = load_films(*folders)
    _, held_out, _ = open_data(config, 1)
    preset = config.preset.build()
    model.requires_grad_(True)
    model.layout.requires_grad_(False)
    learned = [parameter for parameter in model.parameters() if parameter.requires_grad]
    average = copy.deepcopy(model).requires_grad_(False).eval()
    optimizer = torch.optim.AdamW(
        learned, lr=0.0, betas=config.optimizer.betas, weight_decay=config.optimizer.weight_decay
    )
    out.mkdir(parents=True, exist_ok=True)
    start = 0
    if (out / CHECKPOINT).is_file():
        state = load_checkpoint(out / CHECKPOINT)
        start = int(state["step"])
        print(f"head: goes on after step {start} of {config.run.steps}, from {out / CHECKPOINT}")
        for note in check_same(state, config, data_id):
            print(note)
        restore(state, model, average, optimizer)
    examples = open_examples(held_out, config)
    board = Board(out, start, config)
    end = min(stop_at or config.run.steps, config.run.steps)
    longest = config.optimizer.clip_norm or math.inf
    for step in range(start, end):
        model.train()
        model.normalize.eval()
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, config.run.steps, config.optimizer)
        # Dropout, too, is a function of the step.
        torch.manual_seed(hash((config.run.seed, step)))
        lessons = draw_lessons(films, config.data.batch, config.run.seed, step)
        terms = learn(model, films, lessons, preset, config.loss)
        optimizer.zero_grad()
        terms["total"].backward()  # type: ignore[no-untyped-call]
        norm = nn.utils.clip_grad_norm_(learned, longest)
        if not (torch.isfinite(terms["total"]) and torch.isfinite(norm)):
            raise TrainingError(f"head: the loss is not finite at step {step + 1}")
        optimizer.step()
        update_average(average, model, step, config.run.ema)
        done = step + 1
        board.log(done, terms, float(norm), optimizer.param_groups[0]["lr"])
        if examples and (done % config.run.validate_every == 0 or done == end):
            board.validate(done, average, examples, preset)
        if done % config.run.save_every == 0 or done == end:
            state = pack(done, model, average, optimizer, config, data_id)
            save_checkpoint(state, out / CHECKPOINT)
    board.close()
    return average

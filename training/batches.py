"""What a run trains on, batch by batch: a pure function of the configuration and the step."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from training.config import Config, ConfigError
from training.memory import keep_memory
from training.pairs import PairDataset, View, read_index
from training.scenes import INDEX
from training.validate import split_views


def fingerprint(folders: list[Path]) -> str:
    """Return a digest of the data set's indices, kept in checkpoints and weights."""
    indices = b"".join((folder / INDEX).read_bytes() for folder in folders)
    return hashlib.sha256(indices).hexdigest()[:16]


def open_data(config: Config, world: int) -> tuple[Dataset[dict[str, Tensor]], list[View], str]:
    """Return the training set, the held-out views (none for "layout") and the fingerprint."""
    named = config.data.folder
    folders = [Path(name) for name in ([named] if isinstance(named, str) else named)]
    preset = config.preset.build()
    length = config.run.steps * config.data.batch * world
    if config.data.source == "layout":
        from training.layout import LayoutDataset

        if len(folders) > 1:
            raise ConfigError('train: data.folder must be one folder where data.source is "layout"')
        layout = LayoutDataset(
            folders[0] / "train", preset, crop=config.data.crop, seed=config.run.seed, length=length
        )
        return layout, [], layout.fingerprint
    split = [
        split_views([replace(view, shrink=config.data.shrink) for view in read_index(folder)])
        for folder in folders
    ]
    train = [view for seen, _ in split for view in seen]
    # One more folder must not change what validation measures on.
    held_out = split[0][1]
    if config.data.batch % config.data.film:
        raise ConfigError(
            f"train: data.batch must be a multiple of data.film, got {config.data.batch} "
            f"and {config.data.film}"
        )
    pairs = PairDataset(
        train,
        preset,
        crop=config.data.crop,
        seed=config.run.seed,
        length=length,
        film=config.data.film,
        vary=config.data.vary,
        mix=config.data.mix,
    )
    return pairs, held_out, fingerprint(folders)


def endless(
    dataset: Dataset[dict[str, Tensor]], config: Config, start: int, rank: int, world: int
) -> Iterator[dict[str, Tensor]]:
    """Yield batches from step `start` on; each of `world` processes takes its share.

    A share is a run of items, so that films stay whole.
    """
    batch = config.data.batch
    order = _Order(batch, start * world + rank, config.run.steps * world, world)
    workers = config.data.workers
    yield from DataLoader(
        dataset,
        batch_size=config.data.batch,
        sampler=order,
        num_workers=workers,
        prefetch_factor=3 if workers else None,
        worker_init_fn=_one_thread if workers else None,
        # A forked worker would inherit OpenMP threads that are not there, and hang.
        multiprocessing_context="spawn" if workers else None,
        pin_memory=torch.cuda.is_available(),
    )


class _Order(Sampler[int]):
    """Every `step`-th batch's items, in order."""

    def __init__(self, batch: int, first: int, end: int, step: int) -> None:
        self.batch, self.batches = batch, range(first, end, step)

    def __len__(self) -> int:
        return len(self.batches) * self.batch

    def __iter__(self) -> Iterator[int]:
        for number in self.batches:
            yield from range(number * self.batch, (number + 1) * self.batch)


def _one_thread(_: int) -> None:
    keep_memory()
    torch.set_num_threads(1)

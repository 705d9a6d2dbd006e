"""Batches of a run: a function of the configuration and the step."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler, default_collate

from training.config import Config, ConfigError, TrainingError
from training.data.pairs import PairDataset
from training.data.scenes import INDEX
from training.data.splits import split_views
from training.data.store import PairStore, fill
from training.data.views import View, read_index, view_size
from training.memory import keep_memory
from vs_gainmap.errors import GainMapError, MediaError

Item = dict[str, Tensor]


def fingerprint(index: bytes, files: Sequence[Path]) -> str:
    """Return a digest of a data set's index and of its files' sizes.

    Args:
        index: which pictures there are.
        files: theirs, in the index's order.

    Raises:
        MediaError: a file is missing.
    """
    digest = hashlib.sha256(index)
    for path in files:
        try:
            digest.update(f"\n{path.stat().st_size}".encode())
        except OSError as error:
            raise MediaError(f"training: {path} is in the index, but not there") from error
    return digest.hexdigest()[:16]


def open_data(config: Config, world: int) -> tuple[Dataset[Item], list[View], str]:
    """Return the training set, the held-out views (none for "layout") and the fingerprint.

    Raises:
        ConfigError: [data] does not fit the files.
        MediaError: files are missing or damaged.
    """
    named = config.data.folder
    folders = [Path(name) for name in ([named] if isinstance(named, str) else named)]
    if config.data.source == "layout":
        return _open_layout(config, folders, world)
    cached = [
        [replace(view, shrink=config.data.shrink) for view in read_index(folder)]
        for folder in folders
    ]
    scenes = {view.scene for views in cached for view in views}
    split = [split_views(views, scenes=scenes, held_out=config.data.held_out) for views in cached]
    train = [view for kept, _ in split for view in kept]
    # Of one folder, so that validation stays the same when folders are added.
    held_out = next((others for _, others in split if others), [])
    indices = b"".join((folder / INDEX).read_bytes() for folder in folders)
    digest = fingerprint(indices, [view.path for views in cached for view in views])
    if not train:
        raise ConfigError("train: no view of a scene that is not held out in data.folder")
    _check_sizes(train, config)
    pairs = PairDataset(
        train,
        config.preset.build(),
        crop=config.data.crop,
        seed=config.run.seed,
        length=config.data.pairs or config.run.steps * config.data.batch * world,
        every=config.data.every,
        measured=config.model.kind == "grid",
    )
    return pairs, held_out, digest


def _open_layout(
    config: Config, folders: list[Path], world: int
) -> tuple[Dataset[Item], list[View], str]:
    from training.paper.layout import LayoutDataset

    if len(folders) > 1:
        raise ConfigError('train: data.folder must be one folder where data.source is "layout"')
    if not config.data.crop:
        raise ConfigError('train: data.crop must be above 0 where data.source is "layout"')
    layout = LayoutDataset(
        folders[0] / "train",
        config.preset.build(),
        crop=config.data.crop,
        seed=config.run.seed,
        length=config.run.steps * config.data.batch * world,
    )
    files = [
        path
        for item in layout.items
        for path in (item.image, item.gain_map, item.metadata, item.thumbnail)
    ]
    names = "\n".join(item.image.name for item in layout.items)
    return layout, [], fingerprint(names.encode(), files)


def _check_sizes(views: list[View], config: Config) -> None:
    """Refuse views that are smaller than a crop, or differ in size without one.

    Views of one folder with the same file size have the same shape, so few are opened.
    """
    kinds: dict[tuple[Path, int], View] = {}
    for view in views:
        kinds.setdefault((view.path.parent, view.path.stat().st_size), view)
    crop, shrink = config.data.crop, config.data.shrink
    sizes: set[tuple[int, int]] = set()
    for view in kinds.values():
        height, width = view_size(view.path)
        size = height // shrink, width // shrink
        sizes.add(size)
        shown = f"{view.path} is {width}x{height}" + (shrink > 1) * f", shrunk by {shrink}"
        if min(size) < max(crop, 2):
            raise ConfigError(f"train: {shown}, smaller than data.crop = {crop}")
        if not crop and len(sizes) > 1:
            raise ConfigError(f"train: {shown}, others are not; several sizes need a data.crop")
        if not crop and config.model.kind == "gmnet" and any(side % 2 for side in size):
            raise ConfigError(f"train: {shown}: GMNet needs even sizes, or a data.crop")


def endless(
    dataset: Dataset[Item], config: Config, out: Path, start: int, rank: int, world: int
) -> Iterator[Item]:
    """Yield batches from number `start` on; each of `world` processes takes its share.

    Args:
        dataset: of pairs.
        config: of the run. Where it has `data.pairs`, these are made first.
        out: of the run, which gets them.
        start: number of the first batch.
        rank: of the process.
        world: how many processes there are.

    Raises:
        TrainingError: a picture can't be read, or a worker died.
    """
    batch, number = config.data.batch, start * world + rank
    if config.data.pairs:
        white = config.preset.sdr_white
        folder = out / f"pairs-{rank}"
        count = config.data.pairs
        fill(folder, load(dataset, range(count), config.data.workers), count, sdr_white=white)
        store = PairStore(folder, sdr_white=white)
        yield from store.batches(batch, seed=config.run.seed, start=number, step=world)
    order = _Order(batch, number, config.run.steps * world, world)
    yield from load(dataset, order, config.data.workers, batch=batch)


def load(
    dataset: Dataset[Item], order: Iterable[int], workers: int, *, batch: int | None = None
) -> Iterator[Item]:
    """Yield items, or batches of them, in an order; `workers` other processes make them.

    Raises:
        TrainingError: a picture can't be read, or a worker died.
    """
    loader: DataLoader[Item] = DataLoader(
        cast("Dataset[Item]", _Reporting(dataset)),
        batch_size=batch,
        sampler=order,
        num_workers=workers,
        collate_fn=_collate if batch else None,
        prefetch_factor=3 if workers else None,
        worker_init_fn=_one_thread if workers else None,
        # A forked worker would inherit OpenMP threads that are not there, and hang.
        multiprocessing_context="spawn" if workers else None,
        pin_memory=torch.cuda.is_available(),
    )
    try:
        for made in loader:
            if isinstance(made, _Failure):
                raise TrainingError(made.line)
            yield made
    except RuntimeError as error:
        if not any(words in str(error) for words in ("exited unexpectedly", "killed by signal")):
            raise
        reason = str(error).splitlines()[0]
        raise TrainingError(f"training: {reason}; is there memory for data.workers?") from error


@dataclass(frozen=True, slots=True)
class _Failure:
    """Why an item could not be made."""

    line: str


class _Reporting(Dataset[Item | _Failure]):
    """A data set that returns expected errors, so that workers don't print tracebacks."""

    def __init__(self, dataset: Dataset[Item]) -> None:
        self.dataset = dataset

    def __getitem__(self, index: int) -> Item | _Failure:
        try:
            return self.dataset[index]
        except (GainMapError, OSError, EOFError) as error:
            return _Failure(" ".join(str(error).split()) or type(error).__name__)


def _collate(items: list[Item | _Failure]) -> Item | _Failure:
    for item in items:
        if isinstance(item, _Failure):
            return item
    return cast("Item", default_collate(items))


class _Order(Sampler[int]):
    """The items of every `step`-th batch, in order."""

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

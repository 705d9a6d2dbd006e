"""Films that stay in memory: what the fast model's convolutions see of them, and some pixels.

Pictures cost a hundred times more to make than the model's perceptrons cost to train on, and its
convolutions half of the rest. So `remember` makes films once and keeps of each picture its
statistics and the mean of its layout, of some the layout itself and pixels: 0.3 MB a film of 32.
"""

from __future__ import annotations

import hashlib
import json
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.utils.data import Dataset

from training.batches import load, open_data
from training.config import Config, ConfigError, to_dict
from training.pairs import PairDataset
from vs_gainmap.models import GridNet

# Keeps these draws apart from a picture's others.
PIXEL_STREAM = 5
# Of a judged picture: pixels from anywhere, and more from the title where it has one.
PIXELS, LETTERS = 256, 32
# Pictures of a film that are judged, at most; the others only testify.
JUDGED = 8
# Films a file.
SHARD = 100
INDEX = "films.json"
# Of [data], what does not change which films there are.
FREE = ("batch", "replay", "keep", "workers")


class Remembered(NamedTuple):
    """Films, in half precision: F of K pictures, the first J of which are judged."""

    measured: Tensor
    """(F, K, STATISTICS)."""
    layout_mean: Tensor
    """(F, K, channels)."""
    seen: Tensor
    """(F, J, channels, CELLS, CELLS), layouts."""
    sdr: Tensor
    """(F, J, 3, PIXELS + LETTERS), signal, 0..1; the letters' come last."""
    hdr: Tensor
    """Likewise, linear, BT.2020, 1.0 = SDR white."""
    places: Tensor
    """(F, J, 2, PIXELS + LETTERS), row and column, -1..1; see `GridNet.slice_at`."""
    titled: Tensor
    """(F, J), 1 where there is a title, else the letters' pixels are of nothing."""
    qmax: Tensor
    """(F, J), see `PairDataset`."""


def remember(
    config: Config, model: GridNet, out: Path, *, count: int, held_out: bool = False
) -> str:
    """Make films and write them; what is there of the same films is kept.

    Args:
        config: of a run of whole pictures; `data.film` is how many each film has.
        model: whose convolutions look at them.
        out: the folder.
        count: films.
        held_out: of the scenes that training doesn't see, to measure on: the operators in turn,
            held-out ones too, and no picture varied.

    Returns:
        What films these are: the digest that `load_films` returns.

    Raises:
        ConfigError: the configuration has crops or no views, or `out` has other films.
        MediaError: the index can't be read.
        TrainingError: a view can't be read, or a worker died.
    """
    pairs, unseen, digest = open_data(config, 1)
    if config.data.crop or not isinstance(pairs, PairDataset):
        raise ConfigError(
            f'remember: data.source must be "views" and data.crop 0, '
            f'got "{config.data.source}" and {config.data.crop}'
        )
    if held_out and not unseen:
        raise ConfigError("remember: no view in data.folder is of a held-out scene")
    if held_out:
        pairs = PairDataset(
            unseen,
            pairs.preset,
            crop=0,
            seed=pairs.seed,
            length=pairs.length,
            film=pairs.film,
            mix=pairs.mix,
            every_operator=True,
        )
    known = _describe(config, model, digest) | {"held_out": held_out}
    out.mkdir(parents=True, exist_ok=True)
    index = out / INDEX
    if index.is_file() and json.loads(index.read_text()) != known:
        raise ConfigError(f"remember: {out} has other films; use another folder")
    index.write_text(json.dumps(known, indent=1))
    shards = [range(at, min(at + SHARD, count)) for at in range(0, count, SHARD)]
    missing = [shard for shard in shards if _count(_path(out, shard)) < len(shard)]
    numbers = [film for shard in missing for film in shard]
    films = load(_Films(pairs, model), numbers, config.data.workers)
    for shard in missing:
        made = list(islice(films, len(shard)))
        path = _path(out, shard)
        partial = path.with_suffix(".partial")
        save_file({name: torch.stack([film[name] for film in made]) for name in made[0]}, partial)
        partial.replace(path)
        print(f"remember: {shard.stop} of {count} films", flush=True)
    return _digest(known, count)


def load_films(*folders: Path) -> tuple[Remembered, str]:
    """Read films that `remember` wrote.

    Returns:
        Those of all folders, and the digest of what they are.

    Raises:
        ConfigError: a folder has none, or its films have other sizes than the first one's.
    """
    parts: dict[str, list[Tensor]] = {name: [] for name in Remembered._fields}
    digests = []
    for folder in folders:
        paths = sorted(folder.glob("films_*.safetensors"))
        if not paths:
            raise ConfigError(f"films: none in {folder}; `python -m training remember` makes them")
        count = 0
        for path in paths:
            for name, part in load_file(path).items():
                if parts[name] and part.shape[1:] != parts[name][0].shape[1:]:
                    raise ConfigError(f"films: those in {folder} have another data.film")
                parts[name].append(part)
            count += len(parts["qmax"][-1])
        digests.append(_digest(json.loads((folder / INDEX).read_text()), count))
    # One after the other, so that no more than one is there twice.
    films = Remembered(**{name: torch.cat(parts.pop(name)) for name in Remembered._fields})
    if len(digests) == 1:
        return films, digests[0]
    return films, hashlib.sha256(" ".join(digests).encode()).hexdigest()[:16]


def check_films(
    folder: Path, model: GridNet, preset: dict[str, Any], *, held_out: bool | None = False
) -> dict[str, Any]:
    """Refuse films that another model's convolutions looked at, or that are of another preset.

    Args:
        folder: that `remember` wrote.
        model: that is to judge them.
        preset: as `config.PresetConfig` has it.
        held_out: whether they must be of held-out scenes, or must not; None takes both.

    Returns:
        What they are a function of.

    Raises:
        ConfigError: they are, or there are none.
    """
    if not (folder / INDEX).is_file():
        raise ConfigError(f"films: none in {folder}; `python -m training remember` makes them")
    known = json.loads((folder / INDEX).read_text())
    if known["layout"] != _layout_digest(model):
        raise ConfigError(f"films: those in {folder} were seen by another model's convolutions")
    if known["preset"] != preset:
        raise ConfigError(f"films: those in {folder} are of {known['preset']}, not {preset}")
    if held_out is not None and known["held_out"] != held_out:
        which = "of held-out scenes" if known["held_out"] else "to train on"
        raise ConfigError(f"films: those in {folder} are {which}")
    return cast("dict[str, Any]", known)


def _describe(config: Config, model: GridNet, digest: str) -> dict[str, Any]:
    """Return what films are a function of, but for their number."""
    plain = to_dict(config)
    known = {
        "data": {name: value for name, value in plain["data"].items() if name not in FREE},
        "views": digest,
        "preset": plain["preset"],
        "seed": config.run.seed,
        "layout": _layout_digest(model),
    }
    # As it is read again: JSON knows no tuples.
    return cast("dict[str, Any]", json.loads(json.dumps(known)))


def _layout_digest(model: GridNet) -> str:
    state = model.layout.state_dict()
    parts = [state[name].detach().float().numpy().tobytes() for name in sorted(state)]
    return hashlib.sha256(b"".join(parts)).hexdigest()[:16]


def _digest(known: dict[str, Any], count: int) -> str:
    return hashlib.sha256(json.dumps([known, count], sort_keys=True).encode()).hexdigest()[:16]


def _path(folder: Path, shard: range) -> Path:
    return folder / f"films_{shard.start:06d}.safetensors"


def _count(path: Path) -> int:
    """Return how many films a file has; none where it isn't there."""
    if not path.is_file():
        return 0
    with safe_open(path, "pt") as file:
        return int(file.get_slice("qmax").get_shape()[0])


class _Films(Dataset[dict[str, Tensor]]):
    """Film by film, in half precision: the pictures that training would make of it."""

    def __init__(self, pairs: PairDataset, model: GridNet) -> None:
        self.pairs, self.model = pairs, model.eval().requires_grad_(False)

    @torch.inference_mode()
    def __getitem__(self, number: int) -> dict[str, Tensor]:
        first = number * self.pairs.film
        pictures = [self.pairs[first + k] for k in range(self.pairs.film)]
        seen, measured = self.model.see(torch.stack([each["thumbnail"] for each in pictures]))
        rng = np.random.default_rng([self.pairs.seed, number, PIXEL_STREAM])
        scored = [_pick(each, rng) for each in pictures[:JUDGED]]
        kept = {name: torch.stack([each[name] for each in scored]) for name in scored[0]}
        kept |= {
            "measured": measured,
            "layout_mean": seen.mean(dim=(2, 3)),
            "seen": seen[:JUDGED],
            "qmax": torch.stack([each["qmax"].view(()) for each in pictures[:JUDGED]]),
        }
        return {name: part.half().contiguous() for name, part in kept.items()}


def _pick(picture: dict[str, Tensor], rng: np.random.Generator) -> dict[str, Tensor]:
    """Take pixels out of a picture of `PairDataset`."""
    height, width = picture["sdr"].shape[-2:]
    title = picture["title"].flatten().double().numpy()
    titled = title.sum() > 0
    anywhere = rng.integers(title.size, size=PIXELS)
    chances = title / title.sum() if titled else None
    letters = rng.choice(title.size, size=LETTERS, p=chances)
    where = torch.from_numpy(np.concatenate([anywhere, letters]))
    rows = (2 * torch.div(where, width, rounding_mode="floor") + 1) / height - 1
    columns = (2 * (where % width) + 1) / width - 1
    return {
        "sdr": picture["sdr"].flatten(1)[:, where],
        "hdr": picture["hdr"].flatten(1)[:, where],
        "places": torch.stack([rows, columns]),
        "titled": torch.tensor(float(titled)),
    }

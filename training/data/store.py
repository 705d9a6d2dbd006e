"""Store pairs that are made once and used many times, in memory-mapped files."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from vs_gainmap.color.transfer import pq_eotf, pq_inverse_eotf
from vs_gainmap.errors import MediaError
from vs_gainmap.untrusted import read_json

Item = dict[str, Tensor]

INDEX = "pairs.json"
# Stored as 8 bits, 0..1; HDR is stored as 16-bit PQ, the rest as it is.
BYTES = frozenset({"sdr", "thumbnail", "small", "title"})
HDR = "hdr"


class PairStore:
    """Pairs of one shape in a folder.

    Args:
        folder: filled by `fill`.
        sdr_white: unit of `hdr`, cd/m2.

    Raises:
        MediaError: they are damaged.
    """

    def __init__(self, folder: Path, *, sdr_white: float) -> None:
        self.sdr_white = sdr_white
        try:
            about = read_json(folder / INDEX)
            self.count = int(about["count"])
            self.arrays = {
                name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in about["names"]
            }
            if any(len(array) != self.count for array in self.arrays.values()):
                raise ValueError("other counts")
        # Whatever the parsers raise over damaged files.
        except Exception as error:
            raise MediaError(
                f"training: the pairs in {folder} are damaged; delete it, and they are made again"
            ) from error

    def batch(self, numbers: np.ndarray) -> Item:
        """Return the pairs with these numbers, stacked, with the keys of `PairDataset`."""
        batch: Item = {}
        for name, array in self.arrays.items():
            values = torch.from_numpy(np.stack([array[n] for n in numbers]))
            if name in BYTES:
                values = values.float() / 255
            elif name == HDR:
                values = pq_eotf(values.to(torch.int32).float() / 65535) / self.sdr_white
            batch[name] = values
        return batch

    def batches(self, size: int, *, seed: int, start: int, step: int = 1) -> Iterator[Item]:
        """Yield every `step`-th batch without end, from number `start` on.

        Each epoch has every pair once, in an order that depends on the seed and the epoch.
        """
        per_epoch = self.count // size
        number = start
        while True:
            epoch, place = divmod(number, per_epoch)
            order = np.random.default_rng([seed, epoch]).permutation(self.count)
            yield self.batch(np.sort(order[place * size : (place + 1) * size]))
            number += step


def fill(folder: Path, items: Iterator[Item], count: int, *, sdr_white: float) -> None:
    """Store items, unless the folder has as many already.

    Args:
        folder: gets an array for each name, and an index last.
        items: as `PairDataset` has them, of one shape.
        count: how many of them to take.
        sdr_white: unit of `hdr`, cd/m2.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if (folder / INDEX).is_file() and PairStore(folder, sdr_white=sdr_white).count == count:
        return
    arrays: dict[str, np.ndarray] = {}
    for number, item in zip(range(count), items, strict=False):
        for name, value in item.items():
            coded = _code(name, value, sdr_white)
            if number == 0:
                arrays[name] = np.lib.format.open_memmap(
                    folder / f"{name}.npy", "w+", coded.dtype, (count, *coded.shape)
                )
            arrays[name][number] = coded
    for array in arrays.values():
        array.flush()  # type: ignore[attr-defined]
    (folder / INDEX).write_text(json.dumps({"count": count, "names": list(arrays)}))


def _code(name: str, value: Tensor, sdr_white: float) -> np.ndarray:
    if name in BYTES:
        return (value * 255).round().byte().numpy()
    if name == HDR:
        return (pq_inverse_eotf(value * sdr_white) * 65535).round().numpy().astype(np.uint16)
    return value.numpy()

"""Batches that are used again: pictures cost more to make than to learn from.

A small network takes a fraction of the time that its pairs take. Another step with pairs of a
while ago, other pictures of each film heard and other pixels scored, teaches nearly as much as one
with new pairs, as long as none is seen too often.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator

import numpy as np
import torch

from training.batches import Item
from training.config import DataConfig

# Keeps these draws apart from a step's others.
REPLAY_STREAM = 3


def replayed(
    open_batches: Callable[[int], Iterator[Item]], data: DataConfig, *, start: int, seed: int
) -> Iterator[Item]:
    """Yield a step's batch, a new one at every `data.replay`th step, else one of the last.

    What a step gets is a function of its number and the seed: a run that goes on makes the batches
    of before again, up to `data.keep` of them, before its first step.

    Args:
        open_batches: yields batches from this number on.
        data: how often and how many.
        start: the first step.
        seed: of the run, and of the process where there are several.

    Yields:
        What `open_batches` does; pictures that are used again have been through half precision.
    """
    if data.replay == 1:
        yield from open_batches(start)
        return
    newest = start // data.replay
    # How many batches had been made before this step.
    begun = newest + (start % data.replay != 0)
    first = max(begun - data.keep, 0)
    batches = open_batches(first)
    kept: deque[Item] = deque(maxlen=data.keep)
    kept.extend(_halve(next(batches)) for _ in range(first, begun))
    step = start
    while True:
        if step % data.replay == 0:
            batch = next(batches, None)
            if batch is None:
                return
            kept.append(_halve(batch))
        else:
            rng = np.random.default_rng([seed, step, REPLAY_STREAM])
            batch = {
                name: part.float() for name, part in kept[int(rng.integers(len(kept)))].items()
            }
        yield batch
        step += 1


def _halve(batch: Item) -> Item:
    """Keep pictures in half the memory; what places them stays as it is."""
    return {
        name: part if name == "window" else part.to(torch.float16) for name, part in batch.items()
    }

"""Which pictures of a film are judged together, as a survey does it."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from training.config import Config

# Pictures that are judged by themselves: a clip of one scene is all that many people have.
ALONE = 0.35


def draw_among(config: Config, step: int, rank: int = 0) -> Tensor:
    """Draw which pictures of its film each picture of a batch is judged with, itself among them.

    Returns:
        (batch, batch), rows that sum to 1: the mean over 1 to `film` pictures, often over one.
    """
    batch, film = config.data.batch, config.data.film
    rng = np.random.default_rng([config.run.seed, step, rank])
    among = torch.zeros(batch, batch)
    for row in range(batch):
        first = row // film * film
        others = [n for n in range(first, first + film) if n != row]
        more = 0 if rng.random() < ALONE else int(rng.integers(0, film))
        chosen = rng.permutation(others)[:more]
        among[row, [row, *map(int, chosen)]] = 1 / (1 + len(chosen))
    return among

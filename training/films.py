"""Where a film is shot, and which of its pictures are judged together, as a survey does it."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from training.config import Config
from training.data.views import View

# Pictures that are judged by themselves: a clip of one scene is all that many people have.
ALONE = 0.35
# Fewest and most places that a film is shot at. Were all of the data's scenes in every film, a
# survey's mean would be the same for all but for how the film was made, and no other film's is.
FEWEST, MOST = 2, 64


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


class Locations:
    """The scenes of a data set, from which films take theirs.

    Args:
        views: of all scenes.
    """

    def __init__(self, views: list[View]) -> None:
        self.views = views
        self.scenes: dict[str, list[View]] = {}
        for view in views:
            self.scenes.setdefault(view.scene, []).append(view)

    def draw(self, rng: np.random.Generator) -> list[str]:
        """Draw where a film is shot: `FEWEST` to `MOST` scenes, those of many views as often."""
        count = round(math.exp(rng.uniform(math.log(FEWEST), math.log(MOST))))
        return [self.views[int(n)].scene for n in rng.integers(len(self.views), size=count)]

    def draw_view(self, places: list[str], rng: np.random.Generator) -> View:
        """Draw a view of one of a film's scenes."""
        views = self.scenes[places[int(rng.integers(len(places)))]]
        return views[int(rng.integers(len(views)))]

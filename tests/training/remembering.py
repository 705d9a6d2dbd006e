"""What the tests of films that stay in memory share."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from tests.training.small import tiny
from training.batches import open_data
from training.config import Config, LossConfig
from training.pairs import PairDataset
from training.train import build_model
from vs_gainmap.models import GridNet

FILMS, PICTURES = 5, 4


def configure(views: Path, **run: Any) -> Config:
    config = tiny(views, **{"steps": 6, "save_every": 2, "validation_views": 1, **run})
    data = replace(
        config.data,
        source="views",
        folder=str(views),
        crop=0,
        film=PICTURES,
        batch=2 * PICTURES,
        vary=True,
    )
    model = replace(config.model, kind="grid")
    return replace(config, data=data, model=model, loss=LossConfig(title=1.0))


def fresh(config: Config, seed: int = 0) -> GridNet:
    model = build_model(config.model, config.preset.build(), seed)
    assert isinstance(model, GridNet)
    return model


def open_pairs(config: Config) -> PairDataset:
    pairs, _, _ = open_data(config, 1)
    assert isinstance(pairs, PairDataset)
    return pairs


def places(kept: torch.Tensor, picture: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return which rows and columns of a picture (C, H, W) were kept, (2, pixels)."""
    size = torch.tensor(picture.shape[1:])[:, None]
    row, column = ((kept.float() + 1) / 2 * size - 0.5).round().long()
    return row, column

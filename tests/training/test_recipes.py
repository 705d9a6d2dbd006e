"""The configurations learn, made small, and go on."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch.utils.data import default_collate

from training.__main__ import main
from training.checkpoint import CHECKPOINT, load_checkpoint
from training.config import Config, load_config
from training.data.batches import open_data
from training.export import load_trained
from training.loss import gain_map_loss
from training.train import build_model, train
from vs_gainmap.models import GridNet, Model

CONFIGS = Path(__file__).parents[2] / "training/configs"
STEPS = 40
SMALL = {
    "fast": ["data.shrink=1", "data.pairs=8", "data.batch=4", "model.channels=16",
             "optimizer.rate=3e-3"],
    "gmnet": ["data.crop=32", "data.pairs=8", "data.batch=4", "model.channels=16",
              "model.blocks=1", "optimizer.rate=2e-3"],
}  # fmt: skip


def loss(model: Model, config: Config) -> float:
    """Return the loss on the pairs of the run."""
    pairs, _, _ = open_data(config, 1)
    batch = default_collate([pairs[index] for index in range(8)])
    with torch.inference_mode():
        if isinstance(model, GridNet):
            names = ("sdr", "small", "statistics", "window")
        else:
            names = ("sdr", "thumbnail")  # type: ignore[assignment]
        predicted = model.eval()(*(batch[name] for name in names))
        return float(gain_map_loss(*predicted, batch, config.preset.build(), config.loss)["total"])


@pytest.mark.parametrize("name", sorted(SMALL))
def test_recipe_learns_and_goes_on(name: str, views: Path, tmp_path: Path) -> None:
    changes = [f'data.folder="{views}"', "data.workers=0", 'run.precision="32-true"',
               'run.accelerator="cpu"', "run.validation_views=1", "optimizer.warm_up=0",
               "run.ema=0.9", f"run.steps={STEPS}", *SMALL[name]]  # fmt: skip
    config = load_config(CONFIGS / f"{name}.toml", changes)
    before = loss(build_model(config.model, config.preset.build(), config.run.seed), config)
    # Validated at the end alone.
    hasty = load_config(CONFIGS / f"{name}.toml", [*changes, "run.validation_views=0"])
    train(hasty, tmp_path, stop_at=STEPS - 5)
    assert load_checkpoint(tmp_path / CHECKPOINT).step == STEPS - 5
    command = ["train", str(CONFIGS / f"{name}.toml"), "--out", str(tmp_path)]
    assert main([*command, "--set", *changes]) == 0
    trained = load_trained(tmp_path / CHECKPOINT)
    assert trained.step == str(STEPS)
    assert loss(trained.weights.model, config) < 0.85 * before
    scores = (tmp_path / "validation.txt").read_text()
    assert "bt2446c" in scores
    assert "nan" not in scores

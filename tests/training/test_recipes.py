"""The configurations for a GPU learn, made small, and run at their real width."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch.utils.data import default_collate

from training.__main__ import main
from training.batches import open_data
from training.checkpoint import CHECKPOINT, load_checkpoint
from training.config import Config, load_config
from training.export import load_trained
from training.loss import gain_map_loss
from training.pairs import PairDataset
from training.train import build_model, load_teacher, teach, train
from vs_gainmap.models import Model
from vs_gainmap.models.weights import load_weights

CONFIGS = Path(__file__).parents[2] / "training/configs"
STEPS = 30
SMALL = {
    "video-gpu": ["data.crop=32", "data.batch=4", "model.channels=16", "model.blocks=1",
                  "optimizer.rate=2e-3", "run.ema=0.9"],
    "fast-gpu": ["data.shrink=1", "data.film=4", "data.batch=4", "model.channels=16",
                 "optimizer.rate=3e-3", "run.ema=0.9"],
}  # fmt: skip
REAL = {
    "video-gpu": ["data.crop=32", "data.batch=1"],
    "fast-gpu": ["data.film=4", "data.batch=4"],
}


class Four(PairDataset):
    """The same four pictures again and again."""

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        return super().__getitem__(index % 4)


def here(views: Path) -> list[str]:
    """Return what every run in a test changes.

    Of the default seed's four pictures the teacher says nearly what a fresh network says.
    """
    return [f'data.folder="{views}"', "data.workers=0", "run.seed=2", 'run.precision="32-true"',
            'run.accelerator="cpu"', "run.validation_views=1", "optimizer.warm_up=0"]  # fmt: skip


def loss(model: Model, config: Config) -> dict[str, float]:
    """Return the terms on the four pictures, as the run takes them."""
    preset = config.preset.build()
    pairs, _, _ = open_data(config, 1)
    batch = default_collate([pairs[index] for index in range(4)])
    with torch.inference_mode():
        teacher = load_teacher(config, preset, torch.device("cpu"))
        taught = None if teacher is None else teach(teacher, batch, preset)
        predicted = model.eval()(batch["sdr"], batch["thumbnail"])
        terms = gain_map_loss(*predicted, batch, preset, config.loss, taught)
    return {name: float(term) for name, term in terms.items()}


@pytest.mark.parametrize("name", sorted(SMALL))
def test_recipe_learns_and_goes_on(
    name: str, views: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("training.batches.PairDataset", Four)
    changes = [*here(views), *SMALL[name], f"run.steps={STEPS}"]
    config = load_config(CONFIGS / f"{name}.toml", changes)
    before = loss(build_model(config.model, config.preset.build(), config.run.seed), config)
    # Validated at the end alone.
    hasty = load_config(CONFIGS / f"{name}.toml", [*changes, "run.validation_views=0"])
    train(hasty, tmp_path, stop_at=STEPS - 5)
    assert load_checkpoint(tmp_path / CHECKPOINT)["step"] == STEPS - 5
    command = ["train", str(CONFIGS / f"{name}.toml"), "--out", str(tmp_path)]
    assert main([*command, "--set", *changes]) == 0
    model, _, step, _ = load_trained(tmp_path / CHECKPOINT)
    assert step == str(STEPS)
    after = loss(model, config)
    # Measured: 0.4 and 0.55 of it all, 0.4 and 0.5 of the error in PQ, 0.4 of the shape's.
    assert after["total"] < 0.7 * before["total"]
    assert after["pq"] < 0.7 * before["pq"]
    if name == "video-gpu":
        assert after["shape"] < 0.7 * before["shape"]
    scores = (tmp_path / "validation.txt").read_text()
    assert "bt2446c" in scores
    assert "nan" not in scores
    assert list((tmp_path / "tensorboard").iterdir())


@pytest.mark.parametrize("name", sorted(REAL))
def test_recipe_runs_at_its_real_width(name: str, views: Path, tmp_path: Path) -> None:
    changes = [*here(views), *REAL[name], "run.steps=1", "run.validation_views=0"]
    config = load_config(CONFIGS / f"{name}.toml", changes)
    train(config, tmp_path)
    model, _, step, _ = load_trained(tmp_path / CHECKPOINT)
    # The size of the bundled sets, which `--initial` starts from.
    bundled = load_weights({"video-gpu": "video", "fast-gpu": "fast"}[name]).model.state_dict()
    assert {k: v.shape for k, v in model.state_dict().items()} == {
        k: v.shape for k, v in bundled.items()
    }
    assert step == "1"

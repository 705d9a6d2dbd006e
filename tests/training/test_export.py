"""From checkpoints to weights."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.training.small import tiny
from training.checkpoint import CHECKPOINT
from training.config import (
    ConfigError,
)
from training.export import export
from training.train import train
from vs_gainmap.models.weights import load_weights


def test_several_runs_are_exported_as_their_mean(layout: Path, tmp_path: Path) -> None:
    config = tiny(layout, steps=2)
    runs = [tmp_path / name for name in ("a", "b")]
    models = [
        train(replace(config, run=replace(config.run, seed=seed)), run)
        for seed, run in enumerate(runs)
    ]
    out = tmp_path / "mean.safetensors"
    export([run / CHECKPOINT for run in runs], out)
    mean = load_weights(out).model.state_dict()
    one, two = (model.state_dict() for model in models)
    assert any(not torch.equal(one[k], two[k]) for k in one)
    assert all(torch.allclose(v, (one[k] + two[k]) / 2, atol=1e-3) for k, v in mean.items())
    weights, again = tmp_path / "a.safetensors", tmp_path / "again.safetensors"
    export([runs[0] / CHECKPOINT], weights)
    export([weights, runs[1] / CHECKPOINT], again)
    same = load_weights(again).model.state_dict()
    assert all(torch.allclose(v, mean[k], atol=2e-3) for k, v in same.items())
    with pytest.raises(ConfigError, match="different presets"):
        export([runs[0] / CHECKPOINT, Path("fast")], out)
    wide = replace(config, model=replace(config.model, channels=16))
    train(wide, tmp_path / "wide")
    with pytest.raises(ConfigError, match="different sizes"):
        export([runs[0] / CHECKPOINT, tmp_path / "wide" / CHECKPOINT], out)
    bright = replace(config, preset=replace(config.preset, peak=8.0))
    train(bright, tmp_path / "bright")
    with pytest.raises(ConfigError, match="different presets"):
        export([runs[0] / CHECKPOINT, tmp_path / "bright" / CHECKPOINT], out)

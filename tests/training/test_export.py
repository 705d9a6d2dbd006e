"""From checkpoints to weights."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.training.small import command_of, error_line, tiny
from training.__main__ import main
from training.checkpoint import CHECKPOINT, load_checkpoint
from training.config import (
    ConfigError,
)
from training.export import export
from training.train import train
from vs_gainmap.gainmap import PRESETS
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


def test_a_pth_is_a_state_dict_with_the_published_names(
    layout: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, out = tmp_path / "run", tmp_path / "G.pth"
    train(tiny(layout, steps=1), run)
    assert main(["export", str(run / CHECKPOINT), str(out)]) == 0
    state = torch.load(out, weights_only=True)
    average = load_checkpoint(run / CHECKPOINT).average
    assert list(state) == list(average)
    assert all(torch.equal(state[name], value) for name, value in average.items())
    loaded = load_weights(out, preset="real-world").model.state_dict()
    assert all(torch.equal(state[name], value) for name, value in loaded.items())
    # BasicSR keeps the average beside the last weights.
    other = {name: torch.zeros_like(value) for name, value in state.items()}
    torch.save({"params": other, "params_ema": state}, tmp_path / "basicsr.pth")
    again = tmp_path / "again.safetensors"
    told = ["export", str(tmp_path / "basicsr.pth"), str(again)]
    assert "--weights-preset" in error_line(capsys, told)
    assert main([*told, "--weights-preset", "real-world"]) == 0
    weights = load_weights(again)
    assert weights.preset == PRESETS["real-world"]
    for name, value in weights.model.state_dict().items():
        assert torch.allclose(value, state[name], atol=1e-3)
    # A new run from a checkpoint, or from its state dict.
    for source in (run / CHECKPOINT, out):
        begun = tmp_path / f"from-{source.suffix}"
        command = [*command_of(layout, begun, run__steps="1", optimizer__rate="0.0"), "--initial"]
        assert main([*command, str(source)]) == 0
        for name, value in load_checkpoint(begun / CHECKPOINT).average.items():
            assert torch.allclose(value, state[name], atol=1e-6)


def test_names_that_export_does_not_write(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = error_line(capsys, ["export", "fast", str(tmp_path / "fast.pth")])
    assert line == "export: .pth is for GMNet, whose names are published; use .safetensors"
    line = error_line(capsys, ["export", "fast", str(tmp_path / "fast.onnx")])
    assert line == "export: fast.onnx must end in .safetensors or .pth"
    assert not list(tmp_path.iterdir())

"""The training loop: schedule, start, learning, and errors in one line."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.training.small import PRESET, command_of, error_line, tiny
from training.__main__ import main
from training.checkpoint import CHECKPOINT, load_checkpoint
from training.config import (
    Config,
    OptimizerConfig,
    TrainingError,
)
from training.train import build_model, learning_rate, train
from vs_gainmap.models import GMNet, GridNet
from vs_gainmap.models.weights import save_weights


def test_schedule_warms_up_and_decays() -> None:
    config = OptimizerConfig(rate=1.0, warm_up=10, decay=0.5)
    rates = [learning_rate(step, 100, config) for step in (0, 9, 49, 75, 99)]
    assert rates == pytest.approx([0.1, 1.0, 1.0, 0.5, 0.02])


def test_network_starts_at_zero_stops() -> None:
    config = Config()
    preset = config.preset.build()
    model = build_model(replace(config.model, blocks=1), preset, 0).eval()
    torch.manual_seed(0)
    with torch.inference_mode():
        gain_map, qmax = model(torch.rand(1, 3, 32, 32), torch.rand(1, 3, 256, 256))
    low, high = preset.min_log_gain, preset.max_log_gain
    stops = low + gain_map * (qmax * high - low)
    assert stops.abs().mean() < 0.6
    assert qmax.item() == pytest.approx(0.8, abs=0.3)


def test_each_set_counts(layout: Path, tmp_path: Path) -> None:
    command = command_of(layout, tmp_path)
    assert main([*command, "--set", "run.steps=1"]) == 0
    assert load_checkpoint(tmp_path / CHECKPOINT).step == 1


def test_initial_weights_must_be_of_the_network(
    layout: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, model in (("grid", GridNet(16)), ("wide", GMNet(16, blocks=1))):
        save_weights(model, PRESET, tmp_path / f"{name}.safetensors")
    run = tmp_path / "run"
    command = [*command_of(layout, run), "--initial"]
    assert error_line(capsys, [*command, str(tmp_path / "grid.safetensors")]) == (
        "train: --initial is a GridNet, the configuration builds a GMNet; see model.kind"
    )
    line = error_line(capsys, [*command, str(tmp_path / "wide.safetensors")])
    assert "another size than the configuration builds: HRconv.bias is (16,) instead of" in line
    assert not (run / CHECKPOINT).exists()


def test_a_loss_that_is_not_finite_keeps_the_checkpoint(
    layout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tiny(layout, steps=8, save_every=2)
    train(config, tmp_path, stop_at=4)
    kept = (tmp_path / CHECKPOINT).read_bytes()

    def rate(step: int, *_: object) -> float:
        return float("inf") if step == 4 else 1e-3

    monkeypatch.setattr("training.train.learning_rate", rate)
    with pytest.raises(
        TrainingError, match=r"not finite at step 6; .*last\.ckpt of step 4 is kept"
    ):
        train(config, tmp_path)
    assert (tmp_path / CHECKPOINT).read_bytes() == kept
    with pytest.raises(TrainingError, match="not finite at step 6; nothing was saved"):
        train(tiny(layout, steps=8, save_every=100), tmp_path / "other")


def test_a_machine_without_the_device_is_told(
    layout: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = error_line(capsys, command_of(layout, tmp_path, run__accelerator='"abacus"'))
    assert 'train: run.accelerator = "abacus" with run.devices = 1' in line

"""What goes wrong in `train` and `export` is one line that says what to do, not a traceback."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.training.small import PRESET, seen, tiny
from training.__main__ import main
from training.batches import endless, open_data
from training.checkpoint import CHECKPOINT, load_checkpoint
from training.config import Config, ConfigError, TrainingError, build, load_config
from training.train import train
from vs_gainmap.models import GMNet, GridNet
from vs_gainmap.models.weights import save_weights

CONFIGS = Path(__file__).parents[2] / "training/configs"


def said(capsys: pytest.CaptureFixture[str], command: list[str]) -> str:
    """Run a command that fails; return the one line that it wrote to the terminal."""
    assert main(command) == 1
    err = capsys.readouterr().err.strip()
    assert "\n" not in err
    return err


def small(layout: Path, out: Path, **changes: str) -> list[str]:
    """Return the command of a run of milliseconds; `data__crop` stands for data.crop."""
    said = {
        "data.source": '"layout"',
        "data.folder": f'"{layout}"',
        "data.crop": "16",
        "data.batch": "2",
        "data.workers": "0",
        "model.channels": "8",
        "model.blocks": "1",
        "loss.teacher": '""',
        "run.precision": '"32-true"',
        "run.accelerator": '"cpu"',
        "run.steps": "2",
        **{name.replace("__", "."): text for name, text in changes.items()},
    }
    overrides = [f"{name}={text}" for name, text in said.items()]
    config = str(CONFIGS / "video.toml")
    return ["train", config, "--out", str(out), "--set", *overrides]


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"optimizer": {"betas": 3}}, r"optimizer\.betas must be a list of 2 float, got 3"),
        ({"optimizer": {"betas": [0.9]}}, "list of 2 float"),
        ({"optimizer": {"betas": [0.9, 1.0]}}, "from 0 to below 1"),
        ({"optimizer": {"halve_at": ["a"]}}, r"optimizer\.halve_at must be float"),
        ({"run": {"steps": [3]}}, r"run\.steps must be int"),
        ({"run": {"save_every": 0}}, r"run\.save_every must be at least 1, got 0"),
        ({"run": {"ema": 1.0}}, r"run\.ema"),
        ({"run": {"precision": "16-mixed"}}, "must be one of 32-true, bf16-mixed"),
        ({"data": {"crop": 63}}, r"data\.crop must be even, got 63"),
        ({"data": {"batch": 5, "film": 2}}, "multiple of data.film, got 5 and 2"),
        ({"loss": {"every": 0}}, r"loss\.every must be at least 1, got 0"),
        ({"loss": {"every": 2}}, r'loss\.every must be 1 where model\.kind is "gmnet", got 2'),
        ({"loss": {"title": 1.0}}, r"loss\.title must be 0 where data\.vary is false"),
        ({"preset": {"eotf": "gamma23"}}, r"preset\.eotf must be one of"),
        ({"data": {"held_out": "night_*"}}, r"data\.held_out must be a list of str, got 'night"),
        ({"data": 3}, "data must be a section"),
    ],
)
def test_values_are_checked(values: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        build(Config, values)


def test_overrides_are_blamed_on_the_command_line(tmp_path: Path) -> None:
    file = CONFIGS / "video.toml"
    for wrong in ("foo", "run.steps", "steps=3", "=3"):
        with pytest.raises(ConfigError, match=f"--set {wrong}: it must be section.key=value"):
            load_config(file, [wrong])
    with pytest.raises(ConfigError, match=r"--set loss\.teacher=fast: .*quotes"):
        load_config(file, ["loss.teacher=fast"])
    (tmp_path / "picture.toml").write_bytes(b"\xff\xd8\xff")
    with pytest.raises(ConfigError, match=r"picture\.toml can't be read"):
        load_config(tmp_path / "picture.toml")


def test_each_set_counts(layout: Path, tmp_path: Path) -> None:
    command = small(layout, tmp_path)
    assert main([*command, "--set", "run.steps=1"]) == 0
    assert load_checkpoint(tmp_path / CHECKPOINT)["step"] == 1


def test_missing_and_damaged_checkpoints(
    layout: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = str(tmp_path / "weights.safetensors")
    missing = str(tmp_path / "none.ckpt")
    assert said(capsys, ["export", missing, out]) == f"checkpoint: no file {missing}"
    path = tmp_path / CHECKPOINT
    train(tiny(layout, steps=1), tmp_path)
    capsys.readouterr()
    whole = path.read_bytes()
    for content in (b"", b"no checkpoint", whole[: len(whole) // 2]):
        path.write_bytes(content)
        assert "is damaged: " in said(capsys, ["export", str(path), out])
        assert "is damaged: " in said(capsys, small(layout, tmp_path))
    torch.save({"weights": torch.zeros(1)}, path)
    assert "is no checkpoint that `train` wrote" in said(capsys, ["export", str(path), out])


def test_initial_weights_must_be_of_the_network(
    layout: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, model in (("grid", GridNet(16)), ("wide", GMNet(16, blocks=1))):
        save_weights(model, PRESET, tmp_path / f"{name}.safetensors")
    run = tmp_path / "run"
    command = [*small(layout, run), "--initial"]
    assert said(capsys, [*command, str(tmp_path / "grid.safetensors")]) == (
        "train: --initial is a GridNet, the configuration builds a GMNet; see model.kind"
    )
    line = said(capsys, [*command, str(tmp_path / "wide.safetensors")])
    assert "another size than the configuration builds: HRconv.bias is (16,) instead of" in line
    assert not (run / CHECKPOINT).exists()


def test_crops_must_fit(
    layout: Path, views: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    of_views = {"data__source": '"views"', "data__folder": f'"{views}"'}
    command = small(layout, tmp_path, **of_views, data__crop="66")
    assert "is 96x64, smaller than data.crop = 66" in said(capsys, command)
    command = small(layout, tmp_path, **of_views, data__crop="34", data__shrink="2")
    assert "is 96x64, shrunk by 2, smaller than data.crop = 34" in said(capsys, command)
    assert "smaller than a crop of 66" in said(capsys, small(layout, tmp_path, data__crop="66"))
    assert "above 0" in said(capsys, small(layout, tmp_path, data__crop="0"))
    assert not (tmp_path / CHECKPOINT).exists()


def test_whole_pictures_must_have_one_even_size(views: Path, tmp_path: Path) -> None:
    for name, size in (("a", (32, 48)), ("b", (32, 50)), ("c", (33, 48))):
        (tmp_path / name).mkdir()
        row = f'[{{"file": "{name}.npy", "scene": "{name}", "graded": false}}]'
        (tmp_path / name / "index.json").write_text(row)
        np.save(tmp_path / name / f"{name}.npy", np.full((3, *size), 0.2, np.float16))

    def opened(kind: str, *names: str) -> None:
        folder = [str(tmp_path / name) for name in names]
        data = {"folder": folder, "crop": 0, "held_out": ["none"]}
        open_data(build(Config, {"data": data, "model": {"kind": kind}}), 1)

    opened("gmnet", "a")
    opened("grid", "c")
    with pytest.raises(ConfigError, match=r"several sizes need a data\.crop"):
        opened("grid", "a", "b")
    with pytest.raises(ConfigError, match="48x33: GMNet needs even sizes"):
        opened("gmnet", "c")
    with (tmp_path / "a/a.npy").open("r+b") as file:
        file.truncate(2000)
    with pytest.raises(Exception, match=r"a\.npy can't be read"):
        opened("gmnet", "a")
    (tmp_path / "a/a.npy").unlink()
    with pytest.raises(Exception, match=r"a\.npy is in the index, but not there"):
        opened("gmnet", "a")
    assert views.is_dir()


@pytest.mark.parametrize("workers", [0, 1])
def test_an_error_in_a_worker_is_one_line(views: Path, tmp_path: Path, workers: int) -> None:
    for path in views.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    data = {**seen(tmp_path), "batch": 2, "workers": workers}
    config = build(Config, {"data": data, "run": {"steps": 2}})
    pairs, _, _ = open_data(config, 1)
    for path in tmp_path.glob("*.npy"):
        path.unlink()
    with pytest.raises(TrainingError) as caught:
        next(endless(pairs, config, 0, 0, 1))
    line = str(caught.value)
    assert "No such file" in line
    assert ".npy" in line
    assert "Traceback" not in line
    assert "\n" not in line


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
    line = said(capsys, small(layout, tmp_path, run__accelerator='"abacus"'))
    assert 'train: run.accelerator = "abacus" with run.devices = 1' in line

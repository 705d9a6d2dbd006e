"""Checkpoints of a run: what is kept, and damaged or hostile ones in one line."""

from __future__ import annotations

import os
import random
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from tests.fuzz_weights import mutate_members
from tests.fuzzing import attempt
from tests.training.small import command_of, error_line, tiny
from tests.training.test_resume import changed
from training.__main__ import main
from training.checkpoint import BEST, CHECKPOINT, load_checkpoint
from training.config import load_config
from training.export import load_trained
from training.train import train


@pytest.fixture(scope="module")
def state(layout: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Return what a sound checkpoint holds."""
    folder = tmp_path_factory.mktemp("run")
    train(tiny(layout, steps=1, validation_views=0), folder)
    found: dict[str, Any] = torch.load(folder / CHECKPOINT, weights_only=True)
    return found


class Code:
    """Runs a command when it is unpickled without care."""

    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, ("touch hostile",)


def replaced(state: dict[str, Any], *keys: str, value: object) -> dict[str, Any]:
    """Return the state with another value somewhere inside."""
    key, *rest = keys
    return {**state, key: replaced(state[key], *rest, value=value) if rest else value}


BAD: dict[str, Callable[[dict[str, Any]], object]] = {
    "list": lambda _: [torch.zeros(1)],
    "weights": lambda state: state["model"],
    "part missing": lambda state: {k: v for k, v in state.items() if k != "optimizer"},
    "code": lambda state: replaced(state, "data", value=Code()),
    "step": lambda state: replaced(state, "step", value="1"),
    "step negative": lambda state: replaced(state, "step", value=-1),
    "step huge": lambda state: replaced(state, "step", value=10**5000),
    "best": lambda state: replaced(state, "best", value=float("nan")),
    "data": lambda state: replaced(state, "data", value=None),
    "model": lambda state: replaced(state, "model", value=3),
    "value": lambda state: replaced(state, "model", "HRconv.bias", value="x"),
    "nan": lambda state: replaced(
        state, "average", "HRconv.bias", value=torch.full((8,), torch.nan)
    ),
    "view": lambda state: replaced(
        state, "average", "HRconv.bias", value=torch.zeros(1).expand(1 << 40)
    ),
    "sparse": lambda state: replaced(
        state, "average", "HRconv.bias", value=torch.ones(8).to_sparse()
    ),
    "optimizer": lambda state: replaced(state, "optimizer", value=torch.zeros(1)),
    "moments": lambda state: replaced(state, "optimizer", "state", value={0: {"step": 1.0}}),
    "config": lambda state: replaced(state, "config", value=[1]),
    "section": lambda state: replaced(state, "config", "run", value=None),
    "key": lambda state: replaced(state, "config", "run", "stepz", value=1),
    "number": lambda state: replaced(state, "config", "preset", "peak", value=float("inf")),
}
# Sound for `export`, but not the state of this network and optimizer.
OTHER: dict[str, Callable[[dict[str, Any]], object]] = {
    "no such parameter": lambda state: replaced(
        state, "optimizer", "state", value={10**6: state["optimizer"]["state"][0]}
    ),
    "other moments": lambda state: replaced(
        state, "optimizer", "state", value={0: {"step": torch.ones(())}}
    ),
    "other shapes": lambda state: replaced(
        state, "optimizer", "state", value={0: state["optimizer"]["state"][2]}
    ),
    "other network": lambda state: replaced(state, "model", value={"a": torch.zeros(1)}),
}


def commands_with(path: Path, layout: Path) -> list[list[str]]:
    """Return a command for each place that takes a checkpoint."""
    out = path.parent / "new"
    return [
        command_of(
            layout,
            path.parent,
            preset__peak="4.0",
            preset__eotf='"gamma22"',
            preset__min_log_gain="-1.0",
        ),
        [*command_of(layout, out), "--initial", str(path)],
        ["export", str(path), str(out / "a.safetensors")],
        ["evaluate", str(path), "--layout", str(layout / "test"), "--out", str(out)],
    ]


@pytest.mark.parametrize("name", list(BAD))
def test_hostile_checkpoints_are_one_line_everywhere(
    name: str,
    state: dict[str, Any],
    layout: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / CHECKPOINT
    torch.save(BAD[name](state), path)
    for command in commands_with(path, layout):
        line = error_line(capsys, command)
        assert str(path) in line
        assert len(line) < 600
    assert not (tmp_path / "hostile").exists()
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("name", list(OTHER))
def test_a_state_of_another_network_is_not_continued(
    name: str,
    state: dict[str, Any],
    layout: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    torch.save(OTHER[name](state), tmp_path / CHECKPOINT)
    command = commands_with(tmp_path / CHECKPOINT, layout)[0]
    # `tiny` and `command_of` differ in no layer; the data are the same.
    assert "tensors are not those of its network" in error_line(capsys, command)


def test_damaged_files_are_one_line(
    state: dict[str, Any], layout: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / CHECKPOINT
    torch.save(state, path)
    whole = path.read_bytes()
    with zipfile.ZipFile(tmp_path / "bomb", "w", zipfile.ZIP_DEFLATED) as bomb:
        bomb.writestr("archive/data.pkl", b"\0" * (64 << 20))
    bombs = (tmp_path / "bomb").read_bytes()
    for content in (b"", b"no checkpoint", whole[: len(whole) // 2], bombs):
        path.write_bytes(content)
        for command in commands_with(path, layout):
            assert f"checkpoint: {path} is damaged" in error_line(capsys, command)
    missing = tmp_path / "none.ckpt"
    for command in commands_with(missing, layout)[1:]:
        assert error_line(capsys, command) == f"checkpoint: no file {missing}"


def test_mutated_checkpoints_never_crash(state: dict[str, Any], tmp_path: Path) -> None:
    torch.save(state, tmp_path / "sound.ckpt")
    sound, rng = (tmp_path / "sound.ckpt").read_bytes(), random.Random(28)
    path = tmp_path / "mutated.ckpt"

    def load() -> str:
        load_trained(path)
        return "loaded"

    outcomes = []
    for number in range(150):
        path.write_bytes(mutate_members(sound, rng, tmp_path))
        outcomes.append(attempt(f"mutation {number}", load, 60.0))
    assert outcomes.count("WeightsError") > 50
    assert outcomes.count("loaded") > 2


def test_best_and_numbered_checkpoints_log_and_config(layout: Path, tmp_path: Path) -> None:
    config = tiny(layout, steps=6, validate_every=1, save_every=3, keep_every=2, log_every=1)
    # So that the figure falls at last: the last step is not the best.
    config = changed(config, "optimizer", rate=0.5, warm_up=6)
    train(config, tmp_path)
    kept = sorted(path.name for path in tmp_path.glob("*.ckpt"))
    assert kept == [
        BEST, CHECKPOINT, "step0000002.ckpt", "step0000004.ckpt", "step0000006.ckpt",
    ]  # fmt: skip
    assert load_checkpoint(tmp_path / "step0000004.ckpt").step == 4
    rows = (tmp_path / "validation.txt").read_text().split("step ")[1:]
    figures = {int(row.split("\n")[0]): float(row.split("all")[1].split()[0]) for row in rows}
    best = load_checkpoint(tmp_path / BEST)
    assert best.step == max(figures, key=figures.__getitem__)
    assert best.best == pytest.approx(max(figures.values()), abs=1e-3)
    assert best.best == load_checkpoint(tmp_path / CHECKPOINT).best
    assert min(figures.values()) < max(figures.values()) - 0.1
    log = (tmp_path / "log.txt").read_text()
    assert all(f"step {step}/6 total " in log for step in range(1, 7))
    assert rows[0] in log
    assert load_config(tmp_path / "config.toml") == config
    assert main(["export", str(tmp_path / BEST), str(tmp_path / "best.pth")]) == 0


def test_curves_keep_the_checkpoints_step_and_lose_what_came_after(
    layout: Path, tmp_path: Path
) -> None:
    config = tiny(layout, steps=8, save_every=3, log_every=1, validation_views=0)
    train(config, tmp_path / "killed", stop_at=5)
    # As a kill leaves it: curves up to step 5, and the checkpoint of step 3.
    train(config, tmp_path / "short", stop_at=3)
    (tmp_path / "short" / CHECKPOINT).replace(tmp_path / "killed" / CHECKPOINT)
    train(config, tmp_path / "killed")
    curves = EventAccumulator(str(tmp_path / "killed/tensorboard"))
    curves.Reload()
    assert [event.step for event in curves.Scalars("loss/total")] == list(range(1, 9))

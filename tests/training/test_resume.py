"""A run that was stopped goes on as if it had not been, or says why it can't."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.training.small import tiny, views_data
from training.checkpoint import CHECKPOINT, load_checkpoint
from training.config import Config, ConfigError
from training.train import train


def changed(config: Config, section: str, **values: Any) -> Config:
    """Return a configuration with other values in a section."""
    return replace(config, **{section: replace(getattr(config, section), **values)})


@pytest.mark.parametrize(
    ("kind", "source", "precision"),
    [
        ("gmnet", "layout", "32-true"),
        ("gmnet", "layout", "bf16-mixed"),
        ("grid", "views", "32-true"),
    ],
)
def test_resumed_run_is_the_same_run(
    layout: Path,
    views: Path,
    tmp_path: Path,
    kind: str,
    source: str,
    precision: str,
) -> None:
    config = tiny(layout, steps=6, save_every=2, validation_views=1, precision=precision)
    data = views_data(views) if source == "views" else {}
    config = changed(changed(config, "model", kind=kind), "data", **data)
    whole = train(config, tmp_path / "whole")
    train(config, tmp_path / "parts", stop_at=3)
    assert load_checkpoint(tmp_path / "parts" / CHECKPOINT).step == 3
    resumed = train(config, tmp_path / "parts")
    one, two = (load_checkpoint(tmp_path / name / CHECKPOINT) for name in ("whole", "parts"))
    assert one.step == two.step == 6
    for a, b in ((one.model, two.model), (one.average, two.average), *zip(
        one.moments.values(), two.moments.values(), strict=True)):  # fmt: skip
        assert all(torch.equal(a[name], b[name]) for name in a)
    for name, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name])
    if precision == "32-true":
        scores, again = (
            (tmp_path / name / "validation.txt").read_text() for name in ("whole", "parts")
        )
        assert again.endswith(scores)
        assert "nan" not in scores


def test_checkpoint_of_another_network_is_refused(layout: Path, tmp_path: Path) -> None:
    config = tiny(layout, steps=1)
    train(config, tmp_path)
    with pytest.raises(ConfigError, match=r"checkpoint's \[model\]"):
        train(changed(config, "model", channels=16), tmp_path)
    (tmp_path / f"{CHECKPOINT}.partial").write_bytes(b"killed while writing")
    assert load_checkpoint(tmp_path / CHECKPOINT).step == 1


def test_other_data_are_refused(views: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    shutil.copytree(views, cache)
    config = changed(tiny(views, steps=1, validation_views=0), "data", **views_data(cache))
    train(config, tmp_path)
    train(changed(config, "run", steps=2), tmp_path)
    with next(cache.glob("meadow*.npy")).open("ab") as file:
        file.write(b"longer")
    with pytest.raises(ConfigError, match="was made with data"):
        train(changed(config, "run", steps=3), tmp_path)


def test_what_changed_is_told(
    layout: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(layout / "train", tmp_path / "data/train")
    config = tiny(tmp_path / "data", steps=1)
    train(config, tmp_path)
    assert "no held-out scene and no test/: nothing is validated" in capsys.readouterr().out
    train(changed(config, "run", steps=2, save_every=1), tmp_path)
    out = capsys.readouterr().out
    assert "continues after step 1 of 2" in out
    assert "changed since" not in out
    config = changed(changed(config, "run", steps=3, seed=4), "loss", pq=5.0)
    train(changed(config, "data", crop=24), tmp_path)
    line = "changed since the checkpoint: data.crop 16 -> 24, loss.pq 10.0 -> 5.0, run.seed 0 -> 4"
    assert line in capsys.readouterr().out


@pytest.mark.slow
def test_two_processes_take_the_step_of_one_with_both_batches(layout: Path, tmp_path: Path) -> None:
    file = tmp_path / "run.toml"
    file.write_text(
        "[preset]\npeak = 4.0\nmin_log_gain = -1.0\n"
        "[model]\nchannels = 8\nblocks = 1\n"
        f'[data]\nsource = "layout"\nfolder = "{layout}"\ncrop = 16\nbatch = 2\nworkers = 0\n'
        "[optimizer]\nrate = 3e-3\nwarm_up = 0\n"
        '[run]\nsteps = 2\nema = 0.0\nprecision = "32-true"\naccelerator = "cpu"\ndevices = 2\n'
    )
    made = subprocess.run(
        [sys.executable, "-m", "training", "train", str(file), "--out", str(tmp_path / "two")],
        cwd=Path(__file__).parents[2],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert made.returncode == 0, made.stderr
    # The first process alone validates and logs.
    assert made.stdout.count("norm_psnr") == 1
    assert (tmp_path / "two/log.txt").read_text().count("norm_psnr") == 1
    state = load_checkpoint(tmp_path / "two" / CHECKPOINT)
    assert state.step == 2
    config = changed(state.config, "run", devices=1)
    whole = train(changed(config, "data", batch=4), tmp_path / "one")
    start = train(changed(config, "run", steps=2), tmp_path / "half")
    near = torch.cat([(whole.state_dict()[n] - v).flatten() for n, v in state.model.items()])
    far = torch.cat([(start.state_dict()[n] - v).flatten() for n, v in state.model.items()])
    assert near.abs().mean() < 0.001 * far.abs().mean()

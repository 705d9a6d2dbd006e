"""The block of docs/training.md that leads from the paper's data sets to its numbers."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from tests.training.small import make_views
from training.__main__ import main
from training.checkpoint import BEST, load_checkpoint
from vs_gainmap.gainmap import PRESETS
from vs_gainmap.models.weights import load_weights

ROOT = Path(__file__).parents[2]
# In place of a million steps of 32 crops; and without a baseline that renders by Vulkan.
SHORT = {
    "train": ["--set", "run.steps=2", "run.keep_every=1", "run.accelerator='cpu'", "data.batch=1",
              "data.workers=0", "data.crop=32", "model.channels=8", "model.blocks=1"],
    "evaluate": ["--no-libplacebo"],
}  # fmt: skip


def documented_commands() -> list[list[str]]:
    """Return the commands of the block."""
    parts = (ROOT / "docs/training.md").read_text().split("```sh\n")[1:]
    blocks = [part.split("```")[0] for part in parts]
    block = next(text for text in blocks if "published-real-world.toml" in text)
    commands = [shlex.split(line) for line in block.splitlines() if line]
    assert all(command[:3] == ["python", "-m", "training"] for command in commands)
    return [command[3:] for command in commands]


def test_documented_block_gives_the_papers_numbers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "training").symlink_to(ROOT / "training")
    # Each picture is one patch of 480.
    views = make_views(tmp_path, views=1, width=480, height=480)
    for preset in PRESETS:
        made = ["dataset", str(views), "--out", f"data/{preset}", "--preset", preset]
        assert main([*made, "--count", "2", "--test", "1"]) == 0
        # What is downloaded says nothing of itself.
        (tmp_path / "data" / preset / "preset.json").unlink()
    commands = documented_commands()
    assert [command[0] for command in commands].count("evaluate") == 2
    for command in commands:
        assert main([*command, *SHORT.get(command[0], [])]) == 0, command
    for name, preset in PRESETS.items():
        run = tmp_path / "runs" / name
        assert (run / "step0000001.ckpt").is_file()
        assert load_checkpoint(run / BEST).config.preset.build() == preset
        patch = cv2.imread(str(tmp_path / f"data/{name}/train/gainmap_sp/0000001_s001.png"))
        assert patch.shape[0] == 480 // preset.map_scale
        figures = json.loads((run / "test/report.json").read_text())["methods"]["best"]
        # The published test's own arithmetic on the saved pictures.
        result, truth = (
            cv2.imread(str(run / f"test/0000001_{end}.tif"), cv2.IMREAD_UNCHANGED)
            for end in ("pd", "gt")
        )
        assert result.dtype == truth.dtype == np.float32
        assert result.shape == truth.shape == (480, 480, 3)
        for top, metric in ((1.0, "psnr"), (float(truth.max()), "norm_psnr")):
            error = np.mean((result / top - truth / top) ** 2, dtype=np.float64)
            assert figures[metric] == pytest.approx(-10 * np.log10(error), abs=1e-3)
        best = (run / "validation.txt").read_text().split("all")[1].split()
        assert figures["psnr"] >= float(best[0]) - 1e-2
        assert figures["pq_psnr_bt709"] != figures["pq_psnr"]
        sdr = cv2.imread(str(tmp_path / f"data/{name}/test/image/0000001.png")) / 255.0
        gain_map = cv2.imread(str(tmp_path / f"data/{name}/test/gainmap/0000001.png"), 0) / 255.0
        qmax = np.load(tmp_path / f"data/{name}/test/metadata/0000001.npy")
        stops = qmax * cv2.resize(gain_map, (480, 480), interpolation=cv2.INTER_LINEAR)
        expected = sdr**2.2 * 2 ** stops[..., None] / preset.peak
        np.testing.assert_allclose(truth, expected, rtol=1e-4, atol=1e-6)
    state = torch.load(tmp_path / "runs/G_realworld.pth", weights_only=True)
    loaded = load_weights(tmp_path / "runs/G_realworld.pth", preset="real-world").model
    averaged = load_checkpoint(tmp_path / "runs/real-world" / BEST).average
    assert state.keys() == averaged.keys() == loaded.state_dict().keys()
    assert all(torch.equal(state[name], averaged[name]) for name in state)

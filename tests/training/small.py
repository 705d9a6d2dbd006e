"""Small pictures, views and runs that several tests of training share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from training.__main__ import main
from training.config import Config, build
from training.data.pairs import Pair
from training.data.scenes import render_views
from vs_gainmap.color.primaries import convert_primaries
from vs_gainmap.color.transfer import SDR_EOTFS
from vs_gainmap.gainmap import GainMapPreset

CONFIGS = Path(__file__).parents[2] / "training/configs"
HELD_OUT = "polygonjs__neon_photostudio"
PRESET = GainMapPreset(sdr_white=203.0, peak=4.0, map_scale=2, min_log_gain=-1.0)


def smooth(rng: np.random.Generator, channels: int, height: int, width: int) -> torch.Tensor:
    coarse = rng.random((4, 6, channels), dtype=np.float32)
    picture = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    return torch.from_numpy(picture.reshape(height, width, channels)).movedim(-1, 0).clamp(0, 1)


def make_pair(seed: int, height: int = 64, width: int = 96) -> Pair:
    """Draw a smooth picture whose HDR is brighter where it is bright."""
    rng = np.random.default_rng(seed)
    signal = 0.1 + 0.9 * smooth(rng, 3, height, width)
    gain = 2 * signal.mean(0, keepdim=True) ** 2
    light = SDR_EOTFS["gamma22"](signal) * torch.exp2(gain)
    return Pair(signal, convert_primaries(light, "bt709", "bt2020").clamp(0, PRESET.peak), "drawn")


def tiny(folder: Path, **run: Any) -> Config:
    """Return a configuration that takes some milliseconds a step."""
    return build(
        Config,
        {
            "preset": {"sdr_white": 203.0, "peak": 4.0, "map_scale": 2, "min_log_gain": -1.0},
            "model": {"channels": 8, "blocks": 1},
            "data": {
                "source": "layout",
                "folder": str(folder),
                "crop": 16,
                "batch": 2,
                "workers": 0,
            },
            "optimizer": {"rate": 3e-3, "warm_up": 5, "decay": 0.5},
            "run": {"precision": "32-true", "accelerator": "cpu", "ema": 0.9, **run},
        },
    )


def make_views(folder: Path, *, views: int = 3, width: int = 96, height: int = 64) -> Path:
    """Render views of each of three drawn panoramas, the last one held out."""
    rng = np.random.default_rng(0)
    (folder / "hdr").mkdir()
    for name in ("meadow", "street", HELD_OUT):
        panorama = cv2.resize(rng.random((8, 16, 3), dtype=np.float32) ** 4 * 20, (256, 128))
        cv2.imwrite(str(folder / f"hdr/{name}.hdr"), panorama)
    render_views([folder / "hdr"], folder / "views", views=views, width=width, height=height)
    return folder / "views"


def views_data(folder: Path) -> dict[str, Any]:
    """Return the [data] of a run on views: whole pictures."""
    return {"source": "views", "folder": str(folder), "crop": 0}


def error_line(capsys: pytest.CaptureFixture[str], command: list[str]) -> str:
    """Run a command that fails; return the one line that it wrote to the terminal."""
    assert main(command) == 1
    err = capsys.readouterr().err.strip()
    assert "\n" not in err
    return err


def command_of(layout: Path, out: Path, **changes: str) -> list[str]:
    """Return the command of a run of milliseconds; `data__crop` stands for data.crop."""
    values = {
        "data.source": '"layout"',
        "data.folder": f'"{layout}"',
        "data.crop": "16",
        "data.batch": "2",
        "data.workers": "0",
        "model.channels": "8",
        "model.blocks": "1",
        "run.precision": '"32-true"',
        "run.accelerator": '"cpu"',
        "run.steps": "2",
        **{name.replace("__", "."): text for name, text in changes.items()},
    }
    overrides = [f"{name}={text}" for name, text in values.items()]
    config = str(CONFIGS / "gmnet.toml")
    return ["train", config, "--out", str(out), "--set", *overrides]

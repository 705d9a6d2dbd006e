"""Configurations: unknown keys, wrong values, overrides."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from training.config import (
    Config,
    ConfigError,
    build,
    load_config,
    to_dict,
)
from training.train import learning_rate

CONFIGS = Path(__file__).parents[2] / "training/configs"


def test_unknown_key_is_an_error() -> None:
    with pytest.raises(ConfigError, match=r"unknown key optimizer\.rat; known are"):
        build(Config, {"optimizer": {"rat": 1e-3}})
    with pytest.raises(ConfigError, match=r"run\.steps must be int, got '10'"):
        build(Config, {"run": {"steps": "10"}})
    with pytest.raises(ConfigError, match=r"data\.source must be one of views, layout"):
        build(Config, {"data": {"source": "web"}})


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.toml")), ids=lambda p: p.stem)
def test_configs_load_and_survive_a_checkpoint(path: Path) -> None:
    config = load_config(path, ["run.steps=7"])
    assert config.run.steps == 7
    assert build(Config, json.loads(json.dumps(to_dict(config)))) == config


def test_published_config_is_as_published() -> None:
    config = load_config(CONFIGS / "published.toml")
    rates = [
        learning_rate(s, config.run.steps, config.optimizer)
        for s in (0, 199_999, 200_000, 400_000, 600_000, 800_000)
    ]
    assert rates == pytest.approx([3e-5, 3e-5, 1.5e-5, 7.5e-6, 3.75e-6, 1.875e-6])
    assert (config.loss.gain_map, config.loss.product, config.loss.pq) == (1.0, 3.0, 0.0)
    assert (config.data.crop, config.data.batch, config.optimizer.betas) == (160, 32, (0.9, 0.99))


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
        ({"data": {"batch": 5, "pairs": 2}}, r"data\.batch = 5 or more, got 2"),
        ({"data": {"every": 0}}, r"data\.every must be at least 1, got 0"),
        ({"data": {"every": 2}}, r'data\.every must be 1 where model\.kind is "gmnet", got 2'),
        ({"loss": {"title": 1.0}, "data": {"source": "layout"}}, r"loss\.title must be 0 where"),
        ({"preset": {"eotf": "gamma23"}}, r"preset\.eotf must be one of"),
        ({"data": {"held_out": "night_*"}}, r"data\.held_out must be a list of str, got 'night"),
        ({"data": 3}, "data must be a section"),
    ],
)
def test_values_are_checked(values: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        build(Config, values)


def test_overrides_are_blamed_on_the_command_line(tmp_path: Path) -> None:
    file = CONFIGS / "gmnet.toml"
    for wrong in ("foo", "run.steps", "steps=3", "=3"):
        with pytest.raises(ConfigError, match=f"--set {wrong}: it must be section.key=value"):
            load_config(file, [wrong])
    with pytest.raises(ConfigError, match=r"--set data\.folder=views: .*quotes"):
        load_config(file, ["data.folder=views"])
    (tmp_path / "picture.toml").write_bytes(b"\xff\xd8\xff")
    with pytest.raises(ConfigError, match=r"picture\.toml can't be read"):
        load_config(tmp_path / "picture.toml")

"""Configurations: unknown keys, wrong values, overrides."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

import pytest

from tests.training.small import error_line
from training.config import (
    Config,
    ConfigError,
    build,
    load_config,
    to_dict,
    to_toml,
)
from training.train import learning_rate
from vs_gainmap.gainmap import PRESETS

CONFIGS = Path(__file__).parents[2] / "training/configs"
LOSSES = [field.name for field in dataclasses.fields(Config().loss)]


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


@pytest.mark.parametrize(
    ("name", "preset"),
    [("published", "synthetic"), ("published-real-world", "real-world")],
)
def test_published_configs_are_as_published(name: str, preset: str) -> None:
    config = load_config(CONFIGS / f"{name}.toml")
    rates = [
        learning_rate(s, config.run.steps, config.optimizer)
        for s in (0, 199_999, 200_000, 400_000, 600_000, 800_000)
    ]
    assert rates == pytest.approx([3e-5, 3e-5, 1.5e-5, 7.5e-6, 3.75e-6, 1.875e-6])
    assert (config.loss.gain_map, config.loss.product, config.loss.pq) == (1.0, 3.0, 0.0)
    assert (config.data.crop, config.data.batch, config.optimizer.betas) == (160, 32, (0.9, 0.99))
    assert config.preset.build() == PRESETS[preset]
    assert (config.model.start, config.run.ema, config.run.steps) == ("published", 0.0, 1_000_000)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"optimizer": {"betas": 3}}, r"optimizer\.betas must be a list of 2 float, got 3"),
        ({"optimizer": {"betas": [0.9]}}, "list of 2 float"),
        ({"optimizer": {"betas": [0.9, 1.0]}}, "from 0 to below 1"),
        ({"optimizer": {"halve_at": ["a"]}}, r"optimizer\.halve_at must be float"),
        ({"run": {"steps": [3]}}, r"run\.steps must be int"),
        ({"run": {"save_every": 0}}, r"run\.save_every must be within 1\.\.1e\+09, got 0"),
        ({"run": {"ema": 1.0}}, r"run\.ema"),
        ({"run": {"precision": "16-mixed"}}, "must be one of 32-true, bf16-mixed"),
        ({"data": {"crop": 63}}, r"data\.crop must be even, got 63"),
        ({"data": {"batch": 5, "pairs": 2}}, r"data\.batch = 5 or more, got 2"),
        ({"data": {"every": 0}}, r"data\.every must be within 1\.\.64, got 0"),
        ({"data": {"every": 2}}, r'data\.every must be 1 where model\.kind is "gmnet", got 2'),
        ({"loss": {"title": 1.0}, "data": {"source": "layout"}}, r"loss\.title must be 0 where"),
        ({"preset": {"eotf": "gamma23"}}, "preset: eotf must be one of"),
        ({"preset": {"map_scale": 3}}, "map_scale must be one of"),
        ({"preset": {"sdr_white": 0}}, "sdr_white must be 1 to 10000"),
        ({"loss": dict.fromkeys(LOSSES, 0)}, "must have a weight above 0"),
        ({"data": {"held_out": "night_*"}}, r"data\.held_out must be a list of str, got 'night"),
        ({"data": 3}, "data must be a section"),
    ],
)
def test_values_are_checked(values: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        build(Config, values)


def numbers() -> list[tuple[str, str, bool]]:
    """Return section, key and whether it is a list, of every number that a run is told."""
    found = []
    for section in dataclasses.fields(Config):
        hints = get_type_hints(type(getattr(Config(), section.name)))
        for key, hint in hints.items():
            kinds = get_args(hint) if get_origin(hint) is tuple else (hint,)
            if {int, float} & set(kinds):
                found.append((section.name, key, get_origin(hint) is tuple))
    return found


@pytest.mark.parametrize(("section", "key", "several"), numbers())
def test_every_number_has_a_range(section: str, key: str, several: bool) -> None:
    for value in (math.nan, math.inf, -math.inf, -(10**9), -1e9, 10**400, -(10**400)):
        with pytest.raises(ConfigError, match=key) as caught:
            build(Config, {section: {key: [value, value] if several else value}})
        assert "\n" not in str(caught.value)
        assert len(str(caught.value)) < 250


@pytest.mark.parametrize(
    "text",
    ["a = " + "[" * 3000, "a" + ".a" * 3000 + " = 1", "a = " + "{b=" * 3000, "a = 1" + "0" * 5000,
     "steps", "[run]\nsteps = 1\nsteps = 2", "a = \"\\uD800\"", "\0"],
    ids=["brackets", "dots", "braces", "digits", "word", "twice", "surrogate", "null"],
)  # fmt: skip
def test_hostile_files_are_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    file = tmp_path / "hostile.toml"
    file.write_text(text)
    line = error_line(capsys, ["train", str(file), "--out", str(tmp_path / "run")])
    assert "hostile.toml: no TOML: " in line or "unknown key" in line
    assert len(line) < 400
    sound = str(CONFIGS / "fast.toml")
    value = text.partition("=")[2] or "x"
    command = ["train", sound, "--out", str(tmp_path / "run"), "--set", f"run.steps={value}"]
    assert len(error_line(capsys, command)) < 400
    assert not (tmp_path / "run").exists()


def test_a_copy_is_the_same_configuration(tmp_path: Path) -> None:
    names = {"folder": ['views "a"', "b\\c", "\u00fc\t"], "held_out": ["night_*"]}
    config = build(Config, {"data": names, "optimizer": {"rate": 1e-7, "halve_at": [0.5]}})
    (tmp_path / "copy.toml").write_text(to_toml(config))
    assert load_config(tmp_path / "copy.toml") == config


def test_overrides_are_blamed_on_the_command_line(tmp_path: Path) -> None:
    file = CONFIGS / "gmnet.toml"
    for wrong in ("foo", "run.steps", "steps=3", "=3"):
        with pytest.raises(ConfigError, match=f"--set {wrong}: it must be section.key=value"):
            load_config(file, [wrong])
    with pytest.raises(ConfigError, match=r"--set data\.folder=views: .*quotes"):
        load_config(file, ["data.folder=views"])
    (tmp_path / "picture.toml").write_bytes(b"\xff\xd8\xff")
    with pytest.raises(ConfigError, match=r"picture\.toml: no TOML"):
        load_config(tmp_path / "picture.toml")

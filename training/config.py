"""Configuration of a training run: TOML decoded into frozen dataclasses."""

from __future__ import annotations

import dataclasses
import json
import math
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from types import UnionType
from typing import Any, Literal, cast, get_args, get_origin, get_type_hints

from vs_gainmap.color.transfer import Eotf
from vs_gainmap.errors import GainMapError, MetadataError
from vs_gainmap.gainmap import GainMapPreset
from vs_gainmap.untrusted import read_toml

Schedule = Literal["constant-then-decay", "cosine", "halved"]


class ConfigError(GainMapError):
    """A configuration has an unknown key or a value of the wrong kind."""


class TrainingError(GainMapError):
    """A run can't continue: its loss is not finite, or a worker or the memory failed."""


# No run has as many of anything.
MOST = 10**9


def _within(config: Any, section: str, low: float, high: float, *names: str) -> None:
    """Check fields, or each value of those that have several; NaN fails all comparisons."""
    for name in names:
        value = getattr(config, name)
        for one in value if isinstance(value, tuple) else (value,):
            if not low <= one <= high:
                raise ConfigError(
                    f"config: {section}.{name} must be within {low:g}..{high:g}, got {_short(one)}"
                )


@dataclass(frozen=True, slots=True, kw_only=True)
class PresetConfig:
    """The fields of `GainMapPreset`."""

    sdr_white: float = 203.0
    peak: float = 1000 / 203
    map_scale: int = 2
    eotf: str = "gamma22"
    min_log_gain: float = 0.0

    def __post_init__(self) -> None:
        try:
            self.build()
        except MetadataError as error:
            raise ConfigError(f"config: {str(error)[:200]}") from error

    def build(self) -> GainMapPreset:
        """Return the preset."""
        return GainMapPreset(
            sdr_white=self.sdr_white,
            peak=self.peak,
            map_scale=self.map_scale,
            eotf=cast("Eotf", self.eotf),
            min_log_gain=self.min_log_gain,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelConfig:
    """The network: "gmnet" or the fast model's "grid", its size and start.

    See `train.build_model`. `blocks` and `start` are for GMNet only.
    """

    kind: Literal["gmnet", "grid"] = "gmnet"
    channels: int = 64
    blocks: int = 5
    start: Literal["chains", "published"] = "chains"

    def __post_init__(self) -> None:
        _within(self, "model", 1, 1024, "channels", "blocks")


@dataclass(frozen=True, slots=True, kw_only=True)
class DataConfig:
    """The source of pairs.

    Attributes:
        source: "views", of which pairs are made, or "layout", the paper's data set.
        folder: one, or several of views, all views equally likely. Validation uses held-out views
            of the first folder that has some.
        held_out: shell patterns of scenes, such as "night_*"; see `splits.choose_held_out`.
        crop: side of crops, even; 0 takes whole pictures.
        shrink: views are made smaller by it before they are graded.
        pairs: pairs that are made at first, stored beside the checkpoint and used again and again;
            0 makes new pairs for each step.
        every: the loss takes every `every`th pixel of every `every`th row; 1 for GMNet.
        batch: pairs in a step, for each device.
        workers: processes that make pairs.
    """

    source: Literal["views", "layout"] = "views"
    folder: str | tuple[str, ...] = "runs/views"
    held_out: tuple[str, ...] = ()
    crop: int = 128
    shrink: int = 1
    pairs: int = 0
    every: int = 1
    batch: int = 8
    workers: int = 1

    def __post_init__(self) -> None:
        _within(self, "data", 0, 1024, "workers")
        _within(self, "data", 0, 1 << 16, "crop")
        _within(self, "data", 0, MOST, "pairs")
        _within(self, "data", 1, 64, "shrink", "every")
        _within(self, "data", 1, 1 << 16, "batch")
        if self.crop % 2:
            raise ConfigError(f"config: data.crop must be even, got {self.crop}")
        if 0 < self.pairs < self.batch:
            raise ConfigError(
                f"config: data.pairs must be 0, or data.batch = {self.batch} or more, "
                f"got {self.pairs}"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class LossConfig:
    """Weights of the terms; see `loss.py`."""

    pq: float = 10.0
    log_gain: float = 0.3
    product: float = 0.0
    gain_map: float = 0.0
    shape: float = 0.0
    title: float = 0.0
    qmax: float = 0.3
    outside: float = 0.1

    def __post_init__(self) -> None:
        names = [each.name for each in dataclasses.fields(self)]
        _within(self, "loss", 0, 1e6, *names)
        if not any(getattr(self, name) for name in names):
            raise ConfigError("config: [loss] must have a weight above 0")


@dataclass(frozen=True, slots=True, kw_only=True)
class OptimizerConfig:
    """AdamW (Adam where `weight_decay` is 0) and its schedule.

    "constant-then-decay": warm-up, constant, and a linear decay over the last `decay` share;
    "cosine": warm-up, then to zero; "halved": halved at each share in `halve_at`.
    Gradients are clipped to the norm `clip_norm`; 0 is no clipping.
    """

    rate: float = 2e-4
    betas: tuple[float, float] = (0.9, 0.99)
    weight_decay: float = 0.0
    warm_up: int = 200
    schedule: Schedule = "constant-then-decay"
    decay: float = 0.2
    halve_at: tuple[float, ...] = (0.2, 0.4, 0.6, 0.8)
    clip_norm: float = 0.5

    def __post_init__(self) -> None:
        _within(self, "optimizer", 0, 10, "rate", "weight_decay")
        _within(self, "optimizer", 0, MOST, "warm_up", "clip_norm")
        _within(self, "optimizer", 0, 1, "decay", "halve_at")
        if not all(0 <= beta < 1 for beta in self.betas):
            raise ConfigError(
                f"config: optimizer.betas must be from 0 to below 1, got {list(self.betas)}"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class RunConfig:
    """Length, intervals in steps, and devices.

    Attributes:
        steps: length of the run.
        seed: of everything that is drawn.
        ema: decay of the averaged weights; 0 for none.
        validate_every: steps from one validation to the next.
        validation_views: held-out views for each operator, or pictures of a layout's test/;
            0 for no validation.
        save_every: steps from one ``last.ckpt`` to the next.
        keep_every: steps from one checkpoint that is kept under its number to the next; 0 for
            none.
        log_every: steps that a line of the log is the mean of.
        precision: of the network's arithmetic.
        accelerator: "auto", or a name of Lightning Fabric's.
        devices: processes, each with its own batch.
    """

    steps: int = 6000
    seed: int = 0
    ema: float = 0.998
    validate_every: int = 400
    validation_views: int = 4
    save_every: int = 200
    keep_every: int = 0
    log_every: int = 20
    precision: Literal["32-true", "bf16-mixed"] = "bf16-mixed"
    accelerator: str = "auto"
    devices: int = 1

    def __post_init__(self) -> None:
        _within(self, "run", 0, MOST, "seed", "validation_views", "keep_every")
        _within(self, "run", 1, MOST, "steps", "validate_every", "save_every", "log_every")
        _within(self, "run", 1, 1024, "devices")
        if not 0 <= self.ema < 1:
            raise ConfigError(f"config: run.ema must be from 0 to below 1, got {self.ema}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """All of a run."""

    preset: PresetConfig = field(default_factory=PresetConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    data: DataConfig = field(default_factory=DataConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    run: RunConfig = field(default_factory=RunConfig)

    def __post_init__(self) -> None:
        if self.loss.title and self.data.source != "views":
            raise ConfigError(
                f"config: loss.title must be 0 where data.source is "
                f'"layout", got {self.loss.title}: there are no titles'
            )
        if self.data.every > 1 and self.model.kind != "grid":
            raise ConfigError(
                f'config: data.every must be 1 where model.kind is "{self.model.kind}", '
                f"got {self.data.every}"
            )


def build[T](cls: type[T], values: dict[str, Any], where: str = "") -> T:
    """Fill a dataclass from a dict, section by section.

    Raises:
        ConfigError: a key is unknown, or a value is not of the field's type.
    """
    hints = get_type_hints(cls)
    known = {f.name for f in dataclasses.fields(cast("Any", cls))}
    if unknown := sorted(values.keys() - known):
        raise ConfigError(
            f"config: unknown key {where}{unknown[0]}; known are {', '.join(sorted(known))}"
        )
    filled: dict[str, Any] = {}
    for key, value in values.items():
        hint = hints[key]
        if dataclasses.is_dataclass(hint):
            if not isinstance(value, dict):
                raise ConfigError(f"config: {where}{key} must be a section")
            filled[key] = build(cast("type[Any]", hint), value, f"{where}{key}.")
        else:
            filled[key] = _check(hint, value, f"{where}{key}")
    return cls(**filled)


def _check(hint: object, value: Any, where: str) -> Any:
    if isinstance(hint, UnionType):
        return _text_or_texts(value, where)
    if get_origin(hint) is tuple:
        return _several(get_args(hint), value, where)
    choices = getattr(hint, "__args__", ()) if "Literal" in str(hint) else ()
    if choices and value not in choices:
        raise ConfigError(
            f"config: {where} must be one of {', '.join(choices)}, got {_short(value)}"
        )
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        # Above, a float may not hold it; no field may either.
        return float(value) if abs(value) <= MOST else math.inf if value > 0 else -math.inf
    if isinstance(hint, type) and (
        not isinstance(value, hint) or (hint is int and isinstance(value, bool))
    ):
        raise ConfigError(f"config: {where} must be {hint.__name__}, got {_short(value)}")
    return value


def _short(value: object) -> str:
    if isinstance(value, int) and abs(value) > MOST:
        return "a huge number"
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:80]}..."


def _several(kinds: tuple[Any, ...], value: Any, where: str) -> tuple[Any, ...]:
    """Check a list of values; `kinds` is the arguments of their tuple type."""
    count = None if kinds[-1] is ... else len(kinds)
    if not isinstance(value, list | tuple) or (count is not None and len(value) != count):
        wanted = kinds[0].__name__ if count is None else f"{count} {kinds[0].__name__}"
        raise ConfigError(f"config: {where} must be a list of {wanted}, got {_short(value)}")
    return tuple(_check(kinds[0], each, where) for each in value)


def _text_or_texts(value: Any, where: str) -> str | tuple[str, ...]:
    """Check a text or a list of texts."""
    if isinstance(value, str):
        return value
    if isinstance(value, list | tuple) and value and all(isinstance(each, str) for each in value):
        return tuple(value)
    raise ConfigError(f"config: {where} must be str or a list of str, got {_short(value)}")


def load_config(path: Path, overrides: list[str] | None = None) -> Config:
    """Read a TOML file and apply overrides such as ``run.steps=100``.

    Raises:
        ConfigError: the file or an override is malformed, or names an unknown key.
    """
    try:
        values = read_toml(path)
    except MetadataError as error:
        raise ConfigError(f"config: {error}") from error
    for override in overrides or []:
        _override(values, override)
    return build(Config, values)


def _override(values: dict[str, Any], override: str) -> None:
    """Apply ``section.key=value`` to the values of a file."""
    place, equals, text = override.partition("=")
    section, dot, name = place.strip().partition(".")
    if not (section and dot and name and equals):
        raise ConfigError(
            f"config: --set {override}: it must be section.key=value, such as run.steps=100"
        )
    try:
        parsed = tomllib.loads(f"value = {text}")["value"]
    except (ValueError, RecursionError) as error:
        raise ConfigError(
            f"config: --set {override[:80]}: the value can't be read ({error}); text needs quotes "
            f"that the shell leaves, such as '{place}=\"text\"'"
        ) from error
    inside = values.setdefault(section, {})
    if not isinstance(inside, dict):
        raise ConfigError(f"config: {section} must be a section")
    inside[name] = parsed


def to_dict(config: Config) -> dict[str, Any]:
    """Return the configuration as plain containers, for checkpoints."""
    return dataclasses.asdict(config)


def to_toml(config: Config) -> str:
    """Return the configuration as a file that `load_config` reads."""
    lines = []
    for section, values in to_dict(config).items():
        lines += [f"[{section}]"]
        # Its texts, numbers and lists are JSON's.
        lines += [f"{key} = {json.dumps(v, ensure_ascii=False)}" for key, v in values.items()]
        lines += [""]
    return "\n".join(lines)

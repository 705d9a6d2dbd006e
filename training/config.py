"""Configuration of a training run: TOML into frozen dataclasses; an unknown key is an error."""

from __future__ import annotations

import dataclasses
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from types import UnionType
from typing import Any, Literal, cast, get_type_hints

from training.mixes import MixName
from vs_gainmap.color import Eotf
from vs_gainmap.errors import GainMapError
from vs_gainmap.gainmap import GainMapPreset

Schedule = Literal["constant-then-decay", "cosine", "halved"]


class ConfigError(GainMapError):
    """A configuration has an unknown key or a value of the wrong kind."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PresetConfig:
    """What `GainMapPreset` holds; see there."""

    sdr_white: float = 203.0
    peak: float = 1000 / 203
    map_scale: int = 2
    eotf: str = "gamma22"
    min_log_gain: float = -2.0

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
    """Which network ("gmnet" or the fast model's "grid"), its sizes, and how it starts.

    See `train.build_model`. `blocks` and `start` are GMNet's alone.
    """

    kind: Literal["gmnet", "grid"] = "gmnet"
    channels: int = 64
    blocks: int = 5
    start: Literal["chains", "published"] = "chains"


@dataclass(frozen=True, slots=True, kw_only=True)
class DataConfig:
    """Where pairs come from.

    `source` is "views" (rendered by `render` and `stage`; pairs are made on the fly) or "layout"
    (a folder in the paper's layout). `folder` may be several folders of views: every view is as
    likely as any other, held-out scenes stay out of all of them, and validation takes them from
    the first. Crops must be even; 0 takes the whole picture. Views are
    shrunk by `shrink` before they are graded: four times the pictures a second for each 2.
    `film` pictures in a row share what a film shares: operator, its settings, color space,
    encoding and mastering peak; a batch must hold whole films. `vary` makes new scenes of
    the views (`training.vary`). `mix` says which operators and encodings make the SDR.
    """

    source: Literal["views", "layout"] = "views"
    folder: str | tuple[str, ...] = "runs/views"
    crop: int = 128
    shrink: int = 1
    film: int = 1
    vary: bool = False
    mix: MixName = "video"
    batch: int = 8
    workers: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class LossConfig:
    """Weights of the terms; see `loss.py`.

    `teacher` names weights (a bundled set or a file) that say what a picture's level is likely
    to be: a share `taught` of the `pq` and `log_gain` terms is then measured against them.
    """

    teacher: str = ""
    taught: float = 0.7

    pq: float = 10.0
    log_gain: float = 0.3
    product: float = 0.0
    gain_map: float = 0.0
    shape: float = 0.0
    qmax: float = 0.3
    outside: float = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class OptimizerConfig:
    """AdamW (Adam where `weight_decay` is 0) and its schedule, a function of the step alone.

    "constant-then-decay": warm-up, constant, and a linear decay over the last `decay` share;
    "cosine": warm-up, then to zero; "halved": halved at each share in `halve_at`.
    Gradients longer than `clip_norm` are shortened to it; 0 leaves them.
    """

    rate: float = 2e-4
    betas: tuple[float, float] = (0.9, 0.99)
    weight_decay: float = 0.0
    warm_up: int = 200
    schedule: Schedule = "constant-then-decay"
    decay: float = 0.2
    halve_at: tuple[float, ...] = (0.2, 0.4, 0.6, 0.8)
    clip_norm: float = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class RunConfig:
    """Length, rhythm and engine; `ema` is the decay of the averaged weights, 0 for none."""

    steps: int = 6000
    seed: int = 0
    ema: float = 0.998
    validate_every: int = 400
    validation_views: int = 4
    save_every: int = 200
    log_every: int = 20
    precision: Literal["32-true", "bf16-mixed", "16-mixed"] = "bf16-mixed"
    accelerator: str = "auto"
    devices: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """A whole run."""

    preset: PresetConfig = field(default_factory=PresetConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    data: DataConfig = field(default_factory=DataConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    run: RunConfig = field(default_factory=RunConfig)


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
    if isinstance(value, list):
        return tuple(value)
    choices = getattr(hint, "__args__", ()) if "Literal" in str(hint) else ()
    if choices and value not in choices:
        raise ConfigError(f"config: {where} must be one of {', '.join(choices)}, got {value!r}")
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if isinstance(hint, type) and (
        not isinstance(value, hint) or (hint is int and isinstance(value, bool))
    ):
        raise ConfigError(f"config: {where} must be {hint.__name__}, got {value!r}")
    return value


def _text_or_texts(value: Any, where: str) -> str | tuple[str, ...]:
    """Return one text or several, the only union there is."""
    if isinstance(value, str):
        return value
    if isinstance(value, list | tuple) and value and all(isinstance(each, str) for each in value):
        return tuple(value)
    raise ConfigError(f"config: {where} must be str or a list of str, got {value!r}")


def load_config(path: Path, overrides: list[str] | None = None) -> Config:
    """Read a TOML file and apply overrides such as ``run.steps=100``.

    Raises:
        ConfigError: the file or an override is malformed, or names an unknown key.
    """
    try:
        values = tomllib.loads(path.read_text())
        for override in overrides or []:
            key, _, text = override.partition("=")
            section, _, name = key.strip().partition(".")
            parsed = tomllib.loads(f"value = {text}")["value"]
            values.setdefault(section, {})[name] = parsed
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"config: {path} can't be read: {error}") from error
    return build(Config, values)


def to_dict(config: Config) -> dict[str, Any]:
    """Return plain containers, for checkpoints."""
    return dataclasses.asdict(config)

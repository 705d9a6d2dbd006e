"""From a checkpoint to weights with a preset, and the model card's tables."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import NamedTuple

import torch

from training.checkpoint import load_checkpoint
from training.config import Config, ConfigError, build
from training.train import build_model
from vs_gainmap.gainmap import GainMapPreset
from vs_gainmap.models import GridNet, Model
from vs_gainmap.models.weights import WEIGHTS, load_weights, save_weights


def load_trained(checkpoint: Path, *, averaged: bool = True) -> tuple[Model, Config, int, str]:
    """Return the network of a checkpoint, its configuration, its step and its data's digest.

    Raises:
        WeightsError: there is no checkpoint, or it is damaged.
        ConfigError: its configuration has keys that are no more.
    """
    state = load_checkpoint(checkpoint)
    config = build(Config, state["config"])
    tensors = state["average" if averaged else "model"]
    model: Model
    if config.model.kind == "grid":
        # Its sizes, those of an earlier version too, are in the tensors.
        model = GridNet.from_state_dict(tensors)
    else:
        model = build_model(config.model, config.preset.build(), 0)
        model.load_state_dict(tensors)
    return model.eval(), config, int(state["step"]), str(state["data"])


def average_models(models: list[Model]) -> Model:
    """Return the first of several networks, with the mean of all their tensors.

    Runs that begin at the same weights lie in one basin, and their mean is often better than each
    (Wortsman et al., "Model soups", ICML 2022).

    Raises:
        ConfigError: their tensors differ in name or shape.
    """
    states = [model.state_dict() for model in models]
    shapes = [{name: value.shape for name, value in state.items()} for state in states]
    if any(other != shapes[0] for other in shapes):
        raise ConfigError("export: the checkpoints are of networks of different sizes")
    mean = {
        name: torch.stack([state[name].float() for state in states]).mean(0).to(value.dtype)
        for name, value in states[0].items()
    }
    models[0].load_state_dict(mean)
    return models[0]


class _Trained(NamedTuple):
    model: Model
    preset: GainMapPreset
    steps: str
    data: str


def _load(source: Path, *, averaged: bool) -> _Trained:
    """Load a checkpoint, or weights: a file, or the name of a bundled set."""
    if source.suffix == ".safetensors" or str(source) in WEIGHTS:
        weights = load_weights(source)
        # Which they are, since what made them is in their card.
        return _Trained(weights.model.float(), weights.preset, source.name, source.name)
    model, config, step, data = load_trained(source, averaged=averaged)
    return _Trained(model, config.preset.build(), str(step), data)


def export(sources: list[Path], out: Path, *, averaged: bool = True) -> str:
    """Write averaged networks of checkpoints, or their mean, as float16 safetensors.

    Args:
        sources: checkpoints, of one run, or of several that began at the same weights, and
            weights, these among them.
        out: the file.
        averaged: the moving average instead of the last step's weights.

    Returns:
        Its SHA-256.

    Raises:
        ConfigError: they don't fit together.
        WeightsError: one is missing or damaged.
    """
    trained = [_load(source, averaged=averaged) for source in sources]
    if any(each.preset != trained[0].preset for each in trained):
        raise ConfigError("export: the checkpoints were trained for different presets")
    notes = {
        "steps": " ".join(each.steps for each in trained),
        "data": " ".join(each.data for each in trained),
        "average": str(averaged),
    }
    out.parent.mkdir(parents=True, exist_ok=True)
    mean = average_models([each.model for each in trained])
    save_weights(mean, trained[0].preset, out, notes=notes, dtype=torch.float16)
    return hashlib.sha256(out.read_bytes()).hexdigest()

"""Write the network of a checkpoint, or the mean of several, as weights."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import NamedTuple

import torch

from training.checkpoint import load_checkpoint
from training.config import Config, ConfigError, build
from training.train import build_model
from vs_gainmap.gainmap import GainMapPreset
from vs_gainmap.models import Model
from vs_gainmap.models.weights import WEIGHTS, load_weights, save_weights


class Trained(NamedTuple):
    """A network, its preset, and where it comes from: the step and the data's digest."""

    model: Model
    preset: GainMapPreset
    step: str
    data: str


def load_trained(source: Path) -> Trained:
    """Load the averaged network of a checkpoint, or weights: a file or a bundled set's name.

    Raises:
        WeightsError: there is no such file, or it is damaged.
        ConfigError: the checkpoint's configuration has unknown keys.
    """
    if source.suffix == ".safetensors" or str(source) in WEIGHTS:
        weights = load_weights(source)
        return Trained(weights.model.float(), weights.preset, source.name, source.name)
    state = load_checkpoint(source)
    config = build(Config, state["config"])
    preset = config.preset.build()
    model = build_model(config.model, preset, 0)
    model.load_state_dict(state["average"])
    return Trained(model.eval(), preset, str(state["step"]), str(state["data"]))


def average_models(models: list[Model]) -> Model:
    """Return the first of several networks, with the mean of all their tensors.

    The mean of runs with the same start is often better than each of them (Wortsman et al.,
    "Model soups", ICML 2022).

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


def export(sources: list[Path], out: Path) -> str:
    """Write a network, or the mean of several, as float16 safetensors.

    Args:
        sources: checkpoints or weights, of runs with the same start.
        out: the file.

    Returns:
        Its SHA-256.

    Raises:
        ConfigError: they are of different networks or presets.
        WeightsError: one is missing or damaged.
    """
    trained = [load_trained(source) for source in sources]
    preset = trained[0].preset
    if any(each.preset != preset for each in trained):
        raise ConfigError("export: the checkpoints were trained for different presets")
    notes = {
        "steps": " ".join(each.step for each in trained),
        "data": " ".join(each.data for each in trained),
    }
    out.parent.mkdir(parents=True, exist_ok=True)
    mean = average_models([each.model for each in trained])
    save_weights(mean, preset, out, notes=notes, dtype=torch.float16)
    return hashlib.sha256(out.read_bytes()).hexdigest()

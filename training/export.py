"""Load the network of a checkpoint or of weights, and write it, or the mean of several."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import NamedTuple

import torch

from training.checkpoint import load_checkpoint
from training.config import ConfigError
from vs_gainmap.errors import WeightsError
from vs_gainmap.files import replacing
from vs_gainmap.gainmap import GainMapPreset
from vs_gainmap.models import MODELS, GMNet, Model
from vs_gainmap.models.weights import Weights, load_weights, save_weights


class Trained(NamedTuple):
    """A network, and where it comes from: the step and the data's digest."""

    weights: Weights
    step: str
    data: str


def load_trained(source: str | Path, *, preset: str | GainMapPreset | None = None) -> Trained:
    """Load the averaged network of a checkpoint, or weights: a file or a bundled set's name.

    Args:
        source: a .ckpt of `train`, or what `load_weights` takes.
        preset: as `load_weights` has it; a checkpoint has its own.

    Raises:
        WeightsError: there is no such file, or it is damaged.
    """
    path = Path(source)
    if path.suffix != ".ckpt":
        weights = load_weights(source, preset=preset)
        return Trained(weights, path.name, path.name)
    state = load_checkpoint(path)
    try:
        model: Model = MODELS[state.config.model.kind].from_state_dict(state.average)
    except (KeyError, ValueError, IndexError, RuntimeError) as error:
        raise WeightsError(f"checkpoint: {path}: its tensors are not of its network") from error
    weights = Weights(
        name=str(source),
        sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        model=model.eval().requires_grad_(False),
        preset=state.config.preset.build(),
    )
    return Trained(weights, str(state.step), state.data)


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


def export(sources: list[Path], out: Path, *, preset: str | None = None) -> str:
    """Write a network, or the mean of several.

    Args:
        sources: checkpoints or weights, of runs with the same start.
        out: .safetensors: float16, with its preset, for `predict`; .pth: a state dict in float32
            with the published names, of GMNet alone.
        preset: of sources that have none, as `load_weights` has it.

    Returns:
        Its SHA-256.

    Raises:
        ConfigError: they are of different networks or presets, or `out` has another suffix.
        WeightsError: one is missing or damaged.
    """
    if out.suffix not in (".safetensors", ".pth"):
        raise ConfigError(f"export: {out.name} must end in .safetensors or .pth")
    trained = [load_trained(source, preset=preset) for source in sources]
    weights = trained[0].weights
    if any(each.weights.preset != weights.preset for each in trained):
        raise ConfigError("export: the checkpoints were trained for different presets")
    notes = {
        "steps": " ".join(each.step for each in trained),
        "data": " ".join(each.data for each in trained),
    }
    mean = average_models([each.weights.model for each in trained])
    if out.suffix == ".pth" and not isinstance(mean, GMNet):
        raise ConfigError("export: .pth is for GMNet, whose names are published; use .safetensors")
    out.parent.mkdir(parents=True, exist_ok=True)
    if out.suffix == ".pth":
        with replacing(out) as partial:
            torch.save(mean.state_dict(), partial)
    else:
        save_weights(mean, weights.preset, out, notes=notes, dtype=torch.float16)
    return hashlib.sha256(out.read_bytes()).hexdigest()

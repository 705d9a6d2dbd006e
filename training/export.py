"""From a checkpoint to weights with a preset, and the model card's tables."""

from __future__ import annotations

import hashlib
from pathlib import Path

import torch

from training.config import Config, build
from training.train import build_model, load_checkpoint
from vs_gainmap.models import Model
from vs_gainmap.weights import save_weights


def load_trained(checkpoint: Path, *, averaged: bool = True) -> tuple[Model, Config, int, str]:
    """Return the network of a checkpoint, its configuration, its step and its data's digest."""
    state = load_checkpoint(checkpoint)
    config = build(Config, state["config"])
    model = build_model(config.model, config.preset.build(), 0)
    model.load_state_dict(state["average" if averaged else "model"])
    return model.eval(), config, int(state["step"]), str(state["data"])


def export(checkpoint: Path, out: Path, *, averaged: bool = True) -> str:
    """Write a checkpoint's averaged network as float16 safetensors; return its SHA-256."""
    model, config, step, data = load_trained(checkpoint, averaged=averaged)
    notes = {"steps": str(step), "data": data, "average": str(averaged)}
    out.parent.mkdir(parents=True, exist_ok=True)
    save_weights(model, config.preset.build(), out, notes=notes, dtype=torch.float16)
    return hashlib.sha256(out.read_bytes()).hexdigest()

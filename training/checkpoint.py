"""Checkpoints: all that a run needs to go on, replaced in one step, read without running code."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from training.config import Config, ConfigError, to_dict
from vs_gainmap.errors import WeightsError
from vs_gainmap.models import Model

CHECKPOINT = "last.ckpt"
PARTS = frozenset({"step", "model", "average", "optimizer", "config", "data"})
# How far, how often and on what a run goes: nobody need be told that these changed.
FREE = frozenset(
    {
        "data.workers",
        "run.steps",
        "run.validate_every",
        "run.validation_views",
        "run.save_every",
        "run.log_every",
        "run.accelerator",
        "run.devices",
    }
)


def pack(
    step: int,
    model: Model,
    average: Model,
    optimizer: torch.optim.Optimizer,
    config: Config,
    data_id: str,
) -> dict[str, Any]:
    """Return all that a run needs to go on after `step`."""
    return {
        "step": step,
        "model": model.state_dict(),
        "average": average.state_dict(),
        "optimizer": optimizer.state_dict(),
        "config": to_dict(config),
        "data": data_id,
    }


def save_checkpoint(state: dict[str, Any], path: Path) -> None:
    """Write a checkpoint in one step: a kill leaves the old one or the new one."""
    partial = path.with_name(path.name + ".partial")
    torch.save(state, partial)
    partial.replace(path)


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint without running code from it; tensors come to the CPU.

    Raises:
        WeightsError: there is none, or it is damaged.
    """
    if not path.is_file():
        raise WeightsError(f"checkpoint: no file {path}")
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError, ValueError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0][:200]
        raise WeightsError(
            f"checkpoint: {path} is damaged: {reason} (move it away to start anew)"
        ) from error
    if not isinstance(state, dict) or not state.keys() >= PARTS:
        raise WeightsError(f"checkpoint: {path} is no checkpoint that `train` wrote")
    return state


def check_same(state: dict[str, Any], config: Config, data_id: str) -> list[str]:
    """Refuse to go on with another network, preset or data; return what else is to be told.

    Args:
        state: a checkpoint.
        config: of the run that goes on.
        data_id: its data's fingerprint; see `batches.fingerprint`.

    Returns:
        Notes, a line each.

    Raises:
        ConfigError: network, preset or data are not the checkpoint's.
    """
    now = to_dict(config)
    for section in ("model", "preset"):
        if state["config"][section] != now[section]:
            raise ConfigError(
                f"train: the checkpoint's [{section}] is {state['config'][section]}, "
                f"the configuration says {now[section]}; use another folder"
            )
    notes = []
    if changed := _changes(state["config"], now):
        notes.append(f"train: changed since the checkpoint: {', '.join(changed)}")
    # The index, then the files' sizes, then when they were written.
    was, this = str(state["data"]).split("-"), data_id.split("-")
    if was[:2] != this[: len(was[:2])]:
        raise ConfigError(
            f"train: the checkpoint was made with data {state['data']}, this is {data_id}; "
            "start from its weights with --initial instead"
        )
    if len(was) < len(this):
        notes.append("train: an earlier version's checkpoint knows its data by the index alone")
    elif was != this:
        notes.append("train: the data's files were written anew since the checkpoint")
    return notes


def _changes(was: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """Return "section.key old -> new" for what shapes the rest of a run."""
    # What an earlier version did not know yet had the value that is the default now.
    default = to_dict(Config())
    changes = []
    for section, values in now.items():
        for key, value in values.items():
            old = was.get(section, {}).get(key, default[section][key])
            if old != value and f"{section}.{key}" not in FREE:
                changes.append(f"{section}.{key} {old!r} -> {value!r}")
    return changes


def restore(
    state: dict[str, Any], model: Model, average: Model, optimizer: torch.optim.Optimizer
) -> None:
    """Fill network, average and optimizer; the optimizer's state goes where its weights are.

    Raises:
        ConfigError: the network has other layers.
    """
    _load(model, state["model"])
    _load(average, state["average"])
    optimizer.load_state_dict(state["optimizer"])


def _load(model: Model, state: dict[str, Tensor]) -> None:
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        raise ConfigError(
            "train: the checkpoint's network has other layers, as an earlier version made them; "
            "export it and start from its weights with --initial instead"
        ) from error

"""Save and load the state of a run: replaced in one step, read without running code."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import torch

from training.config import Config, ConfigError, to_dict
from vs_gainmap.errors import WeightsError
from vs_gainmap.files import replacing
from vs_gainmap.models import Model

CHECKPOINT = "last.ckpt"
PARTS = frozenset({"step", "model", "average", "optimizer", "config", "data"})
# Keys that a run may change without a note.
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
    """Return all that a run needs to continue after `step`."""
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
    with replacing(path) as partial:
        torch.save(state, partial)


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
    """Refuse to continue with another network, preset or data.

    Args:
        state: a checkpoint.
        config: of the run that continues.
        data_id: its data's fingerprint; see `batches.fingerprint`.

    Returns:
        The other changes, as "section.key old -> new".

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
    if state["data"] != data_id:
        raise ConfigError(
            f"train: the checkpoint was made with data {state['data']}, this is {data_id}; "
            "start from its weights with --initial instead"
        )
    changes = []
    for section, values in now.items():
        for key, value in values.items():
            old = state["config"].get(section, {}).get(key)
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
    try:
        model.load_state_dict(state["model"])
        average.load_state_dict(state["average"])
    except RuntimeError as error:
        raise ConfigError(
            "train: the checkpoint's network has other layers; "
            "export it and start from its weights with --initial instead"
        ) from error
    optimizer.load_state_dict(state["optimizer"])

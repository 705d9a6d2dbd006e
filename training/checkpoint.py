"""Save and load the state of a run: replaced in one step, read without running code."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from training.config import Config, ConfigError, build, to_dict
from vs_gainmap.errors import WeightsError
from vs_gainmap.files import replacing
from vs_gainmap.models import Model
from vs_gainmap.models.checkpoint import check_tensors, read_pickle

CHECKPOINT = "last.ckpt"
BEST = "best.ckpt"
# AdamW's state of each parameter.
MOMENTS = frozenset({"step", "exp_avg", "exp_avg_sq"})
# Keys that a run may change without a note.
FREE = frozenset(
    {
        "data.workers",
        "run.steps",
        "run.validate_every",
        "run.validation_views",
        "run.save_every",
        "run.keep_every",
        "run.log_every",
        "run.accelerator",
        "run.devices",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """All that a run needs to continue.

    Attributes:
        step: number of steps that are done.
        model: the network's tensors.
        average: those of the averaged network.
        moments: AdamW's state of each parameter, by number.
        config: of the run.
        data: fingerprint of the data; see `batches.fingerprint`.
        best: the best figure of a validation; None where there was none.
    """

    step: int
    model: dict[str, Tensor]
    average: dict[str, Tensor]
    moments: dict[int, dict[str, Tensor]]
    config: Config
    data: str
    best: float | None


def save_checkpoint(
    path: Path,
    *,
    step: int,
    model: Model,
    average: Model,
    optimizer: torch.optim.Optimizer,
    config: Config,
    data: str,
    best: float | None,
) -> None:
    """Write a checkpoint in one step: a kill leaves the old one or the new one."""
    state = {
        "step": step,
        "model": model.state_dict(),
        "average": average.state_dict(),
        "optimizer": optimizer.state_dict(),
        "config": to_dict(config),
        "data": data,
        "best": best,
    }
    with replacing(path) as partial:
        torch.save(state, partial)


def load_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint without running code from it; tensors come to the CPU.

    Raises:
        WeightsError: there is none, or it is damaged.
    """
    if not path.is_file():
        raise WeightsError(f"checkpoint: no file {path}")
    try:
        return _decode(read_pickle(path), path)
    except ConfigError as error:
        raise WeightsError(f"checkpoint: {path} is of another version: {error}") from error
    # Whatever parsers raise over damaged or hostile bytes.
    except Exception as error:
        raise WeightsError(
            f"checkpoint: {path} is damaged, or none that `train` wrote; move it away to start anew"
        ) from error


def _decode(state: Any, path: Path) -> Checkpoint:
    """Check every value; whatever is raised says that the file is no checkpoint."""
    step, best, data = _dict(state)["step"], state.get("best"), state["data"]
    if not isinstance(step, int) or not isinstance(data, str) or not 0 <= step < 1 << 53:
        raise ValueError("step or data")
    if best is not None and not (isinstance(best, float) and math.isfinite(best)):
        raise ValueError("best")
    saved = _dict(_dict(state["optimizer"])["state"])
    moments = {int(key): _dict(value) for key, value in saved.items()}
    parts = {part: _dict(state[part]) for part in ("model", "average")}
    parts |= {f"moments {number}": values for number, values in moments.items()}
    tensors = {f"{part} {name}": v for part, named in parts.items() for name, v in named.items()}
    if not all(isinstance(value, Tensor) for value in tensors.values()):
        raise ValueError("values that are no tensors")
    check_tensors(tensors, path)
    return Checkpoint(
        step=step,
        model=parts["model"],
        average=parts["average"],
        moments=moments,
        config=build(Config, _dict(state["config"])),
        data=data,
        best=best,
    )


def _dict(value: Any) -> dict[Any, Any]:
    if not isinstance(value, dict):
        raise TypeError(f"{type(value).__name__} instead of dict")
    return value


def check_same(state: Checkpoint, config: Config, data_id: str) -> list[str]:
    """Refuse to continue with another network, preset or data.

    Args:
        state: of the run.
        config: of the run that continues.
        data_id: its data's fingerprint; see `batches.fingerprint`.

    Returns:
        The other changes, as "section.key old -> new".

    Raises:
        ConfigError: network, preset or data are not the checkpoint's.
    """
    before, now = to_dict(state.config), to_dict(config)
    for section in ("model", "preset"):
        if before[section] != now[section]:
            raise ConfigError(
                f"train: the checkpoint's [{section}] is {before[section]}, "
                f"the configuration says {now[section]}; use another folder"
            )
    if state.data != data_id:
        raise ConfigError(
            f"train: the checkpoint was made with data {state.data}, this is {data_id}; "
            "start from it with --initial and another folder instead"
        )
    return [
        f"{section}.{key} {before[section][key]!r} -> {value!r}"
        for section, values in now.items()
        for key, value in values.items()
        if before[section][key] != value and f"{section}.{key}" not in FREE
    ]


def restore(
    state: Checkpoint, model: Model, average: Model, optimizer: torch.optim.Optimizer
) -> None:
    """Fill network, average and optimizer; the optimizer's state goes where its weights are.

    Raises:
        WeightsError: the tensors are not those of the configuration's network.
    """
    parameters = list(model.parameters())
    try:
        model.load_state_dict(state.model)
        average.load_state_dict(state.average)
        for number, moments in state.moments.items():
            shape = parameters[number].shape
            if moments.keys() != MOMENTS or any(
                value.shape != shape for name, value in moments.items() if name != "step"
            ):
                raise RuntimeError
    except (RuntimeError, IndexError) as error:
        raise WeightsError(
            "train: the checkpoint's tensors are not those of its network; move it away to start "
            "anew"
        ) from error
    # Rates and decays are the configuration's, not the checkpoint's.
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": state.moments, "param_groups": groups})

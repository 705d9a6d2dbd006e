"""Files of weights, which anyone may have made: read whole or refused, in one line."""

from __future__ import annotations

import warnings
import zipfile
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor

from vs_gainmap.errors import WeightsError

# BasicSR's names for the state dict inside a checkpoint, the averaged one first.
_INNER = ("params_ema", "params", "state_dict")


def read_checkpoint(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read a safetensors file, or a state dict as PyTorch saves it (.pth, .pt).

    Args:
        path: of the file.

    Returns:
        Tensors by name, without `module.`, and the file's metadata; a .pth has none.

    Raises:
        WeightsError: the file can't be read, is none of these, holds more than tensors, more
            numbers than its size allows, or numbers that are not finite.
    """
    metadata: dict[str, str] = {}
    try:
        if path.suffix == ".safetensors":
            with safe_open(path, framework="pt") as file:
                state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
                metadata = dict(file.metadata() or {})
        elif path.suffix in (".pth", ".pt"):
            state = _find_state(read_pickle(path), path)
        else:
            raise WeightsError(f"weights: {path.name} must end in .safetensors, .pth or .pt")
        check_tensors(state, path)
    except WeightsError:
        raise
    # Whatever parsers raise over damaged or hostile bytes.
    except Exception as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise WeightsError(f"weights: {path} can't be read: {reason}") from error
    return {name.removeprefix("module."): value for name, value in state.items()}, metadata


def read_pickle(path: Path) -> Any:
    """Read what PyTorch saved without running code from it; tensors come to the CPU.

    Raises:
        WeightsError: the file is damaged, unpacks to more bytes than it has, or holds more than
            tensors and plain containers.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            unpacked = sum(record.file_size for record in archive.infolist())
    except zipfile.BadZipFile as error:
        raise WeightsError(
            f"weights: {path} is no checkpoint of PyTorch 1.6 or later; load it there and "
            "torch.save its state dict again"
        ) from error
    if unpacked > path.stat().st_size:
        raise WeightsError(
            f"weights: {path} unpacks to {unpacked} bytes, more than it has; PyTorch writes none "
            "like it"
        )
    try:
        # Restricted unpickling: tensors and plain containers, no code.
        with warnings.catch_warnings():
            # Of pickles that PyTorch did not write, to which an error is the answer or none.
            warnings.simplefilter("ignore")
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        # PyTorch's own message advises to load the pickle without restriction.
        raise WeightsError(
            f"weights: {path} is damaged, or holds more than tensors and can't be read safely"
        ) from error


def _find_state(found: Any, path: Path) -> dict[str, Tensor]:
    for key in _INNER:
        if isinstance(found, dict) and isinstance(found.get(key), dict):
            found = found[key]
            break
    if not isinstance(found, dict) or not all(isinstance(v, Tensor) for v in found.values()):
        raise WeightsError(f"weights: {path} holds no state dict")
    return {str(name): value for name, value in found.items()}


def check_tensors(state: dict[str, Tensor], path: Path) -> None:
    """Refuse tensors that are larger than their file, as views can be, or not finite.

    Raises:
        WeightsError: some are.
    """
    size = sum(value.numel() * value.element_size() for value in state.values())
    if size > path.stat().st_size:
        raise WeightsError(f"weights: {path} claims {size} bytes of tensors, more than it has")
    for name, value in state.items():
        if value.is_floating_point() and not bool(torch.isfinite(value).all()):
            raise WeightsError(f"weights: {path}: {name} has values that are not finite")

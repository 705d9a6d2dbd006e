"""Weights: the table of bundled sets, and verified loading of anyone's own.

A safetensors file of ours carries its preset in the file's metadata, so that it is applied
as it was trained. A published checkpoint (``.pth``) carries none: the caller names one.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch
from safetensors.torch import save_file
from torch import Tensor

from vs_gainmap.color.transfer import SDR_EOTFS, Eotf
from vs_gainmap.errors import MetadataError, OptionError, WeightsError, did_you_mean
from vs_gainmap.files import replacing
from vs_gainmap.gainmap import PRESETS, GainMapPreset
from vs_gainmap.models import MODELS, GMNet, GridNet, Model
from vs_gainmap.models.checkpoint import read_checkpoint

DATA = Path(__file__).parents[1] / "data"


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightsEntry:
    """A bundled file and the digest that it must have."""

    file: str
    sha256: str
    about: str


# Made by `python -m training export`; the model cards stand beside the files in data/.
WEIGHTS: dict[str, WeightsEntry] = {
    "video": WeightsEntry(
        file="gmnet_video.safetensors",
        sha256="f2795cf72e52913e62713f0ea0d467876122b3ec23529b194ee20496a5f1c3c3",
        about="general video: white at 203 cd/m2, peak 1000 cd/m2, map at half size",
    ),
    "fast": WeightsEntry(
        file="gridnet_fast.safetensors",
        sha256="c9f602aa9bdcd7469e8a44614085ec7b902c009005e67014e1d64dee94e1453a",
        about="the fast model, for video and photos: white at 203 cd/m2, peak 1000 cd/m2",
    ),
}

# The set that each name of `model=` stands for.
MODEL_WEIGHTS = {"gmnet": "video", "fast": "fast"}
MODEL_KINDS: dict[str, type[Model]] = {"gmnet": GMNet, "fast": GridNet}


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """A loaded network and how its map is to be made and applied; `sha256` is its file's digest."""

    name: str
    sha256: str
    model: Model
    preset: GainMapPreset


def default_weights(model: str | None, *, on_cpu: bool) -> str:
    """Return the bundled set of a model, or of the one that suits the machine.

    Args:
        model: "gmnet" or "fast"; None takes the fast one on a CPU, where GMNet takes a second
            a frame.
        on_cpu: whether the network runs on the CPU, in PyTorch.

    Raises:
        WeightsError: no such model.
    """
    if model is None:
        model = "fast" if on_cpu else "gmnet"
    return _of_model(MODEL_WEIGHTS, model)


def _of_model[T](table: dict[str, T], model: str) -> T:
    if model not in table:
        raise WeightsError(f'model must be {" or ".join(table)}, got "{model}"')
    return table[model]


def load_weights(
    source: str | Path,
    *,
    preset: str | GainMapPreset | None = None,
    model: str | None = None,
) -> Weights:
    """Load bundled weights by name, or a checkpoint by path.

    Args:
        source: a name of `WEIGHTS`, or a path that ends in ``.safetensors`` or, for a plain
            state dict as published (with or without ``module.``), ``.pth`` / ``.pt``.
        preset: a name of `PRESETS` or a preset of your own; None takes the file's own, and
            for a file that has none "synthetic" or "real-world" must be given.
        model: "gmnet" or "fast", which the weights must be for; None takes any.

    Returns:
        The network in float32, on the CPU, ready for inference.

    Raises:
        WeightsError: no such file, a damaged one, one that does not fit, or an unknown preset.
    """
    name = str(source)
    path = DATA / WEIGHTS[name].file if name in WEIGHTS else Path(source)
    digest = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "no file"
    if name in WEIGHTS:
        _verify(path, digest, WEIGHTS[name].sha256)
    if not path.is_file():
        known = ", ".join(WEIGHTS) or "none"
        raise WeightsError(f"weights: no file {path}; bundled names are: {known}")

    state, metadata = read_checkpoint(path)
    network = _build(state, metadata, path)
    if model is not None and not isinstance(network, _of_model(MODEL_KINDS, model)):
        raise WeightsError(f'weights: {path.name} is for {type(network).__name__}, not "{model}"')
    chosen = _choose_preset(preset, metadata, path)
    return Weights(name=name, sha256=digest, model=network, preset=chosen)


def save_weights(
    model: Model,
    preset: GainMapPreset,
    path: Path,
    *,
    notes: dict[str, str] | None = None,
    dtype: torch.dtype = torch.float32,
) -> None:
    """Write a safetensors file that `load_weights` reads, preset included, atomically.

    Args:
        model: the network; its tensors are stored as `dtype`.
        preset: how it was trained.
        path: where to; replaced in one step.
        notes: more string metadata, such as steps and data fingerprint.
        dtype: float16 halves the file at no visible cost.
    """
    state = {
        name: value.detach().to("cpu", dtype if value.is_floating_point() else None).contiguous()
        for name, value in model.state_dict().items()
    }
    metadata = {
        **(notes or {}),
        "model": next(name for name, kind in MODELS.items() if isinstance(model, kind)),
        "sdr_white": repr(preset.sdr_white),
        "peak": repr(preset.peak),
        "map_scale": str(preset.map_scale),
        "eotf": preset.eotf,
        "min_log_gain": repr(preset.min_log_gain),
    }
    with replacing(path) as partial:
        save_file(state, partial, metadata=metadata)


def _verify(path: Path, digest: str, sha256: str) -> None:
    if digest != sha256:
        raise WeightsError(
            f"weights: {path} is not what was released ({digest[:12]} instead of "
            f"{sha256[:12]}); install vs-gainmap again"
        )


def _build(state: dict[str, Tensor], metadata: dict[str, str], path: Path) -> Model:
    kind = MODELS.get(metadata.get("model", "gmnet"), GMNet)
    try:
        model = kind.from_state_dict({name: value.float() for name, value in state.items()})
    except (KeyError, ValueError, IndexError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:300]
        raise WeightsError(f"weights: {path} does not fit {kind.__name__}: {reason}") from error
    return model.eval().requires_grad_(False)


def _choose_preset(
    preset: str | GainMapPreset | None, metadata: dict[str, str], path: Path
) -> GainMapPreset:
    if isinstance(preset, GainMapPreset):
        return preset
    if preset is not None:
        if preset not in PRESETS:
            known, near = ", ".join(PRESETS), did_you_mean(preset, PRESETS)
            raise OptionError(
                f"preset must be one of {known} (--weights-preset), got {preset}{near}"
            )
        return PRESETS[preset]
    if "peak" not in metadata:
        raise WeightsError(
            f"weights {path.name} do not say how they were trained; give preset="
            + " or preset=".join(f'"{name}"' for name in PRESETS)
            + " (--weights-preset)"
        )
    if metadata.get("model") not in MODELS or metadata.get("eotf") not in SDR_EOTFS:
        raise WeightsError(f"weights: {path.name} is for a newer vs-gainmap; update it")
    try:
        return GainMapPreset(
            sdr_white=float(metadata["sdr_white"]),
            peak=float(metadata["peak"]),
            map_scale=int(metadata["map_scale"]),
            eotf=cast("Eotf", metadata["eotf"]),
            min_log_gain=float(metadata.get("min_log_gain", "0")),
        )
    except (KeyError, ValueError, MetadataError) as error:
        raise WeightsError(f"weights: {path.name} has a damaged preset: {error}") from error

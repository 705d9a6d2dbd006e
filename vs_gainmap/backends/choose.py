"""Backends by name."""

from __future__ import annotations

from vs_gainmap.backends.base import Backend, RunOptions
from vs_gainmap.backends.plugins import PLUGINS
from vs_gainmap.backends.pytorch import TorchBackend
from vs_gainmap.errors import BackendError
from vs_gainmap.models import Model

BACKENDS = ("torch", *PLUGINS)


def open_backend(name: str, model: Model, options: RunOptions) -> Backend:
    """Return a network ready for clips.

    Args:
        name: one of `BACKENDS`.
        model: float32, on the CPU.
        options: device, precision, tiles, streams.

    Raises:
        BackendError: no such backend, it is not installed, or it can't do what is asked.
        DeviceError: the device or precision is not there.
    """
    if name == "torch":
        return TorchBackend(model, options)
    if name in PLUGINS:
        # It needs libraries that PyTorch's backend doesn't.
        from vs_gainmap.backends.mlrt import MlrtBackend

        return MlrtBackend(name, model, options)
    raise BackendError(f"backend must be one of {', '.join(BACKENDS)}, got {name!r}")

"""What runs the network: PyTorch, or a native VapourSynth plugin, behind one interface."""

from vs_gainmap.backends.base import Backend, RunOptions
from vs_gainmap.backends.choose import BACKENDS, open_backend
from vs_gainmap.backends.pytorch import TorchBackend

__all__ = ["BACKENDS", "Backend", "RunOptions", "TorchBackend", "open_backend"]

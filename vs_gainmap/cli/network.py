"""Which network the options choose, for summaries and pages."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import NamedTuple


class Network(NamedTuple):
    """A network, where it runs, and in which precision."""

    model: str
    weights: str
    backend: str
    device: str | None
    """None where the backend chooses."""
    dtype: str | None

    def __str__(self) -> str:
        weights = "" if self.weights == self.model else f", weights {self.weights}"
        place = self.backend if self.device is None else f"{self.device} by {self.backend}"
        return f"{self.model}{weights} on {place}{', ' if self.dtype else ''}{self.dtype or ''}"


def describe_network(args: argparse.Namespace) -> Network:
    """Return the network that the filter's options choose.

    Raises:
        GainMapError: the weights or the device are not there.
    """
    from vs_gainmap.models import GMNet
    from vs_gainmap.models.inference import choose_device, choose_dtype
    from vs_gainmap.models.weights import default_weights, load_weights

    backend = args.backend or "torch"
    device = choose_device(args.device) if backend == "torch" else None
    on_cpu = device is not None and device.type == "cpu"
    source = args.weights or default_weights(args.model, on_cpu=on_cpu)
    loaded = load_weights(source, preset=args.weights_preset, model=args.model)
    is_gmnet = isinstance(loaded.model, GMNet)
    dtype = args.dtype
    if device is not None:
        # Only GMNet has parts that run in less than float32.
        dtype = str(choose_dtype(device, args.dtype)).removeprefix("torch.")
        dtype = dtype if is_gmnet else "float32"
    return Network(
        model="gmnet" if is_gmnet else "fast",
        weights=Path(loaded.name).name,
        backend=backend,
        device=args.device if device is None else str(device),
        dtype=dtype,
    )

"""What a command uses, in words: network, color of the input, options."""

from __future__ import annotations

import argparse
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from vs_gainmap.cli.options import conversion_options

if TYPE_CHECKING:
    import vapoursynth as vs


class Network(NamedTuple):
    """A network, where it runs, and in which precision."""

    model: str
    weights: str
    backend: str
    device: str | None
    """None where the backend chooses."""
    dtype: str | None
    weights_sha256: str

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
        weights_sha256=loaded.sha256,
    )


def describe_options(args: argparse.Namespace) -> str:
    """Return the filter's options that the user gave."""
    given = conversion_options(args)
    return ", ".join(f"{name} {value}" for name, value in given.items()) or "defaults"


def describe_filters(args: argparse.Namespace, network: Network) -> dict[str, str]:
    """Return by name what the pictures of a conversion depend on, and their light levels.

    Args:
        args: of the command.
        network: what `describe_network` returned.
    """
    # A GPU's number makes no difference.
    place = None if network.device is None else network.device.partition(":")[0]
    given = conversion_options(args, percentile=args.percentile)
    apart = ("device", "weights", "model", "backend", "dtype", "num_streams")
    return {
        **{f"--{name.replace('_', '-')}": str(v) for name, v in given.items() if name not in apart},
        "--hdr10plus": "given" if args.hdr10plus else "not given",
        "network": str(network._replace(device=place)),
        "weights": network.weights_sha256[:16],
    }


def describe_color(args: argparse.Namespace, clip: vs.VideoNode) -> list[tuple[str, str]]:
    """Return each color property of an SDR clip, and where it comes from.

    Args:
        args: with the options for the input's color.
        clip: as it was read.

    Raises:
        vs.Error: the clip is not usable SDR.
    """
    from vs_gainmap.color.h273 import TABLE
    from vs_gainmap.filters.color_props import PROP_OF, decide_color
    from vs_gainmap.filters.options import InputColor
    from vs_gainmap.preview.metadata import color_name

    given = {kind: getattr(args, kind) for kind in TABLE if getattr(args, kind) is not None}
    decided, assumed = decide_color(clip, InputColor(**given), "vs-gainmap")
    codes = {PROP_OF[kind]: code for kind, code in decided.items()}
    rows = []
    for kind in decided:
        source = "as given" if kind in given else "in the file"
        source = "assumed by size and format" if kind in assumed else source
        rows.append((kind.replace("_", " "), f"{color_name(kind, codes)}, {source}"))
    return rows


def made_by(args: argparse.Namespace) -> list[tuple[str, str]]:
    """Return the command, the time and the version, for the head of a page."""
    now = f"{datetime.now().astimezone():%Y-%m-%d %H:%M %Z}"
    return [("command", args.command), ("made", f"{now}, vs-gainmap {version('vs-gainmap')}")]

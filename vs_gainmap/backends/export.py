"""GMNet to ONNX, once per weights, size and precision, into the user's cache."""

from __future__ import annotations

import copy
import hashlib
import logging
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import nn

from vs_gainmap.backends.graphs import GlobalGraph, LocalGraph
from vs_gainmap.errors import BackendError
from vs_gainmap.extras import install_command
from vs_gainmap.models import GMNet
from vs_gainmap.models.gmnet import THUMBNAIL_SIZE

if TYPE_CHECKING:
    import onnx

# Part of every name in the cache: raise it when the graphs change.
GRAPH_VERSION = 2
OPSET = 18


def weights_digest(model: GMNet) -> str:
    """Return a name for the weights: twelve hexadecimal digits of their SHA-256."""
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().float().contiguous().numpy().tobytes())
    return digest.hexdigest()[:12]


def export_global(model: GMNet) -> onnx.ModelProto:
    """Return the global branch as a graph; see `GlobalGraph`.

    Raises:
        BackendError: onnx or onnxscript is not installed.
    """
    return _export(GlobalGraph(copy.deepcopy(model)), (3, THUMBNAIL_SIZE, THUMBNAIL_SIZE))


def export_local(
    model: GMNet,
    width: int,
    height: int,
    *,
    dynamic_kernel: bool,
    split_sum: bool = False,
) -> onnx.ModelProto:
    """Return the local branch as a graph for pictures of one (even) size; see `LocalGraph`.

    Raises:
        BackendError: onnx or onnxscript is not installed.
    """
    graph = LocalGraph(copy.deepcopy(model), dynamic_kernel=dynamic_kernel, split_sum=split_sum)
    return _export(graph, (4, height, width))


def save(graph: onnx.ModelProto, path: Path) -> None:
    """Write a graph as one file."""
    path.write_bytes(graph.SerializeToString())


def _export(graph: nn.Module, shape: tuple[int, int, int]) -> onnx.ModelProto:
    try:
        import onnx  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise BackendError(f"{error.name} is missing: {install_command('export')}") from error
    exporter = logging.getLogger("torch.onnx")
    level = exporter.level
    # It warns of torchvision's absence, and of its own future.
    exporter.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            program = torch.onnx.export(
                graph.eval(),
                (torch.zeros(1, *shape),),
                dynamo=True,
                opset_version=OPSET,
                input_names=["input"],
                output_names=["output"],
                verbose=False,
            )
            assert program is not None
            program.optimize()
    finally:
        exporter.setLevel(level)
    found: onnx.ModelProto = program.model_proto
    return found

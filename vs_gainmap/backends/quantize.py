"""Eight-bit convolutions: the range of each one's input, and the graph that computes in it.

Static quantisation after training (Nagel et al., "A White Paper on Neural Network Quantization",
2021): weights per output channel and symmetric, activations per tensor from ranges measured on
calibration frames, and the mean error that rounded weights make on those frames taken out of
the biases. What residual blocks add is rounded the same way, so that nearly all that goes through
memory is bytes. The first convolution stays as it is: it is cheap and gets the finest steps.
Ranges belong to the weights, not to a size, so they are measured once.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from vs_gainmap.errors import BackendError
from vs_gainmap.files import cache_folder, replacing
from vs_gainmap.models import GMNet

if TYPE_CHECKING:
    import onnx

# Rare outliers would stretch the steps of all the rest.
TAIL = 5e-5
SAMPLES = 500_000
KEPT = ("down_x.conv.0",)


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """What a convolution's input was on the calibration frames."""

    low: float
    high: float
    mean: list[float] = field(repr=False)
    """By channel."""


def calibrate(model: GMNet, pictures: Iterable[tuple[Tensor, Tensor]]) -> dict[str, Range]:
    """Measure the input of every convolution of the local branch.

    Args:
        model: float32, on the CPU.
        pictures: picture (1, 3, H, W) and thumbnail (1, 3, 256, 256), 0..1.

    Returns:
        By the convolution's name in the model.

    Raises:
        BackendError: there is no picture.
    """
    lows: dict[str, float] = {}
    highs: dict[str, float] = {}
    sums: dict[str, Tensor] = {}
    count = 0

    def watch(name: str) -> Any:
        def hook(module: nn.Module, inputs: tuple[Tensor], output: Tensor) -> None:  # noqa: ARG001
            x = inputs[0]
            flat = x.reshape(-1)
            flat = flat[:: max(1, flat.numel() // SAMPLES)][: 16 * SAMPLES]
            low, high = np.quantile(flat.numpy(), [TAIL, 1 - TAIL])
            # What comes out of a ReLU must keep its zero.
            lows[name] = min(lows.get(name, 0.0), float(low))
            highs[name] = max(highs.get(name, 0.0), float(high))
            sums[name] = sums.get(name, torch.zeros(())) + x.mean(dim=(0, 2, 3))

        return hook

    handles = [
        module.register_forward_hook(watch(name))
        for name, module in model.named_modules()
        if isinstance(module, nn.Conv2d)
    ]
    try:
        with torch.inference_mode():
            for picture, thumbnail in pictures:
                features = model.analyze(thumbnail)
                model.predict(picture, features)
                count += 1
    finally:
        for handle in handles:
            handle.remove()
    if not count:
        raise BackendError("quantize: no frame to calibrate with")
    return {
        name: Range(low=lows[name], high=highs[name], mean=(sums[name] / count).tolist())
        for name in sums
    }


def ranges_path(digest: str) -> Path:
    """Return where the ranges of some weights are kept."""
    return cache_folder() / f"gmnet-{digest}-ranges.json"


def save_ranges(digest: str, ranges: dict[str, Range]) -> Path:
    """Keep ranges in the cache; networks that were made with others are thrown away."""
    path = ranges_path(digest)
    with replacing(path) as partial:
        rows = {name: [r.low, r.high, r.mean] for name, r in ranges.items()}
        partial.write_text(json.dumps(rows))
    for stale in cache_folder().glob(f"gmnet-{digest}-*-int8-*"):
        stale.unlink(missing_ok=True)
    return path


def load_ranges(digest: str) -> dict[str, Range]:
    """Read ranges from the cache.

    Raises:
        BackendError: these weights were never calibrated.
    """
    path = ranges_path(digest)
    if not path.exists():
        raise BackendError(
            'dtype "int8" needs these weights calibrated once: vs-gainmap quantize CLIP'
        )
    rows = json.loads(path.read_text())
    return {name: Range(low=low, high=high, mean=mean) for name, (low, high, mean) in rows.items()}


def quantize(graph: onnx.ModelProto, ranges: dict[str, Range]) -> onnx.ModelProto:
    """Return the local graph with 8-bit convolutions, as QuantizeLinear and DequantizeLinear.

    Args:
        graph: from `export_local`, float32.
        ranges: from `calibrate`, of the same weights.
    """
    from onnx import numpy_helper

    tensors = {tensor.name: tensor for tensor in graph.graph.initializer}
    editor = _Editor()
    for node in graph.graph.node:
        weight = node.input[1] if node.op_type == "Conv" else ""
        name = _module(weight)
        if weight in tensors and name in ranges and not name.startswith(KEPT):
            measured = ranges[name]
            exact = numpy_helper.to_array(tensors[weight])
            steps = np.maximum(np.abs(exact).max(axis=(1, 2, 3)), 1e-12) / 127
            rounded = np.rint(exact / steps[:, None, None, None]).astype(np.int8)
            if len(node.input) > 2:
                left = exact - rounded * steps[:, None, None, None]
                missing = (left.sum(axis=(2, 3)) * np.asarray(measured.mean, dtype=np.float32)).sum(
                    axis=1
                )
                bias = numpy_helper.to_array(tensors[node.input[2]]) + missing
                _replace(tensors[node.input[2]], bias.astype(np.float32))
            _replace(tensors[weight], rounded)
            node.input[0] = editor.activation(node.input[0], measured)
            node.input[1] = editor.weight(weight, steps.astype(np.float32))
        elif node.op_type == "Add":
            editor.reuse(node)
        editor.nodes.append(node)
    del graph.graph.node[:]
    graph.graph.node.extend(editor.nodes)
    graph.graph.initializer.extend(editor.tensors)
    return graph


def _module(weight: str) -> str:
    """Return the model's name of a convolution from that of its weights in `LocalGraph`."""
    name = weight.removeprefix("model.").removesuffix(".weight")
    return "conv_last" if name == "last" else name


def _replace(tensor: onnx.TensorProto, values: NDArray[Any]) -> None:
    from onnx import numpy_helper

    tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))


class _Editor:
    """Nodes in order, with the quantisation that they need put before them."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.tensors: list[onnx.TensorProto] = []
        self._done: dict[str, str] = {}

    def _constant(self, name: str, values: NDArray[Any]) -> str:
        from onnx import numpy_helper

        self.tensors.append(numpy_helper.from_array(values, name))
        return name

    def activation(self, name: str, measured: Range) -> str:
        """Return the name of a tensor after rounding to 8 bits; once for all that read it."""
        from onnx import helper

        if name in self._done:
            return self._done[name]
        moved = next((node for node in self.nodes if name in node.output), None)
        if moved is not None and moved.op_type == "DepthToSpace":
            # It only moves values: round before, and move bytes.
            self.nodes.remove(moved)
            moved.input[0] = self.activation(moved.input[0], measured)
            self.nodes.append(moved)
            self._done[name] = name
            return name
        step = max((measured.high - measured.low) / 255, 1e-12)
        scale = self._constant(f"{name}_step", np.asarray(step, dtype=np.float32))
        zero = self._constant(
            f"{name}_zero", np.asarray(round(-measured.low / step), dtype=np.uint8)
        )
        coded, done = f"{name}_coded", f"{name}_rounded"
        self.nodes.append(helper.make_node("QuantizeLinear", [name, scale, zero], [coded]))
        self.nodes.append(helper.make_node("DequantizeLinear", [coded, scale, zero], [done]))
        self._done[name] = done
        return done

    def reuse(self, node: onnx.NodeProto) -> None:
        """Let a node read the rounded form of what was rounded for a convolution already."""
        for index, name in enumerate(node.input):
            node.input[index] = self._done.get(name, name)

    def weight(self, name: str, steps: NDArray[np.float32]) -> str:
        """Return the name of weights that are stored as whole steps."""
        from onnx import helper

        scale = self._constant(f"{name}_step", steps)
        zero = self._constant(f"{name}_zero", np.zeros(len(steps), np.int8))
        done = f"{name}_exact"
        node = helper.make_node("DequantizeLinear", [name, scale, zero], [done], axis=0)
        self.nodes.append(node)
        return done

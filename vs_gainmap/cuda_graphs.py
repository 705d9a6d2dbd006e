"""CUDA graphs: a function's kernels are recorded once, and then launched all at once.

A graph works on the memory that it was recorded with: input is copied into buffers that stay, and
its result is copied out before the next one takes its place. Each slot has graphs of its own, so
several frames can be on the device. Whatever goes wrong, the function is called as before.
"""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import ClassVar, NamedTuple, Protocol
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

# Graphs of a slot, each with memory of its own: a film has one size, a still may bring another.
KEPT = 2
# The first run loads kernels and chooses among cuDNN's; the second is like those to come.
WARM_UPS = 2
# Kernels and numbers are the same, so bits are, unless a kernel adds up in an order of its own:
# then float16 is off by a step or two of 0.0005. A graph that reads wrong memory is off by much.
TOLERANCE = 2e-3

_Key = tuple[tuple[torch.Size, tuple[int, ...], torch.dtype], ...]

log = logging.getLogger(__name__)
# PyTorch can record one graph at a time in a process.
_recording = threading.Lock()


class Recording(NamedTuple):
    """A function as it was recorded."""

    replay: Callable[[], None]
    output: Tensor
    """Where `replay` leaves the result; nothing is there before."""


class Recorder(Protocol):
    """What records; tests have one for the CPU."""

    def record(self, function: Callable[[], Tensor]) -> Recording:
        """Record a function that reads and writes the same memory each time.

        Raises:
            RuntimeError: it can't be recorded.
        """


class CudaRecorder:
    """PyTorch's CUDA graphs, on a device."""

    _is_spoiled: ClassVar[bool] = False

    def __init__(self, device: torch.device) -> None:
        # PyTorch has 32 streams of each priority and hands them out again and again. Slots' are of
        # the usual one: what another thread launched on this one would be recorded, too.
        self._stream = torch.cuda.Stream(device, priority=-1)  # type: ignore[no-untyped-call]

    def record(self, function: Callable[[], Tensor]) -> Recording:
        """Record a function; see `Recorder`.

        Warm-up and recording are one thread's: PyTorch keeps cuDNN's choices by thread.
        """
        if CudaRecorder._is_spoiled:
            raise RuntimeError("an earlier recording failed, and may have left things half done")
        slot = torch.cuda.current_stream(self._stream.device)
        graph = torch.cuda.CUDAGraph()
        # Brings the slot's stream back even where the end of the recording fails.
        with torch.cuda.stream(self._stream):
            self._stream.wait_stream(slot)
            for _ in range(WARM_UPS):
                function()
            CudaRecorder._is_spoiled = True
            # Other threads go on meanwhile: only what this one does counts.
            with torch.cuda.graph(graph, stream=self._stream, capture_error_mode="thread_local"):
                output = function()
            CudaRecorder._is_spoiled = False
        slot.wait_stream(self._stream)
        return Recording(graph.replay, output)


class Graphs:
    """Runs a function by graphs, one for each slot and kind of input.

    Args:
        recorder: what records them.
    """

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._is_usable = True
        self._kept: WeakKeyDictionary[object, OrderedDict[_Key, _Graph]] = WeakKeyDictionary()
        self._lock = threading.Lock()

    @torch.inference_mode()
    def run(self, slot: object, function: Callable[..., Tensor], *inputs: Tensor) -> Tensor:
        """Return what the function returns.

        Args:
            slot: whose turn it is: nobody else works in it now.
            function: the same every time; its result depends on the inputs alone, its kernels on
                their shapes, strides and dtypes alone.
            inputs: on the device.
        """
        if self._is_usable:
            try:
                return self._run(slot, function, inputs)
            except RuntimeError as error:
                self._give_up(error)
        # Not in the handler: the exception holds on to the tensors of what failed.
        with self._lock:
            self._kept.pop(slot, None)
        return function(*inputs)

    def _run(
        self, slot: object, function: Callable[..., Tensor], inputs: tuple[Tensor, ...]
    ) -> Tensor:
        with self._lock:
            kept = self._kept.setdefault(slot, OrderedDict())
        key = tuple((x.shape, x.stride(), x.dtype) for x in inputs)
        graph = kept.get(key)
        if graph is not None:
            kept.move_to_end(key)
            return graph.replay(inputs)
        with _recording:
            if not self._is_usable:  # any more
                return function(*inputs)
            # First of all: a recording frees what this leaves cached.
            expected = function(*inputs)
            while len(kept) >= KEPT:
                kept.popitem(last=False)
            graph = _Graph(self._recorder, function, inputs)
            out = graph.replay(inputs)
            if not torch.allclose(out, expected, rtol=TOLERANCE, atol=TOLERANCE, equal_nan=True):
                off = float((out - expected).abs().max())
                raise RuntimeError(f"the first replay is off by {off:.2g}")
        kept[key] = graph
        return out

    def _give_up(self, error: RuntimeError) -> None:
        with self._lock:
            first, self._is_usable = self._is_usable, False
        if first:
            reason = str(error).partition("\n")[0]
            log.warning("CUDA graphs are off, the network runs without: %s", reason)


class _Graph:
    """A recorded function with its buffers."""

    def __init__(
        self, recorder: Recorder, function: Callable[..., Tensor], inputs: tuple[Tensor, ...]
    ) -> None:
        # Not the frame's own content: what a graph doesn't read anew would go unnoticed.
        buffers = [torch.zeros_like(x) for x in inputs]
        self._buffers = buffers
        self._recording = recorder.record(lambda: function(*buffers))

    def replay(self, inputs: tuple[Tensor, ...]) -> Tensor:
        for buffer, x in zip(self._buffers, inputs, strict=True):
            buffer.copy_(x)
        self._recording.replay()
        # A copy: callers keep it, and the next frame's result goes to the same place.
        return self._recording.output.clone()


def open_graphs(device: torch.device) -> Graphs | None:
    """Return graphs on a device; None where there are none, which is anywhere but on CUDA."""
    return Graphs(CudaRecorder(device)) if device.type == "cuda" else None

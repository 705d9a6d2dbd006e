"""Run the network on one picture at a time: device, precision and streams.

The same code serves every device. A `Predictor` owns the network on its device and a few
slots; a slot is a CUDA stream with its pinned buffers, or nothing but a turn on the CPU.
Callers on any number of threads take slots in turn, so that uploads, network and downloads
of neighbouring frames overlap, and each result depends on its own frame only.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from queue import SimpleQueue
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from vs_gainmap.errors import DeviceError
from vs_gainmap.models import GMNet, GridNet, Model
from vs_gainmap.models.gmnet import THUMBNAIL_SIZE, GlobalFeatures
from vs_gainmap.models.tiling import predict_in_tiles

DTYPES: dict[str, torch.dtype] = {
    "float32": torch.float32,
    "float16": torch.float16,
    "bfloat16": torch.bfloat16,
}
Plane = NDArray[np.float32]


def choose_device(device: str | None = None) -> torch.device:
    """Return the device to run on: CUDA where there is one, else Apple's GPU, else the CPU.

    Args:
        device: "cuda", "cuda:1", "mps" or "cpu"; None chooses.

    Raises:
        DeviceError: there is no such device here.
    """
    if device is None:
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        chosen = torch.device(device)
    except RuntimeError as error:
        raise DeviceError(f'device must be "cuda", "mps" or "cpu", got {device!r}') from error
    count = {
        "cpu": 1,
        "cuda": torch.cuda.device_count() if torch.cuda.is_available() else 0,
        "mps": int(torch.backends.mps.is_available()),
    }.get(chosen.type, 0)
    if (chosen.index or 0) >= count:
        raise DeviceError(f'device {device!r} is not here; use device="cpu" or leave it out')
    return chosen


def has_native_bf16() -> bool:
    """Return whether this CPU has bfloat16; emulated, it is slower than float32."""
    probes = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(getattr(torch.cpu, name, lambda: False)() for name in probes)


def choose_dtype(device: torch.device, dtype: str | None = None) -> torch.dtype:
    """Return the precision of the local branch.

    Args:
        device: where it runs.
        dtype: "float32", "float16" or "bfloat16"; None takes float16 on a GPU, bfloat16 on a
            CPU that has it in hardware, else float32.

    Raises:
        DeviceError: not one of these, or float16 on a CPU.
    """
    if dtype is None:
        if device.type == "cpu":
            return torch.bfloat16 if has_native_bf16() else torch.float32
        return torch.float16
    if dtype not in DTYPES:
        raise DeviceError(f"dtype must be one of {', '.join(DTYPES)}, got {dtype!r}")
    if device.type == "cpu" and dtype == "float16":
        raise DeviceError('dtype "float16" needs a GPU; use "bfloat16" or "float32" on the CPU')
    return DTYPES[dtype]


class Prediction(NamedTuple):
    """A picture's gain map and Qmax."""

    gain_map: Plane
    """(H, W), float32, nominally 0..1 and not clamped."""
    qmax_norm: float
    """Qmax / log2(peak)."""


class Slot:
    """One frame's turn on the device, with its stream and pinned staging buffers."""

    def __init__(self, device: torch.device) -> None:
        self.stream: torch.cuda.Stream | None = None
        if device.type == "cuda":
            self.stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        self.buffers: dict[str, Tensor] = {}

    def buffer(self, name: str, *shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
        """Return a staging tensor on the CPU, kept from frame to frame."""
        kept = self.buffers.get(name)
        if kept is None or kept.shape != shape or kept.dtype != dtype:
            kept = torch.empty(shape, dtype=dtype, pin_memory=self.stream is not None)
            self.buffers[name] = kept
        return kept

    def active(self) -> AbstractContextManager[object]:
        """Return the context in which work goes to the slot's stream."""
        return torch.cuda.stream(self.stream) if self.stream is not None else nullcontext()

    def wait(self) -> None:
        """Wait until everything on the slot's stream is done."""
        if self.stream is not None:
            self.stream.synchronize()


class Predictor:
    """A model on a device.

    Args:
        model: float32, on the CPU; it is copied. Any has `analyze` (thumbnail to a named tuple
            that ends in qmax_norm) and `predict` (picture and that tuple to map); GMNet's own
            two halves are used for tiles, strips and precision.
        device: where to run.
        dtype: precision of GMNet's local branch; other models stay in float32. The global
            branch, which sets Qmax, and the last convolution, which sets the steps of the map,
            stay in float32 where dtype is bfloat16: eight bits of mantissa would show as bands.
        tile: side of a square tile in pixels of the map, even; None works on the whole
            picture up to 2160p and in tiles above; 0 never tiles.
        num_streams: frames in flight.
    """

    def __init__(
        self,
        model: Model,
        *,
        device: torch.device,
        dtype: torch.dtype,
        tile: int | None = None,
        num_streams: int = 1,
    ) -> None:
        self.device, self.tile = device, tile
        self.dtype = dtype if isinstance(model, GMNet) else torch.float32
        self._global = copy.deepcopy(model).to(device)
        self._threads = torch.get_num_threads()
        if isinstance(self._global, GridNet) and device.type == "cpu":
            from vs_gainmap.models.kernels import CompiledGridNet

            self._global, self._threads = CompiledGridNet.of(self._global), 1
        self._local: GMNet | None = None
        if isinstance(model, GMNet):
            self._local = copy.deepcopy(model).to(device=device, dtype=dtype)
            # channels_last is what oneDNN and cuDNN convolve fastest.
            self._local.to(memory_format=torch.channels_last)
            if dtype == torch.bfloat16:
                self._local.conv_last.float()
        self._kind, self._shapes = _describe_features(model)
        self._slots: SimpleQueue[Slot] = SimpleQueue()
        for _ in range(num_streams):
            self._slots.put(Slot(device))

    @contextmanager
    def turn(self) -> Iterator[Slot]:
        """Wait for a free slot and work in it."""
        slot = self._slots.get()
        try:
            with slot.active(), _torch_threads(self._threads):
                yield slot
        finally:
            self._slots.put(slot)

    def __call__(self, sdr_signal: list[Plane], thumbnail: list[Plane]) -> Prediction:
        """Predict the gain map of one picture by itself: `analyze`, then `local`."""
        features = self.analyze(thumbnail)
        return Prediction(self.local(sdr_signal, features), float(features[-1]))

    @property
    def features_size(self) -> int:
        """Return the length of the vector that `analyze` makes."""
        return sum(shape.numel() for shape in self._shapes)

    def _stage_thumbnail(self, slot: Slot, thumbnail: list[Plane]) -> Tensor:
        staged = slot.buffer("thumbnail", 1, 3, THUMBNAIL_SIZE, THUMBNAIL_SIZE)
        for channel in range(3):
            np.copyto(staged[0, channel].numpy(), thumbnail[channel])
        return staged

    @torch.inference_mode()
    def analyze(self, thumbnail: list[Plane]) -> Plane:
        """Run the global branch on one picture; safe to call from several threads.

        Args:
            thumbnail: three planes R, G, B of 256x256, full range, 0..1 (clamped to it).

        Returns:
            (features_size,), float32: the model's features, flat; qmax_norm is last.
            Vectors of several pictures may be averaged.
        """
        with self.turn() as slot:
            picture = self._upload(self._stage_thumbnail(slot, thumbnail))
            features = self._global.analyze(picture)
            out = slot.buffer("features", self.features_size)
            out.copy_(torch.cat([f.reshape(-1) for f in features]), non_blocking=True)
            slot.wait()
            # A copy: the slot's buffer is another frame's next.
            return out.numpy().copy()

    @torch.inference_mode()
    def local(self, sdr_signal: list[Plane], features: Plane) -> Plane:
        """Run the local branch on one picture; safe to call from several threads.

        Args:
            sdr_signal: three planes R, G, B of (H, W), full range, 0..1 (clamped to it); any
                size: an odd one is padded for the network and cut again.
            features: (features_size,), from `analyze`.

        Returns:
            (H, W), float32: the gain map, nominally 0..1 and not clamped.
        """
        height, width = sdr_signal[0].shape
        with self.turn() as slot:
            picture = slot.buffer("picture", 1, 3, height, width)
            for channel in range(3):
                np.copyto(picture[0, channel].numpy(), sdr_signal[channel])
            staged = slot.buffer("features", self.features_size)
            np.copyto(staged.numpy(), features)
            vector = staged.to(self.device, non_blocking=True)
            gain_map = self.predict(self._upload(picture), self.unpack(vector))
            out = slot.buffer("gain_map", height, width)
            out.copy_(gain_map[0, 0], non_blocking=True)
            slot.wait()
            return out.numpy().copy()

    def unpack(self, vector: Tensor) -> Any:
        """Return the named tuple that the model's `analyze` makes, of its flat vector."""
        parts = torch.split(vector, [shape.numel() for shape in self._shapes])
        return self._kind(
            *(part.view(shape) for part, shape in zip(parts, self._shapes, strict=True))
        )

    def _upload(self, staged: Tensor) -> Tensor:
        return staged.to(self.device, non_blocking=True).clamp(0.0, 1.0)

    def predict(self, sdr_signal: Tensor, features: Any) -> Tensor:
        """Run the local branch on the device, in tiles where the picture is large.

        Args:
            sdr_signal: (1, 3, H, W), float32, 0..1, on the device.
            features: the model's own named tuple, float32, on the device.

        Returns:
            (1, 1, H, W), float32.
        """
        if self._local is None:
            return self._global.predict(sdr_signal, features)
        height, width = sdr_signal.shape[-2:]
        x = functional.pad(sdr_signal, (0, width % 2, 0, height % 2), mode="replicate")
        x = x.to(self.dtype, memory_format=torch.channels_last)
        features = GlobalFeatures(*(f.to(self.dtype) for f in features))
        gain_map = predict_in_tiles(self._local, x, features, self.tile)
        return gain_map[..., :height, :width].float()


@contextmanager
def _torch_threads(count: int) -> Iterator[None]:
    """Let PyTorch use so many threads for what this thread asks of it.

    GridNet's steps are too small to share: with two threads each takes twice the processor's time
    and longer by the clock, and frames beside it wait.
    """
    before = torch.get_num_threads()
    if before == count:
        yield
        return
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@torch.inference_mode()
def _describe_features(model: Model) -> tuple[type[Any], list[torch.Size]]:
    """Return the named tuple that `analyze` makes, and its shapes."""
    # By PyTorch's tensors without data its compiler would be loaded, which takes a second.
    features = model.analyze(torch.zeros(1, 3, THUMBNAIL_SIZE, THUMBNAIL_SIZE))
    return type(features), [tensor.shape for tensor in features]

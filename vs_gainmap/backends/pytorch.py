"""The PyTorch backend: any model, on CUDA, Apple's GPU or the CPU."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import torch
import vapoursynth as vs

from vs_gainmap.backends.base import RunOptions
from vs_gainmap.models import Model
from vs_gainmap.models.inference import Plane, Predictor, choose_device, choose_dtype

# Enough to keep one upload, one network and one download busy at a time.
CUDA_STREAMS = 3


class TorchBackend:
    """`Predictor` as clips.

    Args:
        model: float32, on the CPU.
        options: device, precision, tiles, streams.

    Raises:
        DeviceError: the device or precision is not there.
    """

    def __init__(self, model: Model, options: RunOptions) -> None:
        self._device = choose_device(options.device)
        usual = CUDA_STREAMS if self._device.type == "cuda" else 1
        self._num_streams = options.num_streams or usual
        self.predictor = Predictor(
            model,
            device=self._device,
            dtype=choose_dtype(self._device, options.dtype),
            tile=options.tile,
            num_streams=self._num_streams,
        )

    @property
    def features_size(self) -> int:
        """Return the length of a frame's vector."""
        return self.predictor.features_size

    def describe(self) -> str:
        """Return device and precision in words."""
        kind = self._device.type
        name = torch.cuda.get_device_name(self._device) if kind == "cuda" else kind.upper()
        text = f"{name}, {str(self.predictor.dtype).removeprefix('torch.')}"
        return f"{text}, {torch.get_num_threads()} threads" if kind == "cpu" else text

    def analyze(self, thumbnail: vs.VideoNode) -> vs.VideoNode:
        """Run the global branch: one row a frame."""
        blank = vs.core.std.BlankClip(
            format=vs.GRAYS,
            width=self.features_size,
            height=1,
            length=thumbnail.num_frames,
            keep=True,
        )

        def analyze(n: int, f: list[vs.VideoFrame]) -> vs.VideoFrame:
            out = f[0].copy()
            with _frame_errors(n):
                np.copyto(np.asarray(out[0])[0], self.predictor.analyze(_planes(f[1])))
            return out

        return self._modify(blank, [blank, thumbnail], analyze)

    def local(self, picture: vs.VideoNode, features: vs.VideoNode) -> vs.VideoNode:
        """Run the local branch."""
        # A view of the first plane: right size, length and props, no pixels of its own.
        base = picture.std.ShufflePlanes(0, vs.GRAY)
        size = self.features_size

        def local(n: int, f: list[vs.VideoFrame]) -> vs.VideoFrame:
            out, vector = _empty_like(f[0]), np.asarray(f[2][0])[0, :size]
            with _frame_errors(n):
                np.copyto(np.asarray(out[0]), self.predictor.local(_planes(f[1]), vector))
            return out

        return self._modify(base, [base, picture, features], local)

    def _modify(
        self,
        base: vs.VideoNode,
        sources: list[vs.VideoNode],
        callback: Callable[[int, list[vs.VideoFrame]], vs.VideoFrame],
    ) -> vs.VideoNode:
        """Run a callback that uses the predictor on every frame, as many at once as it has slots.

        Args:
            base: what the result is like.
            sources: whose frames the callback gets.
            callback: as for `std.ModifyFrame`.
        """
        if self._num_streams == 1:
            return base.std.ModifyFrame(sources, callback)
        # ModifyFrame runs one callback at a time; a fresh one for every frame lets as many run
        # as VapourSynth has threads; the predictor's slots bound how many reach the device.
        return base.std.FrameEval(lambda n: base.std.ModifyFrame(sources, callback))  # noqa: ARG005


@contextmanager
def _frame_errors(n: int) -> Iterator[None]:
    """Turn PyTorch's errors into VapourSynth's, with the frame's number."""
    try:
        yield
    except RuntimeError as error:
        hint = "; try a smaller tile=" if isinstance(error, torch.OutOfMemoryError) else ""
        raise vs.Error(f"predict: frame {n}: {error}{hint}") from error


def _empty_like(frame: vs.VideoFrame) -> vs.VideoFrame:
    """Return a frame with another's props: `copy` would copy its pixels once they are written."""
    out = vs.core.create_video_frame(frame.format, frame.width, frame.height)
    for name, value in frame.props.items():
        out.props[name] = value
    return out


def _planes(frame: vs.VideoFrame) -> list[Plane]:
    return [np.asarray(frame[plane]) for plane in (0, 1, 2)]

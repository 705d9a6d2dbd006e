"""The PyTorch backend: any model, on CUDA, Apple's GPU or the CPU."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import torch
import vapoursynth as vs

from vs_gainmap.backends.base import RunOptions
from vs_gainmap.models import Model
from vs_gainmap.models.inference import Plane, Predictor, choose_device, choose_dtype

# Set to 1 in the environment, it asks for CUDA graphs, which no GPU has run yet.
SWITCH = "VS_GAINMAP_CUDA_GRAPHS"
# Enough to keep one upload, one network and one download busy at a time.
CUDA_STREAMS = 3
# Mean signal under which a picture is black, or as good as that.
DARK = 0.02


class TorchBackend:
    """`Predictor` as clips.

    Args:
        model: float32, on the CPU.
        options: device, precision, tiles, streams, CUDA graphs.

    Raises:
        DeviceError: the device or precision is not there.
    """

    def __init__(self, model: Model, options: RunOptions) -> None:
        self._device = choose_device(options.device)
        streams = CUDA_STREAMS if self._device.type == "cuda" else 1
        self._streams = options.streams or streams
        self.predictor = Predictor(
            model,
            device=self._device,
            dtype=choose_dtype(self._device, options.dtype),
            tile=options.tile,
            streams=self._streams,
            cuda_graphs=options.cuda_graphs or os.environ.get(SWITCH) == "1",
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

    def survey(self, thumbnail: vs.VideoNode, count: int) -> vs.VideoNode | None:
        """Gather the testimonies of pictures from all over; black ones say nothing."""
        size = self.predictor.survey_size
        if not size:
            return None
        length = thumbnail.num_frames
        chosen = sorted({(2 * k + 1) * length // (2 * count) for k in range(count)})
        blank = vs.core.std.BlankClip(format=vs.GRAYS, width=size, height=1, length=1, keep=True)

        def gather(n: int, f: list[vs.VideoFrame]) -> vs.VideoFrame:
            out, pictures = f[0].copy(), [_planes(frame) for frame in f[1:]]
            lit = [p for p in pictures if max(float(c.mean()) for c in p) > DARK] or pictures
            with frame_errors(n):
                heard = self.predictor.gather([self.predictor.testify(p) for p in lit])
            np.copyto(np.asarray(out[0])[0], heard)
            return out

        return blank.std.ModifyFrame([blank, *(thumbnail[n] for n in chosen)], gather)

    def analyze(self, thumbnail: vs.VideoNode, survey: vs.VideoNode | None = None) -> vs.VideoNode:
        """Run the global branch: one row a frame."""
        return self._judge(self.predictor.analyze, self.features_size, thumbnail, survey)

    def analyze_twice(self, thumbnail: vs.VideoNode, survey: vs.VideoNode) -> vs.VideoNode:
        """Run GridNet's global branch with the survey and without: two vectors a row."""
        size = 2 * self.features_size
        return self._judge(self.predictor.analyze_twice, size, thumbnail, survey)

    def _judge(
        self,
        judge: Callable[..., Plane],
        size: int,
        thumbnail: vs.VideoNode,
        survey: vs.VideoNode | None,
    ) -> vs.VideoNode:
        blank = vs.core.std.BlankClip(
            format=vs.GRAYS, width=size, height=1, length=thumbnail.num_frames, keep=True
        )

        def row(n: int, f: list[vs.VideoFrame]) -> vs.VideoFrame:
            out = f[0].copy()
            heard = [np.asarray(frame[0])[0] for frame in f[2:]]
            with frame_errors(n):
                np.copyto(np.asarray(out[0])[0], judge(_planes(f[1]), *heard))
            return out

        sources = [blank, thumbnail]
        if survey is not None:
            # One frame, kept in VapourSynth's cache and shown for every n.
            sources.append(survey.std.Loop(times=thumbnail.num_frames))
        return self.modify(blank, sources, row)

    def local(self, picture: vs.VideoNode, features: vs.VideoNode) -> vs.VideoNode:
        """Run the local branch."""
        # A view of the first plane: right size, length and props, no pixels of its own.
        base = picture.std.ShufflePlanes(0, vs.GRAY)
        size = self.features_size

        def local(n: int, f: list[vs.VideoFrame]) -> vs.VideoFrame:
            out, vector = empty_like(f[0]), np.asarray(f[2][0])[0, :size]
            with frame_errors(n):
                np.copyto(np.asarray(out[0]), self.predictor.local(_planes(f[1]), vector))
            return out

        return self.modify(base, [base, picture, features], local)

    def modify(
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
        if self._streams == 1:
            return base.std.ModifyFrame(sources, callback)
        # ModifyFrame runs one callback at a time; a fresh one for every frame lets as many run
        # as VapourSynth has threads; the predictor's slots bound how many reach the device.
        return base.std.FrameEval(lambda n: base.std.ModifyFrame(sources, callback))  # noqa: ARG005


@contextmanager
def frame_errors(n: int) -> Iterator[None]:
    """Turn PyTorch's errors into VapourSynth's, with the frame's number."""
    try:
        yield
    except RuntimeError as error:
        hint = "; try a smaller tile=" if isinstance(error, torch.OutOfMemoryError) else ""
        raise vs.Error(f"predict: frame {n}: {error}{hint}") from error


def empty_like(frame: vs.VideoFrame) -> vs.VideoFrame:
    """Return a frame with another's props: `copy` would copy its pixels once they are written."""
    out = vs.core.create_video_frame(frame.format, frame.width, frame.height)
    for name, value in frame.props.items():
        out.props[name] = value
    return out


def _planes(frame: vs.VideoFrame) -> list[Plane]:
    return [np.asarray(frame[plane]) for plane in (0, 1, 2)]

"""Frames of clips as tensors, and back; zimg does everything between RGB and YUV."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
import vapoursynth as vs
from torch import Tensor


def as_clip(frames: Sequence[Tensor], fps: int, *, transfer: int, primaries: int) -> vs.VideoNode:
    """Wrap signals (3, H, W), full range, 0..1, as an RGBS clip."""
    height, width = frames[0].shape[-2:]
    blank = vs.core.std.BlankClip(
        format=vs.RGBS, width=width, height=height, length=len(frames), fpsnum=fps, keep=True
    )

    def fill(n: int, f: vs.VideoFrame) -> vs.VideoFrame:
        made = f.copy()
        for plane in range(3):
            np.asarray(made[plane])[:] = frames[n][plane].numpy()
        return made

    filled = blank.std.ModifyFrame(blank, fill)
    return filled.std.SetFrameProps(
        _Matrix=int(vs.MATRIX_RGB), _Transfer=transfer, _Primaries=primaries, _Range=1
    )


def signals(clip: vs.VideoNode) -> Iterator[Tensor]:
    """Yield the frames of a clip as RGB signals (3, H, W), full range, 0..1."""
    for frame in clip.resize.Bicubic(format=vs.RGBS).frames(close=True):
        yield torch.from_numpy(np.stack([np.asarray(plane) for plane in frame])).clamp(0.0, 1.0)

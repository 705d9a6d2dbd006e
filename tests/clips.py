"""VapourSynth clips and pixels for tests."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
import vapoursynth as vs
from numpy.typing import NDArray

from vs_gainmap.color.transfer import pq_inverse_eotf

PQ2020 = {"_Matrix": 9, "_Transfer": 16, "_Primaries": 9, "_Range": 0, "_ChromaLocation": 2}
BT709 = {"_Matrix": 1, "_Transfer": 1, "_Primaries": 1, "_Range": 0}


def planes(clip: vs.VideoNode, n: int = 0) -> list[NDArray]:
    """Return copies of a frame's planes."""
    with clip.get_frame(n) as frame:
        return [np.array(frame[p]) for p in range(frame.format.num_planes)]


def frame_props(clip: vs.VideoNode, n: int = 0) -> dict[str, object]:
    with clip.get_frame(n) as frame:
        return dict(frame.props)


def drawn(clip: vs.VideoNode, draw: Callable[[int, int, tuple[int, int]], NDArray]) -> vs.VideoNode:
    """Return `clip` with plane p of frame n replaced by draw(n, p, shape)."""

    def fill(n: int, f: vs.VideoFrame) -> vs.VideoFrame:
        out = f.copy()
        for p in range(out.format.num_planes):
            target = np.asarray(out[p])
            np.copyto(target, draw(n, p, target.shape).astype(target.dtype))
        return out

    return clip.std.ModifyFrame(clip, fill)


def noise(
    width: int = 96,
    height: int = 64,
    length: int = 4,
    format: int = vs.YUV420P8,  # noqa: A002
    **tags: int,
) -> vs.VideoNode:
    """Return different smooth-ish noise on every frame, a pure function of n."""
    blank = vs.core.std.BlankClip(format=format, width=width, height=height, length=length)
    if tags:
        blank = blank.std.SetFrameProps(**tags)
    target = blank.format

    def draw(n: int, p: int, shape: tuple[int, int]) -> NDArray:
        values = np.random.default_rng(100 * n + p).random(shape)
        if target.sample_type == vs.FLOAT:
            return values - (0.5 if p and target.color_family == vs.YUV else 0)
        return (16 + values * 200) * 2 ** (target.bits_per_sample - 8)

    return drawn(blank, draw)


def pq_ramp(
    width: int = 128, height: int = 96, length: int = 3, top: float = 600.0
) -> vs.VideoNode:
    """Return gray PQ frames from 1 cd/m2 at the left to `top` at the right."""

    def draw(n: int, p: int, shape: tuple[int, int]) -> np.ndarray:  # noqa: ARG001
        if p:
            return np.full(shape, 512)
        code = 64 + 876 * pq_inverse_eotf(torch.linspace(1, top, shape[1])).numpy()
        return np.broadcast_to(code.round(), shape)

    return drawn(noise(width, height, length, vs.YUV420P10, **PQ2020), draw)

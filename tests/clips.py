"""VapourSynth clips and pixels for tests."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import vapoursynth as vs
from numpy.typing import NDArray

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

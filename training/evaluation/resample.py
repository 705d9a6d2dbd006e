"""The map's way: down to the network's size and up to the picture's, as the filters go it."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
import vapoursynth as vs
from torch import Tensor
from torch.nn import functional

from vs_gainmap.filters import props
from vs_gainmap.filters.upsampling import guided_upsample

WayUp = Literal["bilinear", "guided"]


def go_down(signal: Tensor, scale: int) -> Tensor:
    """Shrink a picture with the cubic filter that `predict` uses.

    Args:
        signal: (3, H, W), 0..1.
        scale: whole factor; sides are rounded up.

    Returns:
        (1, 3, H / scale, W / scale), 0..1.
    """
    size = [-(-side // scale) for side in signal.shape[-2:]]
    return functional.interpolate(
        signal[None], size=size, mode="bicubic", align_corners=False, antialias=True
    ).clamp(0.0, 1.0)


def go_up(gain_map: Tensor, signal: Tensor, way: WayUp | None = None) -> Tensor:
    """Bring a map up to its picture's size.

    Args:
        gain_map: (1, 1, h, w).
        signal: (3, H, W), the SDR picture, 0..1.
        way: None chooses as `apply` does: guided.

    Returns:
        (1, 1, H, W).
    """
    size = signal.shape[-2:]
    if gain_map.shape[-2:] == size:
        return gain_map
    if way != "bilinear":
        with guided_upsample(as_clip(gain_map[0], vs.GRAYS), tagged(signal)).get_frame(0) as frame:
            return torch.from_numpy(np.array(frame[0]))[None, None]
    return functional.interpolate(gain_map, size=size, mode="bilinear", align_corners=False)


def tagged(signal: Tensor) -> vs.VideoNode:
    """Return one frame of RGBS that shows (3, H, W), 0..1, with the color props of SDR."""
    return as_clip(signal, vs.RGBS).std.SetFrameProps(
        **{
            props.MATRIX: int(vs.MATRIX_RGB),
            props.RANGE: int(vs.RANGE_FULL),
            props.TRANSFER: int(vs.TRANSFER_BT709),
            props.PRIMARIES: int(vs.PRIMARIES_BT709),
        }
    )


def as_clip(planes: Tensor, format_id: int) -> vs.VideoNode:
    """Return one frame of floats that shows (C, H, W)."""
    _, height, width = planes.shape
    blank = vs.core.std.BlankClip(format=format_id, width=width, height=height, length=1)

    def fill(n: int, f: vs.VideoFrame) -> vs.VideoFrame:  # noqa: ARG001
        out = f.copy()
        for index, plane in enumerate(planes):
            np.copyto(np.asarray(out[index]), plane.numpy())
        return out

    return blank.std.ModifyFrame(blank, fill)

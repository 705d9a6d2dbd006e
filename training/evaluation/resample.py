"""Resample pictures and gain maps as the filters do."""

from __future__ import annotations

import numpy as np
import torch
import vapoursynth as vs
from torch import Tensor
from torch.nn import functional

from vs_gainmap.filters import props
from vs_gainmap.filters.upsampling import guided_upsample


def downsample(signal: Tensor, scale: int) -> Tensor:
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


def upsample(gain_map: Tensor, signal: Tensor) -> Tensor:
    """Bring a gain map to its picture's size with the guided filter that `apply` uses.

    Args:
        gain_map: (1, 1, h, w).
        signal: (3, H, W), the SDR picture, 0..1.

    Returns:
        (1, 1, H, W).
    """
    if gain_map.shape[-2:] == signal.shape[-2:]:
        return gain_map
    with guided_upsample(_to_clip(gain_map[0], vs.GRAYS), to_sdr_clip(signal)).get_frame(
        0
    ) as frame:
        return torch.from_numpy(np.array(frame[0]))[None, None]


def to_sdr_clip(signal: Tensor) -> vs.VideoNode:
    """Return a clip of one frame, RGBS with the color props of SDR, of (3, H, W), 0..1."""
    return _to_clip(signal, vs.RGBS).std.SetFrameProps(
        **{
            props.MATRIX: int(vs.MATRIX_RGB),
            props.RANGE: int(vs.RANGE_FULL),
            props.TRANSFER: int(vs.TRANSFER_BT709),
            props.PRIMARIES: int(vs.PRIMARIES_BT709),
        }
    )


def _to_clip(planes: Tensor, format_id: int) -> vs.VideoNode:
    """Return a clip of one frame of floats, of (C, H, W)."""
    _, height, width = planes.shape
    blank = vs.core.std.BlankClip(format=format_id, width=width, height=height, length=1)

    def fill(n: int, f: vs.VideoFrame) -> vs.VideoFrame:  # noqa: ARG001
        out = f.copy()
        for index, plane in enumerate(planes):
            np.copyto(np.asarray(out[index]), plane.numpy())
        return out

    return blank.std.ModifyFrame(blank, fill)

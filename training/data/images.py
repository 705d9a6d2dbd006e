"""Pictures between tensors, bytes and files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vs_gainmap.errors import MediaError


def to_uint8(signal: Tensor) -> NDArray[np.uint8]:
    """Return (3, H, W), clamped to 0..1, as (H, W, 3) bytes."""
    codes = (signal.clamp(0.0, 1.0) * 255).round().byte()
    return np.ascontiguousarray(codes.numpy().transpose(1, 2, 0))


def from_uint8(rgb: NDArray[Any]) -> Tensor:
    """Return (H, W, 3) bytes as (3, H, W), 0..1."""
    return torch.from_numpy(np.ascontiguousarray(rgb.transpose(2, 0, 1))).float() / 255


def read_image(path: Path, flags: int) -> NDArray[Any]:
    """Read a file with OpenCV's `flags`: (H, W), or (H, W, 3) in BGR.

    Raises:
        MediaError: it can't be read.
    """
    try:
        pixels = cv2.imread(str(path), flags)
    except cv2.error as error:
        raise MediaError(f"training: {path} can't be read: {str(error)[:100]!r}") from error
    if pixels is None:
        raise MediaError(f"training: {path} can't be read as a picture")
    return np.asarray(pixels)


def read_rgb(path: Path) -> Tensor:
    """Read a picture as (3, H, W), 0..1.

    Raises:
        MediaError: it can't be read.
    """
    return from_uint8(read_image(path, cv2.IMREAD_COLOR)[..., ::-1])


def write_rgb(signal: Tensor, path: Path) -> None:
    """Write (3, H, W), 0..1, as a PNG."""
    cv2.imwrite(str(path), np.ascontiguousarray(to_uint8(signal)[..., ::-1]))


def write_float_tiff(light: Tensor, path: Path) -> None:
    """Write (3, H, W) as a TIFF of 32-bit floats, not compressed."""
    bgr = np.ascontiguousarray(light.numpy()[::-1].transpose(1, 2, 0))
    cv2.imwrite(str(path), bgr, [cv2.IMWRITE_TIFF_COMPRESSION, 1])

"""Read OpenEXR pictures with their primaries."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from vs_gainmap.color.primaries import (
    PRIMARIES,
    Primaries,
    rgb_to_rgb_matrix,
    rgb_to_xyz_matrix,
)
from vs_gainmap.errors import MediaError


def read_exr(path: Path) -> tuple[NDArray[np.floating], Primaries]:
    """Read an EXR picture (RGB, or luminance/chroma Y, RY, BY).

    Returns:
        (H, W, 3), relative linear light, and its primaries: the header's, or BT.709, OpenEXR's
        default.

    Raises:
        MediaError: OpenEXR is not installed, or the file is broken or has other channels.
    """
    try:
        import OpenEXR
    except ImportError as error:
        raise MediaError("training: EXR needs the package OpenEXR (extra `train`)") from error
    try:
        with OpenEXR.File(str(path)) as file:
            named = file.header().get("chromaticities")
            channels = {name: channel.pixels for name, channel in file.channels().items()}
    except (RuntimeError, ValueError) as error:
        raise MediaError(f"training: {path.name} can't be read as EXR: {error}") from error
    primaries = PRIMARIES["bt709"] if named is None else _primaries(named, path)
    for name in ("RGB", "RGBA"):
        if name in channels:
            return np.asarray(channels[name][..., :3]), primaries
    if {"R", "G", "B"} <= channels.keys():
        return np.stack([channels[name] for name in "RGB"], axis=-1), primaries
    if {"Y", "RY", "BY"} <= channels.keys():
        weights = rgb_to_xyz_matrix(primaries)[1]
        y, ry, by = (channels[name] for name in ("Y", "RY", "BY"))
        return _from_luminance_chroma(y, ry, by, weights), primaries
    raise MediaError(f"training: {path.name} has channels {sorted(channels)}, no RGB or Y/RY/BY")


def _from_luminance_chroma(
    y: NDArray[np.floating],
    ry: NDArray[np.floating],
    by: NDArray[np.floating],
    weights: NDArray[np.float64],
) -> NDArray[np.float32]:
    """Return RGB of OpenEXR's Y, RY = (R-Y)/Y and BY = (B-Y)/Y; `weights` are of R, G, B in Y."""
    height, width = y.shape
    y = y.astype(np.float32)
    red, blue = (
        (cv2.resize(c.astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR) + 1) * y
        for c in (ry, by)
    )
    green = (y - weights[0] * red - weights[2] * blue) / weights[1]
    return np.stack([red, green, blue], axis=-1).astype(np.float32)


def _primaries(named: tuple[float, ...], path: Path) -> Primaries:
    """Return the primaries of a header: x and y of red, green, blue and white.

    Raises:
        MediaError: they span no color space.
    """
    pairs = [(float(x), float(y)) for x, y in np.reshape(named, (4, 2))]
    primaries = Primaries(red=pairs[0], green=pairs[1], blue=pairs[2], white=pairs[3])
    try:
        sound = primaries.white[1] > 0 and bool(
            np.isfinite(rgb_to_rgb_matrix(primaries, "bt2020")).all()
        )
    except np.linalg.LinAlgError:
        sound = False
    if not sound:
        numbers = " ".join(f"{number:g}" for pair in pairs for number in pair)
        raise MediaError(f"training: {path.name} has primaries that are none: {numbers}")
    return primaries

"""RGB primaries, the matrices between them, and luminance."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Matrix = NDArray[np.float64]

# ICC.1:2022, annex E.3: the linearized Bradford cone matrix.
BRADFORD = np.array(
    [[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]]
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Primaries:
    """CIE 1931 chromaticities of a set of RGB primaries and its white point."""

    red: tuple[float, float]
    green: tuple[float, float]
    blue: tuple[float, float]
    white: tuple[float, float] = (0.3127, 0.3290)


PrimariesName = Literal["bt709", "bt2020", "p3d65", "smpte170m", "bt470bg"]

PRIMARIES: dict[PrimariesName, Primaries] = {
    # ITU-R BT.709-6, item 1.3; BT.2020-2, table 3; SMPTE EG 432-1 with D65; SMPTE ST 170; BT.1700.
    "bt709": Primaries(red=(0.640, 0.330), green=(0.300, 0.600), blue=(0.150, 0.060)),
    "bt2020": Primaries(red=(0.708, 0.292), green=(0.170, 0.797), blue=(0.131, 0.046)),
    "p3d65": Primaries(red=(0.680, 0.320), green=(0.265, 0.690), blue=(0.150, 0.060)),
    "smpte170m": Primaries(red=(0.630, 0.340), green=(0.310, 0.595), blue=(0.155, 0.070)),
    "bt470bg": Primaries(red=(0.640, 0.330), green=(0.290, 0.600), blue=(0.150, 0.060)),
}


def xy_to_xyz(xy: tuple[float, float]) -> Matrix:
    """Return (3,) CIE XYZ of a chromaticity at Y = 1."""
    x, y = xy
    return np.array([x / y, 1.0, (1 - x - y) / y])


def adapt_white(source: Matrix, target: Matrix) -> Matrix:
    """Return the 3x3 matrix that adapts CIE XYZ to another white (ICC.1:2022, annex E.3).

    Args:
        source: (3,), XYZ of the white that colors are given for.
        target: (3,), XYZ of the white that they are wanted for.
    """
    gain = (BRADFORD @ target) / (BRADFORD @ source)
    adapted: Matrix = np.linalg.inv(BRADFORD) @ np.diag(gain) @ BRADFORD
    return adapted


@cache
def rgb_to_xyz_matrix(primaries: PrimariesName | Primaries) -> Matrix:
    """Return the 3x3 float64 matrix from linear RGB to CIE XYZ (SMPTE RP 177)."""
    p = PRIMARIES[primaries] if isinstance(primaries, str) else primaries
    # In any scale, so that primaries may have y = 0, as XYZ's own do.
    columns = np.array([[x, y, 1 - x - y] for x, y in (p.red, p.green, p.blue)]).T
    scale: Matrix = np.linalg.solve(columns, xy_to_xyz(p.white))
    return columns * scale


@cache
def rgb_to_rgb_matrix(
    source: PrimariesName | Primaries, target: PrimariesName | Primaries
) -> Matrix:
    """Return the 3x3 matrix between two sets of primaries; white becomes white (Bradford)."""
    from_white, to_white = (
        xy_to_xyz((PRIMARIES[p] if isinstance(p, str) else p).white) for p in (source, target)
    )
    adapted = adapt_white(from_white, to_white) @ rgb_to_xyz_matrix(source)
    matrix: Matrix = np.linalg.solve(rgb_to_xyz_matrix(target), adapted)
    return matrix


def convert_primaries(
    linear: Tensor,
    source: PrimariesName | Primaries,
    target: PrimariesName | Primaries,
    *,
    dim: int = -3,
) -> Tensor:
    """Convert linear RGB between primaries; out-of-gamut values stay, negative ones too.

    Args:
        linear: (..., 3, H, W) by default, linear light in any unit.
        source: primaries of the input.
        target: primaries of the output.
        dim: where R, G and B are.

    Returns:
        The same shape and unit.
    """
    if source == target:
        return linear
    matrix = torch.from_numpy(rgb_to_rgb_matrix(source, target)).to(linear)
    return (linear.movedim(dim, -1) @ matrix.T).movedim(-1, dim)


def luminance(linear: Tensor, primaries: PrimariesName | Primaries, *, dim: int = -3) -> Tensor:
    """Return relative luminance Y of linear RGB, with R, G and B's axis kept at size 1."""
    weights = torch.from_numpy(rgb_to_xyz_matrix(primaries)[1]).to(linear)
    return (linear.movedim(dim, -1) @ weights).unsqueeze(dim)

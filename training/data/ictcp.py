"""ICtCp of light, with PQ (ITU-R BT.2100-2, table 7)."""

from __future__ import annotations

import torch
from torch import Tensor

from vs_gainmap.color.transfer import pq_eotf, pq_inverse_eotf

# BT.2020 RGB to LMS, and PQ signals of LMS to ICtCp.
_LMS = torch.tensor([[1688, 2146, 262], [683, 2951, 462], [99, 309, 3688]]).double() / 4096
_ICTCP = torch.tensor([[2048, 2048, 0], [6610, -13613, 7003], [17933, -17390, -543]]).double()
_ICTCP /= 4096


def _matrix(matrix: Tensor, planes: Tensor) -> Tensor:
    return (planes.movedim(-3, -1) @ matrix.to(planes).T).movedim(-1, -3)


def rgb_to_ictcp(nits: Tensor) -> Tensor:
    """Convert (..., 3, H, W), BT.2020, cd/m2, to I, Ct and Cp."""
    return _matrix(_ICTCP, pq_inverse_eotf(_matrix(_LMS, nits)))


def ictcp_to_rgb(ictcp: Tensor) -> Tensor:
    """Invert `rgb_to_ictcp`; signals outside 0..1 are clamped."""
    lms = pq_eotf(_matrix(torch.linalg.inv(_ICTCP), ictcp).clamp(0.0, 1.0))
    return _matrix(torch.linalg.inv(_LMS), lms)

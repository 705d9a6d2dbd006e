"""Tone mapping to a display of a lower peak, after ITU-R BT.2390."""

from __future__ import annotations

import torch
from torch import Tensor

from vs_gainmap.color.transfer import pq_eotf, pq_inverse_eotf


def eetf(nits: Tensor, *, source_peak: float, target_peak: float) -> Tensor:
    """Map display light by the EETF of ITU-R BT.2390-11, clause 5.4.1, for a black of zero.

    Args:
        nits: any shape, cd/m2.
        source_peak: cd/m2.
        target_peak: cd/m2; nothing happens where it is no lower.

    Returns:
        The same shape, cd/m2, at most `target_peak` (for the curved part).
    """
    if target_peak >= source_peak:
        return nits
    top = pq_inverse_eotf(torch.tensor(source_peak, dtype=torch.float64)).item()
    high = pq_inverse_eotf(torch.tensor(target_peak, dtype=torch.float64)).item() / top
    knee = 1.5 * high - 0.5
    e1 = (pq_inverse_eotf(nits) / top).clamp(max=1.0)
    t = ((e1 - knee) / (1 - knee)).clamp(min=0.0)
    t2, t3 = t * t, t * t * t
    bent = (2 * t3 - 3 * t2 + 1) * knee + (t3 - 2 * t2 + t) * (1 - knee) + (3 * t2 - 2 * t3) * high
    return pq_eotf(torch.where(e1 < knee, e1, bent) * top)

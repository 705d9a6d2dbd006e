"""Transfer curves beside their inverses, as pure functions on tensors.

Linear light has 1.0 = SDR white unless a name ends in ``_nits``. ``eotf`` and
``inverse_eotf`` are display-referred; ``oetf`` is scene-referred only.

Every curve takes a tensor of any shape, keeps its shape and dtype, is finite for
finite input, and extends below zero either by clamping (stated) or by odd symmetry
(``f(-x) = -f(x)``), so that the small excursions of filtered video survive a round trip.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

from vs_gainmap.color.primaries import luminance

# SMPTE ST 2084:2014, clause 5.2: the exact fractions.
PQ_M1 = 2610 / 16384
PQ_M2 = 2523 / 4096 * 128
PQ_C1 = 3424 / 4096
PQ_C2 = 2413 / 4096 * 32
PQ_C3 = 2392 / 4096 * 32
PQ_PEAK_NITS = 10000.0

# ITU-R BT.2408-7, clause 2.2: HDR reference white, 203 cd/m2 (PQ 58 %, HLG 75 %).
REFERENCE_WHITE_NITS = 203.0

# ITU-R BT.2100-2, table 5: HLG constants.
HLG_A = 0.17883277
HLG_B = 1 - 4 * HLG_A
HLG_C = 0.5 - HLG_A * float(torch.log(torch.tensor(4 * HLG_A, dtype=torch.float64)))

Eotf = Literal["gamma22", "bt1886", "srgb"]


def pq_eotf(pq: Tensor) -> Tensor:
    """Convert a PQ signal to display light (SMPTE ST 2084, clause 5.2).

    Args:
        pq: any shape, full range, 0..1; clamped to it.

    Returns:
        The same shape, cd/m2, 0..10000.
    """
    p = pq.clamp(0.0, 1.0) ** (1 / PQ_M2)
    return PQ_PEAK_NITS * ((p - PQ_C1).clamp(min=0.0) / (PQ_C2 - PQ_C3 * p)) ** (1 / PQ_M1)


def pq_inverse_eotf(nits: Tensor) -> Tensor:
    """Convert display light to a PQ signal (SMPTE ST 2084, clause 5.3).

    Args:
        nits: any shape, cd/m2; clamped to 0..10000.

    Returns:
        The same shape, full range, 0..1.
    """
    y = (nits / PQ_PEAK_NITS).clamp(0.0, 1.0) ** PQ_M1
    return ((PQ_C1 + PQ_C2 * y) / (1 + PQ_C3 * y)) ** PQ_M2


def _signed_power(x: Tensor, exponent: float) -> Tensor:
    return x.sign() * x.abs() ** exponent


def gamma22_eotf(signal: Tensor) -> Tensor:
    """Decode with the pure power of 2.2 that GMNet is published with; odd below zero."""
    return _signed_power(signal, 2.2)


def gamma22_inverse_eotf(linear: Tensor) -> Tensor:
    """Encode with a pure power of 1/2.2; odd below zero."""
    return _signed_power(linear, 1 / 2.2)


def bt1886_eotf(signal: Tensor) -> Tensor:
    """Decode after ITU-R BT.1886, annex 1, for a black level of zero: a power of 2.4."""
    return _signed_power(signal, 2.4)


def bt1886_inverse_eotf(linear: Tensor) -> Tensor:
    """Encode for a BT.1886 display with a black level of zero: a power of 1/2.4."""
    return _signed_power(linear, 1 / 2.4)


def srgb_eotf(signal: Tensor) -> Tensor:
    """Decode the piecewise curve of IEC 61966-2-1; odd below zero."""
    a = signal.abs()
    return signal.sign() * torch.where(a <= 0.04045, a / 12.92, ((a + 0.055) / 1.055) ** 2.4)


def srgb_inverse_eotf(linear: Tensor) -> Tensor:
    """Encode with the piecewise curve of IEC 61966-2-1; odd below zero."""
    a = linear.abs()
    return linear.sign() * torch.where(
        a <= 0.0031308, a * 12.92, 1.055 * a.clamp(min=1e-12) ** (1 / 2.4) - 0.055
    )


def bt709_inverse_oetf(signal: Tensor) -> Tensor:
    """Decode the camera curve of ITU-R BT.709-6, item 1.2; odd below zero."""
    a = signal.abs()
    high = ((a + 0.099) / 1.099) ** (1 / 0.45)
    return signal.sign() * torch.where(a < 4.5 * 0.018, a / 4.5, high)


SDR_EOTFS: dict[Eotf, Callable[[Tensor], Tensor]] = {
    "gamma22": gamma22_eotf,
    "bt1886": bt1886_eotf,
    "srgb": srgb_eotf,
}
# Signal beyond any overshoot of chroma; zimg's tables end here too.
BRIGHTEST_SIGNAL = 1.5


def hlg_oetf(scene: Tensor) -> Tensor:
    """Encode scene light to HLG (ITU-R BT.2100-2, table 5).

    Args:
        scene: any shape, scene light normalised to 0..1; clamped to it.

    Returns:
        The same shape, full range, 0..1.
    """
    e = scene.clamp(0.0, 1.0)
    log_part = HLG_A * torch.log((12 * e - HLG_B).clamp(min=1e-6)) + HLG_C
    return torch.where(e <= 1 / 12, torch.sqrt(3 * e), log_part)


def hlg_inverse_oetf(signal: Tensor) -> Tensor:
    """Decode HLG to scene light, 0..1 (ITU-R BT.2100-2, table 5)."""
    s = signal.clamp(0.0, 1.0)
    return torch.where(s <= 0.5, s * s / 3, (torch.exp((s - HLG_C) / HLG_A) + HLG_B) / 12)


def hlg_system_gamma(peak_nits: float) -> float:
    """Return the HLG system gamma of a display (ITU-R BT.2100-2, note 5f; 400 to 2000 nits)."""
    return 1.2 + 0.42 * float(torch.log10(torch.tensor(peak_nits / 1000, dtype=torch.float64)))


def hlg_ootf(scene: Tensor, *, peak_nits: float = 1000.0, dim: int = -3) -> Tensor:
    """Convert HLG scene light to display light (ITU-R BT.2100-2, table 5).

    Args:
        scene: (..., 3, H, W), BT.2020 scene light, 0..1.
        peak_nits: the display's nominal peak.
        dim: where R, G and B are.

    Returns:
        The same shape, cd/m2.
    """
    y = luminance(scene, "bt2020", dim=dim).clamp(min=0.0)
    # y ** (gamma - 1) has no finite slope at zero, and zero light stays zero anyway.
    return peak_nits * scene * y.clamp(min=1e-9) ** (hlg_system_gamma(peak_nits) - 1)


def hlg_inverse_ootf(nits: Tensor, *, peak_nits: float = 1000.0, dim: int = -3) -> Tensor:
    """Convert display light in cd/m2 to HLG scene light (inverse of `hlg_ootf`)."""
    gamma = hlg_system_gamma(peak_nits)
    y = luminance(nits, "bt2020", dim=dim).clamp(min=0.0) / peak_nits
    return nits / peak_nits * y.clamp(min=1e-9) ** (1 / gamma - 1)

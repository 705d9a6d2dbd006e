"""Operators of ITU-R reports: BT.2446 methods A and C, the EETF of BT.2390; and clipping."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from torch import Tensor

from training.data.operators.base import TINY, Light, mix
from vs_gainmap.color.primaries import luminance, rgb_to_xyz_matrix
from vs_gainmap.color.transfer import bt1886_eotf, bt1886_inverse_eotf


@dataclass(frozen=True, slots=True, kw_only=True)
class HardClip:
    """Scale so that `white_nits` is SDR white, and clip what is above."""

    white_nits: float = 203.0

    def __call__(self, light: Light) -> Tensor:
        """Clip per channel."""
        return (light.rgb / self.white_nits).clamp(0.0, 1.0)

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Self:
        """Draw white from reference white to 0.6 stops above."""
        return cls(white_nits=203.0 * 2 ** rng.uniform(0.0, 0.6))


@dataclass(frozen=True, slots=True, kw_only=True)
class Bt2446A:
    """ITU-R BT.2446-1, clause 4: method A, perceptual linear space, display light."""

    sdr_nits: float = 100.0
    hdr_nits: float | None = None

    def __call__(self, light: Light) -> Tensor:
        """Map luma, correct color differences, go back to RGB."""
        hdr_nits = self.hdr_nits or light.peak_nits
        rho_hdr = 1 + 32 * (hdr_nits / 10000) ** (1 / 2.4)
        rho_sdr = 1 + 32 * (self.sdr_nits / 10000) ** (1 / 2.4)
        # The report's luma weights are those of BT.2020 on the 1/2.4 power of light.
        signal = bt1886_inverse_eotf((light.rgb / hdr_nits).clamp(0.0, 1.0))
        luma = luminance(signal, light.primaries)
        yp = torch.log(1 + (rho_hdr - 1) * luma) / math.log(rho_hdr)
        yc = torch.where(
            yp <= 0.7399,
            1.0770 * yp,
            torch.where(yp < 0.9909, (-1.1510 * yp + 2.7811) * yp - 0.6302, 0.5 * yp + 0.5),
        )
        sdr_luma = (rho_sdr**yc - 1) / (rho_sdr - 1)
        factor = sdr_luma / (1.1 * luma.clamp(min=TINY))
        kr, kg, kb = (float(w) for w in rgb_to_xyz_matrix(light.primaries)[1])
        blue = factor * (signal[2:] - luma) / (2 - 2 * kb)
        red = factor * (signal[:1] - luma) / (2 - 2 * kr)
        adjusted = sdr_luma - (0.1 * red).clamp(min=0.0)
        out_red = adjusted + (2 - 2 * kr) * red
        out_blue = adjusted + (2 - 2 * kb) * blue
        out_green = (adjusted - kr * out_red - kb * out_blue) / kg
        return bt1886_eotf(torch.cat([out_red, out_green, out_blue]).clamp(0.0, 1.0))

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Self:
        """Draw the source peak: the metadata's, or the 1000 cd/m2 of the report's example."""
        return cls(hdr_nits=1000.0 if rng.random() < 0.5 else None)


# ITU-R BT.2446-1, clause 6.1.4: a line up to 58.535 % of SDR, a logarithm above; the report
# gives k1 and k3, and k2 and k4 follow from a smooth joint.
C_K1 = 0.83802
C_K3 = 0.74204
C_JOINT_PERCENT = 58.535
C_K2 = C_JOINT_PERCENT * (1 - C_K3)
C_K4 = C_JOINT_PERCENT - C_K2 * math.log(1 - C_K3)
C_JOINT_NITS = C_JOINT_PERCENT / C_K1


def method_c_percent(nits: Tensor) -> Tensor:
    """Map HDR luminance in cd/m2 to SDR in percent of white; 1000 cd/m2 gives about 118."""
    above = (nits / C_JOINT_NITS - C_K3).clamp(min=TINY)
    return torch.where(nits < C_JOINT_NITS, C_K1 * nits, C_K2 * torch.log(above) + C_K4)


def method_c_nits(percent: Tensor) -> Tensor:
    """Invert `method_c_percent`."""
    above = C_JOINT_NITS * (torch.exp((percent - C_K4) / C_K2) + C_K3)
    return torch.where(percent < C_JOINT_PERCENT, percent / C_K1, above)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bt2446C:
    """ITU-R BT.2446-1, clause 6: method C, which keeps the levels of skin and white."""

    crosstalk: float = 0.05

    def __call__(self, light: Light) -> Tensor:
        """Map luminance between a crosstalk matrix and its inverse; clip above 100 %."""
        a = self.crosstalk
        matrix = torch.full((3, 3), a, dtype=torch.float64)
        matrix.fill_diagonal_(1 - 2 * a)
        mixed = mix(matrix, light.rgb)
        y = luminance(mixed, light.primaries).clamp(min=TINY)
        mapped = mixed * (method_c_percent(y) / 100 / y)
        return mix(torch.linalg.inv(matrix), mapped).clamp(0.0, 1.0)

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Self:
        """Draw the crosstalk within the report's 0 to 0.33, most of it small."""
        return cls(crosstalk=rng.uniform(0.0, 0.12))

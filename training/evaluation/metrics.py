"""Distances between HDR pictures.

Pictures are (..., 3, H, W), linear, BT.2020, in cd/m2, unless a function says otherwise.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from training.data.ictcp import rgb_to_ictcp
from vs_gainmap.color.primaries import convert_primaries, luminance
from vs_gainmap.color.transfer import pq_inverse_eotf

# Range and precision of `best_exposure`, in stops.
_MOST_STOPS, _STOPS_STEP = 4.0, 0.02


def delta_e_itp(test: Tensor, truth: Tensor) -> Tensor:
    """Return the color difference of every pixel (ITU-R BT.2124-0, clause 1): (..., 1, H, W)."""
    difference = rgb_to_ictcp(test) - rgb_to_ictcp(truth)
    scale = torch.tensor([1.0, 0.5, 1.0]).to(difference).view(3, 1, 1)
    return 720 * (difference * scale).square().sum(dim=-3, keepdim=True).sqrt()


def psnr(test: Tensor, truth: Tensor, *, top: float = 1.0) -> float:
    """Return the peak signal-to-noise ratio in dB, at most 100, of signals in 0..`top`."""
    mse = float((test - truth).double().square().mean()) / top**2
    return min(-10 * math.log10(max(mse, 1e-10)), 100.0)


def pq_psnr(test: Tensor, truth: Tensor) -> float:
    """Return the PSNR of the PQ signals."""
    return psnr(pq_inverse_eotf(test), pq_inverse_eotf(truth))


def as_bt709(nits: Tensor) -> Tensor:
    """Return BT.2020 light in BT.709, in which the paper measures; (3, H, W), cd/m2."""
    return convert_primaries(nits, "bt2020", "bt709").clamp(min=0.0)


def paper_psnr(test: Tensor, truth: Tensor, peak_nits: float) -> dict[str, float]:
    """Return the paper's `psnr`, over the peak, and `norm_psnr`, over the truth's maximum.

    Args:
        test: (3, H, W), linear light, cd/m2; in the paper BT.709.
        truth: the same.
        peak_nits: peak of the preset.
    """
    return {
        "psnr": psnr(test, truth, top=peak_nits),
        "norm_psnr": psnr(test, truth, top=max(float(truth.max()), 1e-6)),
    }


def ssim(test: Tensor, truth: Tensor) -> float:
    """Return SSIM of the PQ signals (Wang et al. 2004: 11x11 Gaussian, sigma 1.5).

    Args:
        test: (3, H, W), cd/m2; at least 11 pixels each way.
        truth: the same.
    """
    x, y = pq_inverse_eotf(test)[:, None], pq_inverse_eotf(truth)[:, None]
    taps = torch.exp(-(torch.arange(-5, 6, dtype=x.dtype) ** 2) / (2 * 1.5**2))
    taps = taps / taps.sum()

    def blur(z: Tensor) -> Tensor:
        rows = functional.conv2d(z, taps.view(1, 1, 11, 1))
        return functional.conv2d(rows, taps.view(1, 1, 1, 11))

    mx, my = blur(x), blur(y)
    vx, vy = blur(x * x) - mx * mx, blur(y * y) - my * my
    cov = blur(x * y) - mx * my
    c1, c2 = 0.01**2, 0.03**2
    score = (2 * mx * my + c1) * (2 * cov + c2) / ((mx * mx + my * my + c1) * (vx + vy + c2))
    return float(score.mean())


def best_exposure(test: Tensor, truth: Tensor) -> float:
    """Return the exposure that brings a picture nearest to the truth, in stops, -4..4.

    Nearest by PQ-PSNR over every fourth row and column. It separates an error of level, which
    one control can correct, from the rest.
    """
    few, wanted = test[..., ::4, ::4], pq_inverse_eotf(truth[..., ::4, ::4])

    def error(stops: float) -> float:
        return float((pq_inverse_eotf(few * 2.0**stops) - wanted).square().mean())

    # From coarse to fine: but for clipping, the error has one minimum.
    near, step = 0.0, 0.5
    places = np.arange(-_MOST_STOPS, _MOST_STOPS + step, step)
    while True:
        near = min((float(x) for x in places), key=error)
        if step <= _STOPS_STEP:
            return near
        places = near + step * np.linspace(-1, 1, 9)
        step /= 4


def errors_inside(nits: Tensor, truth: Tensor, mask: Tensor, what: str) -> dict[str, float]:
    """Return errors of PQ luminance in a part of a picture, in 10-bit codes.

    Args:
        nits: (3, H, W).
        truth: (3, H, W).
        mask: (1, H, W), bool, the part.
        what: its name.

    Returns:
        `<what>_bias`, the mean error (positive is too bright), and `<what>_error`, the mean
        absolute one.
    """
    pq = [pq_inverse_eotf(luminance(light, "bt2020")) * 1023 for light in (nits, truth)]
    error = (pq[0] - pq[1]).reshape(mask.shape)[mask]
    return {f"{what}_bias": float(error.mean()), f"{what}_error": float(error.abs().mean())}


class Scorer:
    """Computes all metrics of a picture.

    `psnr` and `norm_psnr` are of `paper_psnr`. `exposure_error` is the absolute `best_exposure` in
    stops, `delta_e_exposed` delta E ITP at that exposure.

    Args:
        peak_nits: peak of the preset.
        published: compute `psnr` and `norm_psnr` in BT.709, as the paper does, and add
            `pq_psnr_bt709`.
        color_video_vdp: add `cvvdp` in JOD, 10 at best; slow.

    Raises:
        ImportError: ColorVideoVDP is wanted and the package cvvdp is not installed.
    """

    def __init__(
        self, *, peak_nits: float, published: bool = False, color_video_vdp: bool = False
    ) -> None:
        self.peak_nits = peak_nits
        self.published = published
        self._vdp = None
        if color_video_vdp:
            try:
                import pycvvdp
            except ImportError as error:
                raise ImportError(
                    "evaluate: ColorVideoVDP is not installed; pip install -e .[cvvdp]"
                ) from error
            self._vdp = pycvvdp.cvvdp(display_name="standard_hdr_pq", quiet=True)

    def __call__(self, test: Tensor, truth: Tensor) -> dict[str, float]:
        """Return the metrics of (3, H, W) by name."""
        values: dict[str, float] = {}
        if self.published:
            test_709, truth_709 = as_bt709(test), as_bt709(truth)
            values = paper_psnr(test_709, truth_709, self.peak_nits)
            values["pq_psnr_bt709"] = pq_psnr(test_709, truth_709)
        else:
            values = paper_psnr(test, truth, self.peak_nits)
        values |= {
            "pq_psnr": pq_psnr(test, truth),
            "ssim": ssim(test, truth),
            "delta_e_itp": float(delta_e_itp(test, truth).mean()),
        }
        stops = best_exposure(test, truth)
        values["exposure_error"] = abs(stops)
        values["delta_e_exposed"] = float(delta_e_itp(test * 2.0**stops, truth).mean())
        if self._vdp is not None:
            signals = (pq_inverse_eotf(x).movedim(0, -1).numpy() for x in (test, truth))
            score, _ = self._vdp.predict(*signals, dim_order="HWC")
            values["cvvdp"] = float(score)
        return values

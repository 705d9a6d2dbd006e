"""Pictures for pages: HDR tone-mapped, as AVIF and as Ultra HDR, and scales of false color."""

from __future__ import annotations

import tempfile
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from vs_gainmap.color.primaries import convert_primaries, luminance
from vs_gainmap.color.tone_map import eetf
from vs_gainmap.color.transfer import SDR_EOTFS, Eotf, pq_eotf, srgb_inverse_eotf
from vs_gainmap.filters.false_color import NitsScale, Rgb, StopsScale
from vs_gainmap.gainmap import GainMapPreset
from vs_gainmap.photo.convert import make_ultrahdr
from vs_gainmap.photo.options import ConvertOptions
from vs_gainmap.photo.picture import Picture
from vs_gainmap.photo.predict import PredictedPhoto
from vs_gainmap.photo.profile import profile_from_h273
from vs_gainmap.photo.write import write_pq

# Half a step of an 8-bit signal, in light: black stays out of the logarithm.
_DARK = (0.5 / 255) ** 2.2
_BT709, _SRGB = 1, 13


def square_size(width: int, height: int, sample_aspect: Fraction | None) -> tuple[int, int]:
    """Return a picture's size with square pixels; a side only ever gets shorter."""
    if not sample_aspect or sample_aspect == 1:
        return width, height
    if sample_aspect > 1:
        return width, max(round(height / sample_aspect), 1)
    return max(round(width * sample_aspect), 1), height


def shrink(picture: NDArray[Any], size: tuple[int, int]) -> NDArray[Any]:
    """Return a picture at a smaller width and height, by the mean of areas."""
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA)


def tone_map(nits: torch.Tensor, sdr_white: float) -> Rgb:
    """Compress HDR for an SDR screen, so that highlights keep some shape.

    ITU-R BT.2390's curve on max(R, G, B), from the frame's own maximum to SDR white.

    Args:
        nits: (3, H, W), BT.2020, cd/m2.
        sdr_white: cd/m2 that SDR white is at.

    Returns:
        (H, W, 3), sRGB, 8 bit.
    """
    light = convert_primaries(nits, "bt2020", "bt709").clamp(min=0)
    norm = light.amax(dim=0, keepdim=True).clamp(min=1e-3)
    mapped = eetf(norm, source_peak=float(norm.max()), target_peak=sdr_white)
    signal = srgb_inverse_eotf((light * (mapped / norm) / sdr_white).clamp(0, 1))
    return np.asarray((signal * 255).round().byte().movedim(0, -1).numpy())


def avif(nits: torch.Tensor) -> bytes:
    """Return (3, H, W), BT.2020, cd/m2 as an AVIF in PQ."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "hdr.avif"
        write_pq(path, (nits / 203).movedim(0, -1).contiguous().numpy(), "bt2020", 203.0)
        return path.read_bytes()


def ultra_hdr(sdr: Rgb, pq: NDArray[np.float32], *, sdr_white: float, eotf: Eotf) -> bytes:
    """Make an Ultra HDR JPEG of an SDR picture and its HDR.

    Args:
        sdr: (H, W, 3), BT.709, 8 bit: the base.
        pq: (3, H, W), BT.2020, PQ, 0..1: what an HDR screen is to show.
        sdr_white: cd/m2 of SDR white in it; a browser puts it where the screen's white is.
        eotf: how the SDR was decoded, so that one gain for the three channels is exact.

    Raises:
        MediaError: Pillow is not installed.
    """
    signal = torch.from_numpy(np.ascontiguousarray(sdr)).movedim(-1, 0).float() / 255
    before = luminance(SDR_EOTFS[eotf](signal), "bt709")
    nits = pq_eotf(torch.from_numpy(np.ascontiguousarray(pq, dtype=np.float32)))
    after = luminance(nits, "bt2020") / sdr_white
    preset = GainMapPreset(sdr_white=sdr_white, peak=10_000 / sdr_white, eotf=eotf)
    log_gain = torch.log2((after + _DARK) / (before + _DARK)).clamp(max=preset.max_log_gain)
    predicted = PredictedPhoto(
        picture=Picture(signal=sdr, profile=profile_from_h273(_BT709, _SRGB)),
        log_gain=log_gain.movedim(0, -1).contiguous().numpy(),
        preset=preset,
    )
    return make_ultrahdr(predicted, ConvertOptions())


def legend(scale: StopsScale | NitsScale, width: int) -> Rgb:
    """Draw a scale as a strip (H, width, 3) to put under a picture.

    A page shows wide pictures smaller, so the strip of a wide one is higher: 44 up to a width of
    480, and in proportion above.
    """
    zoom = max(width / 480, 1.0)
    margin, high, top, bottom = (round(v * zoom) for v in (24, 44, 6, 20))
    strip = np.full((high, width, 3), 24, np.uint8)
    span = width - 2 * margin
    ramp = scale.table[np.linspace(0, 255, span).round().astype(int)]
    strip[top:bottom, margin : margin + span] = ramp[None]
    free = 0
    for place, text in scale.ticks():
        x = margin + round(place * (span - 1))
        half = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, 0.4 * zoom, 1)[0][0] // 2
        cv2.line(strip, (x, bottom - 4), (x, bottom + 3), (255, 255, 255), round(zoom))
        if x - half > free:
            _write(strip, text, (x - half, round(37 * zoom)), 0.4 * zoom)
            free = x + half + round(4 * zoom)
    return strip


def _write(picture: Rgb, text: str, at: tuple[int, int], size: float) -> None:
    white, thick = (255, 255, 255), max(round(2 * size), 1)
    cv2.putText(picture, text, at, cv2.FONT_HERSHEY_SIMPLEX, size, white, thick, cv2.LINE_AA)

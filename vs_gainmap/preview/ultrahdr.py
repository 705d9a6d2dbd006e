"""A look as an Ultra HDR JPEG: the other way that browsers show a picture as HDR."""

from __future__ import annotations

import numpy as np
import torch

from vs_gainmap.color.primaries import luminance
from vs_gainmap.color.transfer import SDR_EOTFS, Eotf, pq_eotf
from vs_gainmap.filters.false_color import Rgb
from vs_gainmap.gainmap import GainMapPreset
from vs_gainmap.photo.convert import ConvertOptions, make_ultrahdr
from vs_gainmap.photo.picture import Picture
from vs_gainmap.photo.predict import PredictedPhoto
from vs_gainmap.photo.profile import profile_from_h273

# Half a step of an 8-bit signal, in light: black stays out of the logarithm.
_DARK = (0.5 / 255) ** 2.2
_BT709, _SRGB = 1, 13


def ultra_hdr(sdr: Rgb, pq: np.ndarray, *, sdr_white: float, eotf: Eotf) -> bytes:
    """Make an Ultra HDR JPEG of an SDR picture and its HDR.

    Args:
        sdr: (H, W, 3), BT.709, 8 bit: the base.
        pq: (3, H, W), BT.2020, PQ, 0..1: what an HDR screen is to show.
        sdr_white: cd/m2 of SDR white in it; a browser puts it where the screen's white is.
        eotf: how the SDR was decoded, so that one gain for the three channels tells it all.

    Raises:
        MediaError: Pillow is not installed.
    """
    signal = torch.from_numpy(np.ascontiguousarray(sdr)).movedim(-1, 0).float() / 255
    before = luminance(SDR_EOTFS[eotf](signal), "bt709")
    nits = pq_eotf(torch.from_numpy(np.ascontiguousarray(pq, dtype=np.float32)))
    after = luminance(nits, "bt2020") / sdr_white
    log_gain = torch.log2((after + _DARK) / (before + _DARK))
    preset = GainMapPreset(
        sdr_white=sdr_white, peak=max(2.0 ** float(log_gain.max()), 1.01), eotf=eotf
    )
    predicted = PredictedPhoto(
        picture=Picture(signal=sdr, profile=profile_from_h273(_BT709, _SRGB)),
        log_gain=log_gain.movedim(0, -1).contiguous().numpy(),
        preset=preset,
    )
    return make_ultrahdr(predicted, ConvertOptions())

"""How SDR light becomes a signal, and how often training meets which curve."""

from __future__ import annotations

from typing import Literal

from torch import Tensor

from vs_gainmap.color.transfer import (
    bt709_oetf,
    bt1886_inverse_eotf,
    gamma22_inverse_eotf,
    srgb_inverse_eotf,
)

Encoding = Literal["bt1886", "gamma22", "srgb", "bt709"]
# Video is mastered for BT.1886 displays, and zscale, libplacebo and players encode for one;
# photographs and web video are sRGB or 2.2; the camera's OETF of BT.709 turns up where
# software takes it for the display's curve. No picture tells which it was, and between 2.4 and
# 2.2 lie half a stop in the shadows: every tenth that goes elsewhere costs all the others.
VIDEO_ENCODINGS: dict[Encoding, float] = {
    "bt1886": 0.85,
    "gamma22": 0.08,
    "srgb": 0.05,
    "bt709": 0.02,
}
# Photographs carry a profile that says so.
PHOTO_ENCODINGS: dict[Encoding, float] = {"srgb": 1.0}
# What a fade of the signal does to the light of the display that it is coded for.
DISPLAY_POWERS: dict[Encoding, float] = {"bt1886": 2.4, "gamma22": 2.2, "srgb": 2.2, "bt709": 2.4}


def encode_sdr(linear: Tensor, encoding: Encoding) -> Tensor:
    """Encode linear SDR light, 0..1, as a signal, 0..1."""
    curves = {
        "bt1886": bt1886_inverse_eotf,
        "gamma22": gamma22_inverse_eotf,
        "srgb": srgb_inverse_eotf,
        "bt709": bt709_oetf,
    }
    return curves[encoding](linear)

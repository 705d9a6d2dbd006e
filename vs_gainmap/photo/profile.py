"""Color of a picture: primaries and curve, from an ICC profile or from H.273 code points."""

from __future__ import annotations

import io
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vs_gainmap.color.h273 import KNOWN_PRIMARIES, UNSPECIFIED
from vs_gainmap.color.primaries import (
    PRIMARIES,
    Primaries,
    PrimariesName,
    adapt_white,
    xy_to_xyz,
)
from vs_gainmap.color.transfer import (
    REFERENCE_WHITE_NITS,
    hlg_inverse_oetf,
    hlg_ootf,
    pq_eotf,
    srgb_eotf,
    srgb_inverse_eotf,
)
from vs_gainmap.errors import MediaError, MetadataError
from vs_gainmap.extras import load
from vs_gainmap.photo.input import Signal

Curve = Literal["srgb", "table", "pq", "hlg"]

# By H.273's code of the transfer. Cameras tag stills with video's curves (1, 6, 14, 15) and mean
# sRGB, as a screen shows them.
H273_CURVES: dict[int, Curve] = {
    **dict.fromkeys((1, 2, 6, 13, 14, 15), "srgb"),
    16: "pq",
    18: "hlg",
}

D50_XYZ = np.array([0.9642, 1.0, 0.8249])
SAME_CHROMATICITY = 0.004
SAME_CURVE = 0.003


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ColorProfile:
    """What turns a picture's code values into linear light."""

    primaries: PrimariesName | Primaries = "bt709"
    curve: Curve = "srgb"
    table: Tensor | None = None
    """(65536, 3), linear light by 16-bit code, where `curve` is "table"."""

    @property
    def is_hdr(self) -> bool:
        """Return whether the curve itself is an HDR one."""
        return self.curve in ("pq", "hlg")

    def to_linear(self, signal: Signal) -> Tensor:
        """Decode a picture, or a band of its rows.

        Args:
            signal: (H, W, 3), full range.

        Returns:
            (3, H, W), float32, linear light in the picture's own primaries, 1.0 = SDR white.
        """
        codes = torch.from_numpy(np.ascontiguousarray(signal).astype(np.int32))
        if self.curve == "table" and self.table is not None:
            index = codes * 257 if signal.dtype == np.uint8 else codes
            return torch.stack([self.table[:, c][index[..., c].long()] for c in range(3)])
        value = codes.movedim(-1, 0).float() / float(np.iinfo(signal.dtype).max)
        if self.curve == "pq":
            return pq_eotf(value) / REFERENCE_WHITE_NITS
        if self.curve == "hlg":
            return hlg_ootf(hlg_inverse_oetf(value)) / REFERENCE_WHITE_NITS
        return srgb_eotf(value)

    def to_srgb_signal(self, signal: Signal) -> Tensor:
        """Return the picture as a signal with the sRGB curve, whatever its own curve is.

        Args:
            signal: (H, W, 3), full range.

        Returns:
            (3, H, W), float32, 0..1, in the picture's own primaries.
        """
        if self.curve == "srgb":
            codes = torch.from_numpy(np.ascontiguousarray(signal).astype(np.float32))
            return codes.movedim(-1, 0) / float(np.iinfo(signal.dtype).max)
        return srgb_inverse_eotf(self.to_linear(signal)).clamp(0.0, 1.0)


SRGB = ColorProfile()


def primaries_from_h273(code: int) -> PrimariesName:
    """Return the primaries of a code point; unspecified (2) means BT.709.

    Raises:
        MediaError: a code point that no still picture here should have.
    """
    if code != UNSPECIFIED and code not in KNOWN_PRIMARIES:
        raise MediaError(f"color primaries {code} (H.273) are not supported")
    return KNOWN_PRIMARIES.get(code, "bt709")


def profile_from_h273(primaries: int, transfer: int) -> ColorProfile:
    """Return the profile of H.273 code points (cICP, nclx); unspecified (2) means sRGB.

    Raises:
        MediaError: code points that no still picture here should have.
    """
    if transfer not in H273_CURVES:
        raise MediaError(f"transfer characteristics {transfer} (H.273) are not supported")
    return ColorProfile(primaries=primaries_from_h273(primaries), curve=H273_CURVES[transfer])


@lru_cache(maxsize=16)
def profile_from_icc(icc: bytes | None) -> ColorProfile:
    """Return the profile of an RGB picture with that ICC profile; sRGB where there is none.

    Raises:
        MediaError: a damaged profile, or one of no primaries and curves (not matrix-shaper).
    """
    if icc is None:
        return SRGB
    cms = load("PIL.ImageCms", "pillow")
    try:
        profile = cms.ImageCmsProfile(io.BytesIO(icc)).profile
        space = profile.xcolor_space.strip()
        colorants = [profile.red_colorant, profile.green_colorant, profile.blue_colorant]
    except (cms.PyCMSError, OSError, ValueError, TypeError) as error:
        raise MediaError(f"ICC: the profile is damaged: {str(error)[:100]}") from error
    if space == "GRAY":
        return SRGB
    if space != "RGB" or not all(colorants):
        raise MediaError(f"ICC: only RGB profiles of primaries and curves work, this is {space}")
    hdr = _cicp_tag(icc)
    if hdr is not None and hdr.is_hdr:
        return hdr
    primaries = _primaries(np.array([colorant[0] for colorant in colorants]))
    table = _table(icc, primaries)
    ramp = torch.linspace(0, 1, 65536)
    if float((table - srgb_eotf(ramp)[:, None]).abs().max()) < SAME_CURVE:
        return ColorProfile(primaries=primaries)
    return ColorProfile(primaries=primaries, curve="table", table=table)


def make_icc(primaries: PrimariesName | Primaries, *, linear: bool = False) -> bytes:
    """Return an ICC profile of these primaries.

    Args:
        primaries: and their white.
        linear: linear light instead of the sRGB curve.
    """
    p = PRIMARIES[primaries] if isinstance(primaries, str) else primaries
    curve = srgb_eotf(torch.linspace(0, 1, 1024)).numpy()
    shape: dict[str, Any] = {"gamma": 1.0} if linear else {"transferfunction": [curve] * 3}
    profile: bytes = load("imagecodecs", "imagecodecs").cms_profile(
        "rgb",
        whitepoint=[*p.white, 1.0],
        primaries=[v for xy in (p.red, p.green, p.blue) for v in (*xy, 1.0)],
        **shape,
    )
    return profile


def name_primaries(primaries: Primaries) -> PrimariesName | Primaries:
    """Return the name of primaries that a file states, or themselves where they have none.

    Raises:
        MetadataError: they span no colors.
    """
    stated = _points(primaries)
    for name, known in PRIMARIES.items():
        if np.abs(stated - _points(known)).max() < SAME_CHROMATICITY:
            return name
    columns = np.array([[x, y, 1 - x - y] for x, y in stated])
    volume = abs(np.linalg.det(columns[:3])) if np.isfinite(stated).all() else 0.0
    if volume < 1e-4 or np.abs(stated).max() > 2 or stated[3, 1] < 0.01:
        raise MetadataError("the primaries make no sense")
    return primaries


def _points(primaries: Primaries) -> NDArray[np.float64]:
    return np.array([primaries.red, primaries.green, primaries.blue, primaries.white])


def _cicp_tag(icc: bytes) -> ColorProfile | None:
    """Return the color of the profile's cicp tag (ICC.1:2022, clause 9.2.17)."""
    count = int.from_bytes(icc[128:132], "big")
    for index in range(min(count, 100)):
        entry = icc[132 + 12 * index : 144 + 12 * index]
        if entry[:4] == b"cicp" and len(entry) == 12:
            offset = int.from_bytes(entry[4:8], "big")
            tag = icc[offset : offset + 12]
            if (
                len(tag) == 12
                and tag[9] in H273_CURVES
                and tag[8] in (UNSPECIFIED, *KNOWN_PRIMARIES)
            ):
                return profile_from_h273(tag[8], tag[9])
    return None


def _primaries(colorants: NDArray[np.float64]) -> PrimariesName | Primaries:
    """Return the primaries behind a profile's D50 colorants, by name where they have one."""
    xyz = colorants @ adapt_white(D50_XYZ, xy_to_xyz(PRIMARIES["bt709"].white)).T
    if not np.all(np.isfinite(xyz)) or np.any(xyz.sum(axis=1) <= 0):
        raise MediaError("ICC: the profile's primaries make no sense")
    red, green, blue = (cast("tuple[float, float]", tuple(p[:2] / p.sum())) for p in xyz)
    return name_primaries(Primaries(red=red, green=green, blue=blue))


def _table(icc: bytes, primaries: PrimariesName | Primaries) -> Tensor:
    """Return the three curves at every 16-bit code: lcms converts a gray ramp to linear light.

    To a profile that differs in its curves alone each channel depends on itself only.
    """
    codecs = load("imagecodecs", "imagecodecs")
    linear = make_icc(primaries, linear=True)
    ramp = np.repeat(np.arange(65536, dtype=np.uint16)[:, None, None], 3, axis=2)
    try:
        out = codecs.cms_transform(
            ramp, icc, linear, outdtype="float32", colorspace="rgb", outcolorspace="rgb"
        )
    except (codecs.CmsError, ValueError) as error:
        raise MediaError(f"ICC: the profile can't be used: {str(error)[:100]}") from error
    return torch.from_numpy(np.ascontiguousarray(out.reshape(65536, 3)))

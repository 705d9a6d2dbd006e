"""Every option of photos: a field of a dataclass, with its meaning and what it may be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from vs_gainmap.filters.options import MAX_STRENGTH, Options, option

Sampling = Literal["libultrahdr", "smooth"]
"""How samples that a photo stores at less than its size are read: chroma, and a small map.

"libultrahdr" repeats that decoder: a chroma sample stands for all of its pixels, nothing is
rounded to 8-bit RGB, and the map is weighted by inverse distance with the first samples of map
and picture aligned, which shifts it by half a cell. "smooth" is what Chrome and Android draw:
chroma through libjpeg's filter, the map bilinear with the edges aligned, as encoders average.
"""

JPEG_SUFFIXES = (".jpg", ".jpeg")
PQ_SUFFIXES = (".png", ".avif")
LINEAR_SUFFIXES = (".exr", ".hdr", ".tif", ".tiff")
BASE_QUALITY, AVIF_QUALITY = 95, 90


@dataclass(frozen=True, kw_only=True)
class ReadOptions(Options):
    """How pictures are read."""

    sampling: Literal["libultrahdr", "smooth"] = option(
        "libultrahdr",
        "Sampling of chroma and smaller maps: as libultrahdr does, or smooth, as Chrome does.",
        choices=("libultrahdr", "smooth"),
    )
    max_pixels: int | None = option(
        None,
        "Pixels of the largest picture that is read; by default 134 million, and less where a "
        "file is very small.",
        kind=int,
        low=1,
    )


@dataclass(frozen=True, kw_only=True)
class ConvertOptions(ReadOptions):
    """How SDR photos are converted."""

    strength: float = option(
        1.0, "Factor on the gain in stops.", kind=float, low=0.0, high=MAX_STRENGTH
    )
    # What PQ can hold.
    sdr_white: float | None = option(
        None,
        "Cd/m2 of SDR white in PQ and linear output; by default the weights' own.",
        kind=float,
        low=1.0,
        high=10000.0,
    )
    primaries: Literal["bt709", "p3d65", "bt2020"] = option(
        "bt709", "Primaries of linear output.", choices=("bt709", "p3d65", "bt2020")
    )
    map_scale: int = option(
        1, "The gain map is smaller than the photo by this factor.", choices=(1, 2, 4)
    )
    # At 95 the map's own error passes one percent of the light; see docs/photos.md.
    map_quality: int = option(98, "JPEG quality of the gain map.", kind=int, low=1, high=100)
    quality: int | None = option(
        None,
        f"Quality of a new base JPEG, by default {BASE_QUALITY}, or of AVIF, by default "
        f"{AVIF_QUALITY}.",
        kind=int,
        low=1,
        high=100,
    )


@dataclass(frozen=True, kw_only=True)
class RenderOptions(ReadOptions):
    """How gain map photos are rendered to linear light or PQ."""

    display_boost: float | None = option(
        None,
        "Brightest light of the display over SDR white, as a ratio; by default HDR in full.",
        kind=float,
        low=1.0,
    )
    eotf: Literal["srgb", "gamma22", "bt1886"] | None = option(
        None,
        "How the SDR picture is decoded; by default by its own profile.",
        choices=("srgb", "gamma22", "bt1886"),
    )
    sdr_white: float = option(203.0, "Cd/m2 of SDR white.", kind=float, low=1.0, high=10000.0)
    primaries: Literal["bt709", "p3d65", "bt2020"] | None = option(
        None,
        "Primaries of linear light: of render's result, and of a linear file for pq that names "
        "none; by default bt709.",
        choices=("bt709", "p3d65", "bt2020"),
    )
    quality: int = option(AVIF_QUALITY, "Quality of AVIF.", kind=int, low=0, high=100)

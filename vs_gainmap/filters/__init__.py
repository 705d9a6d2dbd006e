"""The public VapourSynth functions."""

from vs_gainmap.filters.conversion import sdr_to_hdr10
from vs_gainmap.filters.measure import measure
from vs_gainmap.filters.overlay import gainmap_overlay, nits_overlay
from vs_gainmap.filters.prediction import predict
from vs_gainmap.filters.rendering import apply
from vs_gainmap.filters.smoothing import smooth

__all__ = [
    "apply",
    "gainmap_overlay",
    "measure",
    "nits_overlay",
    "predict",
    "sdr_to_hdr10",
    "smooth",
]

"""SDR video to HDR10 with a learned gain map, as VapourSynth filters.

Example:
    >>> import vs_gainmap
    >>> clip = vs_gainmap.open_clip("sdr.mkv")
    >>> vs_gainmap.sdr_to_hdr10(clip).set_output()
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vs_gainmap.filters.apply import apply
    from vs_gainmap.filters.measure import measure
    from vs_gainmap.filters.overlay import gainmap_overlay, nits_overlay
    from vs_gainmap.filters.predict import predict
    from vs_gainmap.filters.sdr_to_hdr10 import sdr_to_hdr10
    from vs_gainmap.gainmap import GainMapPreset
    from vs_gainmap.hdr10 import ContentLight, MasteringDisplay
    from vs_gainmap.video.encode import encode
    from vs_gainmap.video.random_access import open_clip
    from vs_gainmap.video.script import Script

__version__: str

__all__ = [
    "ContentLight",
    "GainMapPreset",
    "MasteringDisplay",
    "Script",
    "apply",
    "encode",
    "gainmap_overlay",
    "measure",
    "nits_overlay",
    "open_clip",
    "predict",
    "sdr_to_hdr10",
]

# Imported on first use: torch and VapourSynth take seconds, `vs-gainmap --help` must not.
_HOMES = {
    "apply": "vs_gainmap.filters.apply",
    "gainmap_overlay": "vs_gainmap.filters.overlay",
    "measure": "vs_gainmap.filters.measure",
    "nits_overlay": "vs_gainmap.filters.overlay",
    "predict": "vs_gainmap.filters.predict",
    "sdr_to_hdr10": "vs_gainmap.filters.sdr_to_hdr10",
    "ContentLight": "vs_gainmap.hdr10",
    "GainMapPreset": "vs_gainmap.gainmap",
    "MasteringDisplay": "vs_gainmap.hdr10",
    "Script": "vs_gainmap.video",
    "encode": "vs_gainmap.video",
    "open_clip": "vs_gainmap.video",
}


def __getattr__(name: str) -> object:
    if name == "__version__":
        # Slower to import than all else that a program needs before it can take a Ctrl-C.
        return import_module("importlib.metadata").version("vs-gainmap")
    if name not in __all__:
        raise AttributeError(f"module 'vs_gainmap' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

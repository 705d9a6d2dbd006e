"""Encodes for tests: measured PQ noise, at the encoders' fastest."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import vapoursynth as vs

import vs_gainmap
from tests.clips import noise
from vs_gainmap.hdr10 import MasteringDisplay
from vs_gainmap.video import Encoded, encode

P3 = MasteringDisplay.named("p3d65", max_nits=1000, min_nits=0.0001)
FAST = {
    "x265": "ultrafast",
    "svtav1": "12",
    "prores": "proxy",
    "ffv1": None,
}
PQ = {"_Matrix": 9, "_Transfer": 16, "_Primaries": 9, "_Range": 0, "_ChromaLocation": 0}


def pq_clip(length: int = 12, width: int = 96, height: int = 64, **tags: int) -> vs.VideoNode:
    """Return measured PQ noise."""
    clip = noise(width, height, length, vs.YUV420P10, **{**PQ, **tags})
    return vs_gainmap.measure(clip.std.AssumeFPS(fpsnum=24000, fpsden=1001))


def quick(clip: vs.VideoNode, path: Path, encoder: str = "x265", **options: Any) -> Encoded:
    return encode(clip, path, encoder=encoder, preset=FAST[encoder], **options)

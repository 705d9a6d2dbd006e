"""What `predict` asks of whatever runs the network: clips in, clips out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import vapoursynth as vs


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """Where and how the network runs; None lets the backend choose."""

    device: str | None = None
    dtype: str | None = None
    tile: int | None = None
    num_streams: int | None = None


class Backend(Protocol):
    """A network on a device, ready for clips.

    `analyze` takes each frame by itself, and `predict` averages its vectors over the temporal
    window before they go into `local`, the same way for every backend.
    """

    @property
    def features_size(self) -> int:
        """Return the length of a frame's vector; its last number is qmax_norm."""

    def describe(self) -> str:
        """Return device and precision in words."""

    def analyze(self, thumbnail: vs.VideoNode) -> vs.VideoNode:
        """Run the global branch.

        Args:
            thumbnail: RGBS, 256x256, full range, about 0..1 (clamped to it).

        Returns:
            GRAYS of any size, the vector in its first samples, row by row.
        """

    def local(self, picture: vs.VideoNode, features: vs.VideoNode) -> vs.VideoNode:
        """Run the local branch.

        Args:
            picture: RGBS, any size, full range, about 0..1 (clamped to it).
            features: GRAYS, one row a frame that begins with the vector.

        Returns:
            GRAYS at the picture's size: the gain map, nominally 0..1 and not clamped, with
            the picture's props.
        """

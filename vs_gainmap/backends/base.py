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
    streams: int | None = None
    cuda_graphs: bool = False
    """PyTorch's on CUDA: see `Predictor`; `VS_GAINMAP_CUDA_GRAPHS=1` asks for them, too."""


class Backend(Protocol):
    """A network on a device, ready for clips.

    Time stays outside: `analyze` judges each frame alone, and `predict` may average its
    vectors before they go into `local`. So Qmax and the global branch are steadied the same
    way whatever runs them.
    """

    @property
    def features_size(self) -> int:
        """Return the length of a frame's vector; its last number is qmax_norm."""

    def describe(self) -> str:
        """Return device and precision in words."""

    def survey(self, thumbnail: vs.VideoNode, count: int) -> vs.VideoNode | None:
        """Let pictures from all over a film say how it was made.

        Args:
            thumbnail: as for `analyze`.
            count: pictures, spread evenly.

        Returns:
            GRAYS, one frame of one row: what they say, for `analyze`. None where the model
            judges every picture by itself.
        """

    def analyze(self, thumbnail: vs.VideoNode, survey: vs.VideoNode | None = None) -> vs.VideoNode:
        """Run the global branch.

        Args:
            thumbnail: RGBS, 256x256, full range, about 0..1 (clamped to it).
            survey: from `survey`.

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

"""More scenes out of few: light that falls otherwise, another tone scale, a scene in a scene.

A network that judges whole pictures learns a hundred panoramas by heart long before it knows
what operators do to light. Each variation keeps what makes a picture real, its texture and
its edges, and changes what would tell the scene: the histogram and its layout.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from vs_gainmap.color import luminance

# Where the knots of a tone scale stand: stops from the picture's log-average.
KNOTS = (-8.0, -5.0, -3.0, -1.5, 0.0, 1.5, 3.0, 5.0, 8.0)

# Share of the pictures that are dark scenes, beside those that grades make.
DIMMED = 0.1
# Share of the pictures that are on their way to black or from it.
FADED = 0.08


@dataclass(frozen=True, slots=True, kw_only=True)
class Variation:
    """What is changed of a view before it is graded.

    `light` are stops of exposure at the corners and middles of a coarse grid, between which
    light changes smoothly; `slopes` are the contrast between one of `KNOTS` and the next;
    `inset` is where another view stands in this one, as shares of the picture: top, left,
    height, width.
    """

    light: tuple[tuple[float, ...], ...] | None = None
    slopes: tuple[float, ...] | None = None
    inset: tuple[float, float, float, float] | None = None

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Variation:
        """Draw: about half of the pictures are relit, a third get another tone scale."""
        light = slopes = inset = None
        if rng.random() < 0.5:
            rows, columns = int(rng.integers(2, 4)), int(rng.integers(2, 5))
            stops = rng.normal(0, rng.uniform(0.3, 1.4), (rows, columns))
            light = tuple(tuple(map(float, row)) for row in stops)
        if rng.random() < 0.35:
            slopes = tuple(float(s) for s in np.exp(rng.normal(0, 0.25, len(KNOTS) - 1)))
        if rng.random() < 0.2:
            height, width = rng.uniform(0.25, 1.0), rng.uniform(0.2, 0.6)
            top, left = rng.uniform(0, 1 - height), rng.uniform(0, 1 - width)
            inset = (float(top), float(left), float(height), float(width))
        return cls(light=light, slopes=slopes, inset=inset)

    def __call__(self, view: Tensor, other: Tensor | None = None) -> Tensor:
        """Change a view.

        Args:
            view: (3, H, W), BT.2020, relative light.
            other: the same of another scene, for the inset.

        Returns:
            (3, H, W), relative light with the log-average that `view` had.
        """
        before = _log_average(view)
        if self.inset is not None and other is not None:
            view = _paste(view, other, self.inset)
        if self.light is not None:
            stops = torch.tensor(self.light, dtype=view.dtype)[None, None]
            field = functional.interpolate(
                stops, size=view.shape[-2:], mode="bicubic", align_corners=True
            )[0]
            view = view * torch.exp2(field)
        if self.slopes is not None:
            view = _rescale(view, self.slopes)
        return view * (before / max(_log_average(view), 1e-9))


def draw_dim(rng: np.random.Generator) -> float:
    """Draw a factor of a scene's light: 1 for most, down to five stops less for dark scenes.

    Grades are drawn around 20 cd/m2, and few of a film's night scenes would be among them.
    """
    return float(np.exp2(-rng.uniform(1.0, 5.0))) if rng.random() < DIMMED else 1.0


def draw_fade(rng: np.random.Generator) -> float:
    """Draw how far a picture is faded to black, as a factor of its signal: 1 for most.

    Films fade for a hundredth of their frames. More are drawn, since a network that never saw a
    picture without its whites swings from one frame of a fade to the next.
    """
    return float(rng.uniform(0.02, 1.0)) if rng.random() < FADED else 1.0


def _log_average(view: Tensor) -> float:
    y = luminance(view, "bt2020")
    return float(torch.exp(torch.log(y.clamp(min=1e-6)).mean()))


def _paste(view: Tensor, other: Tensor, at: tuple[float, float, float, float]) -> Tensor:
    height, width = view.shape[-2:]
    top, left = round(at[0] * height), round(at[1] * width)
    size = (max(round(at[2] * height), 1), max(round(at[3] * width), 1))
    shrunk = functional.interpolate(other[None], size=size, mode="area")[0]
    pasted = view.clone()
    place = pasted[:, top : top + size[0], left : left + size[1]]
    place.copy_(shrunk[:, : place.shape[1], : place.shape[2]])
    return pasted


def _rescale(view: Tensor, slopes: tuple[float, ...]) -> Tensor:
    """Bend luminance over log2, piecewise linear between knots; color stays as it is."""
    y = luminance(view, "bt2020").clamp(min=1e-6)
    stops = torch.log2(y) - math.log2(max(_log_average(view), 1e-9))
    knots = torch.tensor(KNOTS, dtype=view.dtype)
    slope = torch.tensor((1.0, *slopes, 1.0), dtype=view.dtype)
    rises = slope[1:-1] * knots.diff()
    levels = torch.cat([knots[:1], knots[0] + rises.cumsum(0)])
    # Segment 0 is below the first knot and the last above the last one.
    segment = torch.bucketize(stops, knots)
    start = (segment - 1).clamp(min=0)
    bent = levels[start] + slope[segment] * (stops - knots[start])
    return view * torch.exp2(bent - stops)

"""Augment views: other light, another tone scale, parts of other scenes, titles and fades.

Without it a network learns a hundred panoramas by heart. Variations keep texture and edges, and
change the histogram and its layout.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from training.data.grade import draw_letters, draw_subtitles
from vs_gainmap.color.primaries import convert_primaries, luminance

# Knots of a tone scale, in stops from the picture's log-average.
KNOTS = (-8.0, -5.0, -3.0, -1.5, 0.0, 1.5, 3.0, 5.0, 8.0)

# Share of dark scenes, beside those of the grades.
DIMMED = 0.06
# Share of pictures with a title on the SDR; of these, of subtitles; of the others, of titles on
# black.
TITLED = 0.2
SUBTITLED = 0.6
CARDS = 0.4
# Share of pictures in a fade.
FADED = 0.08
# Probabilities of one to four insets, where there are some.
INSETS = (0.5, 0.25, 0.15, 0.1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Inset:
    """A part of a picture that shows another view; sides are shares of the picture's."""

    top: float
    left: float
    height: float
    width: float
    stops: float = 0.0
    """Exposure relative to equal log-averages."""

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Inset:
        """Draw a rectangle inside the picture."""
        height, width = float(rng.uniform(0.2, 1.0)), float(rng.uniform(0.15, 0.7))
        return cls(
            top=float(rng.uniform(0, 1 - height)),
            left=float(rng.uniform(0, 1 - width)),
            height=height,
            width=width,
            stops=float(rng.normal(0, 1.3)),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Variation:
    """A change of a view before it is graded.

    Attributes:
        light: exposure in stops on a coarse grid, interpolated smoothly.
        slopes: contrast between each of `KNOTS` and the next.
        insets: parts that show other views, one over the other.
    """

    light: tuple[tuple[float, ...], ...] | None = None
    slopes: tuple[float, ...] | None = None
    insets: tuple[Inset, ...] = ()

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Variation:
        """Draw a variation: half get other light, half another tone scale, a third insets."""
        light = slopes = None
        insets: tuple[Inset, ...] = ()
        if rng.random() < 0.5:
            rows, columns = int(rng.integers(2, 4)), int(rng.integers(2, 5))
            stops = rng.normal(0, rng.uniform(0.3, 1.8), (rows, columns))
            light = tuple(tuple(map(float, row)) for row in stops)
        if rng.random() < 0.5:
            slopes = tuple(float(s) for s in np.exp(rng.normal(0, 0.35, len(KNOTS) - 1)))
        if rng.random() < 0.35:
            insets = tuple(Inset.draw(rng) for _ in range(int(rng.choice(4, p=INSETS)) + 1))
        return cls(light=light, slopes=slopes, insets=insets)

    def __call__(self, view: Tensor, others: list[Tensor] | None = None) -> Tensor:
        """Change a view.

        Args:
            view: (3, H, W), BT.2020, relative light.
            others: such views of other scenes, for the first insets.

        Returns:
            (3, H, W), relative light with the log-average that `view` had.
        """
        before = _log_average(view)
        for inset, other in zip(self.insets, others or [], strict=False):
            view = _paste(view, other, inset)
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
    """Draw a factor on a scene's light: 1 for most, one to five stops less for dark scenes."""
    return float(np.exp2(-rng.uniform(1.0, 5.0))) if rng.random() < DIMMED else 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Title:
    """A title that is put onto finished SDR, after tone mapping."""

    letters: Tensor
    """(1, H, W), how much they cover, 0..1."""
    signal: tuple[float, float, float]
    """R'G'B' of the letters, 0..1."""
    card: bool
    """Whether they stand on black."""

    @classmethod
    def draw(cls, rng: np.random.Generator, height: int, width: int) -> Title | None:
        """Draw a title, or None for most pictures."""
        if rng.random() >= TITLED:
            return None
        level = rng.uniform(0.6, 1.0)
        color = rng.uniform(0.2, 1.0, 3) if rng.random() < 0.2 else np.ones(3)
        red, green, blue = (float(c) for c in level * color / color.max())
        subtitles = bool(rng.random() < SUBTITLED)
        draw = draw_subtitles if subtitles else draw_letters
        return cls(
            letters=draw(rng, height, width),
            signal=(red, green, blue),
            card=not subtitles and bool(rng.random() < CARDS),
        )

    def __call__(self, signal: Tensor, truth: Tensor, power: float) -> tuple[Tensor, Tensor]:
        """Put the title onto a pair.

        Args:
            signal: (3, H, W), SDR signal, 0..1.
            truth: (3, H, W), linear, BT.2020, 1.0 = SDR white.
            power: of the SDR display.

        Returns:
            Both with the title, whose white is SDR white in the truth.
        """
        color = torch.tensor(self.signal, dtype=signal.dtype).view(3, 1, 1)
        light = convert_primaries(color**power, "bt709", "bt2020")
        if self.card:
            signal, truth = torch.zeros_like(signal), torch.zeros_like(truth)
        return torch.lerp(signal, color, self.letters), torch.lerp(truth, light, self.letters)


def draw_fade(rng: np.random.Generator) -> float:
    """Draw a factor on the signal of a picture in a fade: 1 for most.

    Fades are drawn more often than in films, so that results are steady in a fade.
    """
    return float(rng.uniform(0.02, 1.0)) if rng.random() < FADED else 1.0


def _log_average(view: Tensor) -> float:
    y = luminance(view, "bt2020")
    return float(torch.exp(torch.log(y.clamp(min=1e-6)).mean()))


def _paste(view: Tensor, other: Tensor, at: Inset) -> Tensor:
    height, width = view.shape[-2:]
    top, left = round(at.top * height), round(at.left * width)
    size = (max(round(at.height * height), 1), max(round(at.width * width), 1))
    shrunk = functional.interpolate(other[None], size=size, mode="area")[0]
    shrunk = shrunk * (2**at.stops * _log_average(view) / max(_log_average(other), 1e-9))
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

"""Grade scene light as an HDR10 master: exposure, contrast, saturation, highlight roll-off.

Masters have diffuse white at 203 cd/m2 (ITU-R BT.2408-7, clause 2) or somewhat above, and let
highlights roll off at the mastering peak.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch import Tensor

from training.data.encodings import log_uniform
from vs_gainmap.color.primaries import luminance
from vs_gainmap.color.transfer import pq_eotf, pq_inverse_eotf

MASTERING_PEAKS = (1000.0, 1000.0, 1000.0, 1000.0, 2000.0, 4000.0)

# Range of the log-averages of graded pictures, cd/m2.
DARKEST, LIGHTEST = 0.5, 200.0
# Where diffuse white is, cd/m2, and the share of pictures that keep it in its place.
WHITES, PLACED = (203.0, 450.0), 0.4
# How far a shot is from that place, and, where a colorist goes by mood instead, the usual
# log-average and how far shots are from it; nepers.
SHOT_SPREAD = 0.4
MOOD_NITS, MOOD_SPREAD = 17.0, 0.7
# Least share of the difference between a view's level and its scene's that a shot keeps.
LEAST_KEPT = 0.3
# Log-averages outside this range are no levels relative to diffuse white.
DARKEST_LEVEL, LIGHTEST_LEVEL = 1e-4, 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Master:
    """A graded HDR picture, (3, H, W), BT.2020, cd/m2, and the peak in its metadata."""

    nits: Tensor
    peak_nits: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Levels:
    """Log-averages of luminance where 1.0 is diffuse white.

    In OpenEXR 1.0 is diffuse white (middle grey is 0.18), in gain map photos SDR white, and
    panoramas are published so that they look right on a display with white at 1.0. Snow at noon
    has 0.2 to 0.5, streets at night 0.02 to 0.07.
    """

    view: float
    scene: float
    """Of the whole panorama or photograph that the view is out of."""

    @classmethod
    def known(cls, *, view: float, scene: float) -> Levels | None:
        """Return levels; None if 1.0 can't be diffuse white."""
        if DARKEST_LEVEL < scene < LIGHTEST_LEVEL and view > 0 and math.isfinite(view):
            return cls(view=view, scene=scene)
        return None


def draw_average(levels: Levels | None, rng: np.random.Generator) -> float:
    """Draw the log-average of a shot, cd/m2.

    Half of the shots keep diffuse white in its place, so snow is brighter than a street at night.
    The others, and views without levels, are as bright as a colorist may want them.
    """
    if levels is None or rng.random() >= PLACED:
        return float(np.exp(rng.normal(math.log(MOOD_NITS), MOOD_SPREAD)))
    white = log_uniform(rng, *WHITES)
    # A camera is exposed for the scene, for the shot, or between the two.
    level = levels.scene * math.pow(levels.view / levels.scene, rng.uniform(LEAST_KEPT, 1.0))
    return white * level * float(np.exp(rng.normal(0.0, SHOT_SPREAD)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Grade:
    """Settings of a grade.

    Attributes:
        average_nits: log-average luminance of the result.
        peak_nits: its peak.
        contrast: power around the average.
        saturation: factor around luminance.
        balance: factors of R, G and B.
        knee_nits: where highlights begin to roll off.
        black_nits: taken off everywhere.
        hard: clip at the peak instead of rolling off.
    """

    average_nits: float
    peak_nits: float
    contrast: float = 1.0
    saturation: float = 1.0
    balance: tuple[float, float, float] = (1.0, 1.0, 1.0)
    knee_nits: float = 200.0
    black_nits: float = 0.0
    hard: bool = False

    @classmethod
    def draw(cls, rng: np.random.Generator, *, average_nits: float) -> Grade:
        """Draw a grade.

        Args:
            rng: of everything drawn.
            average_nits: log-average to reach, see `draw_average`.
        """
        warmth, tint = rng.normal(0, 0.07), rng.normal(0, 0.03)
        return cls(
            average_nits=min(max(average_nits, DARKEST), LIGHTEST),
            # At the peak of the mastering display or somewhat below.
            peak_nits=float(rng.choice(MASTERING_PEAKS)) * rng.uniform(0.8, 1.0),
            contrast=rng.uniform(1.1, 1.8),
            saturation=rng.uniform(0.7, 1.6) if rng.random() > 0.03 else 0.0,
            balance=(math.exp(warmth), math.exp(tint), math.exp(-warmth)),
            knee_nits=log_uniform(rng, 300, 1500),
            black_nits=max(rng.normal(0.0, 0.02), -0.02) if rng.random() < 0.5 else 0.0,
            hard=bool(rng.random() < 0.25),
        )

    def __call__(self, linear: Tensor) -> Tensor:
        """Grade a view.

        Args:
            linear: (3, H, W), BT.2020, relative light with a log-average of 0.18.

        Returns:
            (3, H, W), BT.2020, 0..peak_nits, cd/m2.
        """
        rgb = linear * torch.tensor(self.balance).view(3, 1, 1) / 0.18
        rgb = rgb * luminance(rgb, "bt2020").clamp(min=1e-6) ** (self.contrast - 1)
        y = luminance(rgb, "bt2020")
        rgb = (y + self.saturation * (rgb - y)).clamp(min=0.0) * self.average_nits
        rgb = (rgb - self.black_nits).clamp(min=0.0)
        if self.hard:
            return rgb.clamp(max=self.peak_nits)
        return roll_off(rgb, knee=min(self.knee_nits, 0.5 * self.peak_nits), peak=self.peak_nits)


def roll_off(nits: Tensor, *, knee: float, peak: float) -> Tensor:
    """Keep light below `knee`, and bend light above it towards `peak`, per channel."""
    over = (nits - knee).clamp(min=0.0) / (peak - knee)
    return torch.where(nits <= knee, nits, knee + (peak - knee) * (over / (1 + over)))


def regrade(nits: Tensor, rng: np.random.Generator) -> Tensor:
    """Vary exposure and saturation of a graded picture a little."""
    y = luminance(nits, "bt2020")
    rgb = (y + rng.uniform(0.85, 1.2) * (nits - y)).clamp(min=0.0)
    return (rgb * math.exp(rng.normal(0, 0.35))).clamp(max=4000.0)


def quantize_pq(nits: Tensor, bits: int = 10) -> Tensor:
    """Round light to full-range PQ codes of `bits` bits."""
    top = 2**bits - 1
    return pq_eotf((pq_inverse_eotf(nits) * top).round() / top)


def letterbox(picture: Tensor, bar: int) -> Tensor:
    """Blacken `bar` rows at the top and at the bottom of (3, H, W)."""
    if bar == 0:
        return picture
    framed = picture.clone()
    framed[:, :bar] = 0.0
    framed[:, -bar:] = 0.0
    return framed


def draw_letterbox(rng: np.random.Generator, height: int, width: int) -> int:
    """Draw the height of the bars: none for most, 2.39:1 or 2:1 for some."""
    if rng.random() > 0.2:
        return 0
    aspect = float(rng.choice((1.85, 2.0, 2.39, 2.39)))
    return max(round((height - width / aspect) / 2), 0)


def add_caption(nits: Tensor, rng: np.random.Generator) -> Tensor:
    """Put flat graphics of 80 to 300 cd/m2 over the picture."""
    alpha = draw_letters(rng, *nits.shape[-2:])
    tone = rng.uniform(80, 300) * np.clip(rng.normal(1, 0.25, 3), 0.05, 1.2)
    if rng.random() < 0.7:
        tone = np.full(3, tone.max())
    color = torch.tensor(tone, dtype=nits.dtype).view(3, 1, 1)
    return nits * (1 - alpha) + alpha * color


def draw_subtitles(rng: np.random.Generator, height: int, width: int) -> Tensor:
    """Draw one or two lines of subtitles; return their coverage, (1, height, width), 0..1.

    They are centered near the lower edge, for some near the upper one. Capitals are 3 to 6 % of
    the height. They are drawn at four times the size, so strokes may be thinner than a pixel.
    """
    fine = 4
    layer = np.zeros((fine * height, fine * width), np.uint8)
    capital = rng.uniform(0.03, 0.06) * fine * height
    # Capitals of this font are 21 pixels high at scale 1.
    size, thick = capital / 21, max(round(capital * rng.uniform(0.1, 0.2)), 1)
    lines = int(rng.integers(1, 3))
    lowest = fine * height * (rng.uniform(0.86, 0.97) if rng.random() < 0.85 else 0.2)
    for line in range(lines):
        words = [
            "".join(chr(c) for c in rng.integers(97, 123, int(rng.integers(2, 9))))
            for _ in range(int(rng.integers(2, 8)))
        ]
        text = " ".join(words).capitalize()[:40]
        (wide, _), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, size, thick)
        origin = (round((fine * width - wide) / 2), round(lowest - line * 1.6 * capital))
        cv2.putText(layer, text, origin, cv2.FONT_HERSHEY_SIMPLEX, size, 255, thick, cv2.LINE_AA)
    small = cv2.resize(layer, (width, height), interpolation=cv2.INTER_AREA)
    return torch.from_numpy(small)[None].float() / 255


def draw_letters(rng: np.random.Generator, height: int, width: int) -> Tensor:
    """Draw letters, for some with a box; return their coverage, (1, height, width), 0..1."""
    layer = np.zeros((height, width), np.uint8)
    thick = int(rng.integers(1, 3))
    size = rng.uniform(0.3, 0.8)
    letters = "".join(chr(c) for c in rng.integers(65, 91, int(rng.integers(3, 22))))
    origin = (int(rng.uniform(0.02, 0.4) * width), int(rng.uniform(0.1, 0.95) * height))
    cv2.putText(layer, letters, origin, cv2.FONT_HERSHEY_SIMPLEX, size, 255, thick, cv2.LINE_AA)
    if rng.random() < 0.3:
        x, y = int(rng.uniform(0, 0.7) * width), int(rng.uniform(0, 0.9) * height)
        cv2.rectangle(layer, (x, y), (x + int(width * 0.25), y + int(height * 0.08)), 255, -1)
    return torch.from_numpy(layer)[None].float() / 255

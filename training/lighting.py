"""Where a film has its light: diffuse white or a usual average, and how far its shots are off."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np


class Kind(NamedTuple):
    """A kind of film."""

    share: float
    white_nits: float
    """Where it usually has diffuse white."""
    average_nits: float
    """Usual log-average of its pictures."""


# Cinema is graded for the dark, with white about where a projector has it; live production puts
# it at 203 (ITU-R BT.2408-7, clause 2); telephones and demonstrations are brighter: of four HDR10
# clips of telephones and test suites three have log-averages of 69 to 95 cd/m2, the fourth has 5.
KINDS = {
    "cinema": Kind(0.35, 120.0, 12.0),
    "television": Kind(0.3, 203.0, 30.0),
    "telephone": Kind(0.35, 320.0, 75.0),
}
# How far films are from what is usual of their kind, and shots from their film: nepers.
FILM_SPREAD = 0.35
SHOT_SPREAD = 0.4
# How much of what sets a view apart from its scene's level a shot keeps, at least.
LEAST_KEPT = 0.3
# The same where a colorist goes by mood instead: log-averages, whatever a picture shows.
MOOD_SPREAD = 0.5
PICTURE_SPREAD = 0.8
# How many films have diffuse white in its place.
PLACED = 0.5
# Log-average of an average scene where 1.0 is diffuse white.
USUAL_LEVEL = 0.12
# What a picture's own scale may say of a level; beyond, its 1.0 is no diffuse white.
DARKEST_LEVEL, LIGHTEST_LEVEL = 1e-4, 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Levels:
    """How light a view is where 1.0 is diffuse white, as log-averages of luminance.

    OpenEXR puts diffuse white at 1.0 (middle grey at 0.18), gain map photos put SDR white
    there, and who publishes a panorama exposes it so that it looks right with display white
    there: snow at noon has 0.2 to 0.5, streets at night have 0.02 to 0.07.
    """

    view: float
    scene: float
    """Of the whole panorama or photograph that the view is out of."""

    @classmethod
    def known(cls, *, view: float, scene: float) -> Levels | None:
        """Return levels, or None where a picture's scale is another than that."""
        if DARKEST_LEVEL < scene < LIGHTEST_LEVEL and view > 0 and math.isfinite(view):
            return cls(view=view, scene=scene)
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Lighting:
    """Where a film has its light, cd/m2.

    Half of the films keep diffuse white in its place (ITU-R BT.2408-7: 203 in live
    production), so that snow is lighter than a street at night; in the others, and for
    pictures whose own scale says nothing, a shot is as light as the mood wants it.
    """

    white_nits: float
    average_nits: float
    """Log-average of its pictures where white is not placed."""
    placed: bool

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Lighting:
        """Draw a film's."""
        kinds = list(KINDS.values())
        kind = kinds[int(rng.choice(len(kinds), p=[each.share for each in kinds]))]
        return cls(
            white_nits=draw_near(kind.white_nits, FILM_SPREAD, rng),
            average_nits=draw_near(kind.average_nits, MOOD_SPREAD, rng),
            placed=bool(rng.random() < PLACED),
        )

    @property
    def usual_nits(self) -> float:
        """Return about which log-average its pictures have."""
        return USUAL_LEVEL * self.white_nits if self.placed else self.average_nits

    def draw_average(self, levels: Levels | None, rng: np.random.Generator) -> float:
        """Draw the log-average of a shot, cd/m2.

        Args:
            levels: of the view; None where nobody knows.
            rng: of what is drawn.
        """
        if self.placed and levels is not None:
            return draw_near(self.place_white(levels, rng), SHOT_SPREAD, rng)
        return draw_near(self.average_nits, PICTURE_SPREAD, rng)

    def place_white(self, levels: Levels, rng: np.random.Generator) -> float:
        """Return about which log-average a shot gets that has its diffuse white in place, cd/m2.

        A camera is exposed for the scene or anew for the shot, or something between the two.
        """
        kept = rng.uniform(LEAST_KEPT, 1.0)
        return self.white_nits * levels.scene * math.pow(levels.view / levels.scene, kept)


def draw_near(nits: float, spread: float, rng: np.random.Generator) -> float:
    """Draw light around some light; `spread` in nepers."""
    return float(np.exp(rng.normal(math.log(nits), spread)))

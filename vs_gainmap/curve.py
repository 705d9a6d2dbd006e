"""A gain map as a curve over luma: the polynomial that its way up is guided by."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.floating]

# The curve is a polynomial: a few multiplications a pixel, where 16 pieces took more time than
# all the rest.
DEGREE = 8
_BINS = 64
# Samples of the small map across that the fit takes, about: enough for a mean in every bin.
SAMPLES_ACROSS = 160
# What a bend of the curve costs beside the error, and what a slope does: next to nothing, but
# where nothing else counts the curve goes on straight, and over a single luma it is flat.
_BEND, _SLOPE = 1e-3, 1e-5


def fit_curve(luma: Picture, values: Picture) -> Picture:
    """Fit a polynomial by least squares, straight where there are no values.

    Thin bright strokes are gray in a small picture, so the curve is also used beyond the luma
    that it was fitted to.

    Args:
        luma: any shape; what is outside 0..1 counts as the end.
        values: of the same shape.

    Returns:
        (DEGREE + 1,): coefficients of the powers of 2 luma - 1, from the constant up.
    """
    places = np.clip(np.nan_to_num(luma.reshape(-1)), 0, 1).astype(np.float64)
    bins = (places * (_BINS - 1) + 0.5).astype(np.int64)
    count = np.bincount(bins, minlength=_BINS)
    filled = count > 0
    weight = count[filled]
    means = [
        np.bincount(bins, part, _BINS)[filled] / weight
        for part in (places, values.reshape(-1).astype(np.float64))
    ]
    powers = _powers(means[0])
    weighed = powers * (weight / places.size)[:, None]
    return np.linalg.solve(powers.T @ weighed + _stiffness(), weighed.T @ means[1])


def _powers(luma: Picture) -> Picture:
    """Return (N, DEGREE + 1) powers of luma, counted from -1 (black) to 1 (white)."""
    return np.vander(2 * luma - 1, DEGREE + 1, increasing=True)


@cache
def _stiffness() -> Picture:
    """Return the matrix of what bends and slopes cost."""
    curve = _powers(np.linspace(0, 1, 17))
    bends, slopes = np.diff(curve, 2, axis=0), np.diff(curve, 1, axis=0)
    return np.asarray(_BEND * bends.T @ bends + _SLOPE * slopes.T @ slopes)

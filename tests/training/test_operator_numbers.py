"""Operators at their usual settings against the formulas of their sources, in plain arithmetic.

Nothing here calls the operators' own curves: each formula is written down again from its source.
Greys only, in units of cd/m2, for masters of 600, 1000 and 4000.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch

from training.data.operators import OPERATORS, Light, Operator
from training.data.operators.camera import Camera, LocalKnee
from training.data.operators.film import (
    AcesHill,
    AcesNarkowicz,
    Filmic,
    Reinhard,
)

PEAKS = (600.0, 1000.0, 4000.0)
LEVELS = (0.5, 5.0, 26.0, 100.0, 203.0, 480.0)


def pq(nits: float) -> float:
    """SMPTE ST 2084, 5.3: inverse EOTF."""
    y = (nits / 10000) ** (2610 / 16384)
    return float(((3424 / 4096 + 2413 / 128 * y) / (1 + 2392 / 128 * y)) ** (2523 / 32))


def pq_nits(signal: float) -> float:
    """SMPTE ST 2084, 5.2: EOTF."""
    e = signal ** (32 / 2523)
    y = max(e - 3424 / 4096, 0) / (2413 / 128 - 2392 / 128 * e)
    return float(10000 * y ** (16384 / 2610))


def bt2390(nits: float, peak: float, target: float) -> float:
    """ITU-R BT.2390-11, 5.4.1, steps 1 to 4, black at zero."""
    e1, top = pq(nits) / pq(peak), pq(target) / pq(peak)
    ks = 1.5 * top - 0.5
    if e1 >= ks:
        t = (e1 - ks) / (1 - ks)
        e1 = (2 * t**3 - 3 * t**2 + 1) * ks
        e1 += (t**3 - 2 * t**2 + t) * (1 - ks) + (-2 * t**3 + 3 * t**2) * top
    return pq_nits(e1 * pq(peak)) / target


def bt2446a(nits: float, hdr: float) -> float:
    """ITU-R BT.2446-1, 4.1: luma of grey, which has no color to correct."""
    luma = min(nits / hdr, 1.0) ** (1 / 2.4)
    rho, rho_sdr = (1 + 32 * (light / 10000) ** (1 / 2.4) for light in (hdr, 100.0))
    yp = math.log(1 + (rho - 1) * luma) / math.log(rho)
    if yp <= 0.7399:
        yc = 1.0770 * yp
    elif yp < 0.9909:
        yc = -1.1510 * yp**2 + 2.7811 * yp - 0.6302
    else:
        yc = 0.5 * yp + 0.5
    return float(min((rho_sdr**yc - 1) / (rho_sdr - 1), 1.0) ** 2.4)


def bt2446c(nits: float) -> float:
    """ITU-R BT.2446-1, 6.1.4, k1 and k3 as given, joined smoothly at 58.5 %."""
    k1, k3, joint = 0.83802, 0.74204, 58.535
    if nits < joint / k1:
        return k1 * nits / 100
    k2 = joint * (1 - k3)
    k4 = joint - k2 * math.log(1 - k3)
    return min((k2 * math.log(nits * k1 / joint - k3) + k4) / 100, 1.0)


def hable(x: float) -> float:
    """J. Hable, "Filmic Tonemapping Operators", 2010, as in FFmpeg, vf_tonemap.c."""
    return (x * (0.15 * x + 0.05) + 0.004) / (x * (0.15 * x + 0.5) + 0.06) - 0.02 / 0.30


def mobius(x: float, peak: float, joint: float = 0.3) -> float:
    """The Moebius transform of FFmpeg, vf_tonemap.c."""
    if x <= joint:
        return x
    a = -(joint**2) * (peak - 1) / (joint**2 - 2 * joint + peak)
    b = (joint**2 - 2 * joint * peak + peak) / (peak - 1)
    return (b * b + 2 * b * joint + joint**2) / (b - a) * (x + a) / (x + b)


def knee(x: float, start: float, top: float) -> float:
    """A hyperbola of slope 1 at `start` through (top, 1)."""
    if x <= start or top <= 1:
        return min(x, 1.0)
    room, span = 1 - start, top - start
    k = span * room / (span - room)
    return start + (x - start) * k / (x - start + k)


def aces_narkowicz(x: float) -> float:
    """K. Narkowicz, "ACES Filmic Tone Mapping Curve", 2015."""
    return min(x * (2.51 * x + 0.03) / (x * (2.43 * x + 0.59) + 0.14), 1.0)


def aces_hill(x: float) -> float:
    """S. Hill, in "Baking Lab", ACES.hlsl, RRTAndODTFit; both matrices keep grey."""
    bent = (x * (x + 0.0245786) - 0.000090537) / (x * (0.983729 * x + 0.4329510) + 0.238081)
    return min(max(bent, 0.0), 1.0)


def camera(nits: float) -> float:
    """x^c / (x^c + m^c) with 26 cd/m2 at 0.16 and four times reference white at 1, c = 1.3."""
    x, top = (nits / 26.0) ** 1.3, (4 * 203 / 26.0) ** 1.3
    # 0.16 = (1 / (1 + m)) * ((top + m) / top), solved for m by bisection.
    low, high = 0.0, 1e6
    for _ in range(200):
        m = (low + high) / 2
        low, high = (m, high) if (top + m) / top / (1 + m) > 0.1 else (low, m)
    return min(x / (x + m) * (top + m) / top, 1.0)


Formula = Callable[[float, float], float]
# Of each usual setting in `OPERATORS`, in its order, for grey and the master's peak.
USUAL: dict[str, list[Formula]] = {
    "clip": [lambda n, _: min(n / 203, 1)],
    "bt2446a": [bt2446a, lambda n, _: bt2446a(n, 1000)],
    "bt2446c": [lambda n, _: bt2446c(n)],
    "hable": [lambda n, p: hable(n / 100) / hable(p / 100)],
    "mobius": [lambda n, p: mobius(n / 203, p / 100)],
    "reinhard": [lambda n, _: n / (n + 203)] * 3,
    "filmic": [lambda n, _: min(hable(2 * n / 203) / hable(11.2), 1)],
    "aces_narkowicz": [lambda n, _: aces_narkowicz(0.6 * n / 203)],
    "aces_hill": [lambda n, _: aces_hill(1.4 * n / 203)],
    "soft_knee": [lambda n, p: knee(n / 203, 0.7, p / 203)],
    "camera": [lambda n, _: camera(n)],
}
# Those whose curve follows what else is in the picture are measured below.
BY_PICTURE = {"libplacebo", "local_knee"}
CASES = [
    pytest.param(entry.usual[k], formula, id=f"{name}-{k}")
    for name, entry in OPERATORS.items()
    for k, formula in enumerate(USUAL.get(name, []))
]


def greys(operator: Operator, levels: tuple[float, ...], peak: float) -> list[float]:
    rgb = torch.tensor(levels, dtype=torch.float64).expand(3, 1, -1).contiguous()
    out = operator(Light(rgb=rgb, peak_nits=peak))
    assert (out.amax(0) - out.amin(0)).max() < 1e-3  # grey stays grey
    return [float(value) for value in out[1, 0]]


def test_every_usual_setting_has_a_formula_or_a_test_of_its_own() -> None:
    for name, entry in OPERATORS.items():
        assert name in BY_PICTURE or len(USUAL[name]) == len(entry.usual)
    assert not BY_PICTURE & set(USUAL)


@pytest.mark.parametrize("peak", PEAKS)
@pytest.mark.parametrize(("operator", "formula"), CASES)
def test_usual_settings_are_their_sources(
    operator: Operator, formula: Formula, peak: float
) -> None:
    levels = (0.0, *LEVELS, peak)
    expected = [0.0, *(formula(nits, peak) for nits in levels[1:])]
    assert greys(operator, levels, peak) == pytest.approx(expected, rel=2e-3, abs=2e-4)


@pytest.mark.parametrize(
    ("operator", "nits", "expected"),
    [
        # Reinhard et al. 2002, eq. 3: x / (1 + x); eq. 4: light at `burn` is white.
        (Reinhard(), 1000.0, 0.83126),
        (Reinhard(burn=4.0), 812.0, 1.0),
        (Reinhard(burn=4.0), 203.0, 0.53125),
        # Hable: F(2) / F(11.2) = 0.357430 / 0.725128; white is at 11.2 / 2 times 203.
        (Filmic(), 203.0, 0.492920),
        (Filmic(white=4.0), 406.0, 1.0),
        # Narkowicz at 0.6: 0.9216 / 1.3688; it clips at x = 8.66.
        (AcesNarkowicz(exposure=0.6), 203.0, 0.673290),
        (AcesNarkowicz(exposure=8.7), 203.0, 1.0),
        # Hill at 1.4: 1.994319 / 2.772321; it never gets beyond 1 / 0.983729.
        (AcesHill(exposure=1.4), 203.0, 0.719368),
        (AcesHill(exposure=1.0), 203.0, 0.619115),
        (Camera(), 26.0, 0.1),
        (Camera(), 812.0, 1.0),
    ],
)
def test_end_points(operator: Operator, nits: float, expected: float) -> None:
    assert greys(operator, (0.0, nits), 1000.0) == pytest.approx([0, expected], abs=1e-4)


def halves(first: float, second: float) -> torch.Tensor:
    """Draw two flat halves: (3, 64, 200)."""
    row = torch.cat([torch.full((100,), first), torch.full((100,), second)])
    return row.expand(3, 64, -1).contiguous()


def ends(operator: Operator, picture: torch.Tensor, peak: float = 1000.0) -> list[float]:
    out = operator(Light(rgb=picture, peak_nits=peak))[1]
    return [float(out[32, 4]), float(out[32, -5])]


@pytest.mark.parametrize("peak", PEAKS)
def test_local_knee_bends_flat_light_as_a_knee_does(peak: float) -> None:
    for start in (0.4, 0.6):
        operator = LocalKnee(knee=start)
        made = ends(operator, halves(peak, 0.9 * start * 203), peak)
        assert made == pytest.approx([1.0, 0.9 * start], rel=5e-3)
        (middle, _) = ends(operator, halves(300.0, 300.0), peak)
        assert middle == pytest.approx(knee(300 / 203, start, peak / 203), rel=5e-3)

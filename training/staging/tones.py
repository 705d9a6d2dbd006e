"""Colors of people and things, as linear BT.2020."""

from __future__ import annotations

import colorsys
import math

import numpy as np
import torch

from training.staging.description import Color
from vs_gainmap.color import convert_primaries, rgb_to_xyz_matrix, srgb_eotf

# Individual typology angle, ITA = atan((L* - 50) / b*) in degrees: Chardon, Cretois and Hourseau,
# "Skin colour typology and suntanning pathways", Int. J. Cosmetic Science 13 (1991). Its classes
# after Del Bino and Bernerd, "Variations in skin colour and the biological consequences of
# ultraviolet radiation exposure", British J. Dermatology 169 (2013): very light > 55 > light > 41
# > intermediate > 28 > tan > 10 > brown > -30 > dark.
TONES = (-62.0, 64.0)
# b* and a* by ITA: yellowest where skin is tan. The ColorChecker's "dark skin" (L* 38, a* 14,
# b* 14: ITA -41) and "light skin" (66, 18, 18: ITA 41), which is flushed, lie beside the line.
_ITA = (-62.0, -41.0, -30.0, 10.0, 28.0, 41.0, 55.0, 64.0)
_B_STAR = (9.5, 13.5, 16.0, 19.0, 18.0, 16.5, 13.5, 11.5)
_A_STAR = (8.5, 12.0, 12.5, 12.0, 11.5, 11.0, 9.5, 8.5)


def srgb(red: float, green: float, blue: float) -> Color:
    """Return an sRGB color, 0..1, as linear BT.2020."""
    linear = srgb_eotf(torch.tensor([red, green, blue], dtype=torch.float64)).view(3, 1, 1)
    wide = convert_primaries(linear, "bt709", "bt2020").clamp(min=0.0).flatten().tolist()
    return (wide[0], wide[1], wide[2])


def hsv(hue: float, saturation: float, value: float) -> Color:
    """Return an sRGB color given as hue, saturation and value, each 0..1, as linear BT.2020."""
    return srgb(*colorsys.hsv_to_rgb(hue % 1.0, saturation, value))


def lab(lightness: float, a_star: float, b_star: float) -> Color:
    """Return a CIE L*a*b* color (D65, 2 degrees) as linear BT.2020, reflectance 0..1."""
    fy = (lightness + 16) / 116
    cubes = [f**3 if f > 6 / 29 else 3 * (6 / 29) ** 2 * (f - 4 / 29)
             for f in (fy + a_star / 500, fy, fy - b_star / 200)]  # fmt: skip
    xyz = np.array(cubes) * (0.95047, 1.0, 1.08883)
    return _from_xyz(xyz)


def _from_xyz(xyz: np.ndarray) -> Color:
    wide = np.linalg.solve(rgb_to_xyz_matrix("bt2020").numpy(), xyz).clip(0.0).tolist()
    return (wide[0], wide[1], wide[2])


def skin_color(tone: float, *, red: float = 0.0, yellow: float = 0.0) -> Color:
    """Return skin of an individual typology angle.

    Args:
        tone: ITA in degrees, within `TONES`.
        red: added to a*.
        yellow: added to b*, at the same angle.
    """
    b_star = float(np.interp(tone, _ITA, _B_STAR)) + yellow
    lightness = 50 + b_star * math.tan(math.radians(tone))
    return lab(lightness, float(np.interp(tone, _ITA, _A_STAR)) + red, b_star)


def mix(first: Color, second: Color, share: float) -> Color:
    """Return `first` with a share of `second`."""
    mixed = [a + (b - a) * share for a, b in zip(first, second, strict=True)]
    return (mixed[0], mixed[1], mixed[2])


def black_body(kelvin: float) -> Color:
    """Return the hue of a black body, luminance 1, after the fit of Kim et al. to Planck's locus.

    Kim, Cho and Kang, US patent 7024034 (2006): x(T) as cubics in 1/T and y(x); 1667 to 25000 K.
    """
    t = 1000.0 / min(max(kelvin, 1667.0), 25000.0)
    if kelvin <= 4000:
        x = -0.2661239 * t**3 - 0.2343589 * t**2 + 0.8776956 * t + 0.179910
    else:
        x = -3.0258469 * t**3 + 2.1070379 * t**2 + 0.2226347 * t + 0.240390
    if kelvin <= 2222:
        y = -1.1063814 * x**3 - 1.34811020 * x**2 + 2.18555832 * x - 0.20219683
    elif kelvin <= 4000:
        y = -0.9549476 * x**3 - 1.37418593 * x**2 + 2.09137015 * x - 0.16748867
    else:
        y = 3.0817580 * x**3 - 5.87338670 * x**2 + 3.75112997 * x - 0.37001483
    return _from_xyz(np.array([x / y, 1.0, (1 - x - y) / y]))

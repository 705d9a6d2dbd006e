"""Skies for places that are built: gradients, a sun, clouds; or night over a town.

A sky is painted as a panorama, so that what lights a place is known: by day a level white card
in the open has 1. How sunlight and skylight share it, and their colors, go with the sun's height:
skylight is about a fifth at noon and nearly all at sunset. They are drawn, not a model of the air.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from training.staging.tones import black_body

SUN_RADIUS = np.radians(0.27)
# By the sun's height in degrees: the sun's share of what lights a level card, its color
# temperature, and the colors of zenith and horizon.
HEIGHTS = (0.0, 5.0, 20.0, 60.0)
SUN_SHARE = (0.02, 0.35, 0.75, 0.85)
SUN_KELVIN = (2200.0, 3200.0, 4800.0, 5700.0)
ZENITH = ((0.11, 0.14, 0.27), (0.14, 0.21, 0.42), (0.14, 0.26, 0.56), (0.12, 0.24, 0.58))
HORIZON = ((0.75, 0.44, 0.26), (0.85, 0.65, 0.47), (0.74, 0.81, 0.92), (0.68, 0.79, 0.94))
# Light of a night sky beside diffuse white under a street lamp.
NIGHT = (0.0015, 0.002, 0.0035)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sky:
    """Angles in degrees; `clouds` is the share that is covered, `haze` 0..1.

    At night `haze` is how much of a town's light hangs over the horizon.
    """

    night: bool
    elevation: float
    azimuth: float
    clouds: float
    haze: float
    seed: int

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Sky:
        """Draw: a quarter are nights, a quarter of the days have a low sun or none to be seen."""
        low = rng.random() < 0.3
        clouds = float(rng.choice([0.0, 1.0, rng.uniform(0.1, 0.9)], p=[0.3, 0.2, 0.5]))
        return cls(
            night=bool(rng.random() < 0.25),
            elevation=float(rng.uniform(0.5, 10) if low else rng.uniform(10, 65)),
            azimuth=float(rng.uniform(0, 360)),
            clouds=clouds,
            haze=float(rng.uniform(0, 1)),
            seed=int(rng.integers(2**31)),
        )


def directions(width: int) -> np.ndarray:
    """Return (H, 2H, 3), unit, z up: where a panorama's pixels look, as Blender has it."""
    height = width // 2
    up = np.pi * (0.5 - (np.arange(height) + 0.5) / height)[:, None]
    around = -2 * np.pi * ((np.arange(width) + 0.5) / width - 0.5)[None]
    flat = np.cos(up)
    return np.stack(
        np.broadcast_arrays(flat * np.cos(around), flat * np.sin(around), np.sin(up)), -1
    )


def card_light(panorama: np.ndarray) -> float:
    """Return what a level white card under (H, 2H, 3) light has; the lower half does not count."""
    z = directions(panorama.shape[1])[..., 2]
    height, width = z.shape
    solid = np.sqrt(np.maximum(1 - z * z, 0)) * (np.pi / height) * (2 * np.pi / width)
    return float((panorama.mean(-1) * np.maximum(z, 0) * solid).sum() / np.pi)


def _by_height(elevation: float, table: tuple[tuple[float, ...], ...]) -> np.ndarray:
    columns = zip(*table, strict=True)
    return np.array([np.interp(elevation, HEIGHTS, column) for column in columns])


def _clouds(way: np.ndarray, sky: Sky) -> tuple[np.ndarray, np.ndarray]:
    """Return how much of the sky clouds cover, and how thick they are: (H, 2H, 1), 0..1.

    Both are of one fractal on a plane overhead.
    """
    rng = np.random.default_rng(sky.seed)
    size = 512
    frequency = np.hypot(np.fft.fftfreq(size)[:, None], np.fft.fftfreq(size)[None])
    spectrum = np.fft.fft2(rng.normal(size=(size, size))) / np.maximum(frequency, 1 / size) ** 1.7
    texture = np.real(np.fft.ifft2(spectrum))
    ranks = np.argsort(np.argsort(texture.ravel())).reshape(size, size) / size**2
    plane = way[..., :2] / (np.maximum(way[..., 2:], 0) + 0.12) * (size / 14)
    at = np.ascontiguousarray(plane, dtype=np.float32)
    rank = cv2.remap(
        ranks.astype(np.float32), at[..., 0], at[..., 1], cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_WRAP,
    )[..., None]  # fmt: skip
    soft = 0.12 + 0.1 * sky.haze
    return np.clip((rank - (1 - sky.clouds)) / soft + sky.clouds, 0, 1), rank


def _day(way: np.ndarray, sky: Sky) -> np.ndarray:
    z = np.maximum(way[..., 2:], 0)
    up, turn = np.radians(sky.elevation), np.radians(sky.azimuth)
    sun = np.array([np.cos(up) * np.cos(turn), np.cos(up) * np.sin(turn), np.sin(up)])
    away = np.arccos(np.clip(way @ sun, -1, 1))[..., None]
    zenith, horizon = (_by_height(sky.elevation, table) for table in (ZENITH, HORIZON))
    sunlight = np.array(black_body(float(np.interp(sky.elevation, HEIGHTS, SUN_KELVIN))))
    clear = horizon + (zenith - horizon) * z ** (0.35 + 0.3 * (1 - sky.haze))
    clear = clear + sunlight * (
        (0.25 + 0.5 * sky.haze) * np.exp(-away / 0.5) + (1 + 3 * sky.haze) * np.exp(-away / 0.1)
    )
    cover, thick = _clouds(way, sky)
    # Lit at the rims, and from behind near the sun; overcast skies are lightest overhead.
    gray = 0.3 * (zenith + horizon).mean() * (1.8 - 0.8 * cover) * (1.3 - 0.6 * thick) * (1 + z)
    lit = gray + sunlight * (1 - sky.clouds) * (
        0.45 * (1 - 0.6 * cover) + 1.5 * np.exp(-away / 0.2)
    )
    light = clear + cover * (lit - clear)
    light = np.where(way[..., 2:] < 0, 0.2 * light.mean(), light)
    share = float(np.interp(sky.elevation, HEIGHTS, SUN_SHARE)) * (1 - sky.clouds) ** 1.5
    light *= (1 - share) / card_light(light)
    disk = (away < SUN_RADIUS) * (sunlight / sunlight.mean())
    if share > 0.01 and disk.any():
        light = light + disk * (share / card_light(disk))
    return np.asarray(light)


def _night(way: np.ndarray, sky: Sky) -> np.ndarray:
    z = way[..., 2:]
    town = np.array(black_body(2600.0)) * (0.03 * sky.haze**2)
    light = np.array(NIGHT) * (1 + 2 * sky.clouds) + town * np.exp(-np.maximum(z, 0) / 0.2)
    return np.asarray(np.where(z < 0, 0.3 * light, light))


def paint_sky(sky: Sky, width: int = 2048) -> np.ndarray:
    """Paint a sky.

    Returns:
        (3, H, 2H), float32, BT.2020; by day a level white card under it has 1.
    """
    way = directions(width)
    light = _night(way, sky) if sky.night else _day(way, sky)
    return np.ascontiguousarray(light.transpose(2, 0, 1), dtype=np.float32)

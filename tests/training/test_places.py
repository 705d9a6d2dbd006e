"""Places that are built: what lights them, what stands in them, what ends up in the folder."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from training.__main__ import main
from training.lighting import Levels
from training.scenes import log_average, render_views
from training.sources import read_still
from training.staging import places
from training.staging.indoors import draw_room
from training.staging.outdoors import OUTDOORS
from training.staging.places import (
    DAY_WHITE,
    KINDS,
    Place,
    PlaceSettings,
    build_places,
    draw_place,
    expose,
)
from training.staging.shapes import Mesh, Part
from training.staging.skies import Sky, card_light, directions, paint_sky
from training.views import read_index
from vs_gainmap.errors import MediaError

SMALL = PlaceSettings(width=64, samples=4, seed=0)
CLEAR = Sky(night=False, elevation=40.0, azimuth=90.0, clouds=0.0, haze=0.2, seed=1)


def light(sky: Sky, width: int = 1024) -> np.ndarray:
    return paint_sky(sky, width).transpose(1, 2, 0)


@pytest.mark.parametrize("elevation", [2.0, 15.0, 60.0])
@pytest.mark.parametrize("clouds", [0.0, 0.5, 1.0])
def test_by_day_a_level_white_card_has_one(elevation: float, clouds: float) -> None:
    sky = replace(CLEAR, elevation=elevation, clouds=clouds)
    assert card_light(light(sky)) == pytest.approx(1.0, rel=0.01)
    assert light(sky).min() > 0


def test_a_card_under_an_even_sky_has_what_the_sky_has() -> None:
    even = np.full((256, 512, 3), 0.7)
    assert card_light(even) == pytest.approx(0.7, rel=1e-3)
    lower = even * (directions(512)[..., 2:] < 0)
    assert card_light(lower) == 0.0


def test_the_sun_stands_where_it_is_put_and_clouds_take_its_light() -> None:
    sky = light(CLEAR)
    brightest = np.unravel_index(sky.sum(-1).argmax(), sky.shape[:2])
    way = directions(1024)[brightest]
    assert np.degrees(np.arcsin(way[2])) == pytest.approx(40, abs=0.5)
    assert way[1] > 0.7  # azimuth 90 is y
    sun = sky.max()
    assert sun > 1e4
    assert light(replace(CLEAR, clouds=0.7)).max() < 0.3 * sun
    assert light(replace(CLEAR, clouds=1.0)).max() < 10
    night = light(replace(CLEAR, night=True))
    assert 0 < card_light(night) < 0.05


def test_a_low_sun_is_warm_and_the_zenith_is_blue() -> None:
    low = light(replace(CLEAR, elevation=2.0))
    sun = low.reshape(-1, 3)[low.sum(-1).argmax()]
    assert sun[0] > 2 * sun[2]
    zenith = light(CLEAR)[:20].mean((0, 1))
    assert zenith[2] > 1.5 * zenith[0]


def vertices(parts: list[Part]) -> np.ndarray:
    return np.concatenate([part.shape.vertices for part in parts if isinstance(part.shape, Mesh)])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("night", [False, True])
def test_a_place_is_whole_and_leaves_room_for_the_camera(kind: str, night: bool) -> None:
    make = draw_room if kind == "room" else OUTDOORS[kind]
    for seed in range(6):
        parts = make(np.random.default_rng(seed), night)
        points = vertices(parts)
        assert np.isfinite(points).all()
        for part in parts:
            assert isinstance(part.shape, Mesh)
            assert part.shape.faces.max() < len(part.shape.vertices)
        # Nothing at eye level within an arm's length.
        at_eyes = points[np.abs(points[:, 2] - places.EYES) < 0.3]
        assert np.hypot(at_eyes[:, 0], at_eyes[:, 1]).min() > 0.6
        assert points[:, 2].min() > -5


def test_the_same_seed_draws_the_same_place_and_all_kinds_are_drawn() -> None:
    first, again = (draw_place(np.random.default_rng([3, 1])) for _ in range(2))
    assert first.kind == again.kind
    assert first.sky == again.sky
    assert np.array_equal(vertices(first.parts), vertices(again.parts))
    drawn = [draw_place(np.random.default_rng([4, k])) for k in range(40)]
    assert {place.kind for place in drawn} == set(KINDS)
    assert {place.sky.night for place in drawn} == {True, False}


@pytest.mark.parametrize(("kind", "night", "low", "high"), [
    ("street", False, DAY_WHITE[0], DAY_WHITE[1]),
    ("room", False, 0.03, 0.5),
    ("street", True, 0.008, 0.15),
])  # fmt: skip
def test_places_are_exposed_as_panoramas_are(
    kind: str, night: bool, low: float, high: float
) -> None:
    place = Place(kind=kind, sky=replace(CLEAR, night=night), parts=[])
    flat = np.ones((3, 32, 64), np.float32)
    levels = [
        log_average(torch.from_numpy(expose(flat, place, np.random.default_rng(n))), panorama=True)
        for n in range(100)
    ]
    assert low < min(levels) < max(levels) < high
    assert max(levels) > 1.5 * min(levels)


@pytest.fixture
def renderer(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Stand in for Blender: flat light by the seed; keeps the seeds."""
    seeds: list[int] = []

    def render(place: Place, *, width: int, samples: int, seed: int, threads: int) -> np.ndarray:
        seeds.append(seed)
        assert (samples, threads) == (4, 0)
        if len(seeds) == 3:
            raise KeyboardInterrupt
        made = np.random.default_rng(seed).random((3, width // 2, width), dtype=np.float32)
        return made + np.float32(place.sky.night)

    monkeypatch.setattr(places, "load_bpy", lambda: None)
    monkeypatch.setattr(places, "render_place", render)
    return seeds


def test_a_folder_goes_on_where_it_stopped_and_becomes_views_with_levels(
    tmp_path: Path, renderer: list[int]
) -> None:
    out = tmp_path / "places"
    with pytest.raises(KeyboardInterrupt):
        build_places(out, SMALL, count=3)
    before = {path.name: path.read_bytes() for path in out.glob("*.exr")}
    assert len(before) == 2
    assert build_places(out, SMALL, count=3) == 1
    assert build_places(out, SMALL, count=3) == 0
    assert renderer[2] == renderer[3]
    assert all((out / name).read_bytes() == data for name, data in before.items())
    with pytest.raises(MediaError, match="use another folder"):
        build_places(out, replace(SMALL, width=128), count=3)
    still = read_still(next(out.glob("*.exr")))
    assert still.panorama
    assert still.linear.shape == (3, 32, 64)
    render_views([out], tmp_path / "views", views=2, width=48, height=32)
    views = read_index(tmp_path / "views")
    assert len(views) == 6
    assert all(isinstance(view.levels, Levels) for view in views)


def test_a_missing_blender_is_one_clear_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "bpy", None)
    assert main(["build", str(tmp_path / "out")]) == 1
    error = capsys.readouterr().err.strip()
    assert "pip install -e .[stage]" in error
    assert "\n" not in error


@pytest.mark.usefixtures("with_blender")
def test_blender_builds_a_place_lit_by_its_sky(tmp_path: Path) -> None:
    """A meadow under an open sky: the sky's light comes back from the panorama."""
    code = (
        "import sys; import numpy as np; from training.staging.places import *\n"
        "sky = Sky(night=False, elevation=40.0, azimuth=90.0, clouds=1.0, haze=0.2, seed=1)\n"
        "place = Place(kind='country', sky=sky, parts=[])\n"
        "np.save(sys.argv[1], render_place(place, width=64, samples=4, seed=1, threads=1))\n"
    )
    file = tmp_path / "place.npy"
    done = subprocess.run(
        [sys.executable, "-c", code, str(file)], capture_output=True, text=True, check=False,
        timeout=120, cwd=Path(__file__).parents[2],
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    seen = np.load(file).transpose(1, 2, 0)
    assert card_light(seen) == pytest.approx(1.0, rel=0.05)
    # As painted, up to where the panorama's middle looks.
    painted = paint_sky(replace(CLEAR, clouds=1.0), 64).transpose(1, 2, 0)
    middle = np.roll(painted, 16, axis=1)
    error = min(float(np.abs(np.roll(middle, k, axis=1) - seen)[:12].mean()) for k in range(64))
    assert error < 0.06 * float(painted[:12].mean())


@pytest.mark.usefixtures("with_blender")
def test_the_command_renders_a_place(tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = subprocess.run(
        [sys.executable, "-m", "training", "build", str(out), "--count", "1", "--width", "64",
         "--samples", "2", "--threads", "1"],
        capture_output=True, text=True, check=False, timeout=120, cwd=Path(__file__).parents[2],
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (made,) = out.glob("*.exr")
    still = read_still(made)
    assert still.panorama
    assert Levels.known(view=1.0, scene=log_average(still.linear, panorama=True)) is not None

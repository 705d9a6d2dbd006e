"""Staged views: what is drawn, how it is built, what ends up in the folder."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from training.__main__ import main
from training.scenes import log_average
from training.staging import blender, command
from training.staging.blender import Rendered, render
from training.staging.command import StageSettings, prepare_panorama, stage_views
from training.staging.description import LAMPS, Skin, Staging, Surface, Thing
from training.staging.draw import FOCAL, PEOPLE, draw_staging
from training.staging.draw_people import draw_person, draw_skin
from training.staging.draw_things import FLOOR, LAMP_LEVELS, TABLE
from training.staging.head import paint, surface
from training.staging.parts import staging_parts
from training.staging.shapes import Mesh, Strands, blob, curve, grid, lathe, rotation, tube
from training.staging.things import MAKERS, thing_parts
from training.staging.tones import TONES, black_body, lab, skin_color, srgb
from training.validate import split_views
from training.views import View, read_index
from vs_gainmap.color import convert_primaries, luminance
from vs_gainmap.errors import MediaError

HELD_OUT = "polygonjs__neon_photostudio"
_BLENDER_SECONDS = 120.0
SMALL = StageSettings(width=48, height=32, samples=4, seed=0)


@pytest.fixture(scope="module")
def many() -> list[Staging]:
    return [draw_staging(np.random.default_rng([7, k])) for k in range(300)]


@pytest.fixture(scope="module")
def panoramas(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two panoramas, one of them of a held-out scene, and a photograph."""
    folder = tmp_path_factory.mktemp("hdr")
    rng = np.random.default_rng(1)
    for name, size in (("meadow", (128, 64)), (HELD_OUT, (128, 64)), ("photo", (96, 64))):
        coarse = rng.random((8, 16, 3), dtype=np.float32) ** 3 * 5 + 0.1
        cv2.imwrite(str(folder / f"{name}.hdr"), cv2.resize(coarse, size))
    return folder


def test_the_same_seed_draws_the_same_scene(many: list[Staging]) -> None:
    assert draw_staging(np.random.default_rng([7, 5])) == many[5]
    assert many[5] != many[6]


def test_most_views_have_people_of_every_tone(many: list[Staging]) -> None:
    counts = np.bincount([len(staging.people) for staging in many], minlength=4) / len(many)
    assert counts == pytest.approx(PEOPLE, abs=0.08)
    tones = [person.skin.tone for staging in many for person in staging.people]
    shares = np.histogram(tones, bins=6, range=TONES)[0] / len(tones)
    assert shares.min() > 0.1
    looks = {(p.clothes.outfit, p.hair.style) for s in many for p in s.people}
    assert len(looks) == 36
    white = [luminance(torch.tensor(p.clothes.top.color).view(3, 1, 1), "bt2020").item()
             for s in many for p in s.people]  # fmt: skip
    assert np.mean(np.array(white) > 0.65) > 0.12  # white shirts
    assert np.mean(np.array(white) < 0.03) > 0.12  # black suits


def test_frames_go_from_close_ups_to_full_figures(many: list[Staging]) -> None:
    heights = []
    for staging in many:
        assert FOCAL[0] <= staging.shot.focal <= FOCAL[1]
        if staging.people:
            shot = staging.shot
            reach = math.dist(shot.position, shot.target)
            heights.append(reach * 36 / shot.focal / 1.5)
    # A face is 0.23 m high: it fills half of a frame of 0.46 m.
    assert np.mean(np.array(heights) < 0.5) > 0.15
    assert np.mean(np.array(heights) > 1.8) > 0.04
    assert 0.3 < np.mean([staging.shot.fstop is not None for staging in many]) < 0.9


def test_lamps_shine_as_much_brighter_than_white_as_real_ones(many: list[Staging]) -> None:
    things = [thing for staging in many for thing in staging.things]
    assert {thing.kind for thing in things} == set(MAKERS)
    assert set(MAKERS) == set(LAMPS) | set(TABLE) | set(FLOOR)
    lit = [thing for thing in things if thing.surface.emission]
    assert {thing.kind for thing in lit} == set(LAMP_LEVELS)
    assert all(20 <= thing.surface.emission <= 5000 for thing in lit)


def test_skin_lies_where_measured_skin_does() -> None:
    # The ColorChecker's patches "dark skin" and "light skin", by their L*a*b*.
    for tone, patch in ((-40.5, (38.0, 13.6, 14.1)), (41.4, (65.7, 18.1, 17.8))):
        color, measured = np.array(skin_color(tone)), np.array(lab(*patch))
        assert np.abs(np.log2(color / measured)).max() < 0.4
    levels = [luminance(torch.tensor(skin_color(t)).view(3, 1, 1), "bt2020").item()
              for t in np.linspace(*TONES, 20)]  # fmt: skip
    assert levels == sorted(levels)
    assert levels[0] == pytest.approx(0.065, abs=0.02)
    assert levels[-1] == pytest.approx(0.46, abs=0.05)
    for k in range(50):
        skin = draw_skin(np.random.default_rng(k))
        assert 1 > skin.color[0] > skin.color[1] > skin.color[2] > 0


def test_colors_agree_with_the_color_module() -> None:
    assert srgb(1.0, 1.0, 1.0) == pytest.approx((1, 1, 1), abs=1e-6)
    red = convert_primaries(torch.tensor([1.0, 0.0, 0.0]).view(3, 1, 1), "bt709", "bt2020")
    assert srgb(1.0, 0.0, 0.0) == pytest.approx(red.flatten().tolist(), abs=1e-6)
    assert lab(100.0, 0.0, 0.0) == pytest.approx((1, 1, 1), abs=1e-3)
    assert black_body(6500.0) == pytest.approx((1, 1, 1), abs=0.05)
    warm = black_body(2000.0)
    assert warm[0] > 1 > warm[1] > warm[2]


def test_shapes_are_closed_where_they_should_be() -> None:
    flat = grid(np.zeros((3, 5, 3)))
    assert flat.faces.shape == (8, 4)
    assert grid(np.zeros((3, 5, 3)), wrap=True).faces.shape == (10, 4)
    ball = blob((1.0, 2.0, 3.0))
    assert np.abs(ball.vertices).max(axis=0) == pytest.approx([1, 2, 3], rel=0.01)
    cup = lathe([(0, 0), (1, 0), (1, 2)])
    assert np.hypot(*cup.vertices[:, :2].T).max() == pytest.approx(1, rel=1e-5)
    line = curve([(0, 0, 0), (1, 0, 1), (2, 0, 0)], 9)
    assert line[[0, 4, 8]] == pytest.approx(np.array([[0, 0, 0], [1, 0, 1], [2, 0, 0]]))
    hose = tube(np.linspace([0, 0, 0], [0, 0, 1], 5), np.full(5, 0.1))
    assert np.hypot(*hose.vertices[:, :2].T) == pytest.approx(0.1, rel=1e-4)
    assert rotation(yaw=90) @ np.array([1, 0, 0]) == pytest.approx([0, 1, 0], abs=1e-9)


def test_a_head_has_the_size_of_one_and_a_face_in_front() -> None:
    person = draw_person(np.random.default_rng(3), place=(0, 0), turn=0)
    points, _ = surface(person.head)
    low, high = points.min(axis=(0, 1)), points.max(axis=(0, 1))
    assert 13 < high[0] - low[0] < 17  # cm wide, deep with the nose, high
    assert 20 < high[1] - low[1] < 25
    assert 21 < high[2] - low[2] < 26
    tip = points.reshape(-1, 3)[points[..., 1].argmin()]
    assert abs(tip[0]) < 0.5
    assert -5 < tip[2] < -2
    lips, brows, beard, blush = np.moveaxis(paint(points, person.head), -1, 0)
    assert points[..., 2][brows > 0.5].min() > 0.8 > points[..., 2][lips > 0.5].max()
    assert beard[lips > 0.9].max() < 0.2
    assert 0.9 < blush.max() <= 1


def test_every_part_is_sound(many: list[Staging]) -> None:
    seen = 0
    for staging in many[:8]:
        for part in staging_parts(staging):
            if isinstance(part.shape, Strands):
                assert np.isfinite(part.shape.points).all()
                continue
            assert isinstance(part.shape, Mesh)
            assert np.isfinite(part.shape.vertices).all()
            assert part.shape.faces.max() < len(part.shape.vertices)
            assert len(part.shape.rest) == len(part.shape.vertices)
            seen += isinstance(part.material, Skin)
    assert seen > 10


@pytest.mark.parametrize("kind", MAKERS)
def test_things_have_the_size_they_say_and_stand_on_their_place(kind: str) -> None:
    surface = Surface(color=(0.5, 0.5, 0.5), emission=50.0 if kind in LAMP_LEVELS else 0.0)
    thing = Thing(kind=kind, place=(1.0, 2.0, 0.5), turn=0.0, size=1.0, surface=surface)  # type: ignore[arg-type]
    points = np.concatenate(
        [p.shape.vertices for p in thing_parts(thing) if isinstance(p.shape, Mesh)]
    )
    assert 0.3 < (points.max(axis=0) - points.min(axis=0)).max() < 16
    assert np.median(points, axis=0)[:2] == pytest.approx([1.0, 2.0], abs=0.8)
    if kind not in ("neon", "tube"):
        assert points[:, 2].min() == pytest.approx(0.5, abs=0.06)


def test_a_panorama_lights_a_white_card_by_one() -> None:
    light = np.ones((3, 2048, 4096), np.float32) * 7
    light[:, :1024] *= 3
    prepared = prepare_panorama(light)
    assert prepared.shape == (3, 1024, 2048)
    assert prepared[:, 0].mean() == pytest.approx(1.5)
    assert prepared[:, -1].mean() == pytest.approx(0.5)


class Renderer:
    """Stands in for Blender: gray noise with skin on the left, and a count."""

    def __init__(self) -> None:
        self.seeds: list[int] = []
        self.fail_at = 10**9

    def __call__(
        self, staging: Staging, panorama: np.ndarray, *, width: int, height: int,
        **_: int,
    ) -> Rendered:  # fmt: skip
        assert panorama.shape == (3, 64, 128)
        if len(self.seeds) == self.fail_at:
            raise KeyboardInterrupt
        self.seeds.append(staging.seed)
        rng = np.random.default_rng(staging.seed)
        skin = np.zeros((height, width), np.float32)
        skin[:, : width // 2] = 1.0
        return Rendered(linear=rng.random((3, height, width), np.float32) + 0.05, skin=skin)


@pytest.fixture
def renderer(monkeypatch: pytest.MonkeyPatch) -> Renderer:
    fake = Renderer()
    monkeypatch.setattr(command, "render", fake)
    monkeypatch.setattr(command, "load_bpy", lambda: None)
    return fake


@pytest.mark.usefixtures("renderer")
def test_a_folder_of_views_is_what_training_reads(panoramas: Path, tmp_path: Path) -> None:
    assert stage_views([panoramas], tmp_path, SMALL, views=3) == 6
    views = read_index(tmp_path)
    assert [view.scene for view in views] == ["meadow"] * 3 + [HELD_OUT] * 3
    assert not any(view.graded for view in views)
    assert np.load(views[0].path).dtype == np.float16
    assert views[0].load().shape == (3, 32, 48)
    assert log_average(views[0].load()) == pytest.approx(0.18, rel=0.02)
    skin = views[0].load_skin()
    assert skin is not None
    assert skin.shape == (1, 32, 48)
    assert skin[..., :24].min() == 1
    assert skin[..., 24:].max() == 0
    shrunk = replace(views[0], shrink=2).load_skin()
    assert shrunk is not None
    assert shrunk.shape == (1, 16, 24)
    assert View(path=views[0].path, scene="", graded=False).load_skin() is None
    train, held_out = split_views(views)
    assert {view.scene for view in train} == {"meadow"}
    assert {view.scene for view in held_out} == {HELD_OUT}


def test_an_interrupted_run_goes_on_to_the_same_views(
    panoramas: Path, tmp_path: Path, renderer: Renderer
) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    stage_views([panoramas], whole, SMALL, views=3)
    seeds = list(renderer.seeds)
    renderer.seeds.clear()
    renderer.fail_at = 2
    with pytest.raises(KeyboardInterrupt):
        stage_views([panoramas], parts, SMALL, views=3)
    first = next(parts.glob("meadow*000.npy"))
    before = first.stat().st_mtime_ns
    renderer.fail_at = 10**9
    assert stage_views([panoramas], parts, SMALL, views=3) == 6
    assert renderer.seeds == seeds
    assert first.stat().st_mtime_ns == before
    for file in sorted(whole.iterdir()):
        assert (parts / file.name).read_bytes() == file.read_bytes()
    assert {p.name for p in parts.iterdir()} == {p.name for p in whole.iterdir()}


@pytest.mark.usefixtures("renderer")
def test_scenes_one_by_one_are_the_same_as_all_at_once(panoramas: Path, tmp_path: Path) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    stage_views([panoramas], whole, SMALL, views=2)
    assert stage_views([panoramas], parts, SMALL, views=1, scenes="poly*") == 1
    assert stage_views([panoramas], parts, SMALL, views=2, scenes="poly*") == 2
    assert stage_views([panoramas], parts, SMALL, views=2, scenes="mead*") == 4
    for file in sorted(whole.iterdir()):
        assert (parts / file.name).read_bytes() == file.read_bytes()


@pytest.mark.usefixtures("renderer")
def test_other_settings_and_no_panorama_are_errors(panoramas: Path, tmp_path: Path) -> None:
    stage_views([panoramas], tmp_path / "out", SMALL, views=1)
    with pytest.raises(MediaError, match="use another folder"):
        stage_views([panoramas], tmp_path / "out", replace(SMALL, samples=5), views=1)
    with pytest.raises(MediaError, match=r"no panorama under .* fits 'photo'"):
        stage_views([panoramas], tmp_path / "none", SMALL, views=1, scenes="photo")


def test_a_missing_blender_is_one_clear_line(
    panoramas: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setitem(sys.modules, "bpy", None)
    assert main(["stage", str(panoramas), "--out", str(tmp_path / "out")]) == 1
    error = capsys.readouterr().err.strip()
    assert "pip install -e .[stage]" in error
    assert "\n" not in error


def render_apart(scene: Staging, panorama: np.ndarray) -> Rendered:
    """Render in a process of its own: Blender's threads and libraries stay out of pytest's."""
    asked = {"width": 48, "height": 32, "samples": 4, "threads": 1}
    with get_context("spawn").Pool(1) as pool:
        return pool.apply_async(render, (scene, panorama), asked).get(_BLENDER_SECONDS)


@pytest.mark.usefixtures("with_blender")
def test_blender_renders_a_view(panoramas: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    args = ["stage", str(panoramas), "--out", str(out), "--views", "1", "--size", "48", "32",
            "--samples", "2", "--scenes", "meadow", "--threads", "1"]  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-m", "training", *args], capture_output=True, text=True, check=False,
        timeout=_BLENDER_SECONDS, cwd=Path(__file__).parents[2],
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    row = json.loads((out / "index.json").read_text())[0]
    view = read_index(out)[0].load()
    assert row["scene"] == "meadow"
    assert view.shape == (3, 32, 48)
    assert torch.isfinite(view).all()
    assert log_average(view) == pytest.approx(0.18, rel=0.02)
    assert float(view.max() / view.min().clamp(min=1e-3)) > 3


@pytest.mark.usefixtures("with_blender")
def test_blender_knows_skin_and_keeps_the_light_of_lamps(many: list[Staging]) -> None:
    """A lamp of 400 in the middle is 400 after the denoiser, in its own color."""
    gray = np.full((3, 16, 32), 1.0, np.float32)
    alone = next(s for s in many if len(s.people) == 1 and not s.setting.table)
    color = srgb(1.0, 0.4, 0.1)
    lamp = Thing(
        kind="ball", place=(0.0, 0.0, 0.0), turn=0.0, size=0.6,
        surface=Surface(color=color, emission=400.0),
    )  # fmt: skip
    bare = replace(alone.setting, wall=None, floor=None)
    shot = replace(alone.shot, focal=35.0, position=(0.0, -3.0, 0.3), target=(0.0, 0.0, 0.3),
                   fstop=None, roll=0.0)  # fmt: skip
    scene = replace(alone, people=(), things=(lamp,), lights=(), setting=bare, shot=shot)
    shone = render_apart(scene, gray)
    assert shone.linear[:, 16, 24] == pytest.approx(np.array(color) * 400, rel=0.05)
    assert shone.linear[:, 2, 2] == pytest.approx([1, 1, 1], rel=0.02)
    assert shone.skin.max() == 0
    near = render_apart(replace(alone, things=()), gray)
    assert (near.skin > 0.9).sum() > 10
    assert (near.skin == 0).sum() > 100
    assert blender.INDIRECT_LIMIT < 400

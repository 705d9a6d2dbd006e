"""Fill a folder with staged views; started again, it goes on where it stopped."""

from __future__ import annotations

import fnmatch
import json
import time
import zlib
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch

from training.scenes import INDEX, as_stored
from training.sources import find_sources, read_still
from training.staging.blender import Rendered, load_bpy, render
from training.staging.draw import draw_staging
from training.staging.folder import check_settings
from training.video_source import VIDEO_SUFFIXES
from vs_gainmap.errors import MediaError
from vs_gainmap.photo.files import replacing, write_bytes

SETTINGS = "stage.json"
# A view of 40 degrees, 384 pixels wide, sees a ninth of it.
PANORAMA_WIDTH = 2048
# Between scene and number in a file's name.
MARK = "_staged_"


@dataclass(frozen=True, slots=True, kw_only=True)
class StageSettings:
    """What the pictures of a folder share; a folder with others is not gone on with."""

    width: int
    height: int
    samples: int
    seed: int


def prepare_panorama(linear: np.ndarray) -> np.ndarray:
    """Shrink a panorama and scale it to light a white card by about 1.

    Args:
        linear: (3, H, 2H), relative, BT.2020.

    Returns:
        (3, H', 2H'), at most `PANORAMA_WIDTH` wide, its mean over the sphere 1.
    """
    picture: np.ndarray = np.ascontiguousarray(linear.transpose(1, 2, 0), dtype=np.float32)
    if picture.shape[1] > PANORAMA_WIDTH:
        size = (PANORAMA_WIDTH, PANORAMA_WIDTH // 2)
        picture = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    height = picture.shape[0]
    weight = np.cos(((np.arange(height) + 0.5) / height - 0.5) * np.pi)
    mean = float(np.average(picture.mean(axis=(1, 2)), weights=weight))
    return np.asarray((picture / max(mean, 1e-12)).transpose(2, 0, 1))


def view_name(scene: str, number: int) -> str:
    """Return the file of a scene's view."""
    return f"{scene}{MARK}{number:03d}.npy"


def _skin_name(name: str) -> str:
    return name.replace(".npy", "_skin.png")


def _save(rendered: Rendered, out: Path, name: str) -> bool:
    """Write skin and view, the view last: where it is, both are."""
    stored = as_stored(torch.from_numpy(np.nan_to_num(rendered.linear)), graded=False)
    if stored is None:
        return False
    mask = (rendered.skin * 255).round().astype(np.uint8)
    write_bytes(out / _skin_name(name), cv2.imencode(".png", mask)[1].tobytes())
    with replacing(out / name) as partial:
        np.save(partial, stored)
    return True


def _write_index(out: Path) -> int:
    """List the views that are there, whoever rendered them; return how many."""
    rows = [
        {
            "file": path.name,
            "scene": path.name.rpartition(MARK)[0],
            "graded": False,
            "skin": _skin_name(path.name),
        }
        for path in sorted(out.glob(f"*{MARK}*.npy"))
        if not path.name.startswith(".")  # what a kill left unfinished
    ]
    write_bytes(out / INDEX, json.dumps(rows, indent=0).encode())
    return len(rows)


def _stage_scene(
    path: Path, out: Path, numbers: list[int], settings: StageSettings, threads: int
) -> None:
    """Render the views of a panorama that are missing; anything else is passed over."""
    scene = path.name.split(".")[0]
    try:
        still = read_still(path)
    except MediaError as error:
        print(f"left out: {error}")
        return
    if not still.panorama:
        print(f"left out: {path.name} is no panorama")
        return
    panorama = prepare_panorama(still.linear.numpy())
    start = time.monotonic()
    for number in numbers:
        rng = np.random.default_rng([settings.seed, zlib.crc32(scene.encode()), number])
        staging = draw_staging(rng, aspect=settings.width / settings.height)
        rendered = render(
            staging,
            panorama,
            width=settings.width,
            height=settings.height,
            samples=settings.samples,
            threads=threads,
        )
        _save(rendered, out, view_name(scene, number))
    each = (time.monotonic() - start) / len(numbers)
    print(f"{path.name}: {len(numbers)} views, {each:.1f} s each", flush=True)


def stage_views(
    folders: list[Path],
    out: Path,
    settings: StageSettings,
    *,
    views: int,
    scenes: str = "*",
    threads: int = 0,
) -> int:
    """Render staged views in every panorama under `folders`, and write the index.

    Files that are there already are kept, so an interrupted run goes on, and several processes
    can fill one folder, each with scenes of its own.

    Args:
        folders: searched for panoramas.
        out: gets ``<scene>_staged_<nnn>.npy`` as `scenes.render_views` writes views,
            ``..._skin.png`` (8 bits, share of skin), and the index.
        settings: of every view.
        views: per panorama.
        scenes: only panoramas whose name fits this pattern.
        threads: of the renderer; 0 takes every core.

    Returns:
        How many views there are.

    Raises:
        MediaError: Blender is missing, the folder has views of other settings, or there is no
            panorama.
    """
    load_bpy()
    out.mkdir(parents=True, exist_ok=True)
    check_settings(out / SETTINGS, settings)
    total = 0
    for path in (p for folder in folders for p in find_sources(folder)):
        scene = path.name.split(".")[0]
        if path.suffix.lower() in VIDEO_SUFFIXES or not fnmatch.fnmatch(scene, scenes):
            continue
        names = {view_name(scene, number): number for number in range(views)}
        missing = [number for name, number in names.items() if not (out / name).exists()]
        if missing:
            _stage_scene(path, out, missing, settings, threads)
        total = _write_index(out)
    if not total:
        raise MediaError(f"stage: no panorama under {', '.join(map(str, folders))} fits {scenes!r}")
    return total

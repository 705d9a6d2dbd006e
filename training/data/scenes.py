"""Render views of HDR scenes: perspective pictures of panoramas, crops of photographs.

`render_views` fills a folder with half-float pictures and an index. Grading and tone mapping are
drawn later, for each training sample, so one folder serves any number of epochs.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from training.data.grade import Levels
from training.data.images import write_rgb
from training.data.sources import Still, find_sources, read_source
from vs_gainmap.color.primaries import luminance
from vs_gainmap.errors import GainMapError, MediaError, NoGainMapError

HALF_MAX = 60000.0
INDEX = "index.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Views:
    """The result of `render_views`: how many views, and the files that could not be read."""

    count: int
    left_out: list[Path]


@dataclass(frozen=True, slots=True, kw_only=True)
class Camera:
    """A pinhole camera in a panorama; angles in degrees, yaw to the right, pitch up."""

    yaw: float
    pitch: float
    roll: float
    fov: float

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Camera:
        """Draw a camera that is mostly level and 42 to 105 degrees wide."""
        return cls(
            yaw=rng.uniform(0, 360),
            pitch=float(np.clip(rng.normal(0, 14), -50, 50)),
            roll=rng.normal(0, 2),
            fov=rng.uniform(42, 105),
        )


def perspective(panorama: Tensor, camera: Camera, width: int, height: int) -> Tensor:
    """Project an equirectangular panorama onto a camera's picture.

    Args:
        panorama: (3, H, 2H), linear light.
        camera: its direction and horizontal field of view.
        width: of the view.
        height: of the view.

    Returns:
        (3, height, width), linear light.
    """
    ph, pw = panorama.shape[-2:]
    half = math.tan(math.radians(camera.fov) / 2)
    x = np.linspace(-half, half, width, dtype=np.float32)
    y = np.linspace(-half, half, height, dtype=np.float32) * (height / width)
    rays = np.stack([*np.meshgrid(x, y), np.ones((height, width), np.float32)], axis=-1)
    yaw, pitch, roll = (math.radians(a) for a in (camera.yaw, camera.pitch, camera.roll))
    turn = _rotation(1, -yaw) @ _rotation(0, pitch) @ _rotation(2, roll)
    dx, dy, dz = np.moveaxis(rays @ turn.T.astype(np.float32), -1, 0)
    longitude = np.arctan2(dx, dz) / (2 * np.pi) + 0.5
    latitude = np.arctan2(dy, np.hypot(dx, dz)) / np.pi + 0.5
    # Shrink first where the panorama has more pixels than the view: remap does not filter.
    density = pw * camera.fov / 360 / width
    picture = panorama.numpy().transpose(1, 2, 0)
    if density > 1.5:
        pw, ph = round(pw / density), round(ph / density)
        picture = cv2.resize(picture, (pw, ph), interpolation=cv2.INTER_AREA)
    view = cv2.remap(
        np.ascontiguousarray(picture),
        (longitude * pw - 0.5).astype(np.float32),
        (latitude * ph - 0.5).astype(np.float32),
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_WRAP,
    )
    return torch.from_numpy(np.ascontiguousarray(view.transpose(2, 0, 1)))


def _rotation(axis: int, angle: float) -> np.ndarray:
    c, s = math.cos(angle), math.sin(angle)
    i, j = [k for k in range(3) if k != axis]
    matrix = np.eye(3)
    matrix[i, i] = matrix[j, j] = c
    matrix[i, j], matrix[j, i] = -s, s
    return matrix


def draw_window(picture: Tensor, rng: np.random.Generator, aspect: float) -> tuple[slice, slice]:
    """Draw a window of an aspect in a photograph: rows and columns."""
    ph, pw = picture.shape[-2:]
    take = min(pw / aspect, ph) * rng.uniform(0.6, 1.0)
    w, h = max(int(aspect * take), 2), max(int(take), 2)
    x, y = int(rng.integers(0, pw - w + 1)), int(rng.integers(0, ph - h + 1))
    return slice(y, y + h), slice(x, x + w)


def resize(picture: Tensor, width: int, height: int) -> Tensor:
    """Resize (3, H, W): averaged where it gets smaller, bilinear where larger."""
    planes = np.ascontiguousarray(picture.numpy().transpose(1, 2, 0))
    filtering = cv2.INTER_AREA if planes.shape[1] > width else cv2.INTER_LINEAR
    resized = cv2.resize(planes, (width, height), interpolation=filtering)
    return torch.from_numpy(np.ascontiguousarray(resized.transpose(2, 0, 1)))


def log_average(linear: Tensor, *, panorama: bool = False) -> float:
    """Return the log-average luminance of (3, H, W) BT.2020 light, without its black pixels.

    Rows of a panorama are weighted by their solid angle.
    """
    y = luminance(linear, "bt2020")[0]
    weight = torch.ones_like(y)
    if panorama:
        rows = (torch.arange(y.shape[0]) + 0.5) / y.shape[0]
        weight = torch.sin(rows * math.pi)[:, None].expand_as(y)
    lit = y > y.mean() * 1e-5
    if not lit.any():
        return 0.0
    return float(torch.exp((torch.log(y[lit]) * weight[lit]).sum() / weight[lit].sum()))


def as_stored(view: Tensor, *, graded: bool) -> np.ndarray | None:
    """Return a view as it is stored: (3, H, W), half floats, BT.2020; None without any light.

    Relative light is scaled to a log-average of 0.18; graded views stay in cd/m2.
    """
    level = 1.0 if graded else log_average(view)
    if level <= 0 or not math.isfinite(level):
        return None
    scaled = view if graded else view * (0.18 / level)
    return np.asarray(scaled.clamp(0, HALF_MAX).numpy().astype(np.float16))


def render_still(
    still: Still,
    out: Path,
    rng: np.random.Generator,
    *,
    first: int,
    views: int,
    width: int,
    height: int,
) -> list[dict[str, object]]:
    """Write views of one scene and return their rows of the index.

    Where 1.0 is diffuse white in the picture, a row has the log-averages of view and scene.
    """
    rows: list[dict[str, object]] = []
    scene = 0.0 if still.graded else log_average(still.linear, panorama=still.panorama)
    for number in range(first, first + views):
        sides = [still.linear] if still.sdr is None else [still.linear, still.sdr]
        if still.panorama:
            camera = Camera.draw(rng)
            shown = [perspective(side, camera, width, height) for side in sides]
        else:
            window = (slice(None), *draw_window(still.linear, rng, width / height))
            shown = [resize(side[window], width, height) for side in sides]
        view = shown[0]
        stem = f"{still.name}_{number:05d}"
        stored = as_stored(view, graded=still.graded)
        if stored is not None:
            np.save(out / f"{stem}.npy", stored)
            row: dict[str, object] = {
                "file": f"{stem}.npy",
                "scene": still.name,
                "graded": still.graded,
            }
            levels = Levels.known(view=log_average(view), scene=scene)
            if levels is not None:
                row |= {"level": levels.view, "scene_level": levels.scene}
            if still.sdr is not None:
                row["sdr"] = f"{stem}.png"
                write_rgb(shown[1], out / f"{stem}.png")
            rows.append(row)
    return rows


def render_views(
    folders: list[Path],
    out: Path,
    *,
    views: int,
    width: int,
    height: int,
    seed: int = 0,
    video_frames: int = 16,
) -> Views:
    """Render views of every HDR picture and video under `folders` and write the index.

    A file that can't be read is left out, with a line that names it.

    Args:
        folders: searched for HDR pictures, each once.
        out: gets ``<scene>_<nnnnn>.npy``, float16 (3, height, width), BT.2020, and the index.
        views: of each panorama and gain map photo; other photographs get a quarter as many, frames
            of a video one.
        width: of a view.
        height: of a view.
        seed: of the cameras.
        video_frames: taken from each video.

    Raises:
        MediaError: nothing can be read, or a number is below 1.
    """
    if min(views, width, height, video_frames) < 1:
        raise MediaError("render: views, frames, width and height must be 1 or more")
    out.mkdir(parents=True, exist_ok=True)
    rows: list[dict[str, object]] = []
    broken: list[Path] = []
    for number, path in enumerate(p for folder in folders for p in find_sources(folder)):
        rng = np.random.default_rng([seed, number])
        before = len(rows)
        try:
            for still in read_source(path, video_frames=video_frames):
                # A camera's own pairs are few and worth most.
                many = still.panorama or still.sdr is not None
                count = views if many else 1 if still.graded else max(views // 4, 1)
                rows += render_still(
                    still, out, rng, first=len(rows), views=count, width=width, height=height
                )
        except GainMapError as error:
            reason = str(error).removeprefix("training: ")
            print(f"left out: {path}: {reason.removeprefix(path.name).lstrip(' :')}")
            # A photo without a gain map is not broken.
            if not isinstance(error, NoGainMapError):
                broken.append(path)
        print(f"{path.name}: {len(rows) - before} views", flush=True)
    if not rows:
        raise MediaError(f"training: no HDR picture or video under {', '.join(map(str, folders))}")
    (out / INDEX).write_text(json.dumps(rows, indent=0))
    return Views(count=len(rows), left_out=broken)

"""Load views that `render` wrote."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from training.data.grade import Levels
from training.data.images import read_rgb
from training.data.scenes import INDEX
from vs_gainmap.errors import MediaError, MetadataError
from vs_gainmap.files import read_bytes
from vs_gainmap.untrusted import as_number, read_npy_header

# Shrunk views that each loading process keeps in memory: at 192x128, 0.15 MB each.
SHRUNK_VIEWS = 4096
# Bytes; a row has about 200.
LARGEST_INDEX = 1 << 30
LEAST_LIGHT, MOST_LIGHT = 1e-9, 1e9


def view_size(path: Path) -> tuple[int, int]:
    """Return height and width of a view, from its header and the file's size.

    Raises:
        MediaError: it can't be read, is no picture of half or single floats, or shorter than its
            header says.
    """
    try:
        with path.open("rb") as file:
            shape, kind = read_npy_header(file, path)
            room = path.stat().st_size - file.tell()
    except (OSError, MetadataError) as error:
        reason = " ".join(str(error).split())
        raise MediaError(f"training: {path} can't be read: {reason}") from error
    if kind not in (np.float16, np.float32) or len(shape) != 3 or shape[0] != 3 or min(shape) < 1:
        raise MediaError(f"training: {path} is no view, but {kind} of shape {shape}"[:300])
    if math.prod(shape) * kind.itemsize > room:
        raise MediaError(f"training: {path} can't be read: shorter than its header says")
    return shape[1], shape[2]


def _read(path: Path) -> Tensor:
    view_size(path)
    light = torch.from_numpy(np.load(path).astype(np.float32))
    if not torch.isfinite(light).all() or light.min() < 0:
        raise MediaError(f"training: {path} has values that are no light; render it again")
    return light


@lru_cache(maxsize=SHRUNK_VIEWS)
def _read_shrunk(path: Path, shrink: int) -> Tensor:
    """Read a view as half floats, averaged over squares of `shrink` pixels."""
    return functional.avg_pool2d(_read(path)[None], shrink)[0].half()


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """A view of a scene.

    Attributes:
        path: .npy, half floats.
        scene: its name; see `splits`.
        graded: in cd/m2; otherwise relative light.
        levels: light levels where 1.0 is diffuse white; None where unknown.
        sdr: the SDR picture that came with it, .png; None where none did.
        shrink: side of the squares of pixels that are averaged when it is loaded.
    """

    path: Path
    scene: str
    graded: bool
    levels: Levels | None = None
    sdr: Path | None = None
    shrink: int = 1

    def load(self) -> Tensor:
        """Return (3, H, W), float32, BT.2020.

        Raises:
            MediaError: the file is missing or damaged.
        """
        if self.shrink == 1:
            return _read(self.path)
        return _read_shrunk(self.path, self.shrink).float()

    def load_sdr(self) -> Tensor | None:
        """Return the SDR picture that came with the view, (3, H, W), 0..1, or None.

        Raises:
            MediaError: it is not there, or damaged.
        """
        if self.sdr is None:
            return None
        signal = read_rgb(self.sdr)
        return functional.avg_pool2d(signal[None], self.shrink)[0] if self.shrink > 1 else signal


def read_index(folder: Path) -> list[View]:
    """Return the views in a folder that `scenes.render_views` wrote.

    Raises:
        MediaError: it has no index, or a damaged one.
    """
    path = folder / INDEX
    if not path.is_file():
        raise MediaError(f"training: no views in {folder}; run `render` first")
    try:
        return [_view(folder, row) for row in json.loads(read_bytes(path, LARGEST_INDEX))]
    except (KeyError, TypeError, ValueError, RecursionError, MetadataError) as error:
        reason = " ".join(str(error).split())[:100]
        raise MediaError(f"training: {path} is damaged ({reason}); run `render` again") from error


def _view(folder: Path, row: dict[str, object]) -> View:
    """Decode a row of the index."""
    for name, kind in (("file", str), ("scene", str), ("graded", bool)):
        if not isinstance(row[name], kind):
            raise TypeError(f"{name} must be {kind.__name__}")
    levels = None
    if "level" in row:
        levels = Levels(
            view=as_number(row["level"], "level", LEAST_LIGHT, MOST_LIGHT),
            scene=as_number(row["scene_level"], "scene_level", LEAST_LIGHT, MOST_LIGHT),
        )
    return View(
        path=folder / str(row["file"]),
        scene=str(row["scene"]),
        graded=bool(row["graded"]),
        levels=levels,
        sdr=folder / str(row["sdr"]) if "sdr" in row else None,
    )

"""Load views that `render` wrote."""

from __future__ import annotations

import json
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
from vs_gainmap.errors import MediaError

# Shrunk views that each loading process keeps in memory: at 192x128, 0.15 MB each.
SHRUNK_VIEWS = 4096


def _read(path: Path) -> Tensor:
    try:
        return torch.from_numpy(np.load(path).astype(np.float32))
    except (OSError, ValueError, EOFError) as error:
        raise MediaError(f"training: {path} can't be read: {error}") from error


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
        MediaError: it has no index.
    """
    try:
        rows = json.loads((folder / INDEX).read_text())
    except OSError as error:
        raise MediaError(f"training: no views in {folder}; run `render` first") from error
    return [
        View(
            path=folder / row["file"],
            scene=row["scene"],
            graded=row["graded"],
            levels=Levels(view=row["level"], scene=row["scene_level"]) if "level" in row else None,
            sdr=folder / row["sdr"] if "sdr" in row else None,
        )
        for row in rows
    ]

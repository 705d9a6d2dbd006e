"""Cut pictures into patches, with the step and names of the published script."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np

from training.data.images import read_image
from vs_gainmap.errors import MediaError


def patch_origins(size: int, crop: int, step: int) -> list[int]:
    """Return where patches start along one side: every `step` pixels while a whole one fits."""
    return list(range(0, size - crop + 1, step))


def crop_picture(path: Path, out: Path, crop: int, step: int) -> int:
    """Cut a picture into `<stem>_s<nnn>.png`, numbered row by row; return how many."""
    picture = read_image(path, cv2.IMREAD_UNCHANGED)
    number = 0
    for y in patch_origins(picture.shape[0], crop, step):
        for x in patch_origins(picture.shape[1], crop, step):
            number += 1
            patch = np.ascontiguousarray(picture[y : y + crop, x : x + crop])
            cv2.imwrite(str(out / f"{path.stem}_s{number:03d}.png"), patch)
    return number


def crop_folder(source: Path, out: Path, *, crop: int, step: int, threads: int = 1) -> int:
    """Cut every picture in a folder.

    Args:
        source: folder; for gain maps, divide `crop` and `step` by the map scale.
        out: must not exist.
        crop: side of a patch in pixels; published: 480.
        step: from one patch to the next; published: 480.
        threads: pictures at a time.

    Returns:
        The number of patches.

    Raises:
        MediaError: `source` is no folder, `out` exists, a picture can't be read, or none is as
            large as a patch.
    """
    if min(crop, step, threads) < 1:
        raise MediaError(
            f"crop: crop, step and threads must be 1 or more, got {crop}, {step}, {threads}"
        )
    if not source.is_dir():
        raise MediaError(f"crop: {source} is not a folder; name one with pictures in it")
    if out.exists():
        raise MediaError(f"crop: {out} exists already; name another folder")
    paths = sorted(p for p in source.iterdir() if p.suffix.lower() in (".png", ".jpg", ".tif"))
    if not paths:
        raise MediaError(f"crop: no pictures in {source}")
    out.mkdir(parents=True)
    with ThreadPoolExecutor(max_workers=threads) as pool:
        counts = pool.map(
            crop_picture, paths, [out] * len(paths), [crop] * len(paths), [step] * len(paths)
        )
        total = sum(counts)
    if not total:
        out.rmdir()
        raise MediaError(f"crop: no picture in {source} is as large as {crop}x{crop}")
    return total

"""Hold a new network against PyTorch's result before it is used."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import torch
import vapoursynth as vs
from numpy.typing import NDArray

from vs_gainmap.backends.graphs import vector_size
from vs_gainmap.errors import BackendError
from vs_gainmap.models import GMNet
from vs_gainmap.models.gmnet import HALO, THUMBNAIL_SIZE, GlobalFeatures

Run = Callable[[list[vs.VideoNode]], vs.VideoNode]
Planes = NDArray[np.float32]

# Largest error in float32, of the map and, relative to its largest number, of the vector.
EXACT = 1e-3
# Root mean square error of the map in the other precisions. Rounding gives a tenth of it; a
# wrong graph or a driver's fault gives far more.
ROUGH = {"float16": 0.01, "bfloat16": 0.02, "int8": 0.05}
# Compared in two opposite corners, so that it costs little at any size.
WINDOW = 96


def sample_picture(width: int, height: int) -> Planes:
    """Return soft blobs and some noise, (3, H, W), 0..1."""
    rng = np.random.default_rng(0)
    blobs = rng.random((6, 8, 3), dtype=np.float32)
    soft = np.asarray(cv2.resize(blobs, (width, height), interpolation=cv2.INTER_CUBIC))
    noisy = soft + rng.normal(0, 0.02, (height, width, 3))
    return np.ascontiguousarray(np.clip(noisy, 0, 1).transpose(2, 0, 1), dtype=np.float32)


def verify_global(model: GMNet, run: Run) -> None:
    """Compare the global branch.

    Raises:
        BackendError: it is off.
    """
    thumbnail = sample_picture(THUMBNAIL_SIZE, THUMBNAIL_SIZE)
    size = vector_size(model)
    got = _first_frame(run([_clip(thumbnail)])).reshape(-1)[:size]
    with torch.inference_mode():
        want = _flat(model.analyze(torch.from_numpy(thumbnail)[None]))
    error = float(np.abs(got - want).max() / max(1.0, np.abs(want).max()))
    if not error <= EXACT:
        raise BackendError(_complaint(error))


def verify_local(model: GMNet, run: Run, size: tuple[int, int], precision: str) -> None:
    """Compare the local branch in two corners of a picture.

    Args:
        model: the network.
        run: from the clips of picture and vector to the gain map.
        size: width and height, even.
        precision: what it computes in.

    Raises:
        BackendError: it is off.
    """
    width, height = size
    picture = sample_picture(width, height)
    with torch.inference_mode():
        thumbnail = sample_picture(THUMBNAIL_SIZE, THUMBNAIL_SIZE)
        features = model.analyze(torch.from_numpy(thumbnail)[None])
    vector = _flat(features)
    plane = np.zeros((1, height, width), dtype=np.float32)
    plane.reshape(-1)[: vector.size] = vector
    got = _first_frame(run([_clip(picture), _clip(plane)]))
    errors = []
    for top, left in ((0, 0), (max(height - WINDOW, 0), max(width - WINDOW, 0))):
        bottom, right = min(top + WINDOW, height), min(left + WINDOW, width)
        y, x = max(top - HALO, 0), max(left - HALO, 0)
        part = picture[:, y : bottom + HALO, x : right + HALO]
        with torch.inference_mode():
            want = model.predict(torch.from_numpy(np.ascontiguousarray(part))[None], features)
        near = want[0, 0].numpy()[top - y : bottom - y, left - x : right - x]
        errors.append(got[top:bottom, left:right] - near)
    if precision == "float32":
        error, limit = max(float(np.abs(e).max()) for e in errors), EXACT
    else:
        squares = np.concatenate([e.reshape(-1) ** 2 for e in errors])
        error, limit = float(np.sqrt(squares.mean())), ROUGH[precision]
    if not error <= limit:
        raise BackendError(_complaint(error))


def _complaint(error: float) -> str:
    return (
        f"the exported network is off by {error:.3g} from PyTorch's result here; "
        'use another dtype or backend="torch", and report it'
    )


def _flat(features: GlobalFeatures) -> NDArray[np.float32]:
    return torch.cat([part.reshape(-1) for part in features]).numpy()


def _clip(planes: Planes) -> vs.VideoNode:
    count, height, width = planes.shape
    blank = vs.core.std.BlankClip(
        format=vs.RGBS if count == 3 else vs.GRAYS, width=width, height=height, length=1
    )

    def fill(n: int, f: vs.VideoFrame) -> vs.VideoFrame:  # noqa: ARG001
        out = f.copy()
        for index in range(count):
            np.copyto(np.asarray(out[index]), planes[index])
        return out

    return blank.std.ModifyFrame(blank, fill)


def _first_frame(clip: vs.VideoNode) -> NDArray[np.float32]:
    with clip.get_frame(0) as frame:
        return np.array(frame[0])

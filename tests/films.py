"""A short film in chunks, and runs of it that end early."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import vapoursynth as vs

import vs_gainmap
from tests.media import X264, ffmpeg
from vs_gainmap.video import Encoded, convert
from vs_gainmap.video.convert import Graph
from vs_gainmap.video.work_folder import Resume, work_folder_of

CHUNK = 0.4


class StopError(Exception):
    pass


def make_film(path: Path) -> None:
    """Write two seconds of six chunks, with a key frame every 8 frames and varying light."""
    ffmpeg(
        "-f", "lavfi", "-i", "testsrc2=s=96x64:r=24:d=2", "-vf", "eq=brightness='0.2*sin(t*3)'"
        ":eval=frame,setparams=colorspace=bt709:color_primaries=bt709:color_trc=bt709:range=tv",
        *X264, "-g", "8", "-bf", "2", path,
    )  # fmt: skip


def graph(clip: vs.VideoNode) -> vs.VideoNode:
    """Return SDR as measured PQ: any HDR clip will do here."""
    hdr = clip.resize.Bicubic(
        format=vs.YUV420P10, matrix=9, transfer=16, primaries=9,
        matrix_in=1, transfer_in=1, primaries_in=1,
    )  # fmt: skip

    def tell(n: int, f: vs.VideoFrame) -> vs.VideoFrame:
        out = f.copy()
        # Scenes of seven frames, which end where no chunk does.
        out.props["_SceneChangePrev"] = int(n % 7 == 0)
        return out

    hdr = hdr.std.ModifyFrame(hdr, tell)
    return vs_gainmap.measure(hdr, hdr10plus=True)


def plain(clip: vs.VideoNode) -> vs.VideoNode:
    """Return SDR pixels with PQ tags: what takes no time."""
    return clip.resize.Point(format=vs.YUV420P10).std.SetFrameProps(
        _Matrix=9, _Transfer=16, _Primaries=9
    )


def run(source: Path, target: Path, *, graph: Graph = graph, **options: Any) -> Encoded:
    options = {"encoder": "ffv1", "chunk_seconds": CHUNK, "resume": Resume()} | options
    return convert(source, target, graph, **options)


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def stop_at(frames: int) -> Callable[[int, int, int], None]:
    """Return a progress that ends the run when so many frames are written."""

    def progress(done: int, total: int, size: int) -> None:  # noqa: ARG001
        if done >= frames:
            raise StopError

    return progress


def stopped(film: Path, target: Path, frames: int = 30, **options: Any) -> Path:
    """Return the folder of a run that was stopped."""
    with pytest.raises(StopError):
        run(film, target, progress=stop_at(frames), **options)
    return work_folder_of(target)

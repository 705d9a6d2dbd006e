"""Frame-accurate random access to a video file, for scripts: `open_clip`."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import vapoursynth as vs

from vs_gainmap.errors import MediaError


def open_clip(
    path: str | Path, *, track: int = -1, threads: int = 0, cache_dir: str | Path | None = None
) -> vs.VideoNode:
    """Open a video file as a clip with exact frames in any order.

    The first call on a long file reads it once from end to end; the index is then kept in a
    cache directory of the user's, not beside the file. Color props are what the stream says,
    rotation and sample aspect are left as they are (props `Rotation`, `_SARNum`, `_SARDen`).

    Args:
        path: the file.
        track: absolute number of the track, or -1, -2 ... for the first, second ... video.
        threads: decoding threads; 0 is one per core.
        cache_dir: where the index is kept; None is this user's cache directory.

    Raises:
        MediaError: no such file, no BestSource plugin, or nothing that it can decode.
    """
    source = Path(path).resolve()
    if not source.is_file():
        raise MediaError(f"open_clip: no such file: {path}")
    try:
        function = vs.core.bs.VideoSource
    except AttributeError as error:
        raise MediaError(
            "open_clip: the BestSource plugin is missing; pip install vapoursynth-bestsource"
        ) from error
    options: dict[str, int] = {"showprogress": 0, "apply_rotation": 0, "variableformat": 0}
    # Some of these are newer than the oldest plugin that we allow.
    known = {argument.split(":")[0] for argument in function.signature.split(";")}
    directory = Path(cache_dir) if cache_dir is not None else user_cache_dir()
    directory.mkdir(parents=True, exist_ok=True)
    try:
        clip = function(
            source=str(source),
            track=track,
            threads=threads,
            cachepath=str(directory),
            **{name: value for name, value in options.items() if name in known},
        )
    except vs.Error as error:
        raise MediaError(f"open_clip: {path}: {error}") from error
    if not isinstance(clip, vs.VideoNode):
        raise MediaError(f"open_clip: {path}: is not a video")
    return clip


def user_cache_dir() -> Path:
    """Return the directory for things that can be made again, after the platform's custom."""
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or str(Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = str(Path.home() / "Library" / "Caches")
    else:
        base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "vs-gainmap"

"""Light, Qmax and cuts of every frame of a conversion, to plot later."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path

from vs_gainmap.color.transfer import PQ_PEAK_NITS
from vs_gainmap.errors import MediaError, MetadataError
from vs_gainmap.files import write_bytes
from vs_gainmap.gainmap import MAX_STOPS
from vs_gainmap.untrusted import as_number, read_json
from vs_gainmap.video.frame_notes import FrameNote

# What is put behind a video's whole name.
STATS_SUFFIX = ".stats.json"
# Two million frames, a day of film.
MAX_BYTES = 1 << 28
MAX_SECONDS = 1e9
# PQ's, and room for rounding.
MAX_NITS = PQ_PEAK_NITS * 1.01
MAX_SIDE = 1 << 16


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameStats:
    """Figures of one frame: seconds, cd/m2, stops, and pixels of the active area."""

    seconds: float
    max_nits: float
    average_nits: float
    active_area: tuple[int, int, int, int] | None = None
    qmax: float | None = None
    begins_shot: bool = False


def write_stats(path: Path, frames: list[FrameStats]) -> None:
    """Write frames as JSON, in one step.

    Raises:
        MediaError: the file can't be written.
    """
    write_bytes(path, json.dumps({"frames": [asdict(f) for f in frames]}).encode())


def find_stats(video: Path, length: int) -> tuple[list[FrameStats] | None, str | None]:
    """Read a video's stats from beside it, under its own name and `STATS_SUFFIX`.

    Args:
        video: the HDR file.
        length: how many frames it has.

    Returns:
        The frames, or None; and why a file that is there is not used.
    """
    path = stats_beside(video)
    if not path.is_file():
        return None, None
    if path.stat().st_mtime < video.stat().st_mtime:
        # `convert` writes them last.
        return None, f"{path.name} is older than the video, and left out."
    try:
        frames = read_stats(path)
    except MediaError as error:
        return None, f"{path.name} is left out: {error}"
    if len(frames) != length:
        return None, f"{path.name} has {len(frames)} frames, the video {length}; it is left out."
    return frames, None


def stats_beside(video: Path) -> Path:
    """Return where `report` finds a video's stats by itself."""
    return video.with_name(video.name + STATS_SUFFIX)


def read_stats(path: Path) -> list[FrameStats]:
    """Read what `write_stats` wrote.

    Raises:
        MediaError: it is something else.
    """
    try:
        rows = read_json(path, MAX_BYTES).get("frames")
        if not isinstance(rows, list):
            raise MetadataError("no list of frames")
        return [_frame(row) for row in rows]
    except MetadataError as error:
        raise MediaError(f"{path}: is no stats file of `convert --stats`: {error}") from error


def _frame(row: object) -> FrameStats:
    if not isinstance(row, dict):
        raise MetadataError("a frame is no object")
    area, qmax = row.get("active_area"), row.get("qmax")
    if area is not None and not (isinstance(area, list) and len(area) == 4):
        raise MetadataError("active_area must be four numbers")
    edges = [int(as_number(edge, "active_area", 0, MAX_SIDE)) for edge in area or ()]
    return FrameStats(
        seconds=as_number(row.get("seconds"), "seconds", 0, MAX_SECONDS),
        max_nits=as_number(row.get("max_nits"), "max_nits", 0, MAX_NITS),
        average_nits=as_number(row.get("average_nits"), "average_nits", 0, MAX_NITS),
        active_area=(edges[0], edges[1], edges[2], edges[3]) if edges else None,
        qmax=None if qmax is None else as_number(qmax, "qmax", -MAX_STOPS, MAX_STOPS),
        begins_shot=row.get("begins_shot") is True,
    )


def stats_of(film: Sequence[FrameNote]) -> list[FrameStats]:
    """Return what was noted of a film's frames, in order; times count from the first one."""
    made, seconds = [], Fraction(0)
    for note in film:
        top, average = note.light or (0.0, 0.0)
        made.append(
            FrameStats(
                seconds=float(seconds),
                max_nits=top,
                average_nits=average,
                active_area=note.area,
                qmax=note.qmax or 0.0,
                begins_shot=note.begins_scene is True,
            )
        )
        seconds += note.duration
    return made

"""The table of output containers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from vs_gainmap.errors import MediaError
from vs_gainmap.video.encoders import Encoder


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    """An output file format: FFmpeg's name for it, and the options that it is written with."""

    suffix: str
    format: str
    options: dict[str, str]

    @property
    def is_matroska(self) -> bool:
        """Say whether the file is Matroska or its subset WebM."""
        return self.format in ("matroska", "webm")


# A checksum would not survive the last touch that `finish_matroska` gives the header. Without
# bitexact it gets random numbers, and the same film is another file each time.
_MATROSKA = {"write_crc32": "0", "fflags": "+bitexact"}
CONTAINERS = {
    container.suffix: container
    for container in (
        Container(suffix="mp4", format="mp4", options={"movflags": "+faststart"}),
        Container(suffix="mov", format="mov", options={"movflags": "+faststart"}),
        Container(suffix="mkv", format="matroska", options=_MATROSKA),
        Container(suffix="webm", format="webm", options=_MATROSKA),
    )
}


def find_container(path: Path, encoder: Encoder) -> Container:
    """Return the container that a file name asks for.

    Raises:
        MediaError: an unknown one, or one that can't hold what this encoder makes.
    """
    suffix = path.suffix.lower().removeprefix(".")
    suffix = {"m4v": "mp4", "qt": "mov"}.get(suffix, suffix)
    if suffix not in CONTAINERS:
        suffixes = ", ".join(f".{name}" for name in CONTAINERS)
        raise MediaError(f"{path.name}: the name must end in one of {suffixes}")
    if suffix not in encoder.containers:
        fit = " or ".join(f".{name}" for name in encoder.containers)
        raise MediaError(f"{path.name}: {encoder.name} goes into {fit}, not .{suffix}")
    return CONTAINERS[suffix]

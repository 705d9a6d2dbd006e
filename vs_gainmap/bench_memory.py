"""Peaks of memory, each measured on a process of its own: for `vs_gainmap.bench --memory`."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import av
import numpy as np

from vs_gainmap.errors import GainMapError

# Its memory is used up by then; an encoder's grows until its look-ahead is full.
FILTER_FRAMES = 6
# The filter alone, pulled as an encoder would, with the cache that `convert` allows.
_PULL = """
import sys
from vs_gainmap import sdr_to_hdr10
from vs_gainmap.bench import noise_clip
from vs_gainmap.video.memory import frames_in_order
from vs_gainmap.video.memory import bound_cache, bound_freed
width, height, frames, scale = map(int, sys.argv[1:5])
bound_freed()
bound_cache(width, height)
clip = noise_clip(width, height, frames)
for frame in frames_in_order(sdr_to_hdr10(clip, scale=scale, weights=sys.argv[5], measure=True)):
    frame.close()
"""


def peak_megabytes(command: list[str]) -> float:
    """Run a command and return the most memory that it held at once, in MB.

    Raises:
        GainMapError: the command failed, or this system doesn't tell.
    """
    if sys.platform == "win32":
        raise GainMapError("peaks of memory can't be read here; use Linux or macOS")
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise GainMapError(f"exit status {process.returncode} of {' '.join(command)}")
    # KiB on Linux, bytes on macOS.
    return usage.ru_maxrss / (1e6 if sys.platform == "darwin" else 1e6 / 1024)


def filter_peak(width: int, height: int, *, scale: int, weights: str) -> float:
    """Return the peak of `sdr_to_hdr10` by itself, in MB."""
    arguments = [str(v) for v in (width, height, FILTER_FRAMES, scale)]
    return peak_megabytes([sys.executable, "-c", _PULL, *arguments, weights])


def convert_peak(width: int, height: int, frames: int, *options: str) -> float:
    """Return the peak of `vs-gainmap convert` from H.264 to its defaults, in MB."""
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "sdr.mp4", Path(folder) / "hdr.mkv"
        write_noise(source, width, height, frames)
        command = [sys.executable, "-m", "vs_gainmap.cli", "convert", str(source), str(target)]
        return peak_megabytes([*command, "--quiet", *options])


def write_noise(path: Path, width: int, height: int, frames: int) -> None:
    """Write a moving picture with grain as H.264, BT.709."""
    rng = np.random.default_rng(0)
    shade = np.linspace(30, 200, width) + 20 * np.sin(np.linspace(0, 9, height))[:, None]
    with av.open(path, "w") as container:
        stream = container.add_stream("libx264", rate=24, options={"preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for n in range(frames):
            moved = np.roll(shade, 8 * n, 1) + rng.integers(-8, 8, (height, width))
            chroma = np.full((height // 2, width), 118)
            planar = np.concatenate([moved, chroma]).astype(np.uint8)
            frame = av.VideoFrame.from_ndarray(planar, format="yuv420p")
            frame.colorspace = frame.color_primaries = frame.color_trc = 1
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))

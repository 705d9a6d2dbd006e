"""What bounds memory at large sizes."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import vapoursynth as vs

from tests.clips import BT709, noise
from vs_gainmap import sdr_to_hdr10
from vs_gainmap.filters import memory
from vs_gainmap.filters.memory import frames_in_order
from vs_gainmap.malloc import give_back
from vs_gainmap.models.inference import Predictor


@pytest.fixture
def many_threads() -> Iterator[None]:
    before = vs.core.num_threads
    vs.core.num_threads = 16
    yield
    vs.core.num_threads = before


@pytest.mark.usefixtures("many_threads")
@pytest.mark.parametrize(
    ("size", "frames"),
    [((640, 360), 8), ((1920, 1080), 8), ((3840, 2160), 3), ((7680, 4320), 2)],
)
def test_large_frames_are_few_at_once(size: tuple[int, int], frames: int) -> None:
    assert memory.frames_in_flight(*size) == frames


@pytest.mark.usefixtures("many_threads")
def test_no_frame_is_asked_for_far_ahead() -> None:
    blank = vs.core.std.BlankClip(format=vs.GRAY8, width=3840, height=2160, length=12, keep=True)
    asked: list[int] = []

    def note(n: int, f: vs.VideoFrame) -> vs.VideoFrame:
        asked.append(n)
        return f

    ahead = []
    for n, frame in enumerate(frames_in_order(blank.std.ModifyFrame(blank, note))):
        frame.close()
        ahead.append(max(asked) - n)
    assert len(asked) == 12
    assert max(ahead) <= 3


@pytest.mark.slow
# A sixteenth of 2160p with a sixteenth of its cache, and with one that is always full.
@pytest.mark.parametrize(
    ("seconds", "cache"), [(0.0, memory.LEAST_CACHE_MB // 16), (0.3, memory.LEAST_CACHE_MB // 64)]
)
def test_maps_that_neighbors_need_are_held(
    tiny_weights: Path, monkeypatch: pytest.MonkeyPatch, seconds: float, cache: int
) -> None:
    """In order, the network runs once a frame, though windows over time ask again and again.

    A slow one, too: VapourSynth empties all caches that are above their limit for two seconds.
    """
    runs = []
    local = Predictor.local

    def counted(self: Predictor, *args: Any) -> Any:
        runs.append(1)
        time.sleep(seconds)
        return local(self, *args)

    monkeypatch.setattr(Predictor, "local", counted)
    before = vs.core.max_cache_size
    vs.core.max_cache_size = cache
    try:
        hdr = sdr_to_hdr10(noise(960, 540, 24, **BT709), weights=tiny_weights, measure=True)
        for frame in frames_in_order(hdr):
            frame.close()
    finally:
        vs.core.max_cache_size = before
    # Building the graph looks at its first frame.
    assert 24 <= len(runs) <= 28


# Freeing the first 16 MB teaches glibc to keep such blocks; then one below a used one stays.
_SCRIPT = """
import numpy as np, vapoursynth as vs
from vs_gainmap.filters.memory import bound_cache, bound_freed
def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096 / 1e6
bound_freed()
bound_cache(3840, 2160)
vs.core.std
block = np.ones(2_000_000); del block
before = resident()
lower = np.ones(2_000_000); upper = np.ones(2_000_000)
del lower
print(vs.core.max_cache_size, round(resident() - before))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallopt"), reason="not glibc")
def test_cache_is_bounded_and_freed_planes_go_back() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _SCRIPT], capture_output=True, text=True, check=True, timeout=120
    )
    cache, grown = map(int, done.stdout.split())
    assert cache <= memory.MOST_CACHE_MB + 1
    # One of the two blocks of 16 MB is in use; without the bound both are resident.
    assert 15 <= grown <= 20


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc; glibc's malloc")
def test_freed_blocks_between_others_are_given_back() -> None:
    def resident() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    blocks = [np.ones(50_000, np.uint8) for _ in range(2000)]
    kept = blocks[::10]
    del blocks
    before = resident()
    give_back()
    assert before - resident() > 50_000_000
    assert len(kept) == 200

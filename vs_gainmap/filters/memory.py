"""Bounds on memory while a file is converted: caches, frames on their way, freed blocks."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

import vapoursynth as vs

from vs_gainmap.malloc import M_ARENA_MAX, M_MMAP_THRESHOLD, set_malloc

# What VapourSynth's frames may take; by default, most of the machine. Enough for the source's
# frames that a temporal window covers and for float pictures on their way: bytes a pixel, within
# so many MB. With less VapourSynth empties its caches and gives memory back all the time: with
# 400 MB instead of 1000 a frame of 1080p took 90 ms instead of 25.
_CACHE_BYTES = 480
LEAST_CACHE_MB, MOST_CACHE_MB = 256, 3000
# Pixels of all frames on their way: eight frames of 1080p, three of 2160p.
_PIXELS_IN_FLIGHT = 3 * 3840 * 2160
_FRAMES_IN_FLIGHT = 8
# More than 1440p.
_LARGE_PICTURE = 2560 * 1600
# Planes of 2160p are above, chroma too, those of 1080p mostly below.
_LARGE_BLOCK = 4_000_000
# Each has holes of its own.
_ARENAS = 2


def bound_cache(width: int, height: int) -> None:
    """Bound what VapourSynth's frames take, for pictures of a size; for a process of our own."""
    bound = max(LEAST_CACHE_MB, width * height * _CACHE_BYTES // 1_000_000)
    bound = min(bound, MOST_CACHE_MB)
    vs.core.max_cache_size = min(int(vs.core.max_cache_size), bound)


def bound_freed() -> None:
    """Have the C library give freed planes back; for a process of our own, at its start.

    glibc raises the size from which it returns a freed block to the system up to 32 MB, the
    more such blocks it sees, and a plane of 2160p is half of that. What many threads free
    then stays in the process: with it, rendering 2160p took 2.4 GB instead of 1.2 GB.
    """
    set_malloc({M_MMAP_THRESHOLD: _LARGE_BLOCK, M_ARENA_MAX: _ARENAS})


def frames_in_flight(width: int, height: int) -> int:
    """Return how many frames to ask for at once.

    Enough to keep a GPU's streams and the encoder busy. More would only take memory, and time
    to wait for after Ctrl-C.
    """
    most = min(max(int(vs.core.num_threads), 2), _FRAMES_IN_FLIGHT)
    return max(min(most, _PIXELS_IN_FLIGHT // (width * height)), 2)


def is_large(width: int, height: int) -> bool:
    """Return whether pictures are so large that an encoder should plan fewer ahead."""
    return width * height > _LARGE_PICTURE


def frames_in_order(clip: vs.VideoNode, *, at_once: int | None = None) -> Iterator[vs.VideoFrame]:
    """Yield all frames, with a few on their way; none any more when it ends, however it ends.

    Args:
        clip: constant size.
        at_once: how many are asked for at once; None is what suits the size.
    """
    at_once = min(at_once or frames_in_flight(clip.width, clip.height), clip.num_frames)
    waiting = deque(clip.get_frame_async(n) for n in range(at_once))
    following = len(waiting)
    try:
        while waiting:
            frame = waiting.popleft().result()
            if following < clip.num_frames:
                waiting.append(clip.get_frame_async(following))
                following += 1
            yield frame
    finally:
        for future in waiting:
            if future.exception() is None:
                future.result().close()

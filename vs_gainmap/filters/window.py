"""Windows of frames in VapourSynth: filters that are a pure function of the frames around."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable

import vapoursynth as vs

# Frames that are asked for at once, at most, as `convert` does it and vspipe by default.
IN_FLIGHT = 8

Make = Callable[[int, list[vs.VideoFrame], int], vs.VideoFrame]


def modify_with_window(clip: vs.VideoNode, radius: int, make: Make) -> vs.VideoNode:
    """Make every frame of the frames around it.

    Args:
        clip: constant format.
        radius: frames on either side, at least 1.
        make: gets the frame's number, the frames of the window that the clip has, in order, and
            the index of the frame itself among them; returns the new frame.
    """
    offsets = range(-radius, radius + 1)
    length = clip.num_frames

    def pick(n: int, f: list[vs.VideoFrame]) -> vs.VideoFrame:
        first, last = max(n - radius, 0), min(n + radius, length - 1)
        start = first - (n - radius)
        return make(n, f[start : start + last - first + 1], n - first)

    return clip.std.ModifyFrame([shifted(clip, offset) for offset in offsets], pick)


def shifted(clip: vs.VideoNode, offset: int) -> vs.VideoNode:
    """Return a clip that shows frame n + offset at n, and the end frames beyond the ends."""
    last = clip.num_frames - 1
    if offset < 0:
        return (clip[0] * -offset + clip)[: last + 1]
    return (clip + clip[last] * offset)[offset:] if offset > 0 else clip


def frame_cache(clip: vs.VideoNode, frames: int) -> vs.VideoNode:
    """Return a clip that keeps its latest frames, whatever happens to VapourSynth's caches.

    For small frames that took long to make and that a window asks for again. VapourSynth
    drops all that any cache holds, one of a fixed size too, once its frames have taken more than
    `max_cache_size` for two seconds, and a slow network is longer than that at one frame.

    Args:
        clip: what to keep.
        frames: how many frames.
    """
    kept: OrderedDict[int, vs.VideoFrame] = OrderedDict()
    lock = threading.Lock()

    def keep(n: int, f: vs.VideoFrame) -> vs.VideoFrame:
        with lock:
            kept[n] = f
            if len(kept) > frames:
                kept.popitem(last=False)
        return f

    made = clip.std.ModifyFrame(clip, keep)
    blank = clip.std.BlankClip(keep=True)

    def choose(n: int) -> vs.VideoNode:
        with lock:
            found = kept.get(n)
            if found is None:
                return made
            kept.move_to_end(n)
        return blank.std.ModifyFrame(blank, lambda n, f: found)  # noqa: ARG005

    cached = blank.std.FrameEval(choose)
    vs.core.std.SetVideoCache(made, mode=0)
    # Python is asked only for what is not here, so once a frame.
    vs.core.std.SetVideoCache(cached, mode=1, fixedsize=True, maxsize=frames, maxhistory=frames)
    return cached

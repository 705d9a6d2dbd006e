"""A clip's neighborhood, for filters that are a pure function of a window of frames."""

from __future__ import annotations

import threading
from collections import OrderedDict

import vapoursynth as vs

# Frames that are asked for at once, at most, as `convert` does it and vspipe by default.
IN_FLIGHT = 8


def shifted(clip: vs.VideoNode, radius: int) -> list[vs.VideoNode]:
    """Return a clip as seen from each place of a window.

    Args:
        clip: constant format.
        radius: frames on either side.

    Returns:
        2 radius + 1 clips of the same length; number i shows frame n + i - radius at n, and
        the end frames beyond the ends.
    """
    last = clip.num_frames - 1
    clips = []
    for offset in range(-radius, radius + 1):
        if offset < 0:
            clips.append((clip[0] * -offset + clip)[: last + 1])
        elif offset > 0:
            clips.append((clip + clip[last] * offset)[offset:])
        else:
            clips.append(clip)
    return clips


def inside(n: int, radius: int, length: int) -> range:
    """Return which frames of the window around n there are."""
    return range(max(n - radius, 0), min(n + radius, length - 1) + 1)


def hold(clip: vs.VideoNode, frames: int) -> vs.VideoNode:
    """Return a clip that keeps its latest frames, whatever happens to VapourSynth's caches.

    For small frames that took long to make and that neighbors ask for again. VapourSynth
    drops all that any cache holds, one of a fixed size too, once its frames have taken more than
    `max_cache_size` for two seconds, and a slow network is longer than that at one frame.
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

    held = blank.std.FrameEval(choose)
    vs.core.std.SetVideoCache(made, mode=0)
    # Python is asked only for what is not here, so once a frame.
    vs.core.std.SetVideoCache(held, mode=1, fixedsize=True, maxsize=frames, maxhistory=frames)
    return held

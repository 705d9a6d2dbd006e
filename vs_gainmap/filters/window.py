"""A clip's neighborhood, for filters that are a pure function of a window of frames."""

from __future__ import annotations

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
    """Keep a clip's latest frames, whatever else fills VapourSynth's cache, and return it.

    For small frames that took long to make and that neighbors ask for again. Caches shrink
    alike when memory is short, and pictures that come and go would push these out.
    """
    vs.core.std.SetVideoCache(clip, mode=1, fixedsize=True, maxsize=frames, maxhistory=frames)
    return clip

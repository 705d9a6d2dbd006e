"""A clip's neighborhood, for filters that are a pure function of a window of frames."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from itertools import compress
from typing import NamedTuple

import vapoursynth as vs

# Frames that are asked for at once, at most, as `convert` does it and vspipe by default.
IN_FLIGHT = 8
# A second either side at film's rate: groups of pictures are mostly shorter than that.
DEFAULT_RADIUS = 24
# Of frames farther away than `near`, every so many-th is looked at: what a still picture's frames
# say is much the same, and a frame asked for by itself needs the maps of all of them.
FAR_STRIDE = 3

Make = Callable[[int, vs.VideoFrame, list[vs.VideoFrame]], vs.VideoFrame]


class Neighborhood(NamedTuple):
    """Which frames around a frame are looked at: all near ones, and every third beyond.

    Every third of the clip, not of the window: windows side by side then look at the same far
    frames, and what these say doesn't change from one to the next.
    """

    radius: int
    """Frames on either side, at least 1."""
    near: int
    """Up to how far away every frame is looked at."""
    stride: int = FAR_STRIDE
    """Which of those beyond."""

    def offsets(self, n: int) -> list[int]:
        """Return which frames around n are looked at, counted from n, ascending."""
        return [
            k
            for k in range(-self.radius, self.radius + 1)
            if abs(k) <= self.near or (n + k) % self.stride == 0
        ]

    def places(self, n: int, length: int) -> list[int]:
        """Return the numbers of those that a clip of so many frames has."""
        return [n + k for k in self.offsets(n) if 0 <= n + k < length]

    def modify(self, clip: vs.VideoNode, base: vs.VideoNode, make: Make) -> vs.VideoNode:
        """Make every frame of what `clip` has around it.

        Args:
            clip: constant format.
            base: what the result is like; its frames are handed on.
            make: gets the frame's number, the frame of `base`, and the frames of `clip` at
                `places`, as `std.ModifyFrame` does; returns the new frame.
        """
        phases = self.stride if self.radius > self.near and clip.num_frames > self.stride else 1
        parts = []
        for phase in range(phases):
            offsets = self.offsets(phase)

            def pick(
                n: int, f: list[vs.VideoFrame], offsets: list[int] = offsets, phase: int = phase
            ) -> vs.VideoFrame:
                n = n * phases + phase
                inside = [0 <= n + k < clip.num_frames for k in offsets]
                return make(n, f[0], list(compress(f[1:], inside)))

            sources = [base, *(shifted(clip, k) for k in offsets)]
            if phases > 1:
                sources = [one.std.SelectEvery(phases, phase) for one in sources]
            parts.append(sources[0].std.ModifyFrame(sources, pick))
        if phases == 1:
            return parts[0]
        last = max(part.num_frames for part in parts)
        parts = [part if part.num_frames == last else part + part[-1] for part in parts]
        return vs.core.std.Interleave(parts)[: clip.num_frames]


def shifted(clip: vs.VideoNode, offset: int) -> vs.VideoNode:
    """Return a clip that shows frame n + offset at n, and the end frames beyond the ends."""
    last = clip.num_frames - 1
    if offset < 0:
        return (clip[0] * -offset + clip)[: last + 1]
    return (clip + clip[last] * offset)[offset:] if offset > 0 else clip


def hold(
    clip: vs.VideoNode,
    frames: int,
    check: Callable[[int, vs.VideoFrame], None] | None = None,
) -> vs.VideoNode:
    """Return a clip that keeps its latest frames, whatever happens to VapourSynth's caches.

    For small frames that took long to make and that neighbors ask for again. VapourSynth
    drops all that any cache holds, one of a fixed size too, once its frames have taken more than
    `max_cache_size` for two seconds, and a slow network is longer than that at one frame.

    Args:
        clip: what to keep.
        frames: how many frames.
        check: gets the number and each frame that is made; may raise vs.Error.
    """
    kept: OrderedDict[int, vs.VideoFrame] = OrderedDict()
    lock = threading.Lock()

    def keep(n: int, f: vs.VideoFrame) -> vs.VideoFrame:
        if check is not None:
            check(n, f)
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

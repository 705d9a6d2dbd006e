"""Options of glibc's malloc, for processes of our own; other C libraries are left alone."""

from __future__ import annotations

import ctypes
import sys

# <malloc.h>
M_TRIM_THRESHOLD = -1
M_TOP_PAD = -2
M_MMAP_THRESHOLD = -3
M_MMAP_MAX = -4
M_ARENA_MAX = -8


def set_malloc(options: dict[int, int]) -> bool:
    """Set options of `mallopt`.

    Args:
        options: values, bytes or counts, by the constants above.

    Returns:
        Whether there is such a function and it took them all.
    """
    if sys.platform != "linux":
        return False
    # musl, for one, has no such function.
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    return mallopt is not None and all(mallopt(*option) for option in options.items())


def give_back() -> None:
    """Give freed memory back to the system, from between blocks that are in use, too."""
    if sys.platform == "linux":
        # musl, for one, has no such function.
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)

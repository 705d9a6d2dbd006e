"""Keep freed memory in the process: a training step allocates the same tensors every time."""

from __future__ import annotations

from vs_gainmap.malloc import M_MMAP_MAX, M_TOP_PAD, M_TRIM_THRESHOLD, set_malloc


def keep_memory() -> bool:
    """Tell glibc never to give memory back between steps; elsewhere do nothing.

    By default every large tensor is mapped anew, and the kernel clears its pages again: on two
    virtual cores that was half of all time, and a step of the fast model took 3.5 times as long.

    Returns:
        Whether it was done.
    """
    return set_malloc({M_MMAP_MAX: 0, M_TRIM_THRESHOLD: 2**31 - 1, M_TOP_PAD: 2**28})

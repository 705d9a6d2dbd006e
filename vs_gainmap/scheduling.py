"""Processes of root stay ordinary ones, whatever libraries make of them."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def ordinary_threads() -> Iterator[None]:
    """Undo what a library does to how the threads of this process are scheduled.

    SVT-AV1, run by root (in a container, say), makes its threads real-time ones of the highest
    priority, and the thread that calls it. Programs that this then starts inherit it, and starve
    all others: a browser with its many threads stopped a machine of two cores for good.
    """
    if sys.platform != "linux":
        yield
        return
    before = os.sched_getscheduler(0)
    try:
        yield
    finally:
        if before != os.SCHED_FIFO:
            _give_back(before)


def _give_back(policy: int) -> None:
    if sys.platform != "linux":
        return
    for task in Path("/proc/self/task").iterdir():
        # Threads end while they are counted.
        with suppress(OSError):
            if os.sched_getscheduler(int(task.name)) == os.SCHED_FIFO:
                os.sched_setscheduler(int(task.name), policy, os.sched_param(0))

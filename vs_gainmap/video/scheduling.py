"""Threads that stay as urgent as they were, whatever an encoder does.

SVT-AV1, run as root, makes its threads and the one that opens it real-time ones (SCHED_FIFO, 99).
Whatever that thread starts later inherits it, and one busy program among that takes the
processors from all others: a browser that waited for its own helpers stood still for hours.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_THREADS = Path("/proc/self/task")


@contextmanager
def usual_scheduling() -> Iterator[None]:
    """Give this thread, and those that are new afterwards, the scheduling that this one had.

    Only Linux has root's encoders at real-time priority; elsewhere it does nothing.
    """
    if sys.platform != "linux":
        yield
        return
    policy, parameters = os.sched_getscheduler(0), os.sched_getparam(0)
    before = _threads()
    try:
        yield
    finally:
        # 0 is this thread.
        for thread in {0, *(_threads() - before)}:
            # One may have ended meanwhile.
            with contextlib.suppress(ProcessLookupError):
                if os.sched_getscheduler(thread) != policy:
                    os.sched_setscheduler(thread, policy, parameters)


def _threads() -> set[int]:
    return {int(entry.name) for entry in _THREADS.iterdir()} if _THREADS.is_dir() else set()

"""Ctrl-C that can't get lost, and a polite kill that cleans up as Ctrl-C does."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def interruptible() -> Iterator[Callable[[], None]]:
    """Yield a function that raises KeyboardInterrupt if Ctrl-C was pressed or SIGTERM came.

    Python drops an exception that a signal raises while a destructor, a weak reference's callback
    or a callback from C happens to run, and torch and Numba's compiler have many of those: a long
    loop asks once a turn. What Python says of such a drop is kept from the user.
    """
    pressed = threading.Event()

    def handle(number: int, frame: FrameType | None) -> None:
        pressed.set()
        signal.default_int_handler(number, frame)

    def check() -> None:
        if pressed.is_set():
            raise KeyboardInterrupt

    unraisable = sys.unraisablehook

    def tell(dropped: sys.UnraisableHookArgs) -> None:
        if not (pressed.is_set() and dropped.exc_type is KeyboardInterrupt):
            unraisable(dropped)

    if threading.current_thread() is not threading.main_thread():
        yield check
        return
    previous = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    sys.unraisablehook = tell
    try:
        yield check
    finally:
        sys.unraisablehook = unraisable
        for number, handler in previous.items():
            signal.signal(number, handler)

"""Ctrl-C that can't get lost, and other signals that clean up as Ctrl-C does."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGBREAK")
_interrupted = threading.Event()
_NOTHING = "nothing was written"
_left = [_NOTHING]


def is_interrupted() -> bool:
    """Say whether a signal came that ends the command."""
    return _interrupted.is_set()


def leaves(text: str) -> None:
    """Note what a signal that ends the command leaves behind, for its last line."""
    _left[0] = text


def what_is_left() -> str:
    """Return what the command that was ended leaves behind."""
    return _left[0]


def check() -> None:
    """Raise KeyboardInterrupt if a signal came that ends the command.

    Python drops an exception that a signal raises while a destructor, a weak reference's callback
    or a callback from C happens to run, and torch and Numba's compiler have many of those: a long
    loop asks once a turn.
    """
    if _interrupted.is_set():
        raise KeyboardInterrupt


@contextmanager
def interruptible() -> Iterator[None]:
    """Raise KeyboardInterrupt in the main thread for each signal that ends a command.

    A signal that was ignored when the process began (`nohup`, a shell's background) stays so.
    Python's message about an exception that is dropped is not shown.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    _interrupted.clear()
    _left[0] = _NOTHING

    def handle(number: int, frame: FrameType | None) -> None:
        _interrupted.set()
        signal.default_int_handler(number, frame)

    unraisable = sys.unraisablehook

    def report(dropped: sys.UnraisableHookArgs) -> None:
        if not (_interrupted.is_set() and dropped.exc_type is KeyboardInterrupt):
            unraisable(dropped)

    numbers = [getattr(signal, name) for name in _SIGNALS if hasattr(signal, name)]
    previous = {
        number: signal.signal(number, handle)
        for number in numbers
        if signal.getsignal(number) not in (signal.SIG_IGN, None)
    }
    sys.unraisablehook = report
    try:
        yield
    finally:
        sys.unraisablehook = unraisable
        for number, handler in previous.items():
            signal.signal(number, handler)

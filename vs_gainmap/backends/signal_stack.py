"""A thread's signal stack that stays as it was, whatever a runtime does.

OpenVINO's CPU plugin gives the thread that opens it a signal stack of its own (room for AMX's
registers) and frees it when the plugin ends. It puts the old one back only where it ends in that
same thread, and VapourSynth ends filters in any: the process then dies of the next signal that
Python handles there, be it Ctrl+C or the end of a child.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager


class SignalStack(ctypes.Structure):
    """`stack_t` as Linux lays it out: address, flags, size in bytes."""

    _fields_ = (("address", ctypes.c_void_p), ("flags", ctypes.c_int), ("size", ctypes.c_size_t))


@contextmanager
def usual_signal_stack() -> Iterator[None]:
    """Give this thread its signal stack back afterwards. Elsewhere than on Linux: do nothing."""
    if sys.platform != "linux":
        yield
        return
    before = signal_stack()
    try:
        yield
    finally:
        # Refused where it has become too small for the registers in use; then the new one stays.
        _library().sigaltstack(ctypes.byref(before), None)


def signal_stack() -> SignalStack:
    """Return the signal stack of this thread."""
    found = SignalStack()
    _library().sigaltstack(None, ctypes.byref(found))
    return found


def _library() -> ctypes.CDLL:
    return ctypes.CDLL(None)

"""Standard streams that may be closed, lack a reader or a character, without harm."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, TextIO


class _Tolerant:
    """A text stream whose reader may go away; what is written then goes nowhere."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Write, or lose the text; what the stream's encoding lacks, as escapes."""
        with suppress(OSError):
            try:
                return self._stream.write(text)
            except UnicodeEncodeError:
                # A file's name may be anything.
                encoding = self._stream.encoding
                return self._stream.write(
                    text.encode(encoding, "backslashreplace").decode(encoding)
                )
        self._give_up()
        return len(text)

    def flush(self) -> None:
        """Flush, or lose what is buffered."""
        try:
            self._stream.flush()
        except OSError:
            self._give_up()

    def _give_up(self) -> None:
        with suppress(OSError, ValueError):
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, self._stream.fileno())
            os.close(null)


@contextmanager
def standard_streams() -> Iterator[None]:
    """Make the standard streams safe to write to.

    The number of a closed one would go to the next file that is opened, and what a library
    prints would be written into that.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            # The lowest number that is free: this one.
            os.open(os.devnull, os.O_RDWR)
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = (
        _Tolerant(stream) if stream is not None else _Tolerant(os.fdopen(number, "w"))
        for number, stream in ((1, sys.stdout), (2, sys.stderr))
    )
    try:
        yield
    finally:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        sys.stdout, sys.stderr = before

"""The command line: one module a command."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import suppress

from vs_gainmap.cli.interrupt import interruptible, is_interrupted, what_is_left
from vs_gainmap.cli.standard_streams import standard_streams


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        argv: arguments without the program's name; None takes the process's own.

    Returns:
        0, 1 after an error, 130 after Ctrl-C or another signal that ends it. A wrong usage exits
        with 2, as argparse does.
    """
    with standard_streams(), interruptible():
        try:
            # Takes a second, in which there may be a Ctrl-C.
            from vs_gainmap.cli.program import run

            return run(argv)
        except BaseException:
            # Libraries make other errors of an interrupt.
            if not is_interrupted():
                raise
            # A terminal that was closed takes no line.
            with suppress(OSError):
                print(f"vs-gainmap: interrupted; {what_is_left()}", file=sys.stderr)
            return 130

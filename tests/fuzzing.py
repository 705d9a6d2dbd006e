"""What the fuzzers share: one attempt with a mutated file, and the command."""

from __future__ import annotations

import argparse
import time
from collections import Counter
from collections.abc import Callable

from vs_gainmap.errors import GainMapError


def attempt(where: str, act: Callable[[], str], slow_seconds: float) -> str:
    """Use a mutated file; return what came of it.

    Args:
        where: seed and number, for the message.
        act: uses the file and names the outcome.
        slow_seconds: what it may take.

    Raises:
        AssertionError: an error is of several lines or none of ours, or it took too long.
    """
    begin = time.monotonic()
    try:
        outcome = act()
    except GainMapError as error:
        if "\n" in str(error):
            raise AssertionError(f"{where}: {error!r}") from error
        outcome = type(error).__name__
    except Exception as error:
        raise AssertionError(where) from error
    taken = time.monotonic() - begin
    assert taken < slow_seconds, f"{where} took {taken:.1f} s"
    return outcome


def run_command(fuzz: Callable[[int, int], Counter[str]], about: str | None, count: int) -> int:
    """Run a fuzzer from the command line and print its counts."""
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("--count", type=int, default=count)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    begin = time.monotonic()
    outcomes = fuzz(args.count, args.seed)
    for outcome, number in sorted(outcomes.items()):
        print(f"{number:7d} {outcome}")
    print(f"{sum(outcomes.values()):7d} files in {time.monotonic() - begin:.0f} s")
    return 0

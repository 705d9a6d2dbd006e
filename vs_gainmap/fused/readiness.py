"""Whether Numba is here, and works; imported without it."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable

# Set to 0 in the environment, it leaves the work to filters and PyTorch: to compare, or to find
# a fault.
SWITCH = "VS_GAINMAP_ONE_PASS"


def is_wanted() -> bool:
    """Say whether the environment leaves compiled passes on."""
    return os.environ.get(SWITCH) != "0"


def find_fault(try_out: Callable[[], None]) -> str | None:
    """Compile a kernel, or load it, by running it once.

    Args:
        try_out: runs the kernel on something small.

    Returns:
        None where it works; else what failed, which is nothing to speak of ("") where Numba is
        not installed.
    """
    if importlib.util.find_spec("numba") is None:
        return ""
    try:
        try_out()
    # Whatever a compiler may raise: there is another way.
    except Exception as error:
        return str(error) or type(error).__name__
    return None

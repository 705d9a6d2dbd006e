"""A progress bar for encodes: frames, frames a second, time left, size so far."""

from __future__ import annotations

from collections.abc import Callable
from typing import Never

from tqdm import tqdm


class ProgressBar:
    """Shown on a terminal only; a log file gets the summary at the end.

    Args:
        name: what is being made.
        enabled: False shows nothing.
        check: called at every step; may raise to stop.
    """

    def __init__(
        self, name: str, *, enabled: bool = True, check: Callable[[], None] | None = None
    ) -> None:
        self._check = check
        self._bar: tqdm[Never] = tqdm(
            desc=name,
            unit=" frames",
            disable=None if enabled else True,
            dynamic_ncols=True,
            smoothing=0.05,
        )

    def update(self, done: int, total: int, size: int) -> None:
        """Show how far it is; `size` in bytes of video so far."""
        if self._check is not None:
            self._check()
        if self._bar.total != total:
            self._bar.reset(total)
        self._bar.set_postfix_str(
            f"{size / 1e6:.1f} MB, {size / done * total / 1e6:.0f} MB in the end", refresh=False
        )
        self._bar.update(done - self._bar.n)

    def close(self) -> None:
        """Leave the bar as it stands."""
        self._bar.close()

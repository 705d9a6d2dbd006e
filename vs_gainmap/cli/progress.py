"""Progress of a long command: a bar on a terminal, a line every 30 s elsewhere, or JSON lines."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from typing import Literal, Never, TextIO

from tqdm import tqdm

from vs_gainmap.errors import printable

Mode = Literal["bar", "lines", "json", "none"]
# Seconds between two messages.
_PERIODS = {"bar": 0.0, "lines": 30.0, "json": 1.0, "none": 0.0}
# Share of all frames from which the size at the end can be guessed.
_GUESS_FROM = 0.02


def choose_mode(*, as_json: bool = False, quiet: bool = False) -> Mode:
    """Return how progress is shown: as asked for, else by what stderr is."""
    if as_json:
        return "json"
    if quiet:
        return "none"
    return "bar" if sys.stderr.isatty() else "lines"


class Progress:
    """Shows the stage of a command and the frames that it has done.

    Args:
        name: what is being made.
        mode: how it is shown.
        stage: the first stage.
        check: called at every step; may raise to stop.
    """

    def __init__(
        self,
        name: str,
        mode: Mode,
        *,
        stage: str,
        check: Callable[[], None] | None = None,
    ) -> None:
        self._name, self.mode, self._check = printable(name), mode, check
        self._stage = stage
        self._began = self._spoke = time.monotonic()
        self._parts: dict[object, tuple[int, int, int]] = {}
        self._done, self._total, self._size = 0, 0, 0
        self._before, self._work = 0, ""
        self._bar: tqdm[Never] | None = None
        if mode == "bar":
            self._bar = tqdm(
                desc=f"{stage} {self._name}", unit=" frames", dynamic_ncols=True, smoothing=0.05
            )
        self._show(due=mode in ("bar", "json"))

    def stage(self, name: str) -> None:
        """Begin a stage."""
        if name != self._stage:
            self._stage = name
            if name == "encoding":
                self._began = time.monotonic()
            self._show(due=self.mode in ("bar", "json"))

    def resume(self, work: str, done: int, *, part: object = None) -> None:
        """Show where unfinished work is; so many of its frames were done before.

        Args:
            work: name of the folder.
            done: frames, which don't count for the speed.
            part: see `update`.
        """
        self._work, self._before = work, self._before + done
        self._take(part, (done, 0, 0))

    def update(self, done: int, total: int, size: int = 0, *, part: object = None) -> None:
        """Show that so many frames are done.

        Args:
            done: frames.
            total: all of them.
            size: bytes of video so far.
            part: whose frames these are, where several files share a progress.
        """
        if self._check is not None:
            self._check()
        self._take(part, (done, total, size))
        self._show()

    def say(self, text: str, file: TextIO) -> None:
        """Print a line beside the bar."""
        if self._bar is not None and not self._bar.disable:
            tqdm.write(text, file=file)
        else:
            print(text, file=file, flush=True)

    def _take(self, part: object, figures: tuple[int, int, int]) -> None:
        self._parts[part] = figures
        done, total, size = (sum(each) for each in zip(*self._parts.values(), strict=True))
        self._done, self._total, self._size = done, total, size

    def close(self) -> None:
        """Leave the bar as it stands."""
        if self._bar is not None:
            self._bar.close()

    def _show(self, *, due: bool = False) -> None:
        now = time.monotonic()
        if not due and now - self._spoke < _PERIODS[self.mode]:
            return
        self._spoke = now
        seconds = now - self._began
        fps = (self._done - self._before) / seconds if seconds > 0 else 0.0
        left = (self._total - self._done) / fps if fps else None
        if self._bar is not None:
            self._draw(self._bar)
        elif self.mode == "json":
            known = {
                "stage": self._stage,
                "frames": self._done,
                "total": self._total or None,
                "fps": round(fps, 2),
                "seconds_left": None if left is None else round(left, 1),
                "bytes": self._size,
                **({"work": self._work} if self._work else {}),
            }
            print(json.dumps(known), flush=True)
        elif self.mode == "lines":
            parts = [f"vs-gainmap: {self._stage} {self._name}"]
            if self._total:
                share = 100 * self._done / self._total
                parts.append(f"{self._done} of {self._total} frames ({share:.1f} %)")
            if left is not None:
                parts.append(f"{fps:.2f} fps, {format_time(left)} left")
            if self._size:
                parts.append(format_size(self._size))
            if self._work:
                parts.append(f"work in {self._work}")
            print(", ".join(parts), file=sys.stderr, flush=True)

    def _draw(self, bar: tqdm[Never]) -> None:
        if bar.total != self._total:
            bar.reset(self._total)
            # Frames of an earlier run don't count for the speed.
            bar.initial = bar.n = self._before
        sizes = [format_size(self._size)] if self._size else []
        if self._size and self._done > _GUESS_FROM * self._total:
            sizes.append(f"{format_size(self._size * self._total // self._done)} in the end")
        if self._work:
            sizes.append(f"work in {self._work}")
        bar.set_description_str(f"{self._stage} {self._name}", refresh=False)
        bar.set_postfix_str(", ".join(sizes), refresh=False)
        bar.update(self._done - bar.n)
        if not self._done:
            bar.refresh()


def format_size(size: int) -> str:
    """Return bytes as kB, MB or GB."""
    for limit, unit, digits in ((1e6, "kB", 0), (1e9, "MB", 1)):
        if size < limit:
            return f"{size / limit * 1000:.{digits}f} {unit}"
    return f"{size / 1e9:.2f} GB"


def format_time(seconds: float) -> str:
    """Return seconds as H:MM:SS."""
    whole = round(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02}:{whole % 60:02}"

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
                if self._bar is not None:
                    self._bar.reset()
                    self._bar.initial = self._bar.n = self._before
            self._show(due=self.mode in ("bar", "json"))

    def resume(self, work: str, done: int) -> None:
        """Show where unfinished work is; so many of its frames were done before.

        Args:
            work: name of the folder.
            done: frames, which don't count for the speed.
        """
        self._work, self._before, self._done = work, done, done

    def update(self, done: int, total: int, size: int = 0) -> None:
        """Show that so many frames are done.

        Args:
            done: frames.
            total: all of them; 0 where that is unknown.
            size: bytes of video so far.
        """
        if self._check is not None:
            self._check()
        self._done, self._total, self._size = done, total, size
        self._show()

    def say(self, text: str, file: TextIO) -> None:
        """Print a line beside the bar."""
        if self._bar is not None and not self._bar.disable:
            tqdm.write(text, file=file)
        else:
            print(text, file=file, flush=True)

    def rename(self, name: str) -> None:
        """Show another name of what is being made."""
        self._name = printable(name)

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
        left = (self._total - self._done) / fps if fps and self._total else None
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
        bar.total = self._total or None
        # Frames of an earlier run don't count for the speed.
        bar.n += self._before - bar.initial
        bar.initial = self._before
        sizes = [format_size(self._size)] if self._size else []
        if self._size and self._total and self._done > _GUESS_FROM * self._total:
            sizes.append(f"{format_size(self._size * self._total // self._done)} in the end")
        if self._work:
            sizes.append(f"work in {self._work}")
        bar.set_description_str(f"{self._stage} {self._name}", refresh=False)
        bar.set_postfix_str(", ".join(sizes), refresh=False)
        bar.update(self._done - bar.n)
        if not self._done:
            bar.refresh()


class Shares:
    """A progress of several files.

    Args:
        progress: shows them.
        name: of all of them.
        count: how many there are.
    """

    def __init__(self, progress: Progress, name: str, count: int) -> None:
        self._progress, self._name, self._count = progress, name, count
        self._shares: list[Share] = []
        self._begun = self._ended = 0
        # Frames before, done, in all, and bytes, of those that have ended.
        self._sums = (0, 0, 0, 0)

    def begin(self) -> Share:
        """Return the share of the next file."""
        self._begun += 1
        self._rename()
        self._shares.append(Share(self, self._progress))
        return self._shares[-1]

    def end(self, share: Share) -> None:
        """Count a file as ended; what it left undone is not waited for."""
        self._shares.remove(share)
        before, done, _, size = share.figures
        self._sums = _add(self._sums, (before, done, done, size))
        self._ended += 1
        self._rename()

    def show(self, work: str | None = None) -> None:
        """Show how far all are; the work folder of the one that has just begun."""
        sums = self._sums
        for share in self._shares:
            sums = _add(sums, share.figures)
        before, done, total, size = sums
        if work is not None:
            self._progress.resume(work, before)
        # Frames of files that nobody has opened are unknown.
        self._progress.update(done, total if self._begun == self._count else 0, size)

    def _rename(self) -> None:
        self._progress.rename(f"{self._name} ({self._ended} of {self._count} files)")


class Share:
    """A file's share of a progress; it has the methods of one."""

    def __init__(self, shares: Shares, progress: Progress) -> None:
        self._shares, self._progress = shares, progress
        self.figures = (0, 0, 0, 0)

    def stage(self, name: str) -> None:
        """Begin a stage; others are in other ones."""
        if name == "encoding":
            self._progress.stage(name)

    def resume(self, work: str, done: int) -> None:
        """Show where unfinished work is; see `Progress.resume`."""
        self.figures = (done, done, 0, 0)
        self._shares.show(work)

    def update(self, done: int, total: int, size: int = 0) -> None:
        """Show that so many frames are done; see `Progress.update`."""
        self.figures = (self.figures[0], done, total, size)
        self._shares.show()


def _add(a: tuple[int, int, int, int], b: tuple[int, int, int, int]) -> tuple[int, int, int, int]:
    return (a[0] + b[0], a[1] + b[1], a[2] + b[2], a[3] + b[3])


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

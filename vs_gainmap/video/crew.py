"""Who makes the chunks of films: this process, or a crew of others."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from typing import Protocol, runtime_checkable

import vapoursynth as vs

from vs_gainmap.video.encoder_pass import EncodingPass
from vs_gainmap.video.jobs import ClipSource, Job
from vs_gainmap.video.work_folder import WorkFolder

# Seconds between two looks at whether the user wants to stop.
PERIOD = 0.2

Progress = Callable[[int, int, int], None]


class Film:
    """A film whose chunks are to be made, and how far they are.

    `left` are the chunks that are not finished, `error` is what ended it early.

    Args:
        job: how they are made.
        folder: where they go, with those that are there already.
        source: how another process makes the clip; None where none can.
        clip: the film, open in this process.
        ready: an encoder for its first chunk that is missing.
        opened: is closed with the clip.
        progress: called with frames written, all frames, and bytes so far.
    """

    def __init__(
        self,
        job: Job,
        folder: WorkFolder,
        source: ClipSource | None,
        *,
        clip: vs.VideoNode,
        ready: EncodingPass,
        opened: ExitStack,
        progress: Progress,
    ) -> None:
        self.job, self.folder, self.source = job, folder, source
        self.left = set(folder.missing)
        self.error: Exception | None = None
        self._here: tuple[vs.VideoNode, EncodingPass] | None = (clip, ready)
        self._opened, self._progress = opened, progress
        self._total = sum(run.frames for run in folder.runs)
        self._chunks = {n: (chunk.frames, chunk.size) for n, chunk in folder.found.items()}

    @property
    def ended(self) -> bool:
        """Whether there is nothing more to do."""
        return self.error is not None or not self.left

    def update(self, number: int, frames: int, size: int) -> None:
        """Note how far a chunk is, and report it."""
        self._chunks[number] = frames, size
        self.report()

    def report(self) -> None:
        """Report how far the film is."""
        frames, size = (sum(values) for values in zip((0, 0), *self._chunks.values(), strict=True))
        self._progress(frames, self._total, size)

    def encode(self) -> None:
        """Make what is left in this process.

        Raises:
            MediaError: the encoder fails.
            vs.Error: a filter failed.
            OSError: a file can't be written.
        """
        if self._here is None:
            raise RuntimeError("the film was given to others")
        clip, first = self._here
        ready: EncodingPass | None = first
        self._here = None
        del first
        for number in sorted(self.left):
            path, progress = self.folder.chunk_path(number), partial(self.update, number)
            self.job.encode(clip, number, path, progress=progress, ready=ready)
            self.left.remove(number)
            ready = None
        self.release()

    def release(self) -> None:
        """Close the clip: this process has no more use for it."""
        self._here = None
        self._opened.close()


@runtime_checkable
class Crew(Protocol):
    """Who makes the chunks of one film or of several."""

    @property
    def devices(self) -> Sequence[str]:
        """Return where their networks run; none leaves that to the clip."""

    def start(self, chunks: int) -> None:
        """Get ready for so many chunks, without waiting for it."""

    def is_idle(self) -> bool:
        """Say whether it has fewer chunks than it can make at once."""

    def add(self, film: Film) -> None:
        """Begin with a film.

        Raises:
            MediaError: its clip can't be made by others, or there is nobody who could.
        """

    def wait(self, seconds: float) -> None:
        """Wait for messages, and report them to the films.

        An error of a chunk, or of a film's progress, becomes the film's `error`.

        Args:
            seconds: at most so long; 0 only takes what is there.
        """

    def drop(self, film: Film) -> None:
        """Stop working on a film, if that is not done."""


class ThisProcess:
    """A crew of one: films one after another, chunk by chunk, in this process."""

    devices: Sequence[str] = ()

    def __init__(self) -> None:
        self._films: list[Film] = []

    def start(self, chunks: int) -> None:
        """Do nothing: it runs already."""

    def is_idle(self) -> bool:
        """Say whether there is no film."""
        return not self._films

    def add(self, film: Film) -> None:
        """Put a film behind the others."""
        self._films.append(film)

    def wait(self, seconds: float) -> None:  # noqa: ARG002
        """Make all of the first film."""
        film = self._films.pop(0)
        try:
            film.encode()
        except Exception as error:
            # They hold the clip.
            traceback.clear_frames(error.__traceback__)
            film.error = error

    def drop(self, film: Film) -> None:
        """Forget a film that is not begun."""
        if film in self._films:
            self._films.remove(film)


def encode_film(film: Film, crew: Crew) -> None:
    """Make all chunks of a film.

    Raises:
        MediaError: see `Film.encode` and `Crew.add`.
        vs.Error: a filter failed.
        OSError: a file can't be written.
    """
    try:
        if not film.ended:
            crew.add(film)
        while not film.ended:
            crew.wait(PERIOD)
    finally:
        crew.drop(film)
    if film.error is not None:
        raise film.error

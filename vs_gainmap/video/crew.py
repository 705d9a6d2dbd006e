"""Who makes the chunks of films: this process, or a crew of others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from typing import Protocol, runtime_checkable

import vapoursynth as vs

from vs_gainmap.video.encoder_pass import EncodingPass
from vs_gainmap.video.jobs import ClipSource, Job
from vs_gainmap.video.work_folder import WorkFolder

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
        opened: closed when this process has no more use for the clip.
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
        """Take in how far a chunk is, and tell it."""
        self._chunks[number] = frames, size
        self.tell()

    def tell(self) -> None:
        """Tell how far all is."""
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
        """Close the clip, which others make."""
        self._here = None
        self._opened.close()


@runtime_checkable
class Crew(Protocol):
    """Processes that make the chunks of one film or of several."""

    @property
    def devices(self) -> Sequence[str]:
        """Return where their networks run; none leaves that to the clip."""

    def start(self, chunks: int) -> None:
        """Make ready for so many chunks, beside what this process does."""

    def is_idle(self) -> bool:
        """Say whether it has fewer chunks than it can make at once."""

    def add(self, film: Film) -> None:
        """Begin with a film.

        Raises:
            MediaError: its clip can't be made by others, or there is nobody who could.
        """

    def wait(self) -> None:
        """Wait a moment for news, and tell the films.

        What a film's progress raises, or its chunks' makers, is the film's `error` from then on.
        """

    def drop(self, film: Film) -> None:
        """Stop working on a film, if that is not done."""


class Here:
    """This process, which makes a film's chunks one after another."""

    devices: Sequence[str] = ()

    def __init__(self) -> None:
        self._films: list[Film] = []

    def start(self, chunks: int) -> None:
        """Do nothing: it is there."""

    def is_idle(self) -> bool:
        """Say whether there is no film."""
        return not self._films

    def add(self, film: Film) -> None:
        """Begin with a film, when the ones before it are done."""
        self._films.append(film)

    def wait(self) -> None:
        """Make all of the first film."""
        film = self._films.pop(0)
        try:
            film.encode()
        except Exception as error:
            film.error = error

    def drop(self, film: Film) -> None:
        """Do not begin with a film."""
        if film in self._films:
            self._films.remove(film)


def encode_film(film: Film, crew: Crew) -> None:
    """Make all chunks of a film.

    Raises:
        MediaError: see `Film.encode` and `Crew.add`.
        vs.Error: a filter failed.
        OSError: a file can't be written.
    """
    if not film.ended:
        crew.add(film)
    try:
        while not film.ended:
            crew.wait()
    finally:
        crew.drop(film)
    if film.error is not None:
        raise film.error

"""A film that is encoded chunk by chunk, each as a closed run of pictures."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

import vapoursynth as vs

from vs_gainmap.errors import MediaError
from vs_gainmap.malloc import give_back
from vs_gainmap.video.chunks import Run
from vs_gainmap.video.encoder_pass import EncoderSettings, EncodingPass
from vs_gainmap.video.work_folder import WorkFolder

Progress = Callable[[int, int, int], None]
ChunkProgress = Callable[[int, int], None]


class ClipSource(Protocol):
    """A clip that can be made anew, in another process too: it must be picklable."""

    def open(self) -> AbstractContextManager[vs.VideoNode]:
        """Return the clip, for as long as the context lasts.

        Raises:
            MediaError: it can't be made.
            vs.Error: a filter failed.
        """

    def on_device(self, device: str) -> ClipSource:
        """Return the same with its network on a device.

        Raises:
            MediaError: it has none that can be moved.
        """

    def portable(self) -> ClipSource:
        """Return the same for other machines, where `check` and `open` know it again."""

    def check(self) -> None:
        """Refuse a machine on which what the clip is made of is missing, or something else.

        Raises:
            MediaError: it is.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """How the chunks of a film are made.

    `stream` is that of its first encoder; `key` tells its chunks from those of any other film.
    """

    settings: EncoderSettings
    stream: str
    runs: tuple[Run, ...]
    key: str

    def encode(
        self,
        clip: vs.VideoNode,
        number: int,
        path: Path,
        *,
        progress: ChunkProgress,
        ready: EncodingPass | None = None,
    ) -> None:
        """Encode one chunk into a file.

        Args:
            clip: the film.
            number: of the chunk.
            path: where its file is to be.
            progress: called after each frame with frames written and their bytes.
            ready: an encoder that is open and has had no frame; None opens one.

        Raises:
            MediaError: the encoder fails, or is another than the first.
            vs.Error: a filter failed.
            OSError: the file can't be written.
        """
        first, frames = self.runs[number]
        encoding = ready or EncodingPass(self.settings)
        if encoding.stream != self.stream:
            raise MediaError(
                f"encoder {self.settings.encoder.name} describes the stream of chunk {number} in "
                "another way than that of others; is it another version?"
            )
        part = clip[first : first + frames]
        encoding.run(part, path, key=self.key, first=first, progress=progress)
        # x265 frees its pictures in pieces that glibc keeps: a quarter of a GB a chunk.
        del encoding, ready
        give_back()


class Tally:
    """Frames and bytes of all chunks together, as they come.

    Args:
        folder: of the film, with the chunks that are there already.
        progress: called with frames written, all frames, and bytes so far.
    """

    def __init__(self, folder: WorkFolder, progress: Progress) -> None:
        self._total, self._progress = sum(run.frames for run in folder.runs), progress
        self._chunks = {n: (chunk.frames, chunk.size) for n, chunk in folder.found.items()}

    def update(self, number: int, frames: int, size: int) -> None:
        """Take in how far a chunk is, and tell it."""
        self._chunks[number] = frames, size
        self.tell()

    def tell(self) -> None:
        """Tell how far all is."""
        frames, size = (sum(values) for values in zip((0, 0), *self._chunks.values(), strict=True))
        self._progress(frames, self._total, size)


def encode_here(
    job: Job, clip: vs.VideoNode, folder: WorkFolder, tally: Tally, ready: EncodingPass
) -> None:
    """Encode the chunks that a folder lacks in this process, one after another.

    Args:
        job: the film.
        clip: the same.
        folder: where its chunks are.
        tally: is told about progress.
        ready: an encoder for the first of them.

    Raises:
        MediaError: the encoder fails.
        vs.Error: a filter failed.
        OSError: a file can't be written.
    """
    for n, number in enumerate(folder.missing):
        job.encode(
            clip,
            number,
            folder.chunk_path(number),
            progress=partial(tally.update, number),
            ready=None if n else ready,
        )

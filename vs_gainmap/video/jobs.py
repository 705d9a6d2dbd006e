"""A film that is encoded chunk by chunk, each as a closed run of pictures."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import vapoursynth as vs

from vs_gainmap.errors import MediaError
from vs_gainmap.malloc import give_back
from vs_gainmap.video.chunks import Run
from vs_gainmap.video.encoder_pass import EncoderSettings, EncodingPass

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

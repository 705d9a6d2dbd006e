"""`convert`: file in, file out, with any graph of filters in between."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Unpack

import vapoursynth as vs

from vs_gainmap.errors import MediaError
from vs_gainmap.video.chunks import CHUNK_SECONDS, plan_runs
from vs_gainmap.video.encode import encode_opened
from vs_gainmap.video.index import VideoIndex, scan
from vs_gainmap.video.inputs import file_identity, sample_digest
from vs_gainmap.video.open_film import (
    Encoded,
    EncodeOptions,
    OpenFilm,
    check_target,
    open_film,
)
from vs_gainmap.video.source import VideoReader
from vs_gainmap.video.streams import Span

Graph = Callable[[vs.VideoNode], vs.VideoNode]


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """A part of a video: seconds from its first frame, and at most so many frames.

    A frame belongs to it if its presentation starts at or after `start` and before `end`.
    """

    start: Fraction | None = None
    end: Fraction | None = None
    frames: int | None = None

    def range(self, index: VideoIndex) -> tuple[int, int]:
        """Return the first frame and how many there are.

        Raises:
            MediaError: nothing is left.
        """
        if self.start is not None and self.end is not None and self.end <= self.start:
            raise MediaError(
                f"no frame is selected: the end ({float(self.end):.3f} s) is not after the start "
                f"({float(self.start):.3f} s)"
            )
        first = self._first_from(index, self.start) if self.start is not None else 0
        stop = self._first_from(index, self.end) if self.end is not None else len(index)
        if self.frames is not None:
            stop = min(stop, first + self.frames)
        if stop <= first:
            length = float(index.seconds(len(index) - 1) - index.seconds(0))
            raise MediaError(
                f"{index.path}: no frame is selected; its last one starts at {length:.3f} s"
            )
        return first, stop - first

    def span(self, index: VideoIndex) -> Span | None:
        """Return the times of the selected frames on the file's clock; None for all of them."""
        first, count = self.range(index)
        if count == len(index):
            return None
        last = first + count - 1
        return Span(start=index.seconds(first), end=index.seconds(last) + index.duration(last))

    @staticmethod
    def _first_from(index: VideoIndex, seconds: Fraction) -> int:
        return bisect_left(index.pts, seconds / index.time_base + index.pts[0])


@dataclass(frozen=True, slots=True, kw_only=True)
class FileClip:
    """Frames of a file through a graph of filters.

    `sample` is a digest of the file, by which other machines know it; "" on this one.
    """

    index: VideoIndex
    first: int
    count: int
    assume_progressive: bool
    graph: Graph
    sample: str = ""

    @contextmanager
    def open(self) -> Iterator[vs.VideoNode]:
        """Yield the clip.

        Raises:
            MediaError: the file can't be read, or the graph changes how many frames there are.
            vs.Error: a filter failed.
        """
        index = self.index
        if self.sample:
            self.check()
            # The same file has another inode on another machine.
            index = replace(index, identity=file_identity(index.path))
        with (
            VideoReader(
                index.path,
                index=index,
                first=self.first,
                count=self.count,
                assume_progressive=self.assume_progressive,
            ) as reader,
            # A frame that can't be read surfaces as a failed filter; the reader knows better.
            reader.own_errors(),
        ):
            clip = self.graph(reader.clip)
            if clip.num_frames != self.count:
                raise MediaError(
                    f"convert: {self.count} frames went in and {clip.num_frames} came out"
                )
            yield clip

    def on_device(self, device: str) -> FileClip:
        """Return the same with its network on a device.

        Raises:
            MediaError: the graph has no `on_device`.
        """
        move = getattr(self.graph, "on_device", None)
        if move is None:
            raise MediaError("convert: the graph has no on_device(), so devices can't be given")
        return replace(self, graph=move(device))

    def portable(self) -> FileClip:
        """Return the same for other machines that can read the file.

        Raises:
            MediaError: it can't be read here.
        """
        path = self.index.path.absolute()
        index = replace(self.index, path=path)
        return replace(self, index=index, sample=sample_digest(path))

    def check(self) -> None:
        """Refuse a machine where there is another file by this name, or none.

        Raises:
            MediaError: so it is.
        """
        if sample_digest(self.index.path) != self.sample:
            raise MediaError(f"{self.index.path}: is another file here")


def convert(
    source: str | Path,
    target: str | Path,
    graph: Graph,
    *,
    selection: Selection | None = None,
    assume_progressive: bool = False,
    chunk_seconds: float = CHUNK_SECONDS,
    indexed: Callable[[VideoIndex], None] | None = None,
    **options: Unpack[EncodeOptions],
) -> Encoded:
    """Read a video file, run a graph of filters on it, and encode the result.

    Args:
        source: the file.
        target: see `encode`.
        graph: gets the file as a clip and returns an HDR clip of as many frames.
        selection: the part to take; None for all of it.
        assume_progressive: take frames that are marked as interlaced for progressive ones.
        chunk_seconds: about how long the chunks are that are coded by themselves; from key frame
            to key frame of the source.
        indexed: called when the file's frames are known.
        options: see `encode`.

    Raises:
        MediaError: anything that can't be done as asked.
        vs.Error: a filter failed.
    """
    opened = partial(
        open_file,
        source,
        target,
        graph,
        selection=selection,
        assume_progressive=assume_progressive,
        chunk_seconds=chunk_seconds,
        indexed=indexed,
    )
    return encode_opened(opened, options)


def open_file(
    source: str | Path,
    target: str | Path,
    graph: Graph,
    *,
    selection: Selection | None = None,
    assume_progressive: bool = False,
    chunk_seconds: float = CHUNK_SECONDS,
    indexed: Callable[[VideoIndex], None] | None = None,
    **options: Unpack[EncodeOptions],
) -> AbstractContextManager[OpenFilm]:
    """Open what `convert` converts; see `open_film`.

    Raises:
        MediaError: anything that can't be done as asked.
        vs.Error: a filter failed.
    """
    origin = Path(source)
    check_target(Path(target), origin, options)
    index = scan(origin)
    chosen = selection or Selection()
    first, count = chosen.range(index)
    if indexed is not None:
        indexed(index)
    clip = FileClip(
        index=index, first=first, count=count, assume_progressive=assume_progressive, graph=graph
    )
    runs = plan_runs(index, first, count, seconds=chunk_seconds)
    span = chosen.span(index)
    return open_film(clip, target, source=origin, index=index, span=span, runs=runs, **options)

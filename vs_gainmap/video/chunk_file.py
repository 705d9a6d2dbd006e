"""A chunk on disk: coded packets and the notes of their frames, in one stored zip.

Between the encoder and the final mux. Timestamps are frame numbers here; the mux turns them into
exact times, which spares every encoder the question whether it handles a variable frame rate.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, NamedTuple

from av import Packet
from av.video.stream import VideoStream

from vs_gainmap.errors import MediaError, MetadataError
from vs_gainmap.files import durable
from vs_gainmap.untrusted import as_integer, as_list, parse_json
from vs_gainmap.video.frame_notes import HISTOGRAM_BYTES, FilmNotes, FrameNote, read_note

_PACKETS, _HISTOGRAMS, _DESCRIPTION = "packets", "histograms", "chunk.json"
# A day of film in one chunk.
_MOST_JSON = 1 << 30
_MOST_BYTES, _MOST_FRAMES = 1 << 50, 1 << 32
_READ_BYTES = 1 << 20
# Histograms up to this many bytes wait in memory, a thousand frames of them.
_SPOOL_BYTES = 1 << 22


class Coded(NamedTuple):
    """A coded picture; times are frame numbers, dts may be below zero."""

    data: bytes
    pts: int
    dts: int
    is_keyframe: bool


class _Entry(NamedTuple):
    """A coded picture without its data; `pts` counts from the chunk's first frame."""

    size: int
    pts: int
    is_keyframe: bool


class ChunkWriter:
    """Takes packets in coding order and notes in display order; see `writing_chunk`."""

    def __init__(self, packets: IO[bytes], histograms: IO[bytes]) -> None:
        self._packets, self._histograms = packets, histograms
        self._digests = {_PACKETS: hashlib.sha256(), _HISTOGRAMS: hashlib.sha256()}
        self._entries: list[_Entry] = []
        self._rows: list[dict[str, Any]] = []
        self.bytes = 0

    @property
    def packets(self) -> int:
        """How many packets there are."""
        return len(self._entries)

    @property
    def frames(self) -> int:
        """How many frames there are notes of."""
        return len(self._rows)

    def append(self, packet: Packet[VideoStream]) -> None:
        """Store an encoder's packet."""
        data = bytes(packet)
        self._packets.write(data)
        self._digests[_PACKETS].update(data)
        self._entries.append(_Entry(len(data), packet.pts or 0, packet.is_keyframe))
        self.bytes += len(data)

    def note(self, note: FrameNote) -> None:
        """Store the next frame's note."""
        if note.scene is not None:
            data = note.scene.histogram.astype("<u4").tobytes()
            self._histograms.write(data)
            self._digests[_HISTOGRAMS].update(data)
        self._rows.append(note.to_json())

    def describe(self, key: str) -> bytes:
        """Return what `Chunk` needs to know, as JSON."""
        fields = {
            "key": key,
            "sha256": {name: digest.hexdigest() for name, digest in self._digests.items()},
            "packets": self._entries,
            "frames": self._rows,
        }
        return json.dumps(fields).encode()


@contextmanager
def writing_chunk(path: Path, key: str) -> Iterator[ChunkWriter]:
    """Give a writer, and put its file in place in one step when all went well.

    Args:
        path: where the file is to be; replaced if it is there.
        key: of the conversion that it belongs to.

    Raises:
        OSError: it can't be written.
    """
    with (
        tempfile.SpooledTemporaryFile(_SPOOL_BYTES, dir=str(path.parent)) as histograms,
        durable(path) as file,
        zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive,
    ):
        # By a ZipInfo, which has no time of its own: the same chunk is the same file.
        with archive.open(zipfile.ZipInfo(_PACKETS), "w", force_zip64=True) as packets:
            writer = ChunkWriter(packets, histograms)
            yield writer
        histograms.seek(0)
        with archive.open(zipfile.ZipInfo(_HISTOGRAMS), "w", force_zip64=True) as member:
            shutil.copyfileobj(histograms, member, _READ_BYTES)
        archive.writestr(zipfile.ZipInfo(_DESCRIPTION), writer.describe(key))


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """A finished chunk on disk; of as many frames as packets, which have `size` bytes."""

    path: Path
    frames: int
    size: int
    key: str
    _entries: tuple[_Entry, ...]
    _rows: tuple[object, ...]
    _digests: dict[str, str]

    @classmethod
    def read(cls, path: Path) -> Chunk:
        """Read what a chunk has, without its packets.

        Raises:
            MediaError: it is damaged, cut, or no chunk.
        """
        with _reading(path) as archive:
            fields = parse_json(archive.read(_limited(archive, _DESCRIPTION)), str(path))
            entries = []
            for row in as_list(fields.get("packets"), "packets"):
                size, pts, is_keyframe = as_list(row, "packet", 3)
                entries.append(
                    _Entry(
                        as_integer(size, "size", 0, _MOST_BYTES),
                        as_integer(pts, "pts", -_MOST_FRAMES, _MOST_FRAMES),
                        is_keyframe is True,
                    )
                )
            rows = as_list(fields.get("frames"), "frames", len(entries))
            digests = fields.get("sha256")
            if not isinstance(digests, dict):
                raise MetadataError("it has no digests")
            return cls(
                path=path,
                frames=len(rows),
                size=sum(entry.size for entry in entries),
                key=str(fields.get("key")),
                _entries=tuple(entries),
                _rows=tuple(rows),
                _digests=digests,
            )

    def verify(self) -> None:
        """Read all of it.

        Raises:
            MediaError: it is not what was written.
        """
        with _reading(self.path) as archive:
            for name in (_PACKETS, _HISTOGRAMS):
                digest = hashlib.sha256()
                with archive.open(name) as member:
                    while data := member.read(_READ_BYTES):
                        digest.update(data)
                if digest.hexdigest() != self._digests.get(name):
                    raise MetadataError(f"its {name} are damaged")

    def notes(self) -> Iterator[FrameNote]:
        """Yield the notes of its frames, in display order.

        Raises:
            MediaError: it is damaged.
        """
        with _reading(self.path) as archive, archive.open(_HISTOGRAMS) as histograms:
            for row in self._rows:
                has_scene = isinstance(row, dict) and "max_rgb" in row
                yield read_note(row, _exactly(histograms, HISTOGRAM_BYTES) if has_scene else None)

    def packets(self) -> Iterator[tuple[bytes, int, bool]]:
        """Yield data, pts and whether it is a key frame, in coding order.

        Raises:
            MediaError: it is damaged.
        """
        with _reading(self.path) as archive, archive.open(_PACKETS) as packets:
            for size, pts, is_keyframe in self._entries:
                yield _exactly(packets, size), pts, is_keyframe

    def delay(self) -> int:
        """Return by how many packets its decoding must begin before its first frame is shown."""
        return max((n - pts for n, (_, pts, _) in enumerate(self._entries)), default=0)


@contextmanager
def _reading(path: Path) -> Iterator[zipfile.ZipFile]:
    try:
        with zipfile.ZipFile(path) as archive:
            yield archive
    except (OSError, zipfile.BadZipFile, KeyError, EOFError, MetadataError) as error:
        raise MediaError(f"{path}: a damaged chunk: {error}") from error


def _limited(archive: zipfile.ZipFile, name: str) -> zipfile.ZipInfo:
    info = archive.getinfo(name)
    if info.compress_type != zipfile.ZIP_STORED or info.file_size > _MOST_JSON:
        raise MetadataError(f"its {name} is no such file")
    return info


def _exactly(file: IO[bytes], size: int) -> bytes:
    data = file.read(size)
    if len(data) != size:
        raise EOFError("it is cut")
    return data


class CodedFilm:
    """The chunks of a film, one after another."""

    def __init__(self, chunks: Sequence[Chunk]) -> None:
        self._chunks = tuple(chunks)

    def notes(self, width: int, height: int) -> FilmNotes:
        """Return what its frames' notes make together.

        Raises:
            MediaError: a chunk is damaged.
        """
        film = FilmNotes(width, height)
        for chunk in self._chunks:
            for note in chunk.notes():
                film.add(note)
        return film

    def __iter__(self) -> Iterator[Coded]:
        """Yield the packets in coding order.

        Decoding times are made here: x265's are undefined for clips shorter than its
        reordering delay. One frame a tick, as late as presentation allows.

        Raises:
            MediaError: a chunk is damaged.
        """
        delay = max(chunk.delay() for chunk in self._chunks)
        first = 0
        for chunk in self._chunks:
            for n, (data, pts, is_keyframe) in enumerate(chunk.packets(), first):
                yield Coded(data, first + pts, n - delay, is_keyframe)
            first += chunk.frames

"""Coded packets on disk between the encoder and the final mux."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from av import Packet
from av.video.stream import VideoStream


class Coded(NamedTuple):
    """A coded picture; times are frame numbers, dts may be below zero."""

    data: bytes
    pts: int
    dts: int
    is_keyframe: bool


class PacketFile:
    """Packets in coding order: payloads in a file, the rest in memory.

    Timestamps are frame numbers here. The mux turns them into exact times, which spares
    every encoder the question whether it handles a variable frame rate.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = path.open("wb")
        self._entries: list[tuple[int, int, bool]] = []
        self.bytes = 0

    def __len__(self) -> int:
        return len(self._entries)

    def append(self, packet: Packet[VideoStream]) -> None:
        """Store an encoder's packet."""
        data = bytes(packet)
        self._file.write(data)
        self._entries.append((len(data), packet.pts or 0, packet.is_keyframe))
        self.bytes += len(data)

    def close(self) -> None:
        """Finish writing."""
        self._file.close()

    def __iter__(self) -> Iterator[Coded]:
        """Yield the packets in coding order, after `close`.

        Decoding times are made here: x265's are undefined for clips shorter than its
        reordering delay. One frame a tick, as late as presentation allows.
        """
        delay = max((n - pts for n, (_, pts, _) in enumerate(self._entries)), default=0)
        with self._path.open("rb") as file:
            for n, (size, pts, is_keyframe) in enumerate(self._entries):
                yield Coded(file.read(size), pts, n - delay, is_keyframe)

"""A process that encodes chunks; `workers` runs its `main`.

Pickles come in: the module path, then a `Task` for each chunk. Each `Message` goes out as one. When
nothing more comes in, whoever started it is gone, and it ends.
"""

from __future__ import annotations

import logging
import os
import pickle
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from queue import SimpleQueue
from typing import IO, NamedTuple

import vapoursynth as vs

from vs_gainmap.errors import GainMapError, MediaError
from vs_gainmap.filters.memory import bound_freed
from vs_gainmap.video.encoders import for_encoder
from vs_gainmap.video.jobs import ClipSource, Job

# Seconds between two messages about one chunk.
_PERIOD = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What a worker is to do: the film, and how its clip is made."""

    job: Job
    source: ClipSource

    @contextmanager
    def open(self) -> Iterator[vs.VideoNode]:
        """Yield the clip, as the encoder takes it."""
        with self.source.open() as clip:
            yield for_encoder(clip, self.job.settings.encoder)

    def on_device(self, device: str) -> Order:
        """Return the same for another device.

        Raises:
            MediaError: the clip can't be moved.
        """
        return replace(self, source=self.source.on_device(device))

    def portable(self) -> Order:
        """Return the same for other machines."""
        return replace(self, source=self.source.portable())


class Task(NamedTuple):
    """A chunk to make; `order` is a pickled `Order`, None for the film of the task before."""

    order: bytes | None
    number: int
    path: Path


class Message(NamedTuple):
    """How far a chunk is; `error` ends the film."""

    number: int
    frames: int = 0
    size: int = 0
    done: bool = False
    error: Exception | None = None


def send(out: IO[bytes], message: object) -> None:
    """Write one pickle."""
    out.write(pickle.dumps(message))
    out.flush()


def main() -> None:
    """Do tasks until there are no more."""
    # What libraries print must not get between the pickles.
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    logging.basicConfig(format="vs-gainmap: %(message)s", level=logging.WARNING)
    # What they say of the clip, whoever started this process has said already.
    logging.getLogger("vs_gainmap.filters").setLevel(logging.ERROR)
    bound_freed()
    sys.path[:] = pickle.load(sys.stdin.buffer)
    tasks: SimpleQueue[Task] = SimpleQueue()
    threading.Thread(target=_receive, args=(sys.stdin.buffer, tasks), daemon=True).start()
    task = tasks.get()
    try:
        while True:
            # With the first of a film comes its order.
            order = _read_order(task.order or b"")
            with order.open() as clip:
                _encode(order.job, clip, task, out)
                while (task := tasks.get()).order is None:
                    _encode(order.job, clip, task, out)
            del clip
    except (GainMapError, vs.Error, OSError) as error:
        send(out, Message(task.number, error=picklable(error)))
    except Exception:
        traceback.print_exc()
    # Python's own end would complain of the thread that listens, as the last line.
    sys.stderr.flush()
    os._exit(1)


def _read_order(data: bytes) -> Order:
    try:
        order = pickle.loads(data)
    except Exception as error:
        raise MediaError(
            f"a worker can't load the clip's graph: {type(error).__name__}: {error}; define it in "
            "a module that can be imported"
        ) from error
    if not isinstance(order, Order):
        raise MediaError("a worker got no order")
    return order


def _receive(file: IO[bytes], tasks: SimpleQueue[Task]) -> None:
    try:
        while True:
            tasks.put(pickle.load(file))
    except Exception:
        # Half a chunk is worth nothing, and no other thread need be waited for.
        os._exit(0)


def _encode(job: Job, clip: vs.VideoNode, task: Task, out: IO[bytes]) -> None:
    sent, last = time.monotonic(), (0, 0)

    def progress(frames: int, size: int) -> None:
        nonlocal sent, last
        last = frames, size
        if time.monotonic() - sent >= _PERIOD:
            sent = time.monotonic()
            send(out, Message(task.number, frames, size))

    job.encode(clip, task.number, task.path, progress=progress)
    send(out, Message(task.number, *last, done=True))


def picklable(error: Exception) -> Exception:
    """Return an error that another process can read."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return MediaError(str(error))
    return error


def pickled(order: Order) -> bytes:
    """Return an order for another process.

    Raises:
        MediaError: it can't be pickled.
    """
    try:
        return pickle.dumps(order)
    except Exception as error:
        raise MediaError(
            f"workers can't be given the clip's graph: {error}; define it at the top of a module"
        ) from error

"""Several processes that encode the chunks of one film."""

from __future__ import annotations

import pickle
import subprocess
import sys
import threading
from collections import Counter, deque
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import IO

from vs_gainmap.errors import MediaError
from vs_gainmap.video.jobs import Tally
from vs_gainmap.video.work_folder import WorkFolder
from vs_gainmap.video.worker import Order, Told

# Seconds between two looks at whether the user wants to stop.
_PERIOD = 0.2
# How often the worker of one chunk may die.
_LIVES = 2
# By -m its classes would be those of another module, __main__.
_MAIN = "from vs_gainmap.video.worker import main; main()"


def encode_in_workers(
    order: Order,
    folder: WorkFolder,
    tally: Tally,
    *,
    workers: int,
    devices: Sequence[str] = (),
) -> None:
    """Encode the chunks that a folder lacks in processes of their own.

    A worker that dies is replaced, and its chunk done again. Whatever ends this function ends the
    workers, too.

    Args:
        order: the film; it must be picklable.
        folder: where its chunks are.
        tally: is told about progress.
        workers: how many processes.
        devices: where their networks run, in turn; none leaves that to the graph.

    Raises:
        MediaError: the encoder fails, the order can't be pickled, or a chunk's worker died twice.
        vs.Error: a filter failed.
        OSError: a file can't be written.
    """
    events: SimpleQueue[tuple[_Worker, Told | None]] = SimpleQueue()
    pending, running = deque(folder.missing), dict[_Worker, int]()
    deaths: Counter[int] = Counter()
    orders = [_pickled(order.on_device(device)) for device in devices] or [_pickled(order)]
    team: list[_Worker] = []

    def begin(place: int) -> None:
        """Start a worker, the `place`-th at a time, on the next chunk."""
        worker = _Worker(orders[place % len(orders)], place, events)
        team.append(worker)
        hand_out(worker)

    def hand_out(worker: _Worker) -> None:
        if pending:
            running[worker] = pending.popleft()
            worker.order(running[worker], folder.chunk_path(running[worker]))
        else:
            worker.end()

    try:
        for place in range(min(workers, len(pending))):
            begin(place)
        while running:
            try:
                worker, told = events.get(timeout=_PERIOD)
            except Empty:
                tally.tell()
                continue
            if worker not in running:
                # It ended, as it was told to.
                continue
            if told is None:
                number = running.pop(worker)
                deaths[number] += 1
                if deaths[number] == _LIVES:
                    raise MediaError(
                        f"two workers died while they encoded chunk {number}: {worker.last_words()}"
                    )
                pending.appendleft(number)
                begin(worker.place)
            elif told.error is not None:
                raise told.error
            else:
                tally.update(told.number, told.frames, told.size)
                if told.done:
                    del running[worker]
                    hand_out(worker)
    finally:
        for worker in team:
            worker.kill()


def _pickled(order: Order) -> bytes:
    try:
        return pickle.dumps(order)
    except Exception as error:
        raise MediaError(
            f"workers can't be given the clip's graph: {error}; define it at the top of a module"
        ) from error


class _Worker:
    """A process, and two threads that listen to it.

    Args:
        order: pickled.
        place: its number among those at work.
        events: gets what it tells; None when it ends.
    """

    def __init__(
        self, order: bytes, place: int, events: SimpleQueue[tuple[_Worker, Told | None]]
    ) -> None:
        self.place = place
        self._last_line = ""
        # In a session of its own: a terminal's Ctrl-C is for whoever started it.
        self._process = subprocess.Popen(
            [sys.executable, "-c", _MAIN],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        process = self._process
        if process.stdin is None or process.stdout is None or process.stderr is None:
            raise MediaError("a worker has no pipes")
        # It reads nothing until its libraries are loaded, which nobody waits for.
        self._letters: SimpleQueue[bytes | None] = SimpleQueue()
        self._letters.put(pickle.dumps(sys.path))
        self._letters.put(order)
        self._reader = threading.Thread(target=self._repeat, args=(process.stderr,), daemon=True)
        self._reader.start()
        threading.Thread(target=self._write, args=(process.stdin,), daemon=True).start()
        listen = threading.Thread(target=self._listen, args=(process.stdout, events), daemon=True)
        listen.start()

    def order(self, number: int, path: Path) -> None:
        """Have it encode a chunk into a file."""
        self._letters.put(pickle.dumps((number, path)))

    def end(self) -> None:
        """Have it end by itself."""
        self._letters.put(None)

    def kill(self) -> None:
        """End it at once; what it has finished is on the disk."""
        self._process.kill()
        self._process.wait()
        self.end()

    def _write(self, file: IO[bytes]) -> None:
        # A worker that is dead tells it by its end.
        with suppress(OSError), file:
            while (letter := self._letters.get()) is not None:
                file.write(letter)
                file.flush()

    def last_words(self) -> str:
        """Return the last line that it wrote, or how it ended."""
        code = self._process.wait()
        self._reader.join(1)
        return self._last_line or (f"signal {-code}" if code < 0 else f"exit status {code}")

    def _listen(self, file: IO[bytes], events: SimpleQueue[tuple[_Worker, Told | None]]) -> None:
        with suppress(Exception):
            while True:
                events.put((self, pickle.load(file)))
        events.put((self, None))

    def _repeat(self, file: IO[bytes]) -> None:
        for line in file:
            text = line.decode(errors="replace")
            self._last_line = text.strip() or self._last_line
            # A terminal that was closed takes no line.
            with suppress(OSError, ValueError):
                sys.stderr.write(text)

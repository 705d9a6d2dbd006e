"""A team of processes on this machine that encode chunks."""

from __future__ import annotations

import pickle
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Collection, Sequence
from contextlib import suppress
from queue import Empty, SimpleQueue
from types import TracebackType
from typing import IO, Self

from vs_gainmap.errors import MediaError
from vs_gainmap.video.crew import Film
from vs_gainmap.video.worker import Order, Task, Told, pickled

# Seconds between two looks at whether the user wants to stop.
_PERIOD = 0.2
# How often the worker of one chunk may die.
_LIVES = 2
# By -m its classes would be those of another module, __main__.
_MAIN = "from vs_gainmap.video.worker import main; main()"


class Team:
    """Processes of their own that encode chunks, of several films if need be.

    A worker that dies is replaced, and its chunk made again; the second time is an error. Close
    it, or use it in a ``with`` statement: that ends the workers, which otherwise end with this
    process.

    Args:
        workers: how many processes.
        devices: where their networks run, in turn; none leaves that to the clip. There are at
            least as many workers.
    """

    def __init__(self, workers: int = 1, *, devices: Sequence[str] = ()) -> None:
        self.devices = tuple(devices)
        self._team: list[_Worker | None] = [None] * max(workers, len(devices), 1)
        self._films: list[_Orders] = []
        self._news: SimpleQueue[tuple[Film, Told]] = SimpleQueue()
        # Who listens to a worker hands out its next chunk, whatever this process does meanwhile.
        self._lock = threading.RLock()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the workers at once; what they have finished is on the disk."""
        with self._lock:
            self._films.clear()
            for place in range(len(self._team)):
                self._end(place)

    def start(self, chunks: int) -> None:
        """Have workers for so many chunks load their libraries, beside what this process does."""
        with self._lock:
            for place in range(min(chunks, len(self._team))):
                self._find_or_start(place)

    def is_idle(self) -> bool:
        """Say whether fewer chunks wait than there are workers."""
        with self._lock:
            return sum(len(orders.pending) for orders in self._films) < len(self._team)

    def add(self, film: Film) -> None:
        """Begin with a film.

        Raises:
            MediaError: it can't be pickled.
        """
        film.release()
        if film.source is None:
            raise MediaError("a clip of this process can't go to workers")
        order = Order(job=film.job, source=film.source)
        made = [order.on_device(device) for device in self.devices] or [order]
        with self._lock:
            self._films.append(_Orders(film, [pickled(each) for each in made]))
            self._hand_out()

    def wait(self) -> None:
        """Wait a moment for news, and tell the films."""
        try:
            film, told = self._news.get(timeout=_PERIOD)
        except Empty:
            for orders in list(self._films):
                _tell(orders.film, None)
            return
        _tell(film, told)

    def drop(self, film: Film) -> None:
        """Stop working on a film, if that is not done."""
        with self._lock:
            self._films = [orders for orders in self._films if orders.film is not film]
            for place, worker in enumerate(self._team):
                if worker is not None and worker.film is film and worker.number is not None:
                    self._end(place)
            self._hand_out()

    def _end(self, place: int) -> None:
        worker, self._team[place] = self._team[place], None
        if worker is not None:
            worker.kill()

    def _find_or_start(self, place: int) -> _Worker:
        worker = self._team[place]
        if worker is None:
            worker = self._team[place] = _Worker(place, self)
        return worker

    def _hand_out(self) -> None:
        """Give every worker that has nothing to do a chunk, while there are any."""
        for place, worker in enumerate(self._team):
            if worker is not None and worker.number is not None:
                continue
            waiting = [orders for orders in self._films if orders.pending]
            if not waiting:
                return
            # It has that clip open.
            own = [
                orders for orders in waiting if worker is not None and orders.film is worker.film
            ]
            orders = (own or waiting)[0]
            last = worker.last if worker is not None and own else None
            number = choose_chunk(orders.pending, last)
            orders.pending.remove(number)
            self._find_or_start(place).order(orders, number)

    def hear(self, worker: _Worker, told: Told | None) -> None:
        """Take in what a worker tells; None is its end. For the thread that listens to it."""
        with self._lock:
            if self._team[worker.place] is not worker:
                return
            film, number = worker.film, worker.number
            orders = next((each for each in self._films if each.film is film), None)
            if told is None:
                self._end(worker.place)
                if orders is not None and number is not None:
                    told = orders.bury(number, worker)
            elif told.done:
                worker.rest()
            if told is not None and told.error is not None:
                # The worker ends, too.
                self._end(worker.place)
                if orders is not None:
                    orders.pending.clear()
            if told is not None and film is not None:
                self._news.put((film, told))
            self._hand_out()


class _Orders:
    """What a team has to do for a film.

    Args:
        film: the film.
        orders: pickled, for each device.
    """

    def __init__(self, film: Film, orders: list[bytes]) -> None:
        self.film, self.orders = film, orders
        self.pending = set(film.left)
        self._deaths: Counter[int] = Counter()

    def bury(self, number: int, worker: _Worker) -> Told | None:
        """Have the chunk of a worker that died made again; return an error the second time."""
        self._deaths[number] += 1
        if self._deaths[number] < _LIVES:
            self.pending.add(number)
            return None
        died = f"two workers died while they encoded chunk {number}: {worker.last_words()}"
        return Told(number, error=MediaError(died))


def choose_chunk(pending: Collection[int], last: int | None) -> int:
    """Return the chunk that a worker makes next.

    It is the one after its last, whose neighborhood is decoded, or is in the middle of the
    longest run that nobody works on, so that whoever comes from before has a way to go.

    Args:
        pending: numbers of chunks; at least one.
        last: the one that the worker made last; None if it made none of this film.
    """
    if last is not None and last + 1 in pending:
        return last + 1
    numbers = sorted(pending)
    starts = [n for n in numbers if n - 1 not in pending]
    stops = [n + 1 for n in numbers if n + 1 not in pending]
    start, stop = max(zip(starts, stops, strict=True), key=lambda run: run[1] - run[0])
    return start if start == 0 else (start + stop) // 2


def _tell(film: Film, told: Told | None) -> None:
    if film.ended:
        return
    try:
        if told is None:
            film.tell()
            return
        if told.error is not None:
            raise told.error
        film.update(told.number, told.frames, told.size)
        if told.done:
            film.left.discard(told.number)
    except Exception as error:
        film.error = error


class _Worker:
    """A process, and three threads that write to it and listen to it.

    `film` is what it works on or worked on, `number` the chunk that it makes, if any, and `last`
    the one before.

    Args:
        place: its number in the team.
        team: hears what it tells.
    """

    def __init__(self, place: int, team: Team) -> None:
        self.place = place
        self.film: Film | None = None
        self.number: int | None = None
        self.last: int | None = None
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
        self._reader = threading.Thread(target=self._repeat, args=(process.stderr,), daemon=True)
        self._reader.start()
        threading.Thread(target=self._write, args=(process.stdin,), daemon=True).start()
        listen = threading.Thread(target=self._listen, args=(process.stdout, team), daemon=True)
        listen.start()

    def order(self, orders: _Orders, number: int) -> None:
        """Have it encode a chunk of a film."""
        film = orders.film
        # It keeps the order of the film that it has open.
        new = None if film is self.film else orders.orders[self.place % len(orders.orders)]
        self.film, self.number = film, number
        self._letters.put(pickle.dumps(Task(new, number, film.folder.chunk_path(number))))

    def rest(self) -> None:
        """Note that its chunk is finished."""
        self.number, self.last = None, self.number

    def kill(self) -> None:
        """End it at once; what it has finished is on the disk."""
        self._process.kill()
        self._process.wait()
        self._letters.put(None)

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

    def _listen(self, file: IO[bytes], team: Team) -> None:
        with suppress(Exception):
            while True:
                team.hear(self, pickle.load(file))
        # A process that closed its pipe is about to end.
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(1)
        team.hear(self, None)

    def _repeat(self, file: IO[bytes]) -> None:
        for line in file:
            text = line.decode(errors="replace")
            self._last_line = text.strip() or self._last_line
            # A terminal that was closed takes no line.
            with suppress(OSError, ValueError):
                sys.stderr.write(text)

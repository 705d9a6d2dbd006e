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
from typing import IO, Self

from vs_gainmap.errors import MediaError
from vs_gainmap.video.crew import Film
from vs_gainmap.video.worker import Message, Order, Task, pickled

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
        self._films: list[_Work] = []
        self._messages: SimpleQueue[tuple[Film, Message]] = SimpleQueue()
        # The thread that listens to a worker gives it its next chunk, while this one does something
        # else.
        self._lock = threading.RLock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
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
            return sum(len(work.pending) for work in self._films) < len(self._team)

    def add(self, film: Film) -> None:
        """Begin with a film.

        Raises:
            MediaError: it can't be pickled.
        """
        film.release()
        if film.source is None:
            raise MediaError("a clip of this process can't go to workers")
        order = Order(job=film.job, source=film.source)
        orders = [order.on_device(device) for device in self.devices] or [order]
        work = _Work(film, [pickled(each) for each in orders])
        with self._lock:
            self._films.append(work)
            self._hand_out()

    def wait(self, seconds: float) -> None:
        """Wait for messages, and report them to the films."""
        try:
            film, message = self._messages.get(timeout=seconds) if seconds else self._next()
            while True:
                self._report(film, message)
                film, message = self._next()
        except Empty:
            for work in list(self._films):
                self._report(work.film, None)

    def _next(self) -> tuple[Film, Message]:
        return self._messages.get_nowait()

    def _report(self, film: Film, message: Message | None) -> None:
        if film.ended or all(work.film is not film for work in self._films):
            return
        try:
            if message is None:
                film.report()
                return
            if message.error is not None:
                raise message.error
            film.update(message.number, message.frames, message.size)
            if message.done:
                film.left.discard(message.number)
        except Exception as error:
            film.error = error

    def drop(self, film: Film) -> None:
        """Stop working on a film, if that is not done."""
        with self._lock:
            self._films = [work for work in self._films if work.film is not film]
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
        # Those that run, first: another takes three seconds to start.
        for place, worker in sorted(enumerate(self._team), key=lambda each: each[1] is None):
            if worker is not None and worker.number is not None:
                continue
            waiting = [work for work in self._films if work.pending]
            if not waiting:
                return
            # It has that clip open.
            own = [work for work in waiting if worker is not None and work.film is worker.film]
            work = (own or waiting)[0]
            made = {each.number for each in self._team if each and each.film is work.film}
            last = worker.last if worker is not None and own else None
            number = choose_chunk(work.pending, last, {n for n in made if n is not None})
            work.pending.remove(number)
            try:
                self._find_or_start(place).make(work, number)
            except OSError as error:
                # This may be a thread that listens, whose errors nobody gets.
                self._fail(work, Message(number, error=error))

    def _fail(self, work: _Work, message: Message) -> None:
        work.pending.clear()
        self._messages.put((work.film, message))

    def receive(self, worker: _Worker, message: Message | None) -> None:
        """Take in a worker's message; None is its end. For the thread that listens to it."""
        with self._lock:
            if self._team[worker.place] is not worker:
                return
            film, number = worker.film, worker.number
            work = next((each for each in self._films if each.film is film), None)
            if message is None:
                self._end(worker.place)
                if work is not None and number is not None:
                    message = work.retry(number, worker)
            elif message.done:
                worker.rest()
            if work is not None and message is not None:
                if message.error is not None:
                    # The worker ends, too.
                    self._end(worker.place)
                    self._fail(work, message)
                else:
                    self._messages.put((work.film, message))
            self._hand_out()


class _Work:
    """What a team has to do for a film.

    Args:
        film: the film.
        pickles: its order, for each device.
    """

    def __init__(self, film: Film, pickles: list[bytes]) -> None:
        self.film, self.pickles = film, pickles
        self.pending = set(film.left)
        self._deaths: Counter[int] = Counter()

    def retry(self, number: int, worker: _Worker) -> Message | None:
        """Have the chunk of a worker that died made again; return an error the second time."""
        self._deaths[number] += 1
        if self._deaths[number] < _LIVES:
            self.pending.add(number)
            return None
        died = f"two workers died while they encoded chunk {number}: {worker.last_line()}"
        return Message(number, error=MediaError(died))


def choose_chunk(pending: Collection[int], last: int | None, made: Collection[int] = ()) -> int:
    """Return the chunk that a worker makes next.

    It is the one after its last, where the film is decoded already. Else it is the first of the
    longest run of chunks, or the middle where another worker is coming to the first.

    Args:
        pending: numbers of chunks; at least one.
        last: the one that the worker made last; None if it made none of this film.
        made: those that others are making.
    """
    if last is not None and last + 1 in pending:
        return last + 1
    numbers = sorted(pending)
    starts = [n for n in numbers if n - 1 not in pending]
    stops = [n + 1 for n in numbers if n + 1 not in pending]
    start, stop = max(zip(starts, stops, strict=True), key=lambda run: run[1] - run[0])
    return (start + stop) // 2 if start - 1 in made else start


class _Worker:
    """A process, and three threads that write to it and listen to it.

    `film` is what it works on or worked on, `number` the chunk that it makes, if any, and `last`
    the one before.

    Args:
        place: its number in the team.
        team: receives its messages.
    """

    def __init__(self, place: int, team: Team) -> None:
        self.place = place
        self.film: Film | None = None
        self.number: int | None = None
        self.last: int | None = None
        self._line = ""
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
        self._outbox: SimpleQueue[bytes | None] = SimpleQueue()
        self._outbox.put(pickle.dumps(sys.path))
        self._reader = threading.Thread(target=self._repeat, args=(process.stderr,), daemon=True)
        self._reader.start()
        threading.Thread(target=self._write, args=(process.stdin,), daemon=True).start()
        listen = threading.Thread(target=self._listen, args=(process.stdout, team), daemon=True)
        listen.start()

    def make(self, work: _Work, number: int) -> None:
        """Have it make a chunk of a film."""
        film = work.film
        # It keeps the order of the film that it has open.
        order = None if film is self.film else work.pickles[self.place % len(work.pickles)]
        self.film, self.number = film, number
        self._outbox.put(pickle.dumps(Task(order, number, film.folder.chunk_path(number))))

    def rest(self) -> None:
        """Note that its chunk is finished."""
        self.number, self.last = None, self.number

    def kill(self) -> None:
        """End it at once; what it has finished is on the disk."""
        self._process.kill()
        self._process.wait()
        self._outbox.put(None)

    def _write(self, file: IO[bytes]) -> None:
        # That a worker is dead shows where it is read from.
        with suppress(OSError), file:
            while (data := self._outbox.get()) is not None:
                file.write(data)
                file.flush()

    def last_line(self) -> str:
        """Return the last line that it wrote, or how it ended."""
        code = self._process.wait()
        self._reader.join(1)
        return self._line or (f"signal {-code}" if code < 0 else f"exit status {code}")

    def _listen(self, file: IO[bytes], team: Team) -> None:
        message: Message | None = None
        while True:
            try:
                message = pickle.load(file)
            except Exception:
                break
            team.receive(self, message)
        # A process that closed its pipe is about to end.
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(1)
        team.receive(self, None)

    def _repeat(self, file: IO[bytes]) -> None:
        for line in file:
            text = line.decode(errors="replace")
            self._line = text.strip() or self._line
            # A terminal that was closed takes no line.
            with suppress(OSError, ValueError):
                sys.stderr.write(text)

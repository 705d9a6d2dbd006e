"""Chunks as tasks on a Ray cluster.

Finished chunks come back through Ray, so that only the input must be readable everywhere. Retries
and lost machines are Ray's.
"""

from __future__ import annotations

import pickle
import signal
import socket
import tempfile
import threading
from collections import deque
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, Self

import av
import vapoursynth as vs

from vs_gainmap.errors import GainMapError, MediaError
from vs_gainmap.extras import load
from vs_gainmap.files import durable
from vs_gainmap.filters.memory import bound_freed
from vs_gainmap.video.chunk_file import Chunk
from vs_gainmap.video.crew import Film
from vs_gainmap.video.work_folder import WorkFolder
from vs_gainmap.video.worker import Order, picklable, pickled

# How often Ray does a chunk again whose machine or process is lost.
_RETRIES = 3


class Cluster:
    """A Ray cluster that encodes chunks, of several films if need be.

    Close it, or use it in a ``with`` statement.

    Args:
        address: as `ray.init` takes it: "auto", "host:6379" or "ray://host:10001".
        cpus: cores for each chunk.
        gpus: GPUs for each chunk, or a part of one.
    """

    devices: tuple[str, ...] = ()

    def __init__(self, address: str, *, cpus: float = 4, gpus: float = 0) -> None:
        self.address, self.cpus, self.gpus = address, cpus, gpus
        self._at_once = 1
        self._films: dict[Film, _Tasks] = {}
        # Undone by `close`.
        self._stack = ExitStack()
        self._ray: Any = None

    def __enter__(self) -> Self:
        try:
            self._connect()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop what runs, and leave the cluster."""
        for film in list(self._films):
            self.drop(film)
        self._ray = None
        self._stack.close()

    def start(self, chunks: int) -> None:
        """Do nothing: Ray starts its processes itself."""

    def is_idle(self) -> bool:
        """Say whether fewer chunks wait than are made at once."""
        return sum(len(tasks.pending) for tasks in self._films.values()) < self._at_once

    def add(self, film: Film) -> None:
        """Begin with a film.

        Raises:
            MediaError: Ray is missing or not there, a machine has another input or other versions,
                or no machine is large enough.
        """
        film.release()
        if film.source is None:
            raise MediaError("a clip of this process can't go to a cluster")
        ray = self._connect()
        order = Order(job=film.job, source=film.source).portable()
        self._check_machines(ray, order)
        needs = {"num_cpus": self.cpus, "num_gpus": self.gpus, "max_retries": _RETRIES}
        data, encode = ray.put(pickled(order)), ray.remote(**needs)(_encode)
        self._films[film] = _Tasks(
            begin=partial(encode.remote, data), pending=deque(sorted(film.left))
        )
        self._submit()

    def wait(self, seconds: float) -> None:
        """Wait for chunks that come back, and report them to the films."""
        ray = self._connect()
        self._submit()
        running = [task for tasks in self._films.values() for task in tasks.running]
        if not running:
            return
        ready, _ = ray.wait(running, num_returns=1, timeout=seconds)
        for film, tasks in list(self._films.items()):
            try:
                for task in ready:
                    if task in tasks.running:
                        self._take(ray, film, task, tasks.running.pop(task))
                film.report()
            except Exception as error:
                film.error = error
                self.drop(film)

    def _submit(self) -> None:
        for tasks in self._films.values():
            # Some more than run at once, so that no machine waits; not all, so that results,
            # which wait in the machines' memory, are few.
            while tasks.pending and self._running() < 2 * self._at_once:
                number = tasks.pending.popleft()
                tasks.running[tasks.begin(number)] = number

    def drop(self, film: Film) -> None:
        """Stop working on a film, if that is not done."""
        tasks = self._films.pop(film, None)
        if tasks is not None and self._ray is not None:
            for task in tasks.running:
                self._ray.cancel(task, force=True)

    def _running(self) -> int:
        return sum(len(tasks.running) for tasks in self._films.values())

    def _take(self, ray: Any, film: Film, task: Any, number: int) -> None:
        chunk = _store(film.folder, number, _result(ray, task, number))
        film.update(number, chunk.frames, chunk.size)
        film.left.discard(number)
        if film.ended:
            del self._films[film]

    def _connect(self) -> Any:
        if self._ray is None:
            ray = load("ray", "Ray", extra="ray", purpose="conversions on a cluster")
            if not ray.is_initialized():
                before = signal.getsignal(signal.SIGTERM)
                try:
                    ray.init(address=self.address, logging_level="warning")
                except (ConnectionError, ValueError, RuntimeError) as error:
                    first = str(error).strip().splitlines()[0]
                    raise MediaError(f"Ray at {self.address}: {first}") from error
                self._stack.callback(ray.shutdown)
                is_main = threading.current_thread() is threading.main_thread()
                if is_main and before is not None:
                    # Ray's own would end this process without a word.
                    signal.signal(signal.SIGTERM, before)
            self._at_once = self._count_chunks(ray)
            self._ray = ray
        return self._ray

    def _count_chunks(self, ray: Any) -> int:
        """Return how many chunks run at once.

        Raises:
            MediaError: no machine is large enough.
        """
        at_once = 0
        for have in (node["Resources"] for node in ray.nodes() if node["Alive"]):
            shares = [have.get("CPU", 0) // self.cpus] if self.cpus else []
            shares += [have.get("GPU", 0) // self.gpus] if self.gpus else []
            at_once += int(min(shares, default=1))
        if not at_once:
            raise MediaError(
                f"Ray at {self.address}: no machine has {self.cpus:g} CPUs and {self.gpus:g} GPUs "
                "for a chunk; ask for less with --task-cpus and --task-gpus"
            )
        return at_once

    def _check_machines(self, ray: Any, order: Order) -> None:
        """Refuse machines that would make something else.

        Raises:
            MediaError: one has another input, or other versions.
        """
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        nodes = [node for node in ray.nodes() if node["Alive"]]
        check = ray.remote(num_cpus=0, max_retries=0)(_check)
        data = pickle.dumps(order.source)
        checks = [
            check.options(
                scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
            ).remote(data, _versions())
            for node in nodes
        ]
        for node, task in zip(nodes, checks, strict=True):
            try:
                problem = ray.get(task)
            except ray.exceptions.RayError as error:
                problem = str(error).strip().splitlines()[-1]
            if problem is not None:
                raise MediaError(f"machine {node['NodeManagerHostname']} of the cluster: {problem}")


@dataclass(kw_only=True)
class _Tasks:
    """What a cluster has to do for a film; `begin` submits a chunk and returns its task."""

    begin: Callable[[int], Any]
    pending: deque[int]
    running: dict[Any, int] = field(default_factory=dict)


def _versions() -> dict[str, str]:
    return {"vs_gainmap": version("vs-gainmap"), "PyAV": av.__version__}


def _check(source: bytes, wanted: dict[str, str]) -> str | None:
    """Return what a machine lacks, or None; runs there."""
    own = _versions()
    for name, value in wanted.items():
        if own[name] != value:
            return f"has {name} {own[name]} instead of {value}"
    try:
        pickle.loads(source).check()
    except (GainMapError, OSError) as error:
        return str(error)
    return None


@dataclass
class _Opened:
    """The clip that a process of the cluster has open, for the next chunk of the same film."""

    data: bytes = b""
    order: Order | None = None
    clip: vs.VideoNode | None = None
    stack: ExitStack = field(default_factory=ExitStack)

    def open(self, data: bytes) -> tuple[Order, vs.VideoNode]:
        if self.order is None or self.clip is None or self.data != data:
            # What can't be opened must not leave the one before, which is closed.
            self.data, self.order, self.clip = b"", None, None
            self.stack.close()
            bound_freed()
            order: Order = pickle.loads(data)
            self.clip = self.stack.enter_context(order.open())
            self.data, self.order = data, order
        return self.order, self.clip


_opened = _Opened()


def _encode(data: bytes, number: int) -> bytes | Exception:
    """Return a chunk's file, or an error that ends the film; runs on the cluster."""
    try:
        order, clip = _opened.open(data)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "chunk"
            order.job.encode(clip, number, path, progress=lambda *_: None)
            return path.read_bytes()
    except (GainMapError, vs.Error, OSError) as error:
        return picklable(type(error)(f"{error} (on {socket.gethostname()})"))


def _result(ray: Any, task: Any, number: int) -> bytes:
    try:
        made = ray.get(task)
    except ray.exceptions.RayError as error:
        last = str(error).strip().splitlines()[-1]
        raise MediaError(f"the cluster lost chunk {number} for good: {last}") from error
    if isinstance(made, Exception):
        raise made
    if not isinstance(made, bytes):
        raise MediaError(f"the cluster sent something else for chunk {number}")
    return made


def _store(folder: WorkFolder, number: int, data: bytes) -> Chunk:
    path = folder.chunk_path(number)
    with durable(path) as file:
        file.write(data)
    chunk = Chunk.read(path)
    if chunk.key != folder.key or chunk.frames != folder.runs[number].frames:
        path.unlink()
        raise MediaError(f"the cluster sent a chunk of another film for {number}")
    return chunk

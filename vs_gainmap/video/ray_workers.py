"""The chunks of one film as tasks on a Ray cluster.

Finished chunks come back through Ray, so that only the input must be readable everywhere. Retries
and lost machines are Ray's.
"""

from __future__ import annotations

import pickle
import socket
import tempfile
from collections import deque
from contextlib import ExitStack
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import av
import vapoursynth as vs

from vs_gainmap.errors import GainMapError, MediaError
from vs_gainmap.extras import load
from vs_gainmap.files import durable
from vs_gainmap.filters.memory import bound_freed
from vs_gainmap.video.chunk_file import Chunk
from vs_gainmap.video.jobs import Tally
from vs_gainmap.video.work_folder import WorkFolder
from vs_gainmap.video.worker import Order, picklable

# Seconds between two looks at whether the user wants to stop.
_PERIOD = 0.5
# How often Ray does a chunk again whose machine or process is lost.
_RETRIES = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """A Ray cluster, and what each chunk needs of a machine.

    Args:
        address: as `ray.init` takes it: "auto", "host:6379" or "ray://host:10001".
        cpus: cores.
        gpus: GPUs, or a part of one.
    """

    address: str
    cpus: float = 4
    gpus: float = 0


def encode_on_ray(order: Order, folder: WorkFolder, tally: Tally, cluster: Cluster) -> None:
    """Encode the chunks that a folder lacks on a cluster.

    Args:
        order: the film; it must be picklable.
        folder: where its chunks are.
        tally: is told about progress, when a chunk has come back.
        cluster: where.

    Raises:
        MediaError: Ray is missing or not there, a machine has another input or other versions, no
            machine is large enough, the encoder fails, or a chunk is lost for good.
        vs.Error: a filter failed.
        OSError: a file can't be written.
    """
    ray = load("ray", "Ray", extra="ray", purpose="conversions on a cluster")
    with ExitStack() as stack:
        if not ray.is_initialized():
            try:
                ray.init(address=cluster.address, logging_level="warning")
            except (ConnectionError, ValueError, RuntimeError) as error:
                first = str(error).strip().splitlines()[0]
                raise MediaError(f"Ray at {cluster.address}: {first}") from error
            stack.callback(ray.shutdown)
        at_once = _check_machines(ray, order, cluster)
        data = ray.put(pickle.dumps(order))
        needs = {"num_cpus": cluster.cpus, "num_gpus": cluster.gpus, "max_retries": _RETRIES}
        encode = ray.remote(**needs)(_encode)
        pending, running = deque(folder.missing), dict[Any, int]()
        stack.callback(lambda: [ray.cancel(task, force=True) for task in running])
        while pending or running:
            # Some more than run at once, so that no machine waits; not all, so that results,
            # which wait in the machines' memory, are few.
            while pending and len(running) < 2 * at_once:
                number = pending.popleft()
                running[encode.remote(data, number)] = number
            ready, _ = ray.wait(list(running), num_returns=1, timeout=_PERIOD)
            if not ready:
                tally.tell()
            for task in ready:
                number = running.pop(task)
                chunk = _store(folder, number, _result(ray, task, number))
                tally.update(number, chunk.frames, chunk.size)


def _check_machines(ray: Any, order: Order, cluster: Cluster) -> int:
    """Refuse machines that would make something else; return how many chunks run at once.

    Raises:
        MediaError: one has another input, other versions, or no machine is large enough.
    """
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    nodes = [node for node in ray.nodes() if node["Alive"]]
    at_once = 0
    for node in nodes:
        have = node["Resources"]
        shares = [have.get("CPU", 0) // cluster.cpus] if cluster.cpus else []
        shares += [have.get("GPU", 0) // cluster.gpus] if cluster.gpus else []
        at_once += int(min(shares, default=1))
    if not at_once:
        raise MediaError(
            f"Ray at {cluster.address}: no machine has {cluster.cpus:g} CPUs and "
            f"{cluster.gpus:g} GPUs for a chunk; ask for less with --task-cpus and --task-gpus"
        )
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
    return at_once


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
            self.stack.close()
            bound_freed()
            order: Order = pickle.loads(data)
            self.clip = self.stack.enter_context(order.open())
            self.data, self.order = data, order
        return self.order, self.clip


_opened = _Opened()


def _encode(data: bytes, number: int) -> bytes | Exception:
    """Return a chunk's file, or an error that ends the conversion; runs on the cluster."""
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

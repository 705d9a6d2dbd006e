"""Where the time of a film goes on many machines, and what length of chunk serves.

    python examples/cluster/simulate.py
    python examples/cluster/simulate.py --measure part.mkv --disk 100 --plot plot.png

Prints seconds for each length of chunk and number of machines. Machines take chunks from one
queue; each reads a chunk's input from a disk that all share, then encodes it. One of them reads
the index before, and makes the finished file afterwards. The plot needs the extra "preview".

`--measure` converts a video of a minute or more on this machine, for the times of a frame, of
what each chunk costs beside, and of joining, and for how much pieces of a film differ.
"""

from __future__ import annotations

import argparse
import heapq
import random
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from itertools import accumulate, pairwise
from pathlib import Path
from typing import NamedTuple

import vapoursynth as vs

import vs_gainmap
from vs_gainmap.video import convert
from vs_gainmap.video.chunks import Run, plan_runs
from vs_gainmap.video.convert import open_file
from vs_gainmap.video.index import scan
from vs_gainmap.video.work_folder import Resume, WorkFolder
from vs_gainmap.video.worker import Order

# Seconds of film of one difficulty; chunks have whole numbers of them.
PIECE = 5.0
MACHINES = (1, 2, 3, 5, 10, 20, 30, 50, 100, 200, 300, 500, 1000)
LENGTHS = (5.0, 15.0, 60.0)
# How often each case is drawn, for means.
ROUNDS = 5
# Times of pieces of a real film over their mean: pans over ten photos in 1080p, by `--measure`.
PIECES = (0.97, 1.10, 1.23, 0.93, 0.79, 0.94, 1.04, 0.91, 1.03, 1.07)


@dataclass(frozen=True, slots=True, kw_only=True)
class Film:
    """A film, machines and their disk; each field is an option."""

    hours: float = 2
    fps: float = 24
    input: float = 9000  # MB; what is read
    output: float = 13000  # MB; what is written
    disk: float = 500  # MB a second, of the disk that all share
    frame: float = 0.12  # seconds a frame: 1080p, x265's medium, two cores
    start: float = 3  # seconds for a process, its libraries, the network and the first map
    begin: float = (
        2.6  # seconds for a chunk's seek, the window around its first frame, and its encoder
    )
    index: float = 5.5  # seconds to index the film, beside reading it
    mux: float = 27  # seconds to join and copy it, beside reading and writing


class Parts(NamedTuple):
    """Seconds until the film is there.

    `slowest` is how much longer the last machine works than the mean of all.
    """

    index: float
    start: float
    input: float
    begin: float
    encode: float
    slowest: float
    mux: float


def simulate(
    film: Film, machines: int, length: float, pieces: Sequence[float] = PIECES, seed: int = 0
) -> Parts:
    """Return where the time goes with so many machines and chunks of so many seconds.

    All chunk lengths of one seed are of the same film, which is drawn from measured pieces.
    """
    draw = random.Random(seed)
    pieces = draw.choices(pieces, k=round(film.hours * 3600 / PIECE))
    unit = film.hours * 3600 * film.fps * film.frame / sum(pieces)
    step = max(round(length / PIECE), 1)
    works = [unit * sum(pieces[n : n + step]) for n in range(0, len(pieces), step)]
    read = film.input / len(works) / film.disk
    free, disk, waited = [film.start] * machines, 0.0, 0.0
    for work in works:
        now = heapq.heappop(free)
        disk = max(disk, now) + read
        waited += disk - now
        heapq.heappush(free, disk + film.begin + work)
    busy = [value / machines for value in (waited, len(works) * film.begin, sum(works))]
    return Parts(
        film.index + film.input / film.disk,
        film.start,
        *busy,
        slowest=max(free) - film.start - sum(busy),
        mux=film.mux + 2 * film.output / film.disk,
    )


def graph(clip: vs.VideoNode) -> vs.VideoNode:
    """Return HDR as `convert` makes it by default."""
    return vs_gainmap.sdr_to_hdr10(clip, measure=True)


def time_chunks(path: Path, length: float) -> tuple[list[float], float]:
    """Convert a video as `convert` does, in one process.

    Returns:
        Seconds for each chunk, and for joining them.
    """
    index = scan(path)
    ends = list(accumulate(run.frames for run in plan_runs(index, 0, len(index), seconds=length)))
    times: list[float] = []

    def begun(_: WorkFolder) -> None:
        times.append(time.monotonic())

    def progress(done: int, total: int, size: int) -> None:  # noqa: ARG001
        if done == ends[len(times) - 1]:
            times.append(time.monotonic())

    with tempfile.TemporaryDirectory() as folder:
        target, resume = Path(folder) / "out.mkv", Resume(begun=begun)
        convert(path, target, graph, chunk_seconds=length, resume=resume, progress=progress)
    return [b - a for a, b in pairwise(times)], time.monotonic() - times[-1]


def time_begin(path: Path) -> float:
    """Return seconds for a chunk of one frame, where the chunk before was not made.

    The decoder seeks, the window around the frame is read, an encoder opened and emptied.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with open_file(path, folder / "out.mkv", graph) as opened:
            film = opened.film
            job = replace(film.job, runs=tuple(Run(run.first, 1) for run in film.job.runs))
            film.release()
            if film.source is None:
                raise ValueError("a clip of this process")
            with Order(job=job, source=film.source).open() as clip:
                # Backwards, each is a jump; the first one of a process has more to load.
                order = range(len(job.runs) - 1, 0, -1)
                times = []
                for number in order:
                    times.append(time.monotonic())
                    job.encode(clip, number, folder / "chunk", progress=lambda *_: None)
                return (time.monotonic() - times[1]) / (len(order) - 1)


def measure(path: Path, hours: float) -> tuple[dict[str, float], list[float]]:
    """Return fields of a film of so many hours, and its pieces, by converting a short one."""
    works, mux = time_chunks(path, PIECE)
    index = scan(path)
    measured = {
        "frame": sum(works) / len(index),
        "begin": time_begin(path),
        "mux": mux * hours * 3600 / float(index.seconds(len(index) - 1)),
    }
    return measured, [work * len(works) / sum(works) for work in works]


def mean(film: Film, machines: int, length: float, pieces: Sequence[float]) -> Parts:
    """Return the mean of some draws."""
    drawn = [simulate(film, machines, length, pieces, seed) for seed in range(ROUNDS)]
    return Parts(*(sum(values) / ROUNDS for values in zip(*drawn, strict=True)))


def plot(film: Film, pieces: Sequence[float], path: Path) -> None:
    """Draw times over machines, and where they go with chunks of 15 s."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    for length in LENGTHS:
        times = [sum(mean(film, n, length, pieces)) / 60 for n in MACHINES]
        left.loglog(MACHINES, times, marker=".", label=f"chunks of {length:g} s")
    alone = sum(mean(film, 1, 15, pieces)) / 60
    left.loglog(
        MACHINES, [alone / n for n in MACHINES], "k:", label="one machine's time / machines"
    )
    left.set(xlabel="machines", ylabel="minutes", title="Until the file is there")
    left.grid(which="both", alpha=0.3)
    left.legend(loc="upper right", fontsize="small")
    parts = [mean(film, n, 15, pieces) for n in MACHINES]
    shares = [[100 * value / sum(row) for value in row] for row in parts]
    right.stackplot(MACHINES, *zip(*shares, strict=True), labels=Parts._fields)
    right.set(xscale="log", xlabel="machines", ylabel="%", title="Where it goes, chunks of 15 s")
    right.set(xlim=(MACHINES[0], MACHINES[-1]), ylim=(0, 100))
    right.legend(loc="lower left", reverse=True)
    figure.savefig(path, dpi=80)


def main(argv: Sequence[str] | None = None) -> None:
    """Print a table, and draw it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--machines", type=int, nargs="+", default=MACHINES)
    parser.add_argument("--lengths", type=float, nargs="+", default=LENGTHS, help="of chunks")
    parser.add_argument("--plot", type=Path, metavar="PNG")
    parser.add_argument("--measure", type=Path, metavar="VIDEO")
    parser.add_argument(
        "--pieces", type=float, nargs="+", default=PIECES, help="seconds of each, whatever the unit"
    )
    for field in fields(Film):
        parser.add_argument(f"--{field.name}", type=float, default=field.default)
    args = parser.parse_args(argv)
    if args.measure is not None:
        measured, args.pieces = measure(args.measure, args.hours)
        vars(args).update(measured)
        print("measured:", *(f"--{name} {value:.4g}" for name, value in measured.items()))
        print("--pieces", *(f"{piece:.2f}" for piece in args.pieces))
    film = Film(**{field.name: getattr(args, field.name) for field in fields(Film)})
    print("chunk machines   total", *(f"{name:>8}" for name in Parts._fields))
    for length in args.lengths:
        for machines in args.machines:
            parts = mean(film, machines, length, args.pieces)
            print(f"{length:5g} {machines:8} {sum(parts):7.0f}", *(f"{v:8.1f}" for v in parts))
    if args.plot is not None:
        plot(film, args.pieces, args.plot)


if __name__ == "__main__":
    main()

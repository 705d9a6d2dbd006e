"""Kill a conversion at random moments and run it again: `python -m tests.killing --kills 50`.

Each time: a new conversion of 20 chunks, SIGKILL to its process at a random moment, the same
conversion again. The file must be that of an undisturbed run, no chunk that was finished may be
made again, and no more chunks than there are workers may have been half done.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from tests.films import digest, plain, run
from tests.media import X264, ffmpeg
from vs_gainmap.files import PARTIAL
from vs_gainmap.video.work_folder import Resume, WorkFolder, count_chunks, work_folder_of

CHUNKS = 20
# Seconds in which the process that is to be killed must get so far.
_PATIENCE = 120
# About how long one takes.
_CHUNK_SECONDS = 0.2


class Moment(NamedTuple):
    """When a conversion is killed: so many seconds after so many chunks are finished."""

    chunks: int
    seconds: float


class Outcome(NamedTuple):
    """How many chunks were finished and half done at the kill, and how many are lost.

    `again` are those that were finished and are made again; `same` is whether the file is that of
    an undisturbed run.
    """

    finished: int
    half_done: int
    again: int
    same: bool


def make_long_film(path: Path) -> None:
    """Write 160 frames with a key frame every 8."""
    ffmpeg(
        "-f", "lavfi", "-i", "testsrc2=s=640x360:r=24", "-frames:v", "160", *X264, "-g", "8", path
    )


def begin(source: Path, target: Path, workers: int) -> int:
    """Begin a conversion in a process of its own, a copy of this one; return its number.

    The names of the chunks that it finds go to a file beside its target.
    """
    child = os.fork()
    if child:
        return child
    status = 1

    def note(folder: WorkFolder) -> None:
        names = [folder.chunk_path(number).name for number in folder.found]
        target.with_suffix(".found").write_text("\n".join(names))

    try:
        run(source, target, graph=plain, workers=workers, resume=Resume(begun=note))
        status = 0
    finally:
        os._exit(status)


def wait(child: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def kill_and_go_on(
    source: Path, folder: Path, reference: str, moment: Moment, *, workers: int
) -> Outcome:
    """Kill a conversion at a moment, and convert again.

    Args:
        source: the film.
        folder: an empty one.
        reference: digest of an undisturbed run's file.
        moment: when.
        workers: of both runs.
    """
    target = folder / "out.mkv"
    work = work_folder_of(target)
    child = begin(source, target, workers)
    end = time.monotonic() + _PATIENCE
    while count_chunks(work) < moment.chunks and not target.exists() and time.monotonic() < end:
        time.sleep(0.001)
    time.sleep(moment.seconds)
    os.kill(child, signal.SIGKILL)
    wait(child)
    before = {path.name for path in work.glob("*.chunk")}
    half_done = len(list(work.glob(f"*.chunk.*{PARTIAL}")))
    again: set[str] = set()
    if not target.exists():
        if wait(begin(source, target, workers)):
            return Outcome(len(before), half_done, 0, False)
        again = before - set(target.with_suffix(".found").read_text().split())
    return Outcome(len(before), half_done, len(again), digest(target) == reference)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    draw = random.Random(args.seed)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source, whole = folder / "film.mkv", folder / "whole.mkv"
        make_long_film(source)
        if wait(begin(source, whole, args.workers)):
            sys.exit("the undisturbed run failed")
        outcomes = []
        for n in range(args.kills):
            work = folder / str(n)
            work.mkdir()
            moment = Moment(draw.randint(0, CHUNKS), draw.uniform(0, _CHUNK_SECONDS))
            outcomes.append(
                kill_and_go_on(source, work, digest(whole), moment, workers=args.workers)
            )
            print(f"{n}: {moment}, {outcomes[-1]}", flush=True)
            shutil.rmtree(work)
    same = sum(outcome.same for outcome in outcomes)
    again = sum(outcome.again for outcome in outcomes)
    half_done = max(outcome.half_done for outcome in outcomes)
    spread = sorted(outcome.finished for outcome in outcomes)
    print(
        f"{same} of {len(outcomes)} files are the same; {again} finished chunks were made again; "
        f"at most {half_done} half done; finished at the kill: {spread}"
    )
    sys.exit(0 if same == len(outcomes) and not again and half_done <= args.workers else 1)


if __name__ == "__main__":
    main()

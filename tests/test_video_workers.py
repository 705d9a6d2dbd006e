"""Chunks in several processes: the same file, whatever happens to them."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import vapoursynth as vs

from tests.encodes import pq_clip
from tests.films import StopError, digest, graph, run, stopped
from vs_gainmap.errors import MediaError
from vs_gainmap.video import Encoded, Script, convert, encode
from vs_gainmap.video.work_folder import count_chunks, work_folder_of
from vs_gainmap.video.workers import Team, choose_chunk

CLI = (sys.executable, "-m", "vs_gainmap.cli")


@dataclass(frozen=True)
class Fragile:
    """The usual graph, in which a frame goes wrong while a file is not there."""

    mark: Path
    how: str
    frame: int = 20

    def __call__(self, clip: vs.VideoNode) -> vs.VideoNode:
        hdr = graph(clip)

        def look(n: int, f: vs.VideoFrame) -> vs.VideoFrame:
            if n == self.frame and not self.mark.exists():
                if self.how == "once":
                    self.mark.touch()
                if self.how == "error":
                    raise ValueError("frame 20 is bad")
                print("memory is short", file=sys.stderr, flush=True)
                os.kill(os.getpid(), signal.SIGKILL)
            return f

        return hdr.std.ModifyFrame(hdr, look)


def test_workers_make_the_same_file(film: Path, undisturbed: Encoded, tmp_path: Path) -> None:
    target = tmp_path / "out.mkv"
    folder = stopped(film, target, frames=10)
    kept = (folder / "00000.chunk").stat().st_mtime_ns
    seen: list[tuple[int, int]] = []

    def progress(done: int, total: int, size: int) -> None:  # noqa: ARG001
        seen.append((done, total))
        if len(seen) == 1:
            assert (folder / "00000.chunk").stat().st_mtime_ns == kept

    made = run(film, target, workers=2, progress=progress)
    assert digest(target) == digest(undisturbed.path)
    assert made.film == undisturbed.film
    assert seen == sorted(seen)
    assert seen[-1] == (48, 48)
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="no such signal there")
def test_a_worker_that_dies_is_replaced_once(
    film: Path, undisturbed: Encoded, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target, options = tmp_path / "out.mkv", {"encoder": "ffv1", "chunk_seconds": 0.4, "workers": 2}
    convert(film, target, Fragile(tmp_path / "mark", "once"), **options)
    assert digest(target) == digest(undisturbed.path)
    (tmp_path / "mark").unlink()
    target.unlink()
    with pytest.raises(MediaError, match=r"two workers died .* chunk 2: memory is short$"):
        convert(film, target, Fragile(tmp_path / "mark", "always"), **options)
    assert list(tmp_path.iterdir()) == []
    assert "memory is short" in capsys.readouterr().err


def test_a_worker_goes_on_where_it_is() -> None:
    for pending, firsts in ((set(range(12)), [0, 6, 3]), (set(range(100, 112)), [100, 106, 103])):
        order: list[list[int]] = [[], [], []]
        while pending:
            making = {made[-1] for made in order if made}
            for made in order:
                if pending:
                    last = made[-1] if made else None
                    made.append(choose_chunk(pending, last, making - {last}))
                    pending.remove(made[-1])
                    making.add(made[-1])
        assert [made[0] for made in order] == firsts
        # Seeks: one where a worker begins, and few at the end.
        assert sum(b != a + 1 for made in order for a, b in pairwise(made)) <= 2


def test_errors_of_workers_are_those_of_one_process(film: Path, tmp_path: Path) -> None:
    options: dict[str, Any] = {"encoder": "ffv1", "chunk_seconds": 0.4, "workers": 2}
    with pytest.raises((vs.Error, MediaError), match="frame 20 is bad"):
        convert(film, tmp_path / "out.mkv", Fragile(tmp_path / "mark", "error"), **options)
    with pytest.raises(MediaError, match=r"can.t be given the clip.s graph: .* top of a module"):
        convert(film, tmp_path / "out.mkv", lambda clip: graph(clip), **options)
    refused = pytest.raises(MediaError, match=r"the graph has no on_device\(\)")
    with Team(devices=["cpu"]) as options["workers"], refused:
        convert(film, tmp_path / "out.mkv", graph, **options)
    made = encode(pq_clip(2), tmp_path / "one.mkv", encoder="ffv1", workers=2)
    assert made.notes == ("a clip of this process can't go to workers; it was encoded in one",)


def test_a_worker_that_can_not_start_is_an_error(
    film: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where it is started by the thread that listened to the one before."""
    popen, started = subprocess.Popen, 0

    def short_of_memory(*args: Any, **options: Any) -> subprocess.Popen[bytes]:
        nonlocal started
        started += 1
        if started > 1:
            raise OSError(errno.ENOMEM, "Cannot allocate memory")
        return popen(*args, **options)

    monkeypatch.setattr(subprocess, "Popen", short_of_memory)
    options: dict[str, Any] = {"encoder": "ffv1", "chunk_seconds": 0.4}
    with Team(1) as options["workers"], pytest.raises(OSError, match="Cannot allocate memory"):
        convert(film, tmp_path / "out.mkv", Fragile(tmp_path / "mark", "once"), **options)
    assert started == 2
    assert list(tmp_path.iterdir()) == [tmp_path / "mark"]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_team_makes_film_after_film(film: Path, undisturbed: Encoded, tmp_path: Path) -> None:
    with Team(2) as team:
        run(film, tmp_path / "a.mkv", workers=team)
        for child in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split():
            os.kill(int(child), signal.SIGKILL)
        run(film, tmp_path / "b.mkv", workers=team)
    assert digest(tmp_path / "a.mkv") == digest(tmp_path / "b.mkv") == digest(undisturbed.path)


def test_what_stops_the_run_stops_its_workers(film: Path, tmp_path: Path) -> None:
    target = tmp_path / "out.mkv"
    began = 0.0

    def stop(done: int, total: int, size: int) -> None:  # noqa: ARG001
        nonlocal began
        if count_chunks(work_folder_of(target)) >= 2:
            began = time.monotonic()
            raise StopError

    with pytest.raises(StopError):
        run(film, target, workers=2, progress=stop)
    # Two seconds where nothing else runs.
    assert time.monotonic() - began < 20
    if sys.platform == "linux":
        assert Path(f"/proc/self/task/{os.getpid()}/children").read_text() == ""
    assert count_chunks(work_folder_of(target)) >= 2


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs a copy of this process")
def test_kill_9_loses_no_finished_chunk() -> None:
    """A few moments of it; `python -m tests.killing` has more."""
    command = [sys.executable, "-m", "tests.killing", "--kills", "3"]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=Path(__file__).parents[1]
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 of 3 files are the same; 0 finished chunks were made again" in done.stdout


SCRIPT = """
import vapoursynth as vs
from tests.encodes import pq_clip
pq_clip(int(length)).std.AssumeFPS(fpsnum=1).set_output(3)
"""


def test_a_script_can_go_to_workers(tmp_path: Path) -> None:
    path = tmp_path / "film.vpy"
    path.write_text(SCRIPT)
    script = Script(path=path, output=3, arguments={"length": "40"})
    # A frame a second: chunks of 15.
    whole = encode(script, tmp_path / "one.mkv", encoder="ffv1")
    many = encode(script, tmp_path / "two.mkv", encoder="ffv1", workers=2)
    assert digest(many.path) == digest(whole.path)
    assert many.frames == 40
    refused = "a script can't be moved to cuda:0; say it in the script"
    with Team(devices=["cuda:0"]) as team, pytest.raises(MediaError, match=refused):
        encode(script, tmp_path / "three.mkv", encoder="ffv1", workers=team)

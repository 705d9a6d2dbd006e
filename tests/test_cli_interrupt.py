"""Signals at any moment, and standard streams that are closed: clean ends, right statuses."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.media import Media
from vs_gainmap.cli.interrupt import interruptible, is_interrupted
from vs_gainmap.cli.standard_streams import standard_streams

CLI = [sys.executable, "-m", "vs_gainmap.cli"]

if os.name == "nt":
    pytest.skip("no signal can be sent to one process on Windows", allow_module_level=True)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("library", ["_ctypes", "libtorch_cpu"])
def test_ctrl_c_while_libraries_load(library: str, tmp_path: Path) -> None:
    command = [*CLI, "convert", str(tmp_path / "none.mp4"), str(tmp_path / "out.mkv")]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + 60
        maps = Path(f"/proc/{process.pid}/maps")
        while library not in maps.read_text() and time.monotonic() < deadline:
            time.sleep(0.005)
        try:
            process.send_signal(signal.SIGINT)
            _, err = process.communicate(timeout=60)
        finally:
            process.kill()
    # The second where Python notes it in code that an import compiles; a shell shows 130, too.
    assert process.returncode in (130, -signal.SIGINT), err
    assert err == "vs-gainmap: interrupted; nothing was written\n"


def test_ignored_signals_stay_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with interruptible():
            os.kill(os.getpid(), signal.SIGHUP)
            assert not is_interrupted()
            with pytest.raises(KeyboardInterrupt):
                os.kill(os.getpid(), signal.SIGQUIT)
            assert is_interrupted()
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize("redirection", ["2>&1 | true", ">&- 2>&- <&-"])
def test_success_needs_nobody_who_listens(
    redirection: str, media: Media, tmp_path: Path, tiny_weights: Path
) -> None:
    """What is printed must neither fail the command nor get into its files."""
    target = tmp_path / "out.mkv"
    command = [*CLI, "convert", str(media.half), str(target), "--frames", "2", "--no-audio"]
    command += ["--preset", "ultrafast", "--weights", str(tiny_weights), "--scale", "8"]
    shell = f"{subprocess.list2cmdline(command)} {redirection}; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", shell], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert b"vs-gainmap" not in target.read_bytes()


def test_a_character_that_the_stream_lacks_does_not_end_the_work() -> None:
    """The name of a file that was written."""
    raw, before = io.BytesIO(), sys.stdout
    sys.stdout = io.TextIOWrapper(raw, encoding="ascii", write_through=True)
    try:
        with standard_streams():
            print("é", os.fsdecode(b"\xff"), "a")
    finally:
        sys.stdout.detach()
        sys.stdout = before
    assert raw.getvalue() == b"\\xe9 \\udcff a\n"


def test_a_reader_that_goes_away_does_not_end_the_work() -> None:
    reading, writing = os.pipe()
    before = sys.stdout
    sys.stdout = os.fdopen(writing, "w", buffering=1)
    try:
        with standard_streams():
            os.close(reading)
            for number in range(3):
                print("to nobody", flush=True)
                printed = number + 1
        assert printed == 3
    finally:
        sys.stdout.close()
        sys.stdout = before

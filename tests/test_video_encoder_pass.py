"""SVT-AV1 makes threads real-time ones where it may; what we run must not stay so."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

if sys.platform != "linux":
    pytest.skip("no other system lets an encoder do that", allow_module_level=True)

from vs_gainmap.video.encoder_pass import usual_scheduling

# In a process of its own: the tests' own would be spoilt.
_ENCODE = """
import os, sys
from contextlib import suppress
from pathlib import Path
from tests.encodes import pq_clip, quick
seen = set()
def look(*_):
    for name in os.listdir("/proc/self/task"):
        with suppress(OSError):
            seen.add(os.sched_getscheduler(int(name)))
quick(pq_clip(), Path(sys.argv[1]), "svtav1", progress=look)
look()
print(seen - {os.SCHED_OTHER})
"""


@pytest.fixture
def may_be_urgent() -> None:
    policy, parameters = os.sched_getscheduler(0), os.sched_getparam(0)
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    except PermissionError:
        pytest.skip("only root may ask for real-time priority")
    os.sched_setscheduler(0, policy, parameters)


@pytest.mark.usefixtures("may_be_urgent")
def test_after_an_encode_no_thread_is_urgent(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _ENCODE, str(tmp_path / "a.mp4")],
        capture_output=True, text=True, check=False, timeout=120, cwd=Path(__file__).parents[1],
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "set()"


@pytest.mark.usefixtures("may_be_urgent")
def test_scheduling_is_given_back_even_after_an_error() -> None:
    before = os.sched_getscheduler(0)

    def fail() -> None:
        with usual_scheduling():
            os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
            assert os.sched_getscheduler(0) != before
            raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        fail()
    assert os.sched_getscheduler(0) == before

"""The benchmark runs as a command and prints what it measured."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCH = (sys.executable, "-m", "vs_gainmap.bench", "--sizes", "540p")


def test_the_filter_is_timed_beside_zimg(tmp_path: Path) -> None:
    out = tmp_path / "rows.json"
    command = [*BENCH, "--frames", "2", "--rounds", "1", "--json", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "x zimg" in done.stdout
    (row,) = json.loads(out.read_text())["rows"]
    assert (row["size"], row["model"]) == ("540p", "fast")
    assert row["fps"] == pytest.approx(1000 / row["ms"], rel=0.05)
    assert row["ratio"] == pytest.approx(row["ms"] / row["zimg_ms"], rel=0.05)
    assert row["seek_ms"] > row["zimg_ms"]
    assert row["peak_mb"] is None or 100 < row["peak_mb"] < 20_000


def test_what_is_not_installed_is_one_line() -> None:
    command = [*BENCH, "--backend", "nope"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stdout == ""
    (line,) = done.stderr.strip().splitlines()
    assert line.startswith("bench: ")
    assert "nope" in line

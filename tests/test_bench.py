"""The benchmark runs as a command and prints what it measured."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from vs_gainmap import bench

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


def test_a_wrong_option_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        bench.main(["--backend", "nope"])
    assert end.value.code == 2
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert said.endswith("error: backend must be one of torch, ov, ort, ncnn, got 'nope'")


def test_what_can_not_run_here_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert bench.main(["--sizes", "540p", "--device", "cuda:99"]) == 1
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert line.startswith("bench: sdr_to_hdr10: device 'cuda:99' is not here")

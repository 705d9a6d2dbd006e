"""The benchmark runs as a command and prints what it measured."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from vs_gainmap import bench
from vs_gainmap.errors import DeviceError

BENCH = (sys.executable, "-m", "vs_gainmap.bench", "--sizes", "540p")


@pytest.mark.slow
def test_the_filter_is_timed_beside_zimg(tmp_path: Path) -> None:
    out = tmp_path / "rows.json"
    command = [*BENCH, "--frames", "2", "--rounds", "1", "--json", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "x zimg" in done.stdout
    (row,) = json.loads(out.read_text())["rows"]
    assert row["case"] == "540p fast"
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
    assert line.startswith("bench: 540p fast: sdr_to_hdr10: device 'cuda:99' is not here")


def test_a_gpu_is_tried_in_every_way() -> None:
    sizes = ("1080p", "2160p")
    every = {"device": "cuda", "frames": 48, "rounds": 3}
    with pytest.raises(DeviceError):
        bench.gpu_cases(sizes, bench.MODELS, **every | {"device": "cuda:99"})
    cases = bench.gpu_cases(sizes, bench.MODELS, **every | {"device": "cpu"})
    assert [str(case) for case in cases] == [
        "1080p fast",
        "1080p fast num_streams=1",
        "1080p fast num_streams=2",
        "1080p fast num_streams=6",
        "2160p fast",
        "1080p gmnet dtype=float32",
        "1080p gmnet dtype=bfloat16",
        "1080p gmnet num_streams=1",
        "1080p gmnet num_streams=2",
        "1080p gmnet num_streams=6",
        "2160p gmnet dtype=float32",
        "2160p gmnet dtype=bfloat16",
        "2160p gmnet tile=960",
    ]


@pytest.mark.slow
def test_the_run_for_a_gpu_needs_pytorch_numba_and_two_wheels_alone(tmp_path: Path) -> None:
    """On the CPU, where it takes the same way."""
    for name in ("av", "cv2", "onnx", "platformdirs", "tqdm"):
        (tmp_path / f"{name}.py").write_text(f"raise ImportError('{name} is not there')")
    paths = [str(tmp_path), str(Path(bench.__file__).parents[1])]
    out = tmp_path / "rows.json"
    command = [sys.executable, "-m", "vs_gainmap.bench", "--gpu", "--device", "cpu", "--sizes"]
    command += ["180p", "--models", "fast", "--frames", "2", "--rounds", "1", "--json", str(out)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths)}
    done = subprocess.run(
        command, capture_output=True, text=True, env=environment, cwd=tmp_path, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("cpu, PyTorch ")
    assert "dB to CPU" in done.stdout
    rows = json.loads(out.read_text())["rows"]
    assert len(rows) == 4
    assert all(row["parity_db"] > 100 for row in rows)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "least", "most"),
    [({"tile": 80}, 80, 200), ({"dtype": "bfloat16", "num_streams": 2}, 56, 90)],
)
def test_parity_is_with_the_whole_picture_in_float32(
    options: dict[str, object], least: float, most: float
) -> None:
    given = {"device": "cpu", "dtype": "float32", "radius": 0} | options
    case = bench.Case(size="180p", model="gmnet", frames=1, rounds=1, options=given, parity=True)
    row = bench.measure_apart(case)
    assert least < row.parity_db <= most
    assert row.gpu_mb is None


def test_a_case_that_takes_too_long_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    case = bench.Case(size="180p", model="fast", frames=1, rounds=1, options={})
    with pytest.raises(bench.CaseError, match="not done in 0 s"):
        bench.measure_apart(case, 0.1)
    with pytest.raises(SystemExit):
        bench.main(["--gpu", "--dtype", "float16"])
    assert "leave out --dtype and --backend" in capsys.readouterr().err

"""Progress and summary of `convert`."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.media import Media
from vs_gainmap.cli import main, progress
from vs_gainmap.cli.progress import Progress, format_size, format_time


def test_json_lines_go_through_the_stages(
    media: Media, tmp_path: Path, tiny_weights: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setitem(progress._PERIODS, "json", 0.0)
    target = tmp_path / "out.mkv"
    command = ["convert", str(media.plain), str(target), "--weights", str(tiny_weights)]
    command += ["--preset", "ultrafast", "--device", "cpu", "--dtype", "float32"]
    assert main([*command, "--progress", "json"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    stages = list(dict.fromkeys(line["stage"] for line in lines))
    assert stages == ["opening", "analyzing", "encoding", "finishing", "done"]
    frames = [line["frames"] for line in lines]
    assert frames == sorted(frames)
    # Written, not handed to the encoder, which looks ahead.
    encoding = [line for line in lines if line["stage"] == "encoding"]
    assert encoding[3]["frames"] == 0
    assert next(line["frames"] for line in lines if line["stage"] == "finishing") == 29
    done = lines[-1]
    assert done["bytes"] == target.stat().st_size
    assert done["fps"] == pytest.approx(done["frames"] / done["seconds"], rel=0.02)
    assert (done["encoder"], done["device"], done["dtype"]) == ("x265", "cpu", "float32")
    assert done["weights"] == tiny_weights.name
    assert done["max_cll"] >= done["max_fall"] > 0
    assert done["measured"] is True


def test_summary(
    media: Media, tmp_path: Path, tiny_weights: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["convert", str(media.plain), str(tmp_path / "out.mkv"), "--frames", "3"]
    command += ["--weights", str(tiny_weights), "--device", "cpu", "--dtype", "float32"]
    assert main([*command, "-e", "ffv1"]) == 0
    said = capsys.readouterr()
    name = re.escape(tiny_weights.name)
    assert re.search(
        rf"out\.mkv: 3 frames in 0:00:\d\d \(\d+\.\d\d fps\), \d+ kB, "
        rf"gmnet, weights {name} on cpu by torch, float32, ffv1, mastering display",
        said.out,
    )
    # A short run without a terminal has nothing to say meanwhile.
    assert said.err == ""


def test_without_a_terminal_there_is_a_line_every_30_seconds(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = 1000.0
    monkeypatch.setattr(progress.time, "monotonic", lambda: now)
    shown = Progress("out.mkv", "lines", stage="opening")
    shown.stage("encoding")
    for second in range(65):
        now = 1000.0 + second
        shown.update(10 * second, 2000, 1_000_000 * second)
    shown.close()
    assert capsys.readouterr().err.splitlines() == [
        "vs-gainmap: encoding out.mkv, 300 of 2000 frames (15.0 %), 10.00 fps, 0:02:50 left, "
        "30.0 MB",
        "vs-gainmap: encoding out.mkv, 600 of 2000 frames (30.0 %), 10.00 fps, 0:02:20 left, "
        "60.0 MB",
    ]


def test_sizes_and_times() -> None:
    sizes = (512_000, 1_500_000, 2_340_000_000)
    assert [format_size(n) for n in sizes] == ["512 kB", "1.5 MB", "2.34 GB"]
    assert format_time(3725.4) == "1:02:05"

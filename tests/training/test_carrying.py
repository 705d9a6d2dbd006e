"""The measurement of what carried maps cost."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import training.carrying
from training.carrying import Moving, main, measure_losses, moving_runs
from training.shots import SHOT_OPERATORS
from vs_gainmap.gainmap import PRESETS


def soft(pixels: int, frames: int) -> list[torch.Tensor]:
    """Return pictures that move by so many pixels a frame."""
    columns = torch.arange(96 + pixels * frames) / 9
    rows = torch.arange(64)[:, None] / 11
    wide = 0.5 + 0.3 * torch.sin(columns) * torch.cos(rows)
    return [wide[:, n * pixels :][:, :96].expand(3, 64, 96).contiguous() for n in range(frames)]


def test_losses_are_beside_a_map_of_every_frame(tiny_weights: Path) -> None:
    sdr = soft(2, 5)
    run = Moving("run", sdr, [203 * signal**2.2 for signal in sdr])
    how = {"backend": "torch", "dtype": "float32"}
    own, (same, fewer) = measure_losses(run, str(tiny_weights), [1, 3], how)
    assert same == (0, 0)
    assert 5 < own < 60
    assert fewer.worst > 0 or fewer.mean != 0
    assert fewer.worst >= fewer.mean
    assert run.motion == pytest.approx(float((sdr[1] - sdr[0]).abs().mean()), rel=0.2)


def test_runs_are_consecutive_frames_by_one_operator_each(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tiny_weights: Path
) -> None:
    asked: list[int] = []

    def read_runs(_path: Path, **how: int) -> list[list[torch.Tensor]]:
        asked.append(how["length"])
        return [[203 * signal**2.2 for signal in soft(1, how["length"])]] * how["places"]

    monkeypatch.setattr(training.carrying, "read_runs", read_runs)
    runs = list(
        moving_runs(
            [Path("a.mkv"), Path("b.mkv")], PRESETS["real-world"], places=2, frames=3, lines=540
        )
    )
    assert [run.name.split("/")[2] for run in runs] == list(SHOT_OPERATORS)
    assert all(len(run.sdr) == len(run.truth) == 3 for run in runs)
    monkeypatch.setattr(
        "sys.argv",
        ["carrying", "a.mkv", "--places", "1", "--frames", "4", "--weights", str(tiny_weights),
         "--every", "1", "2"],
    )  # fmt: skip
    main()
    table = capsys.readouterr().out.splitlines()
    assert table[1].startswith("a/0/bt2390")
    assert table[-1].split()[:3] == ["all", "+0.000", "+0.000"]
    assert asked == [3, 3, 4]

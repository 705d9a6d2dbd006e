"""The command line of training: numbers, and Ctrl-C."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.training.small import command_of
from training.__main__ import main


@pytest.mark.parametrize(
    "command",
    [
        "dataset VIEWS --out OUT --count -1",
        "dataset VIEWS --out OUT --test -1",
        "dataset VIEWS --out OUT --seed -1",
        "mix VIEWS --count 0",
        "evaluate fast --views VIEWS --out OUT --count 0",
        "evaluate fast --views VIEWS --out OUT --map-scale -2",
        "evaluate fast --video VIEWS --out OUT --lines -1",
        "flicker fast --hdr VIEWS --length 0",
        "flicker fast --hdr VIEWS --radius -1",
        "train VIEWS --out OUT --threads 0",
    ],
)
def test_a_number_out_of_range_is_a_usage_error(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = {"VIEWS": str(tmp_path), "OUT": str(tmp_path / "out")}
    with pytest.raises(SystemExit) as ended:
        main([words.get(word, word) for word in command.split()])
    assert ended.value.code == 2
    assert "is not a whole number" in capsys.readouterr().err.splitlines()[-1]
    assert not (tmp_path / "out").exists()


def test_ctrl_c_is_one_line(
    layout: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def press(*_: object) -> float:
        raise KeyboardInterrupt

    monkeypatch.setattr("training.train.learning_rate", press)
    assert main(command_of(layout, tmp_path)) == 130
    assert capsys.readouterr().err == "interrupted\n"

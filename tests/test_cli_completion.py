"""Shell completion, as bash does it."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from vs_gainmap.cli import main


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash here")
@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["con"], "convert"),
        (["convert", "a", "b", "--mod"], "--model"),
        (["convert", "a", "b", "--model", ""], "gmnet fast"),
        (["ffmpeg-args", "a", "--for", "x"], "x265"),
    ],
)
def test_bash_completes(
    words: list[str], expected: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        main(["--print-completion", "bash"])
    assert end.value.code == 0
    script = tmp_path / "completion.sh"
    script.write_text(capsys.readouterr().out)
    code = 'source "$0"; COMP_WORDS=(vs-gainmap "$@"); COMP_CWORD=$#; _shtab_vs_gainmap; '
    command = ["bash", "-c", f"{code}echo ${{COMPREPLY[@]}}", str(script), *words]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == expected

"""Shell completion, as bash does it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from vs_gainmap.cli import main
from vs_gainmap.extras import install_command


def test_without_the_library_the_extra_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "shtab", None)
    with pytest.raises(SystemExit) as end:
        main(["--print-completion", "bash"])
    assert end.value.code == 2
    assert f"bash needs shtab: {install_command('completion')}" in capsys.readouterr().err


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

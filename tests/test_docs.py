"""What the pages show works: scripts run through vspipe, shell lines through bash or the parser."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest

from tests.media import FFMPEG, X264, ffmpeg, mediainfo
from vs_gainmap.cli.program import build_parser

ROOT = Path(__file__).resolve().parents[1]
PAGES = ("README.md", *(f"docs/{path.name}" for path in sorted((ROOT / "docs").glob("*.md"))))
DEMO = ROOT / "examples" / "demo" / "demo_sdr.mp4"
EDITORS = "docs/editors.md"
# Language, what is said behind it, and the text.
_BLOCK = re.compile(r"^```(\w+)([^\n]*)\n(.*?)^```$", re.M | re.S)
_NAME = re.compile(r"# ([\w-]+\.vpy)\n")
# Of the last output of each script for editors, a pixel of the film: 10 bits in 4:2:0 or 4:2:2,
# and two RGB pictures side by side.
_BYTES = {"preview.vpy": 3, "master.vpy": 4, "jetpack.vpy": 3, "mlrt.vpy": 3, "compare.vpy": 6}
_FILM = (960, 540)


def blocks(page: str, language: str) -> list[str]:
    """Return a page's blocks that need no program but ours, ffmpeg and vspipe."""
    found = _BLOCK.findall((ROOT / page).read_text(encoding="utf-8"))
    return [text for name, needs, text in found if name == language and not needs.strip()]


def scripts(page: str) -> dict[str, str]:
    """Return a page's scripts by name; a block without a name goes on with the one before it."""
    made: dict[str, str] = {}
    name = "script.vpy"
    for text in blocks(page, "python"):
        match = _NAME.match(text)
        name = match[1] if match else name
        made[name] = made.get(name, "") + text
    return made


def commands(page: str) -> Iterator[str]:
    """Yield the commands of ours in a page's shell lines."""
    for text in blocks(page, "sh"):
        for line in text.replace("\\\n", " ").splitlines():
            yield from re.findall(r"\bvs-gainmap [^|)]*", line.partition(" #")[0])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a film, and with ffmpeg by that name."""
    path = tmp_path_factory.mktemp("pages")
    ffmpeg("-i", DEMO, "-t", "0.5", *X264, "-c:a", "copy", path / "film.mkv")
    (path / "bin").mkdir()
    (path / "bin" / "ffmpeg").symlink_to(FFMPEG)
    for name, text in scripts(EDITORS).items():
        (path / name).write_text(text)
    return path


def run(folder: Path, *command: str) -> bytes:
    """Run a program of this environment, or one that is in the folder, and return its stdout."""
    own = str(Path(sys.executable).parent)
    more = {
        "PATH": os.pathsep.join([own, str(folder / "bin"), os.environ["PATH"]]),
        "XDG_CACHE_HOME": str(folder / "cache"),
    }
    done = subprocess.run(
        command, cwd=folder, env=os.environ | more, capture_output=True, timeout=280, check=False
    )
    assert done.returncode == 0, done.stderr.decode(errors="replace")
    return done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("name", scripts(EDITORS))
def test_a_script_for_editors_gives_frames(name: str, folder: Path) -> None:
    last = scripts(EDITORS)[name].count(".set_output(") - 1
    data = run(folder, "vspipe", "-o", str(last), "--end", "0", name, "-")
    width, height = _FILM
    assert len(data) == width * height * _BYTES[name]
    if name == "compare.vpy":
        planes = np.frombuffer(data, np.uint8).reshape(3, height, 2 * width)
        assert not np.array_equal(*np.split(planes, 2, axis=2))
    else:
        # SDR white is code 573 (PQ of 203 cd/m2 in limited range).
        assert np.frombuffer(data[: width * height * 2], "<u2").max() > 573


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash here")
@pytest.mark.parametrize(
    ("made", "codec", "chroma"),
    [("master.mov", "ProRes", "4:2:2"), ("dnxhr.mov", "VC-3", "4:2:2"), ("part.mkv", "HEVC", None)],
)
def test_shell_lines_for_editors(made: str, codec: str, chroma: str | None, folder: Path) -> None:
    (text,) = (text for text in blocks(EDITORS, "sh") if made in text)
    run(folder, "bash", "-euo", "pipefail", "-c", text)
    said = mediainfo(folder / made)
    assert said["format"] == codec
    assert said["transfer_characteristics"] == "PQ"
    assert said["color_primaries"] == "BT.2020"
    if chroma is not None:
        assert said["chroma_subsampling"] == chroma
        assert said["frame_count"] == mediainfo(folder / "film.mkv")["frame_count"]
    with av.open(str(folder / made)) as container:
        assert len(container.streams.audio) == 1


@pytest.mark.parametrize("page", ["README.md", "docs/use.md"])
def test_scripts_of_a_page(page: str, folder: Path) -> None:
    (script,) = scripts(page).items()
    path = folder / script[0]
    path.write_text(script[1])
    # use.md's last one writes a file.
    (folder / "out.mkv").unlink(missing_ok=True)
    assert b"Format Name: YUV420P10" in run(folder, "vspipe", "--info", path.name, "-")


@pytest.mark.parametrize("page", PAGES)
def test_commands_of_a_page_are_understood(page: str, tmp_path: Path) -> None:
    profile = tmp_path / "film.toml"
    profile.write_text("")
    for command in commands(page):
        words = shlex.split(command.replace("film.toml", str(profile)))[1:]
        code: object = 0
        try:
            build_parser().parse_args(words)
        except SystemExit as end:
            code = end.code
        assert code == 0, command


def test_a_page_is_short() -> None:
    lines = {page: (ROOT / page).read_text().count("\n") for page in PAGES}
    assert lines.pop("README.md") <= 150
    assert max(lines.values()) < 200, lines

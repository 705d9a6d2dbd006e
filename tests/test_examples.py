"""Every example runs through the real vspipe, and one on through the real ffmpeg."""

from __future__ import annotations

import os
import runpy
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import pytest

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
SCRIPTS = sorted(p.name for p in EXAMPLES.glob("*.vpy"))


def vspipe() -> str:
    """Return vspipe of this environment."""
    found = shutil.which("vspipe", path=str(Path(sys.executable).parent))
    assert found, "vspipe comes with the vapoursynth package; run `vapoursynth config` once"
    return found


def run(*arguments: str) -> subprocess.CompletedProcess[bytes]:
    # A worker of pytest-xdist has one thread; a child process need not.
    environment = {k: v for k, v in os.environ.items() if k != "OMP_NUM_THREADS"}
    return subprocess.run(
        [vspipe(), *arguments], capture_output=True, env=environment, timeout=300, check=False
    )


def test_there_is_an_example_for_each_promise() -> None:
    assert SCRIPTS == [
        "basic.vpy",
        "editor.vpy",
        "false_color.vpy",
        "own_weights.vpy",
        "two_step.vpy",
    ]


@pytest.mark.parametrize(
    ("script", "colors", "frame_bytes"),
    [
        ("basic.vpy", "420p10", 3.0),
        ("two_step.vpy", "420p10", 3.0),
        ("own_weights.vpy", "420p10", 3.0),
        ("editor.vpy", "422p10", 4.0),
    ],
)
def test_example_gives_hdr_frames(script: str, colors: str, frame_bytes: float) -> None:
    done = run("--end", "1", "-c", "y4m", str(EXAMPLES / script), "-")
    assert done.returncode == 0, done.stderr.decode()
    header, data = done.stdout.split(b"\n", 1)
    words = header.decode().split()
    assert f"C{colors}" in words
    width, height = (int(next(w[1:] for w in words[1:] if w[0] == side)) for side in "WH")
    assert len(data) == 2 * (len(b"FRAME\n") + width * height * frame_bytes)
    luma = np.frombuffer(data, "<u2", width * height, offset=len(b"FRAME\n"))
    # SDR white alone is code 573 (PQ of 203 cd/m2 in limited range); HDR goes above it.
    assert luma.max() > 573
    # The trees in the mist are at a few cd/m2, code 300.
    assert luma.min() < 350


@pytest.mark.slow
def test_false_color_is_in_color() -> None:
    script = str(EXAMPLES / "false_color.vpy")
    pictures = []
    for number in ("0", "1"):
        frame = run("--end", "0", "-o", number, script, "-")
        assert frame.returncode == 0, frame.stderr.decode()
        pictures.append(np.frombuffer(frame.stdout, np.uint8).reshape(3, -1).astype(int))
    stops, nits = pictures
    # Colors, not gray, and not the same ones.
    assert np.ptp(stops, axis=0).max() > 60
    assert np.ptp(nits, axis=0).max() > 100
    assert not np.array_equal(stops, nits)


def test_a_wrong_source_is_one_clear_failure(tmp_path: Path) -> None:
    missing = run("--info", "-a", f"source={tmp_path / 'no.mkv'}", str(EXAMPLES / "basic.vpy"), "-")
    assert missing.returncode != 0
    assert b"no.mkv" in missing.stderr


def test_vspipe_into_ffmpeg_makes_hdr10(tmp_path: Path) -> None:
    """The README's line: flags from ffmpeg-args, an x265 encode, and what mediainfo says."""
    pymediainfo = pytest.importorskip("pymediainfo")
    script = str(EXAMPLES / "basic.vpy")
    import contextlib
    import io

    from vs_gainmap.cli import main

    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        assert main(["ffmpeg-args", script, "--max-cll", "900", "--max-fall", "150"]) == 0
    flags = shlex.split(said.getvalue())
    out = tmp_path / "out.mkv"
    source = subprocess.Popen(
        [vspipe(), "--end", "5", "-c", "y4m", script, "-"], stdout=subprocess.PIPE
    )
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-i", "-", *flags]
    command += ["-preset", "ultrafast", str(out)]
    encode = subprocess.run(command, stdin=source.stdout, timeout=300, check=False)
    assert source.stdout is not None
    # Else vspipe waits for a reader, should ffmpeg have failed.
    source.stdout.close()
    assert source.wait(timeout=60) == 0
    assert encode.returncode == 0
    (video,) = pymediainfo.MediaInfo.parse(out).video_tracks
    assert "SMPTE ST 2086" in video.hdr_format
    assert "HDR10" in video.hdr_format_compatibility
    assert video.transfer_characteristics == "PQ"
    assert video.color_primaries == "BT.2020"
    assert video.matrix_coefficients == "BT.2020 non-constant"
    assert video.maximum_content_light_level.startswith("900")


def test_the_simulation_of_machines_adds_up(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    module = runpy.run_path(str(EXAMPLES / "cluster" / "simulate.py"))
    plot = tmp_path / "plot.png"
    # 240 s in chunks of 60: 4 of 1440 frames, 144 s each, and 2 s of reading.
    film = "--hours 0.0666666667 --frame 0.1 --pieces 7 --input 8 --disk 1 --output 5"
    costs = "--start 3 --begin 1 --index 2 --mux 4 --machines 1 2 9 --lengths 60"
    module["main"](shlex.split(f"{film} {costs}"))
    totals = [float(line.split()[2]) for line in capsys.readouterr().out.splitlines()[1:]]
    around = 2 + 8 + 3 + 4 + 2 * 5
    one = 2 + 1 + 144
    assert totals == [around + 4 * one, around + 2 * one + 2, around + 4 * 2 + 1 + 144]
    module["plot"](module["Film"](hours=0.1), [1, 2], plot)
    assert plot.read_bytes().startswith(b"\x89PNG")

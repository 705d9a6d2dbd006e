"""What the command line says of files and scripts that it can't take: one line, and what to do."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import vapoursynth as vs

from tests.media import Media, ffmpeg, frame_times
from vs_gainmap.cli import main
from vs_gainmap.errors import MediaError
from vs_gainmap.video import encode

Say = Callable[..., str]


@pytest.fixture
def say(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Say:
    """Return a function that runs a command which fails, in an empty folder, and what it says."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str | Path) -> str:
        assert main([str(argument) for argument in arguments]) == 1
        lines = capsys.readouterr().err.strip().splitlines()
        assert lines[-1].startswith("vs-gainmap: error: ")
        assert "Traceback" not in "".join(lines)
        return lines[-1].removeprefix("vs-gainmap: error: ")

    return run


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("import nope", "line 1: ModuleNotFoundError: No module named 'nope'"),
        ("def f():\n    return 1 / 0\n\n\nf()", "line 2: ZeroDivisionError: division by zero"),
        ("x = 1\ny = = 3", "line 2: SyntaxError: invalid syntax"),
        ("import vapoursynth as vs\n\nvs.core.std.Nope()", "line 3: AttributeError: There is no"),
        ("import json\njson.loads('')", "line 2: JSONDecodeError: Expecting value: line 1"),
        ("raise ValueError", "line 1: ValueError"),
    ],
)
def test_a_script_that_fails_says_where(script: str, said: str, tmp_path: Path, say: Say) -> None:
    path = tmp_path / "film.vpy"
    path.write_text(script)
    assert say("ffmpeg-args", path).startswith(f"{path}: {said}")


def test_a_name_stays_in_its_line(say: Say) -> None:
    """Names may hold line breaks and what turns a terminal red."""
    assert say("convert", "a\nb\x1b[31m.mkv", "c.mkv") == r"a\nb\x1b[31m.mkv: no such file"
    assert say("photo", "convert", "a\nb.jpg", "c.jpg").startswith(r"a\nb.jpg: ")


def test_a_name_that_is_too_long(media: Media, say: Say) -> None:
    name = "x" * 252 + ".mkv"
    assert say("convert", media.plain, name) == f"{name}: File name too long"


def test_files_without_video(tmp_path: Path, say: Say) -> None:
    sound, text = tmp_path / "sound.m4a", tmp_path / "text.srt"
    ffmpeg("-f", "lavfi", "-i", "sine=d=0.2", sound)
    text.write_text("1\n00:00:00,100 --> 00:00:01,000\nHello\n")
    for command in (("report",), ("ffmpeg-args",), ("preview",)):
        assert say(*command, sound) == f"{sound}: has no video stream"
        assert say(*command, text) == f"{text}: has no video stream"
        assert say(*command, "none.mkv") == "none.mkv: no such file"
        assert say(*command, tmp_path) == f"{tmp_path}: is a folder; name a file in it"


def test_interlaced_video_names_the_option(
    media: Media,
    tmp_path: Path,
    tiny_weights: Path,
    say: Say,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    weights = ("--weights", tiny_weights)
    still = ("still", media.interlaced, "out.jpg", "--at", "0.2", *weights)
    preview = ("preview", media.interlaced, "-o", "out.html", "--at", "0.2", *weights)
    convert = ("convert", media.interlaced, "out.mkv", *weights)
    flags = ("ffmpeg-args", media.interlaced, *weights)
    quantize = ("quantize", media.interlaced, "--frames", "1", *weights)
    assert say(*still).startswith(f"{media.interlaced}: frame 4 is interlaced; deinterlace first")
    for command in (still, preview, convert, flags, quantize):
        assert "--assume-progressive" in say(*command)
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for command in (still, preview, flags, quantize):
        assert main([str(word) for word in (*command, "--assume-progressive")]) == 0


@pytest.mark.parametrize("pix_fmt", ["yuv444p", "gbrp"])
def test_odd_sizes_name_a_way_out(
    pix_fmt: str, tmp_path: Path, tiny_weights: Path, say: Say
) -> None:
    path = tmp_path / "odd.mkv"
    lossless = ("-vf", f"format={pix_fmt},scale=95:63", "-c:v", "ffv1", "-pix_fmt", pix_fmt)
    ffmpeg("-f", "lavfi", "-i", "testsrc2=s=96x64:r=24:d=0.2", *lossless, path)
    command = ("convert", path, "out.mkv", "--weights", tiny_weights)
    said = "YUV420P10 can't hold 95x63; crop it first to a multiple of 2x2"
    assert say(*command) == f"{said}, or take --format YUV444P10"
    assert say(*command, "-e", "svtav1") == said
    assert "YUV422P10 can't hold 95x63; crop it first to a multiple of 2x1" in say(
        *command, "--format", "YUV422P10"
    )
    more = ("--format", "YUV444P10", "--preset", "ultrafast", "--quiet")
    assert main([str(word) for word in (*command, *more)]) == 0
    assert len(frame_times(tmp_path / "out.mkv")) == 5


def test_an_odd_clip_is_not_converted_to_less_chroma(tmp_path: Path) -> None:
    clip = vs.core.std.BlankClip(format=vs.RGB48, width=95, height=63, length=2)
    clip = clip.std.SetFrameProps(_Matrix=0, _Transfer=16, _Primaries=9, _Range=1)
    with pytest.raises(MediaError, match=r"YUV420P10 can't hold 95x63; crop it first"):
        encode(clip, tmp_path / "out.mkv")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["out.mkv", "--start", "0.5", "--end", "0.2"], "the end (0.200 s) is not after the start"),
        (["out.webm", "-e", "svtav1"], "or leave the audio out with --no-audio"),
    ],
)
def test_convert(
    arguments: list[str], said: str, media: Media, tmp_path: Path, tiny_weights: Path, say: Say
) -> None:
    assert said in say("convert", media.plain, *arguments, "--weights", tiny_weights)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_takes_no_file(
    media: Media, tiny_weights: Path, say: Say, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a read-only disk, which to root looks like any other."""

    def refuse(*_: object, **__: object) -> None:
        raise OSError(30, "Read-only file system", ".out.mkv.12345678")

    monkeypatch.setattr(Path, "mkdir", refuse)
    said = say("convert", media.plain, "out.mkv", "--weights", tiny_weights)
    assert said == "out.mkv: can't be written: Read-only file system"

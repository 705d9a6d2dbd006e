"""The command line as a user meets it."""

from __future__ import annotations

import argparse
import ctypes
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from fractions import Fraction
from pathlib import Path

import av
import pytest

from tests.media import FFMPEG, Media, decode, ffprint, frame_times, mediainfo, packets
from vs_gainmap.cli import main, values
from vs_gainmap.cli.ffmpeg_args import quote
from vs_gainmap.cli.interrupt import interruptible
from vs_gainmap.errors import MetadataError
from vs_gainmap.hdr10 import ContentLight, MasteringDisplay

CLI = (sys.executable, "-m", "vs_gainmap.cli")
SCRIPT = """
import vapoursynth as vs
clip = vs.core.std.BlankClip(format=vs.RGB24, width=96, height=64, length=5, color=[200, 120, 60])
clip = clip.resize.Bicubic(
    format=vs.YUV420P10, matrix_s="2020ncl", transfer_s="st2084", primaries_s="2020",
    transfer_in_s="709", primaries_in_s="709", range_in=1, range=0, chromaloc_s="{chroma}",
)
clip = clip.std.SetFrameProps(
    MasteringDisplayPrimariesX=[0.68, 0.265, 0.15], MasteringDisplayPrimariesY=[0.32, 0.69, 0.06],
    MasteringDisplayWhitePointX=0.3127, MasteringDisplayWhitePointY=0.329,
    MasteringDisplayMinLuminance=0.0001, MasteringDisplayMaxLuminance=1000.0,
)
clip.set_output()
"""


def _convert(media_file: Path, target: Path, weights: Path, *more: str) -> int:
    fixed = ("--weights", str(weights), "--preset", "ultrafast", "--quiet")
    return main(["convert", str(media_file), str(target), *fixed, *more])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("12", Fraction(12)),
        ("0.5", Fraction(1, 2)),
        (".25", Fraction(1, 4)),
        ("1:02", Fraction(62)),
        ("00:01:02.125", Fraction(62) + Fraction(1, 8)),
        ("2:00:00", Fraction(7200)),
    ],
)
def test_times(text: str, expected: Fraction) -> None:
    assert values.seconds(text) == expected


@pytest.mark.parametrize("text", ["", "-1", "1:2:3:4", "x", "1,5", "1e3"])
def test_bad_times(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="neither seconds nor"):
        values.seconds(text)


def test_mastering_display() -> None:
    display = MasteringDisplay.named("p3d65", max_nits=1000, min_nits=0.005)
    assert values.mastering_display("p3d65,1000,0.005") == display
    assert values.mastering_display("bt2020,4000").max_nits == 4000
    again = values.mastering_display(display.x265())
    assert again.x265() == display.x265()
    for bad in ("p3d65", "dci,1000,0.1", "p3d65,a,b", "p3d65,1,2,3", "G(1,2)"):
        with pytest.raises(MetadataError, match="mastering display"):
            values.mastering_display(bad)
    with pytest.raises(MetadataError, match="minimum < maximum"):
        values.mastering_display("p3d65,1,2")


def test_light_levels_belong_together() -> None:
    assert values.content_light(None, None) is None
    assert values.content_light(900, 200) == ContentLight(max_cll=900, max_fall=200)
    with pytest.raises(MetadataError, match="belong together"):
        values.content_light(900, None)


def test_convert(
    media: Media, tmp_path: Path, tiny_weights: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "out.mp4"
    weights = ("--weights", str(tiny_weights), "--device", "cpu")
    assert main(["convert", str(media.plain), str(target), "--preset", "ultrafast", *weights]) == 0
    summary = capsys.readouterr().out
    said = mediainfo(target)
    assert said["hdr_format_compatibility"].startswith("HDR10")
    cll, fall = re.search(r"MaxCLL (\d+), MaxFALL (\d+) \(measured\)", summary).groups()
    assert said["maximum_content_light_level"] == f"{cll} cd/m2"
    assert said["maximum_frameaverage_light_level"] == f"{fall} cd/m2"
    # The preset's peak is 1015 cd/m2.
    assert said["mastering_display_luminance"] == "min: 0.0001 cd/m2, max: 1015 cd/m2"
    assert 100 < int(cll) <= 1015
    assert "yuv420p10le(tv, bt2020nc/bt2020/smpte2084" in ffprint(target)
    assert len(frame_times(target)) == 29
    assert packets(target)[1] == packets(media.plain)[1]
    assert "29 frames" in summary


def test_convert_options(media: Media, tmp_path: Path, tiny_weights: Path) -> None:
    target = tmp_path / "out.mkv"
    options = "--frames 4 --start 0.2 -e ffv1 --format YUV444P12 --max-cll 900 --max-fall 100"
    fixed = ("--weights", str(tiny_weights), "--mastering", "bt2020,2000,0.01", "--quiet")
    assert main(["convert", str(media.plain), str(target), *options.split(), *fixed]) == 0
    said = mediainfo(target)
    assert said["maximum_content_light_level"] == "900"
    assert said["mastering_display_color_primaries"] == "BT.2020"
    with av.open(str(target)) as container:
        assert container.streams.video[0].codec_context.pix_fmt == "yuv444p12le"
    assert len(frame_times(target)) == 4


def test_convert_to_hlg(media: Media, tmp_path: Path, tiny_weights: Path) -> None:
    target = tmp_path / "out.mp4"
    assert _convert(media.plain, target, tiny_weights, "--output", "hlg", "--frames", "2") == 0
    assert mediainfo(target)["transfer_characteristics"] == "HLG"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["IN", "none/out.mp4"], "the folder doesn't exist"),
        (["none.mp4", "out.mkv"], "none.mp4: no such file"),
        (["IN", "out.avi"], "out.avi: the name must end in one of .mp4, .mov, .mkv, .webm"),
        (["IN", "old.mp4"], "old.mp4: exists already; add --overwrite"),
        (["IN", "out.mkv", "--encoder", "h264"], "encoder must be one of x265"),
        (["IN", "out.mkv", "--max-cll", "900"], "--max-cll and --max-fall belong together"),
        (["IN", "out.mkv", "--mastering", "p3"], "mastering display 'p3'"),
        (["IN", "out.mkv", "--weights", "none.pth"], "no file none.pth"),
        (["IN", "out.mkv", "--format", "YUV"], "format must be a VapourSynth format"),
        (["IN", "out.mkv", "--start", "60"], "no frame is selected"),
        (["IN", "out.mkv", "--matrix", "x"], "matrix must be one of"),
        (["IN", "out.mkv", "--crf", "-1"], "crf of x265 must be from 0 to 51, got -1"),
        (["IN", "out.mkv", "--preset", "p5"], "preset of x265 must be one of ultrafast"),
        (["IN", "out.mkv", "--encoder-params", "max-cll=1"], "say it by --max-cll and --max-fall"),
    ],
)  # fmt: skip
def test_errors_are_one_line_and_leave_nothing(
    arguments: list[str],
    message: str,
    media: Media,
    tmp_path: Path,
    tiny_weights: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("old.mp4").write_bytes(b"precious")
    source = [str(media.plain) if argument == "IN" else argument for argument in arguments]
    weights = [] if "--weights" in source else ["--weights", str(tiny_weights)]
    assert main(["convert", *source, *weights]) == 1
    lines = capsys.readouterr().err.strip().splitlines()
    assert lines[-1].startswith("vs-gainmap: error: ")
    assert message in lines[-1]
    assert "Traceback" not in "".join(lines)
    assert [path.name for path in tmp_path.iterdir()] == ["old.mp4"]
    assert Path("old.mp4").read_bytes() == b"precious"


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["convert"],
        ["convert", "a", "b", "--frames", "0"],
        *(["convert", "a", "b", "--percentile", value] for value in ("0", "101", "nan", "x")),
    ],
)
def test_wrong_usage_exits_with_two(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(arguments)
    assert end.value.code == 2


def test_debug_shows_where_an_error_comes_from(tmp_path: Path) -> None:
    from vs_gainmap.errors import GainMapError

    with pytest.raises(GainMapError):
        main(["--debug", "convert", str(tmp_path / "none.mp4"), str(tmp_path / "out.mkv")])


@pytest.mark.skipif(os.name == "nt", reason="no signal can be sent to one process on Windows")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_leaves_the_old_file_and_nothing_else(
    number: signal.Signals, media: Media, tmp_path: Path, tiny_weights: Path
) -> None:
    target = tmp_path / "out.mkv"
    target.write_bytes(b"precious")
    slow = ("--preset", "placebo", "--weights", str(tiny_weights), "--overwrite")
    command = [*CLI, "convert", str(media.plain), str(target), *slow]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + 60
        # The folder of unfinished work appears when encoding starts.
        while len(list(tmp_path.iterdir())) < 2 and time.monotonic() < deadline:
            time.sleep(0.01)
        try:
            process.send_signal(number)
            _, err = process.communicate(timeout=60)
        finally:
            # Leaving the block waits for it, however long.
            process.kill()
    assert process.returncode == 130, err
    assert err.strip().endswith("vs-gainmap: interrupted; nothing was written")
    assert target.read_bytes() == b"precious"
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.skipif(os.name == "nt", reason="os.kill ends the process on Windows")
def test_ctrl_c_in_a_callback_from_c_is_not_lost_and_not_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As when Numba compiles."""
    told: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda dropped: told.append(dropped.exc_type))

    @ctypes.CFUNCTYPE(None)
    def press() -> None:
        os.kill(os.getpid(), signal.SIGINT)

    @ctypes.CFUNCTYPE(None)
    def fail() -> None:
        raise ValueError

    with interruptible() as check:
        press()
        fail()
        with pytest.raises(KeyboardInterrupt):
            check()
    assert told == [ValueError]


def _script(folder: Path, chroma: str = "left") -> Path:
    path = folder / "a script.vpy"
    path.write_text(SCRIPT.format(chroma=chroma))
    return path


def _pipe(script: Path, flags: list[str], target: Path) -> None:
    vspipe = [sys.executable, "-m", "vapoursynth", "vspipe"]
    found = Path(sys.executable).with_name("vspipe")
    vspipe = [str(found)] if found.exists() or found.with_suffix(".exe").exists() else vspipe
    with subprocess.Popen(
        [*vspipe, "-c", "y4m", str(script), "-"], stdout=subprocess.PIPE
    ) as source:
        command = [FFMPEG, "-loglevel", "error", "-i", "-", *flags, str(target)]
        subprocess.run(command, stdin=source.stdout, check=True)
    assert source.returncode == 0


@pytest.mark.parametrize("chroma", ["left", "top_left"])
def test_ffmpeg_args_make_a_right_encode(
    chroma: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The whole line, `vspipe | ffmpeg`: pixels, tags and metadata."""
    script = _script(tmp_path, chroma)
    light = ["--max-cll", "500", "--max-fall", "400"]
    assert (
        main(["ffmpeg-args", str(script), "--shell", "posix", "--preset", "ultrafast", *light]) == 0
    )
    flags = shlex.split(capsys.readouterr().out)
    target = tmp_path / "out.mkv"
    _pipe(script, flags, target)
    said = mediainfo(target)
    assert said["hdr_format_compatibility"].startswith("HDR10")
    assert said["mastering_display_luminance"] == "min: 0.0001 cd/m2, max: 1000 cd/m2"
    assert said["maximum_content_light_level"].split()[0] == "500"
    assert said["color_range"] == "Limited"
    assert "yuv420p10le(tv, bt2020nc/bt2020/smpte2084" in ffprint(target)
    with av.open(str(target)) as container:
        # AVChromaLocation: 1 is left, 3 is topleft.
        place = container.streams.video[0].codec_context.chroma_sample_location
    assert place == {"left": 1, "top_left": 3}[chroma]

    assert main(["ffmpeg-args", str(script), "--shell", "posix", "-e", "ffv1"]) == 0
    lossless = tmp_path / "lossless.mkv"
    _pipe(script, shlex.split(capsys.readouterr().out), lossless)
    from tests.media import digest
    from vs_gainmap.cli.ffmpeg_args import _run_script

    clip = _run_script(script, 0)
    assert decode(lossless) == [digest(frame) for frame in clip.frames(close=True)]


def test_ffmpeg_args_of_a_file(
    media: Media, tmp_path: Path, tiny_weights: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    for name in ("XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.setenv(name, str(tmp_path))
    fixed = ["ffmpeg-args", str(media.plain), "--weights", str(tiny_weights), "--shell", "posix"]
    assert main([*fixed, "--encoder-params", "aq-mode=3", "--measure"]) == 0
    flags = shlex.split(capsys.readouterr().out)
    params = dict(part.split("=", 1) for part in flags[flags.index("-x265-params") + 1].split(":"))
    assert params["aq-mode"] == "3"
    assert params["repeat-headers"] == "1"
    assert params["master-display"].endswith("L(10150000,1)")
    cll, fall = map(int, params["max-cll"].split(","))
    assert 100 < fall <= cll <= 1015
    assert flags[flags.index("-pix_fmt") + 1] == "yuv420p10le"


def test_ffmpeg_args_errors(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    silent = tmp_path / "silent.vpy"
    silent.write_text("x = 1\n")
    assert main(["ffmpeg-args", str(silent)]) == 1
    assert "sets no output 0" in capsys.readouterr().err
    assert main(["ffmpeg-args", str(tmp_path / "none.vpy")]) == 1
    assert "none.vpy: no such file" in capsys.readouterr().err
    # What vspipe would hand over isn't what ProRes takes.
    assert main(["ffmpeg-args", str(_script(tmp_path)), "-e", "prores"]) == 1
    assert "prores can't take YUV420P10" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("shell", "expected"),
    [
        ("posix", "-x265-params 'hdr10=1:master-display=G(1,2)' -crf 18"),
        ("cmd", '-x265-params "hdr10=1:master-display=G(1,2)" -crf 18'),
        ("powershell", "-x265-params 'hdr10=1:master-display=G(1,2)' -crf 18"),
    ],
)
def test_quotes(shell: str, expected: str) -> None:
    arguments = ["-x265-params", "hdr10=1:master-display=G(1,2)", "-crf", "18"]
    assert quote(arguments, shell) == expected


def test_doctor(capsys: pytest.CaptureFixture[str]) -> None:
    from vs_gainmap.models.weights import DEFAULT_WEIGHTS, WEIGHTS

    status = main(["doctor"])
    lines = capsys.readouterr().out.splitlines()
    subjects = {line[3:].split()[0]: line for line in lines if line[:2] in ("ok", "--", "!!")}
    for name in ("python", "torch", "av", "vapoursynth", "akarin", "bs", "x265", "ffv1", "device"):
        assert name in subjects
        assert not subjects[name].startswith("!!")
    works = DEFAULT_WEIGHTS in WEIGHTS
    assert status == int(not works)
    assert lines[-1] == ("convert works here" if works else "convert does not work here yet")
    for number, line in enumerate(lines):
        if line[:2] in ("--", "!!"):
            assert lines[number + 1].strip().startswith("-> "), line


def test_doctor_says_what_to_do_about_a_missing_plugin(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import vapoursynth as vs

    class Core:
        core_version = "R0"
        num_threads = 1

    monkeypatch.setattr(vs, "core", Core())
    from vs_gainmap.cli import doctor

    found = {finding.subject: finding for finding in doctor._vapoursynth()}
    assert found["akarin"].fatal
    assert found["akarin"].advice == "pip install vapoursynth-akarin"
    assert not found["bs"].fatal
    assert found["bs"].advice == "pip install vapoursynth-bestsource"
    assert capsys.readouterr().err == ""

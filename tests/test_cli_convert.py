"""`convert` as a user runs it."""

from __future__ import annotations

import ctypes
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import av
import pytest

from tests.films import stopped
from tests.media import Media, ffmpeg, ffprint, frame_times, mediainfo, packets
from vs_gainmap.cli import main
from vs_gainmap.cli.interrupt import check, interruptible

CLI = (sys.executable, "-m", "vs_gainmap.cli")


def _convert(media_file: Path, target: Path, weights: Path, *more: str) -> int:
    fixed = ("--weights", str(weights), "--preset", "ultrafast", "--quiet")
    return main(["convert", str(media_file), str(target), *fixed, *more])


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
        (["IN", "out.mkv", "--weights", "none.pth"], "no file none.pth"),
        (["IN", "out.mkv", "--start", "60"], "no frame is selected"),
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
    ("options", "message"),
    [
        (["--encoder", "x256"], 'encoder must be one of x265, .* did you mean "x265"'),
        (["--max-cll", "900"], "--max-cll and --max-fall belong together"),
        (["--max-cll", "9", "--max-fall", "10"], "MaxFALL"),
        (["--mastering", "p3"], "mastering display 'p3'"),
        (["--mastering", "p3d65,1,2"], "minimum < maximum"),
        (["--format", "YUV42010"], 'format must be .* did you mean "YUV420P10"'),
        (["--matrix", "bt70"], 'argument --matrix: must be one of .* did you mean "bt709"'),
        (["--output-chroma-location", "tpleft"], 'location: must be .* did you mean "topleft"'),
        (["--crf", "-1"], "crf of x265 must be from 0 to 51, got -1"),
        (["--preset", "slwo"], 'preset of x265 must be .* did you mean "slow"'),
        (["--weights-preset", "real"], r"preset must be .* \(--weights-preset\), got real"),
        (["--encoder-params", "max-cll=1"], "use --max-cll and --max-fall"),
        (["--peak-nits", "100"], "sdr_to_hdr10: peak_nits must be above sdr_white"),
        (["--hdr10plus", "--output", "hlg"], "leave out --hdr10plus or --output hlg"),
        (["--pres", "slow"], 'there is no option --pres; did you mean "--preset"'),
    ],
)
def test_a_wrong_option_is_a_usage_error(
    options: list[str],
    message: str,
    media: Media,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as end:
        main(["convert", str(media.plain), str(tmp_path / "out.mkv"), *options])
    assert end.value.code == 2
    error, more = capsys.readouterr().err.strip().splitlines()
    assert error.startswith("vs-gainmap convert: error: ")
    assert re.search(message, error)
    assert more == "See vs-gainmap convert --help"
    assert list(tmp_path.iterdir()) == []


def test_debug_shows_where_an_error_comes_from(tmp_path: Path) -> None:
    from vs_gainmap.errors import GainMapError

    with pytest.raises(GainMapError):
        main(["--debug", "convert", str(tmp_path / "none.mp4"), str(tmp_path / "out.mkv")])


@pytest.mark.skipif(os.name == "nt", reason="no signal can be sent to one process on Windows")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
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
    assert process.returncode in (130, -signal.SIGINT), err
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

    with interruptible():
        press()
        fail()
        with pytest.raises(KeyboardInterrupt):
            check()
    assert told == [ValueError]


def test_a_dry_run_says_what_would_be_done_and_writes_nothing(
    media: Media, tmp_path: Path, tiny_weights: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "out.mkv"
    command = ["convert", str(media.plain), str(target), "--dry-run", "--preset", "ultrafast"]
    command += ["--weights", str(tiny_weights), "--device", "cpu", "--dtype", "float32"]
    assert main([*command, "--range", "limited"]) == 0
    lines = capsys.readouterr().out.splitlines()
    said = {line[:16].strip(): line[16:] for line in lines}
    assert said["input"].startswith("plain.mp4, YUV420P8, 96x64, 29 frames, ")
    assert said["matrix"] == "BT.709 (1), in the file"
    assert said["range"] == "limited (0), as given"
    assert said["network"] == f"gmnet, weights {tiny_weights.name} on cpu by torch, float32"
    assert said["output"] == "out.mkv, YUV420P10, PQ by x265 crf 18 preset ultrafast"
    assert said["goes along"] == "audio stream 1 (aac)"
    guess = r"[\d.]+ frames a second, 0:00:\d\d, \d+ kB of video"
    assert re.fullmatch(guess, said["guess"])
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(SystemExit):
        main([*command, "--crf", "99"])
    assert "crf of x265 must be from 0 to 51" in capsys.readouterr().err


def test_a_dry_run_names_what_is_assumed(
    tmp_path: Path, tiny_weights: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = tmp_path / "silent.mkv"
    lossless = ("-c:v", "ffv1", "-pix_fmt", "yuv420p")
    ffmpeg("-f", "lavfi", "-i", "testsrc2=s=96x64:r=24:d=0.2", *lossless, source)
    command = ["convert", str(source), str(tmp_path / "out.mkv"), "--dry-run"]
    assert main([*command, "--weights", str(tiny_weights), "-e", "ffv1"]) == 0
    said = capsys.readouterr().out
    assert re.search(r"^matrix +BT.601, 525 lines \(6\), assumed by size and format$", said, re.M)
    assert re.search(r"^goes along +nothing$", said, re.M)


def test_chunks_of_another_run_are_not_said_to_be_kept(
    film: Path, tmp_path: Path, tiny_weights: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "out.mkv"
    folder = stopped(film, target)
    assert _convert(film, target, tiny_weights) == 1
    lines = capsys.readouterr().err.strip().splitlines()
    assert lines[-1].startswith(f"vs-gainmap: error: {folder}: was begun with ")
    assert not any("kept in" in line for line in lines)

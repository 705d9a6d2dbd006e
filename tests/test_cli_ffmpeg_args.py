"""`ffmpeg-args`: what the flags make of a real pipe."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import av
import pytest

from tests.media import FFMPEG, Media, decode, ffprint, mediainfo
from vs_gainmap.cli import main
from vs_gainmap.cli.encoder_flags import quote
from vs_gainmap.video.script import run_script

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

FROM_PIPE = (FFMPEG, "-loglevel", "error", "-i", "-")


def _script(folder: Path, chroma: str = "left") -> Path:
    path = folder / "a script.vpy"
    path.write_text(SCRIPT.format(chroma=chroma))
    return path


def _pipe(script: Path, command: list[str]) -> None:
    vspipe = [sys.executable, "-m", "vapoursynth", "vspipe"]
    found = Path(sys.executable).with_name("vspipe")
    vspipe = [str(found)] if found.exists() or found.with_suffix(".exe").exists() else vspipe
    with subprocess.Popen(
        [*vspipe, "-c", "y4m", str(script), "-"], stdout=subprocess.PIPE
    ) as source:
        subprocess.run(command, stdin=source.stdout, check=True, capture_output=True)
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
    _pipe(script, [*FROM_PIPE, *flags, str(target)])
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
    _pipe(script, [*FROM_PIPE, *shlex.split(capsys.readouterr().out), str(lossless)])
    from tests.media import digest

    clip = run_script(script)
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
    script = str(_script(tmp_path))
    assert main(["ffmpeg-args", script, "-e", "prores"]) == 1
    said = capsys.readouterr().err
    assert "prores can't take YUV420P10; the script must give format=vs.YUV422P10" in said
    with pytest.raises(SystemExit):
        main(["ffmpeg-args", script, "--for", "av1an", "-e", "prores"])
    assert "av1an takes --encoder x265 or svtav1, got prores" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["ffmpeg-args", script, "--strength", "2"])
    said = "a script.vpy is a script, which has its own options: strength 2.0"
    assert said in capsys.readouterr().err


def _flags(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[str]:
    light = ("--max-cll", "500", "--max-fall", "400", "--shell", "posix")
    assert main(["ffmpeg-args", *arguments, *light]) == 0
    return shlex.split(capsys.readouterr().out)


def _check_hdr10(path: Path) -> None:
    """Check what mediainfo reads in a raw stream of x265's or SVT-AV1's."""
    said = mediainfo(path)
    assert said["hdr_format_compatibility"].startswith("HDR10")
    assert said["mastering_display_luminance"] == "min: 0.0001 cd/m2, max: 1000 cd/m2"
    assert said["maximum_content_light_level"].split()[0] == "500"
    assert said["maximum_frameaverage_light_level"].split()[0] == "400"
    assert said["transfer_characteristics"] == "PQ"
    assert said["color_primaries"] == "BT.2020"
    assert said["matrix_coefficients"] == "BT.2020 non-constant"
    assert said["color_range"] == "Limited"


@pytest.mark.skipif(shutil.which("x265") is None, reason="x265 is not installed")
def test_a_pipe_into_x265(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    script, target = _script(tmp_path, "top_left"), tmp_path / "out.hevc"
    more = ("--preset", "ultrafast", "--encoder-params", "aq-mode=1:no-sao")
    flags = _flags(capsys, str(script), "--for", "x265", *more)
    _pipe(script, ["x265", "--y4m", *flags, "-", "-o", str(target)])
    _check_hdr10(target)
    with av.open(str(target)) as container:
        context = container.streams.video[0].codec_context
        assert context.pix_fmt == "yuv420p10le"
        assert context.chroma_sample_location == 3
    assert len(decode(target)) == 5


@pytest.mark.skipif(shutil.which("SvtAv1EncApp") is None, reason="SVT-AV1 is not installed")
def test_a_pipe_into_svtav1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    script, target = _script(tmp_path), tmp_path / "out.ivf"
    flags = _flags(capsys, str(script), "--for", "svtav1", "--preset", "12")
    _pipe(script, ["SvtAv1EncApp", "-i", "-", *flags, "-b", str(target)])
    with av.open(str(target)) as container:
        frame = next(container.decode(video=0))
        assert frame.format.name == "yuv420p10le"
        assert (frame.color_trc, frame.color_primaries, frame.colorspace) == (16, 9, 9)
        kinds = {kind.name for kind in frame.side_data}
    assert {"MASTERING_DISPLAY_METADATA", "CONTENT_LIGHT_LEVEL"} <= kinds


@pytest.mark.parametrize(("encoder", "name"), [("x265", "x265"), ("svtav1", "svt-av1")])
def test_av1an_gets_the_encoders_own_flags(
    encoder: str, name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    script = str(_script(tmp_path))
    flags = _flags(capsys, script, "--for", "av1an", "-e", encoder)
    own = _flags(capsys, script, "--for", encoder)
    assert flags == ["-e", name, "--pix-format", "yuv420p10le", "-v", " ".join(own)]


@pytest.mark.parametrize("encoder", ["hevc_nvenc", "av1_nvenc", "prores"])
def test_a_pipe_that_carries_no_hdr10_metadata_is_named(
    encoder: str, media: Media, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = f"a pipe into {encoder} carries no HDR10 metadata"
    if encoder != "prores":
        assert main(["ffmpeg-args", str(_script(tmp_path)), "-e", encoder]) == 0
        assert f"note: {said}; vs-gainmap convert writes it" in capsys.readouterr().err
    # Before hours of measuring.
    with pytest.raises(SystemExit):
        main(["ffmpeg-args", str(media.plain), "-e", encoder, "--measure"])
    assert f"error: {said}: leave out --measure" in capsys.readouterr().err


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

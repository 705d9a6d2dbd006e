"""Profiles: options from a file, overruled by those that are typed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.media import Media
from vs_gainmap.cli import main
from vs_gainmap.cli.profile import with_profile
from vs_gainmap.cli.program import build_parser, commands_of


def test_a_profile_gives_options_that_others_overrule(tmp_path: Path) -> None:
    path = tmp_path / "film.toml"
    path.write_text(
        "strength = 0.8\nassume_progressive = true\n"
        '[convert]\ncrf = 16\noverwrite = false\n[preview]\nat = ["1", "2:00"]\n'
    )
    profile = ("--profile", str(path))
    commands = commands_of(build_parser())
    common = ["--strength=0.8", "--assume-progressive"]
    assert with_profile(["convert", "a", *profile, "b", "--crf", "20"], commands) == [
        "convert", *common, "--crf=16", "a", "b", "--crf", "20"
    ]  # fmt: skip
    assert with_profile(["--debug", "preview", "a", f"--profile={path}"], commands) == [
        "--debug", "preview", *common, "--at=1", "--at=2:00", "a"
    ]  # fmt: skip
    # Others have none.
    assert with_profile(["report", "a", *profile], commands) == ["report", "a", *profile]


def test_a_conversion_by_a_profile(
    media: Media, tmp_path: Path, tiny_weights: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "film.toml"
    path.write_text(f"weights = '{tiny_weights}'\n[convert]\nencoder = 'ffv1'\nframes = 2\n")
    command = ["convert", str(media.plain), str(tmp_path / "out.mkv"), "--profile", str(path)]
    assert main(command) == 0
    said = capsys.readouterr().out
    assert "2 frames" in said
    assert ", ffv1, " in said


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "No such file or directory"),
        ("strength = ", "Invalid value"),
        ("strenght = 0.8", 'film.toml: convert has no option strenght; did you mean "strength"?'),
        ("audio = false", 'convert has no option audio; did you mean "no_audio"?'),
        ("overwrite = 1", "overwrite must be true or false"),
        ("crf = true", "crf must not be true or false"),
        ("profile = 'b.toml'", "convert has no option profile"),
        ("strength = 9", "argument --strength: must be 0 to 4, got 9"),
        ("[convrt]\ncrf = 1", "there is no command convrt"),
        ("strength = " + "[" * 3000, "no TOML: "),
        ("strength = 0x" + "f" * 5000, "strength must be text or a number"),
        ('strength = "\\n\\n"', r"argument --strength: must be a number, got \n\n"),
        ("strength = 2020-01-01", "strength must be text or a number"),
    ],
)
def test_a_wrong_profile_is_a_usage_error(
    text: str | None, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "film.toml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(SystemExit) as end:
        main(["convert", "a.mkv", "b.mkv", "--profile", str(path)])
    assert end.value.code == 2
    error, _ = capsys.readouterr().err.strip().splitlines()
    assert message in error


def test_a_profile_without_end_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    if not Path("/dev/zero").exists():
        pytest.skip("no such device there")
    with pytest.raises(SystemExit):
        main(["convert", "a.mkv", "b.mkv", "--profile", "/dev/zero"])
    assert "profile /dev/zero: larger than any such file is" in capsys.readouterr().err

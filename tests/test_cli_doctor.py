"""`doctor`: what is installed, and advice for what is missing."""

from __future__ import annotations

import pytest

from vs_gainmap.cli import main


def test_doctor(capsys: pytest.CaptureFixture[str]) -> None:
    status = main(["doctor"])
    lines = capsys.readouterr().out.splitlines()
    subjects = {line[3:].split()[0]: line for line in lines if line[:2] in ("ok", "--", "!!")}
    for name in ("python", "torch", "av", "vapoursynth", "akarin", "bs", "x265", "ffv1", "device"):
        assert name in subjects
        assert not subjects[name].startswith("!!")
    assert status == 0
    assert lines[-1] == "convert works here"
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


def test_doctor_names_an_extra_that_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    from vs_gainmap.cli import doctor
    from vs_gainmap.extras import install_command

    monkeypatch.setattr(doctor, "_is_installed", lambda name: name != "tifffile")
    found = {finding.subject: finding for finding in doctor._extras()}
    assert found["extra photo"].text == "missing: tifffile"
    assert found["extra photo"].advice == f"if wanted: {install_command('photo')}"
    assert not found["extra photo"].fatal
    assert found["extra train"].text == "installed"

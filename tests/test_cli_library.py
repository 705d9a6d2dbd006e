"""`convert` of a folder: what is there is skipped, what fails is named at the end."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.films import digest
from tests.media import Media, frame_times
from vs_gainmap.cli import main, progress
from vs_gainmap.cli.library import plan_library
from vs_gainmap.errors import MediaError


def test_a_folder_becomes_a_folder(
    media: Media, tmp_path: Path, tiny_weights: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    films, out = tmp_path / "films", tmp_path / "out"
    (films / "more").mkdir(parents=True)
    shutil.copy(media.half, films / "a.ts")
    shutil.copy(media.half, films / "more" / "b.ts")
    (films / "c.mp4").write_bytes(b"no video")
    (films / "text.txt").write_text("no video either")
    command = ["convert", str(films), str(out), "--weights", str(tiny_weights), "-e", "ffv1"]
    command += ["--frames", "2"]
    assert main(command) == 1
    said = capsys.readouterr()
    assert "c.mp4: not a media file that can be read" in said.err
    assert said.out.splitlines()[-1] == f"{out}: 2 converted, 0 were done already, 1 failed"
    made = sorted(str(path.relative_to(out)) for path in out.rglob("*") if path.is_file())
    assert made == ["a.mkv", "more/b.mkv"]
    assert len(frame_times(out / "more" / "b.mkv")) == 2
    (films / "c.mp4").unlink()
    before = (out / "a.mkv").stat().st_mtime_ns
    assert main(command) == 0
    said = capsys.readouterr()
    assert said.out.strip() == f"{out}: 0 converted, 2 were done already, 0 failed"
    assert (out / "a.mkv").stat().st_mtime_ns == before


def test_workers_share_the_chunks_of_all_files(
    media: Media, tmp_path: Path, tiny_weights: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setitem(progress._PERIODS, "json", 0.0)
    films = tmp_path / "films"
    films.mkdir()
    for name in ("a.mp4", "b.mp4"):
        shutil.copy(media.plain, films / name)
    (films / "c.mp4").write_bytes(b"no video")
    # Fails in the middle.
    shutil.copy(media.changing, films / media.changing.name)
    command = ["convert", str(films), "--weights", str(tiny_weights), "-e", "ffv1"]
    command += ["--device", "cpu", "--dtype", "float32", "--progress", "json"]
    command += ["--chunk-seconds", "0.4"]
    assert main([*command, str(tmp_path / "one")]) == 1
    alone = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert main([*command, str(tmp_path / "two"), "--devices", "cpu,cpu"]) == 1
    said = capsys.readouterr()
    assert said.err.count("c.mp4: not a media file that can be read") == 1
    assert said.err.count("changes from 96x64") == 1
    together = [json.loads(line) for line in said.out.splitlines()]
    # Chunks of the second wait before the first is done; one by one, the first is done by then.
    for lines, both in ((together, True), (alone, False)):
        stages = [line["stage"] for line in lines]
        assert stages.count("done") == 2
        begun = {line.get("work") for line in lines[: stages.index("done")]}
        assert "a.mkv.work" in begun
        assert ("b.mkv.work" in begun) is both
        assert lines[-1] == {"stage": "all done", "converted": 2, "done_already": 0, "failed": 2}
    for name in ("a.mkv", "b.mkv"):
        assert digest(tmp_path / "one" / name) == digest(tmp_path / "two" / name)
    assert sorted(path.name for path in (tmp_path / "two").iterdir()) == ["a.mkv", "b.mkv"]


def test_targets_have_names_of_their_own(tmp_path: Path) -> None:
    for name in ("a.mp4", "a.mkv", "b.MOV"):
        (tmp_path / "in").mkdir(exist_ok=True)
        (tmp_path / "in" / name).touch()
    named = tmp_path / "odd.name"
    named.touch()
    tasks = plan_library([tmp_path / "in", named], tmp_path / "out", ".mkv")
    assert [(task.source.name, task.target.name) for task in tasks] == [
        ("a.mkv", "a.mkv.mkv"), ("a.mp4", "a.mp4.mkv"), ("b.MOV", "b.mkv"), ("odd.name", "odd.mkv"),
    ]  # fmt: skip
    assert plan_library([named, tmp_path / "in", named], tmp_path / "out", ".mkv")[1:] == tasks[:3]
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "a.mp4").touch()
    with pytest.raises(MediaError, match=r"in/a\.mp4 and .*more/a\.mp4 would both become"):
        plan_library([tmp_path / "in", tmp_path / "more"], tmp_path / "out", ".mkv")


def test_what_is_no_library_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    with pytest.raises(MediaError, match="no videos in it"):
        plan_library([folder], tmp_path / "out", ".mkv")
    (folder / "a.mkv").touch()
    with pytest.raises(MediaError, match="must not be within"):
        plan_library([folder], folder / "out", ".mkv")
    with pytest.raises(MediaError, match="is a file; several videos go into a folder"):
        plan_library([folder], folder / "a.mkv", ".mkv")
    with pytest.raises(SystemExit):
        main(["convert", str(folder), str(tmp_path / "out"), "--dry-run"])
    assert "--dry-run goes with one input" in capsys.readouterr().err

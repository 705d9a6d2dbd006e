"""No command replaces a file without being asked, nor its own input at all."""

from __future__ import annotations

import os
import shutil
import sys
import tracemalloc
from pathlib import Path

import pytest

from tests.media import Media
from vs_gainmap.cli import main
from vs_gainmap.errors import BackendError, MediaError
from vs_gainmap.files import cache_folder, check_output, read_bytes, write_bytes
from vs_gainmap.preview.page import Page
from vs_gainmap.preview.stats import FrameStats, read_stats, write_stats


def test_a_free_path_is_fine(tmp_path: Path) -> None:
    source = tmp_path / "in.mkv"
    source.write_bytes(b"film")
    check_output(tmp_path / "out.mkv", [source, None, tmp_path / "x.mkv"], overwrite=False)
    other = tmp_path / "old.mkv"
    other.write_bytes(b"film")  # the same bytes are not the same file
    check_output(other, [source], overwrite=True)
    with pytest.raises(MediaError, match=r"old.mkv: exists already; add --overwrite"):
        check_output(other, [source], overwrite=False)


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_source_is_never_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, overwrite: bool
) -> None:
    source = tmp_path / "in.mkv"
    source.write_bytes(b"film")
    monkeypatch.chdir(tmp_path)
    names = [Path("in.mkv"), tmp_path / "." / "in.mkv", tmp_path.parent / tmp_path.name / "in.mkv"]
    os.link(source, tmp_path / "hard.mkv")
    names.append(tmp_path / "hard.mkv")
    if os.name != "nt":
        (tmp_path / "soft.mkv").symlink_to(source)
        names.append(tmp_path / "soft.mkv")
    for name in names:
        with pytest.raises(MediaError, match="is the same file as"):
            check_output(name, [source], overwrite=overwrite)
    # A file that is yet to be made, under two names of it.
    for name in ("new.mkv", "./new.mkv", "NEW.mkv"):
        with pytest.raises(MediaError, match="is the same file as"):
            check_output(tmp_path / name, [Path("new.mkv")], overwrite=overwrite)


def test_a_folder_is_asked_for_before_the_work(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match=r"out\.json: the folder doesn't exist"):
        check_output(tmp_path / "none" / "out.json", [], overwrite=True)
    with pytest.raises(MediaError, match="is a folder"):
        check_output(tmp_path, [], overwrite=True)


def test_files_on_the_way_have_names_of_their_own(tmp_path: Path) -> None:
    """What another run, or a user, has under such a name stays as it is."""
    for name in ("page.html.partial", "stats.json.partial"):
        (tmp_path / name).write_text("precious")
    Page("t").write(tmp_path / "page.html")
    frames = [FrameStats(seconds=0.0, max_nits=1.0, average_nits=1.0)]
    write_stats(tmp_path / "stats.json", frames)
    assert read_stats(tmp_path / "stats.json") == frames
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "page.html",
        "page.html.partial",
        "stats.json",
        "stats.json.partial",
    ]
    assert (tmp_path / "page.html.partial").read_text() == "precious"
    with pytest.raises(MediaError, match="No such file"):
        write_stats(tmp_path / "none" / "stats.json", frames)


@pytest.fixture
def folder(tmp_path: Path, media: Media, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the current folder, with a film and a file that somebody needs."""
    monkeypatch.chdir(tmp_path)
    shutil.copy(media.silent, "in.mp4")
    Path("old.json").write_text("precious")
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("convert in.mp4 out.mkv --stats in.mp4", "in.mp4: is the same file as in.mp4"),
        ("convert in.mp4 out.mkv --stats in.mp4 --overwrite", "is the same file as in.mp4"),
        ("convert in.mp4 out.mkv --stats out.mkv --overwrite", "is the same file as out.mkv"),
        ("convert in.mp4 out.mkv --stats old.json", "old.json: exists already; add --overwrite"),
        ("convert in.mp4 out.mkv --stats none/x.json", "x.json: the folder doesn't exist"),
        ("preview in.mp4 -o in.mp4 --overwrite", "is the same file as in.mp4"),
        ("preview in.mp4 -o old.json", "exists already; add --overwrite"),
        ("preview in.mp4 -o none/x.html", "the folder doesn't exist"),
        ("report in.mp4 -o in.mp4 --overwrite", "is the same file as in.mp4"),
        ("report in.mp4 --stats old.json -o old.json --overwrite", "same file as old.json"),
        ("report in.mp4 -o none/x.html", "the folder doesn't exist"),
    ],
)  # fmt: skip
def test_commands_refuse_before_any_work(
    arguments: str,
    message: str,
    folder: Path,
    tiny_weights: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def never(*_: object, **__: object) -> None:
        raise AssertionError("worked")

    for name in ("convert", "open_clip"):
        monkeypatch.setattr(f"vs_gainmap.video.{name}", never)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    weights = ["--weights", str(tiny_weights)] if not arguments.startswith("report") else []
    assert main([*arguments.split(), *weights]) == 1
    assert message in capsys.readouterr().err.strip().splitlines()[-1]
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_overwrite_replaces_stats_too(folder: Path, tiny_weights: Path) -> None:
    command = ["convert", "in.mp4", "out.mkv", "--stats", "old.json", "--quiet", "--frames", "2"]
    command += ["--weights", str(tiny_weights), "--encoder", "ffv1", "--overwrite"]
    assert main(command) == 0
    assert len(read_stats(folder / "old.json")) == 2


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="no such device")
def test_a_device_without_end_is_refused() -> None:
    tracemalloc.start()
    try:
        with pytest.raises(MediaError, match="larger than any such file"):
            read_bytes(Path("/dev/zero"), 3 << 20)
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()


def test_a_file_of_the_largest_size_is_read(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"123")
    assert read_bytes(tmp_path / "a", 3) == b"123"
    with pytest.raises(MediaError, match="larger than"):
        read_bytes(tmp_path / "a", 2)
    with pytest.raises(MediaError, match="No such file"):
        read_bytes(tmp_path / "b", 2)


def test_what_comes_meanwhile_is_not_replaced_unasked(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    check_output(path, [], overwrite=False)
    path.write_bytes(b"another run")
    with pytest.raises(MediaError, match=r"a\.jpg: another file has come there meanwhile"):
        write_bytes(path, b"mine", overwrite=False)
    assert path.read_bytes() == b"another run"
    write_bytes(path, b"mine", overwrite=True)
    assert path.read_bytes() == b"mine"
    write_bytes(tmp_path / "b.jpg", b"free", overwrite=False)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.jpg", "b.jpg"]


@pytest.mark.skipif(sys.platform != "linux", reason="its cache folder is named by a variable there")
def test_a_cache_folder_that_can_not_be_made_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(BackendError, match=r"the cache folder .* can't be made: Not a directory"):
        cache_folder()

"""A film in chunks: the same pictures, and nothing that is finished is done again."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.encodes import FAST
from tests.films import CHUNK, StopError, digest, run, stop_at, stopped
from tests.media import X264, decode, ffmpeg, frame_times, pixels
from tests.test_hdr10plus import read_back
from vs_gainmap.errors import MediaError
from vs_gainmap.video import Encoded
from vs_gainmap.video.chunks import Run, plan_runs
from vs_gainmap.video.index import scan
from vs_gainmap.video.work_folder import Resume, WorkFolder, count_chunks, work_folder_of


def test_chunks_begin_at_key_frames(film: Path) -> None:
    index = scan(film)
    runs = plan_runs(index, 0, 48, seconds=CHUNK)
    assert runs == (Run(0, 8), Run(8, 8), Run(16, 8), Run(24, 8), Run(32, 8), Run(40, 8))
    # Of a part they count from its first frame; key frames are the file's.
    assert plan_runs(index, 5, 30, seconds=CHUNK) == (Run(0, 11), Run(11, 8), Run(19, 11))
    assert plan_runs(index, 0, 48) == (Run(0, 48),)


def test_without_key_frames_nearby_chunks_have_their_length(tmp_path: Path) -> None:
    path = tmp_path / "one.mp4"
    ffmpeg("-f", "lavfi", "-i", "testsrc2=s=96x64:r=24:d=2", *X264, "-g", "999", path)
    runs = plan_runs(scan(path), 0, 48, seconds=0.5)
    assert runs == (Run(0, 12), Run(12, 12), Run(24, 12), Run(36, 12))


def test_chunks_are_the_film(film: Path, undisturbed: Encoded, tmp_path: Path) -> None:
    """Pictures, times, light levels and scenes, whatever the chunks."""
    whole, cut = run(film, tmp_path / "whole.mkv", chunk_seconds=15), undisturbed
    assert decode(cut.path) == decode(whole.path)
    assert frame_times(cut.path) == frame_times(whole.path)
    assert cut.light == whole.light
    assert cut.film == whole.film
    assert len(cut.film) == 48
    assert not work_folder_of(cut.path).exists()


def test_hdr10plus_scenes_go_over_the_ends_of_chunks(film: Path, tmp_path: Path) -> None:
    options = {"encoder": "x265", "preset": "ultrafast", "hdr10plus": True}
    whole = run(film, tmp_path / "whole.mkv", chunk_seconds=15, **options)
    cut = run(film, tmp_path / "cut.mkv", **options)
    assert cut.scenes == whole.scenes == 7
    said = read_back(cut.path)
    assert said == read_back(whole.path)
    assert len(set(said)) == 7


def test_chunks_cost_little_with_x265(film: Path, undisturbed: Encoded, tmp_path: Path) -> None:
    """PQ-PSNR against what went in, and nothing but pictures that can be decoded."""
    original = pixels(undisturbed.path, "yuv420p10le", (96 * 64 * 3 // 2,)).astype(float)[
        :, : 96 * 64
    ]

    def psnr(path: Path) -> float:
        coded = pixels(path, "yuv420p10le", (96 * 64 * 3 // 2,)).astype(float)[:, : 96 * 64]
        assert coded.shape == original.shape
        return float(10 * np.log10(1023**2 / np.square(coded - original).mean()))

    # Key frames at the same places in both: what is left is the encoder's memory across them.
    fixed = {"encoder": "x265", "preset": "veryfast", "encoder_params": "keyint=8:min-keyint=8"}
    whole = run(film, tmp_path / "whole.mkv", chunk_seconds=15, **fixed)
    cut = run(film, tmp_path / "cut.mkv", **fixed)
    assert psnr(cut.path) == pytest.approx(psnr(whole.path), abs=0.5)
    assert cut.path.stat().st_size == pytest.approx(whole.path.stat().st_size, rel=0.1)


@pytest.mark.parametrize("encoder", ["x265", "svtav1", "prores"])
def test_it_goes_on_where_it_stopped(encoder: str, film: Path, tmp_path: Path) -> None:
    suffix = "mov" if encoder == "prores" else "mp4"
    target, fixed = tmp_path / f"out.{suffix}", {"encoder": encoder, "preset": FAST[encoder]}
    in_one_go = run(film, tmp_path / f"undisturbed.{suffix}", **fixed)
    with pytest.raises(StopError):
        run(film, target, progress=stop_at(20), **fixed)
    folder = work_folder_of(target)
    assert count_chunks(folder) == 2
    seen: list[WorkFolder] = []
    frames: list[int] = []
    run(
        film,
        target,
        resume=Resume(begun=seen.append),
        progress=lambda done, *_: frames.append(done),
        **fixed,
    )
    assert list(seen[0].found) == [0, 1]
    assert frames == sorted(frames)
    assert (frames[0] >= 16, frames[-1]) == (True, 48)
    assert digest(target) == digest(in_one_go.path)
    assert not folder.exists()


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 3] ^= 1
    path.write_bytes(data)


def empty(path: Path) -> None:
    path.write_bytes(b"")


def of_another(path: Path) -> None:
    """A sound chunk of as many frames, but of another conversion."""
    other = run_elsewhere(path)
    shutil.copy(other / path.name, path)


def run_elsewhere(path: Path) -> Path:
    source = path.parent.parent / "film.mkv"
    return stopped(source, path.parent.parent / "other.mkv", resume=Resume(described={"a": "b"}))


@pytest.mark.parametrize("damage", [cut, flip, empty, of_another])
def test_a_damaged_chunk_is_made_again(
    damage: Callable[[Path], None], film: Path, undisturbed: Encoded, tmp_path: Path
) -> None:
    source, target = tmp_path / "film.mkv", tmp_path / "out.mkv"
    shutil.copy2(film, source)
    folder = stopped(source, target)
    damage(folder / "00001.chunk")
    seen: list[WorkFolder] = []
    run(source, target, resume=Resume(begun=seen.append))
    assert list(seen[0].found) == [0, 2]
    assert digest(target) == digest(undisturbed.path)


def test_what_differs_is_named(film: Path, tmp_path: Path) -> None:
    target = tmp_path / "out.mkv"
    folder = stopped(film, target, encoder="x265", preset="ultrafast", crf=20)
    before = sorted(path.name for path in folder.iterdir())
    for options, message in (
        ({"crf": 21}, r"out\.mkv\.work: was begun with crf 20, now 21; give the same to go on, "),
        ({"encoder": "ffv1", "preset": None, "crf": None}, "begun with encoder x265, now ffv1;"),
        ({"resume": Resume(described={"--strength": "2"})}, "--strength not given, now 2"),
        ({"chunk_seconds": 0.8}, "begun with other chunks; .* or --restart"),
    ):
        fixed = {"encoder": "x265", "preset": "ultrafast", "crf": 20} | options
        with pytest.raises(MediaError, match=message):
            run(film, target, **fixed)
        assert sorted(path.name for path in folder.iterdir()) == before
    run(film, target, resume=Resume(restart=True), chunk_seconds=0.8)
    assert len(frame_times(target)) == 48
    assert list(tmp_path.iterdir()) == [target]


def test_an_input_that_changed_is_named(film: Path, tmp_path: Path) -> None:
    source, target = tmp_path / "in.mkv", tmp_path / "out.mkv"
    shutil.copy2(film, source)
    stopped(source, target)
    os.utime(source, (1, 1))
    with pytest.raises(MediaError, match=r"begun with input of \d+ bytes, 48 frames, changed 20"):
        run(source, target)


def test_another_version_is_named(film: Path, tmp_path: Path) -> None:
    target = tmp_path / "out.mkv"
    manifest = stopped(film, target) / "manifest.json"
    fields = json.loads(manifest.read_text())
    manifest.write_text(json.dumps(fields | {"version": 99}))
    with pytest.raises(MediaError, match="another version of vs_gainmap, whose folders have form"):
        run(film, target)
    assert count_chunks(manifest.parent) == 3


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"format": 1}', "[" * 100_000])
def test_a_foreign_folder_is_left_alone(content: str, film: Path, tmp_path: Path) -> None:
    target = tmp_path / "out.mkv"
    folder = work_folder_of(target)
    folder.mkdir()
    (folder / "manifest.json").write_text(content)
    (folder / "thesis.txt").write_text("precious")
    for resume in (Resume(), Resume(restart=True)):
        with pytest.raises(MediaError, match="is in the way, and no work folder of vs_gainmap"):
            run(film, target, resume=resume)
    assert sorted(path.name for path in folder.iterdir()) == ["manifest.json", "thesis.txt"]


def test_what_somebody_put_in_our_folder_stays(film: Path, tmp_path: Path) -> None:
    target = tmp_path / "out.mkv"
    folder = stopped(film, target)
    (folder / "thesis.txt").write_text("precious")
    run(film, target)
    assert [path.name for path in folder.iterdir()] == ["thesis.txt"]


def test_a_file_in_the_way_is_named(film: Path, tmp_path: Path) -> None:
    target = tmp_path / "out.mkv"
    work_folder_of(target).write_text("precious")
    with pytest.raises(MediaError, match="is in the way"):
        run(film, target)
    assert work_folder_of(target).read_text() == "precious"


def test_of_two_runs_the_second_stops(film: Path, tmp_path: Path) -> None:
    target = tmp_path / "out.mkv"
    found: list[str] = []

    def second(done: int, total: int, size: int) -> None:  # noqa: ARG001
        if not found and done == 20:
            with pytest.raises(MediaError) as caught:
                run(film, target)
            found.append(str(caught.value))

    run(film, target, progress=second)
    assert found[0].startswith(f"{work_folder_of(target)}: process {os.getpid()} on ")
    assert found[0].endswith(" works on it; wait for it")
    assert list(tmp_path.iterdir()) == [target]


def test_a_run_that_finished_no_chunk_leaves_nothing(film: Path, tmp_path: Path) -> None:
    folder = stopped(film, tmp_path / "out.mkv", frames=1)
    assert not folder.exists()
    stopped(film, tmp_path / "out.mkv", resume=None)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.name == "nt", reason="no limits on files there")
def test_a_full_disk_leaves_what_is_finished(
    film: Path, undisturbed: Encoded, tmp_path: Path
) -> None:
    import resource

    target = tmp_path / "out.mkv"
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    # Enough for each chunk, not for the file.
    limit = undisturbed.path.stat().st_size // 2
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    try:
        with pytest.raises(MediaError) as caught:
            run(film, target)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert str(caught.value) == f"{target}: can't be written: File too large"
    assert count_chunks(work_folder_of(target)) == 6
    run(film, target)
    assert digest(target) == digest(undisturbed.path)


def test_a_rate_for_the_whole_film_keeps_it_whole(film: Path, tmp_path: Path) -> None:
    made = run(
        film, tmp_path / "out.mkv", encoder="x265", preset="ultrafast",
        encoder_params="bitrate=200",
    )  # fmt: skip
    assert made.notes == (
        "encoder parameter bitrate is for the whole film; it was not cut in chunks",
    )

"""Stats of a conversion: kept by `convert`, found and checked by `report`."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import vapoursynth as vs

from tests.clips import BT709, noise, pq_ramp
from vs_gainmap.cli import main
from vs_gainmap.errors import MediaError
from vs_gainmap.preview.report import measure_frames
from vs_gainmap.preview.stats import FrameStats, read_stats, stats_beside, write_stats
from vs_gainmap.video import encode, open_clip


@pytest.fixture
def video(tmp_path: Path) -> Path:
    path = tmp_path / "hdr.mkv"
    encode(pq_ramp(), path, encoder="ffv1")
    return path


def report(video: Path, *more: str) -> str:
    assert main(["report", str(video), "--quiet", "--overwrite", *more]) == 0
    return video.with_name(video.name + ".report.html").read_text()


def test_stats_round_trip(tmp_path: Path) -> None:
    frames = [FrameStats(seconds=0.5, max_nits=900.0, average_nits=50.0, qmax=1.5)]
    write_stats(tmp_path / "s.json", frames)
    assert read_stats(tmp_path / "s.json") == frames


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        "[" * 100_000,
        '{"frames": 1}',
        '{"frames": [1]}',
        '{"frames": [{"seconds": 1}]}',
        '{"frames": [{"seconds": NaN, "max_nits": 1, "average_nits": 1}]}',
        '{"frames": [{"seconds": 0, "max_nits": 1e999, "average_nits": 1}]}',
        '{"frames": [{"seconds": 0, "max_nits": 1, "average_nits": "1"}]}',
        '{"frames": [{"seconds": 0, "max_nits": 1, "average_nits": 1, "active_area": 5}]}',
        '{"frames": [{"seconds": 0, "max_nits": 1, "average_nits": 1, "active_area": [0, 0]}]}',
        '{"frames": [{"seconds": 0, "max_nits": 1, "average_nits": 1, "qmax": [1]}]}',
    ],
)
def test_what_is_no_stats_file_is_one_line(tmp_path: Path, text: str) -> None:
    (tmp_path / "bad.json").write_text(text)
    with pytest.raises(MediaError, match="is no stats file") as caught:
        read_stats(tmp_path / "bad.json")
    assert "\n" not in str(caught.value)


def test_without_stats_it_says_why_there_is_no_qmax(video: Path) -> None:
    text = report(video)
    assert "There is no Qmax: a video doesn&#x27;t carry it." in text
    assert "named VIDEO.stats.json" in text
    assert "MaxCLL, MaxFALL measured here, as decoded" in text


def test_stats_beside_the_video_are_found(video: Path, tmp_path: Path) -> None:
    row = {"max_nits": 640.0, "average_nits": 300.0, "qmax": 1.5}
    frames = [FrameStats(seconds=n / 24, **row) for n in range(3)]
    beside = stats_beside(video)
    assert beside == tmp_path / "hdr.mkv.stats.json"
    write_stats(beside, frames)
    text = report(video)
    assert "There is no Qmax" not in text
    assert "MaxCLL, MaxFALL measured by convert, before the encoder" in text
    assert ">640, 300 cd/m²<" in text
    # The page must not go where they are.
    assert main(["report", str(video), "-o", str(beside), "--overwrite", "--quiet"]) == 1

    write_stats(beside, frames[:2])
    text = report(video)
    assert "hdr.mkv.stats.json has 2 frames, the video 3; it is left out." in text
    assert "There is no Qmax" in text
    beside.write_text("{}")
    assert "hdr.mkv.stats.json is left out:" in report(video)
    write_stats(beside, frames)
    os.utime(beside, (1, 1))
    assert "is older than the video, and left out." in report(video)
    assert "There is no Qmax" not in report(video, "--stats", str(beside))


def test_convert_keeps_stats_for_the_report(
    tmp_path: Path, tiny_weights: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, video, stats = (tmp_path / name for name in ("sdr.mkv", "hdr.mkv", "stats.json"))
    # Gray, lossless: what is measured before the encoder is what comes out behind it.
    gray = noise(64, 48, 5, vs.YUV420P10, _ChromaLocation=0, **BT709).std.Expr(["", "512"])
    encode(gray, source, encoder="ffv1")
    arguments = ["convert", str(source), str(video), "--quiet", "--encoder", "ffv1"]
    arguments += ["--weights", str(tiny_weights), "--stats", str(stats)]
    assert main(arguments) == 0
    frames = read_stats(stats)
    assert len(frames) == 5
    assert [f.seconds for f in frames] == pytest.approx([n / 24 for n in range(5)], abs=2e-3)
    measured = measure_frames(open_clip(video))
    for ours, coded in zip(frames, measured, strict=True):
        assert ours.qmax
        assert ours.average_nits == pytest.approx(coded.average_nits, rel=0.02)
    capsys.readouterr()
    assert main(["report", str(video), "--stats", str(stats), "--quiet"]) == 0
    assert "Qmax" in Path(capsys.readouterr().out.strip()).read_text()

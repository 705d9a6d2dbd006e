"""The benchmark scripts run, and say what they measured."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import vapoursynth as vs

from tests.media import Media
from vs_gainmap import bench, bench_network, bench_pipeline
from vs_gainmap.bench import noise_clip
from vs_gainmap.fused.readiness import SWITCH


def test_filters_are_timed_beside_zimg(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(bench.SIZES, "540p", (192, 108))
    monkeypatch.delenv(SWITCH, raising=False)
    out = tmp_path / "rows.json"
    command = ["bench", "--sizes", "540p", "--frames", "3", "--rounds", "1", "--json", str(out)]
    monkeypatch.setattr("sys.argv", command)
    assert bench.main() == 0
    rows = json.loads(out.read_text())["rows"]
    ways = ["apply", "all but the network", "smooth, apply", "smooth, apply, measure"]
    assert [row["what"] for row in rows] == [
        "zimg SDR to PQ", *ways, *(f"{way}, filters" for way in ways)
    ]  # fmt: skip
    assert all(row["ms"] > 0 for row in rows)
    assert SWITCH not in os.environ


def test_the_whole_way_is_timed_beside_zimg(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(bench_pipeline.SIZES, "540p", (192, 108))
    out, drawn = tmp_path / "rows.json", tmp_path / "plot.svg"
    command = ["--sizes", "540p", "--in-flight", "1", "2", "--frames", "4", "--rounds", "1"]
    assert bench_pipeline.main([*command, "--json", str(out), "--plot", str(drawn)]) == 0
    rows = json.loads(out.read_text())["rows"]
    assert [(row["way"], row["in_flight"]) for row in rows] == [
        (way, count) for way in (bench_pipeline.ZIMG, "fast") for count in (1, 2)
    ]
    for row in rows:
        assert row["fps"] == pytest.approx(1000 / row["ms"], rel=0.05)
        assert row["fastest"] <= row["ms"] <= row["slowest"]
    assert min(row["times_zimg"] for row in rows) == 1
    table = capsys.readouterr().out
    assert all(text in table for text in ("x zimg", "zimg alone", "fast"))
    assert "megapixels" in drawn.read_text()


def test_the_whole_way_beside_the_published_code(monkeypatch: pytest.MonkeyPatch) -> None:
    """What plain eager float32 GMNet alone takes at the map's size, in the same run."""
    monkeypatch.setitem(bench_pipeline.SIZES, "540p", (192, 108))
    rows = bench_pipeline.measure(
        ["540p"], ["fast", "fast:torch::measure"], [1], frames=3, rounds=1, eager=True
    )
    by = {row.way: row for row in rows}
    assert list(by) == [bench_pipeline.ZIMG, "fast", "fast:torch::measure", bench_pipeline.EAGER]
    eager = by[bench_pipeline.EAGER]
    assert eager.times_faster_than_eager == 1
    for row in rows:
        assert row.times_faster_than_eager == pytest.approx(eager.ms / row.ms, rel=0.05)
    clip = noise_clip(96, 64, 2)
    with bench_pipeline.open_way("fast:torch::measure", clip).get_frame(0) as frame:
        assert frame.props["FrameMaxNits"] > 0


def test_networks_are_timed_beside_eager(
    tmp_path: Path, media: Media, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "network.json"
    command = [str(media.plain), "--size", "96x64", "--rounds", "2", "--json", str(out)]
    assert bench_network.main([*command, "--ways", "torch bfloat16", "ov float32"]) == 0
    rows = json.loads(out.read_text())["rows"]
    assert [row["way"] for row in rows] == [bench_network.EAGER, "torch bfloat16", "ov float32"]
    assert rows[0]["clock_ratio"] == rows[0]["work_ratio"] == 1
    for row in rows:
        assert row["fastest"] <= row["clock"] <= row["slowest"]
    assert rows[2]["pq_psnr"] > 80 > rows[1]["pq_psnr"] > 45
    assert "ratio" in capsys.readouterr().out


def test_ways_are_models_backends_and_precisions() -> None:
    clip = noise_clip(96, 64, 2)
    assert bench_pipeline.open_way("fast", clip).format.id == vs.YUV420P10
    with pytest.raises(vs.Error, match="model"):
        bench_pipeline.open_way("fastest", clip)
    with pytest.raises(vs.Error, match="backend"):
        bench_pipeline.open_way("gmnet:nope", clip)
    with pytest.raises(vs.Error, match='"all" is not'):
        bench_pipeline.open_way("fast:torch::all", clip)
    maps = bench_pipeline.open_way("fast:torch::every2:maps", clip)
    assert (maps.format.id, maps.width) == (vs.GRAYS, 24)
    with pytest.raises(vs.Error, match="map_every"):
        bench_pipeline.open_way("fast:torch::every9", clip)


def test_a_way_that_is_not_open_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(bench_pipeline.SIZES, "540p", (192, 108))
    command = ["--sizes", "540p", "--ways", "gmnet:no_such_backend", "--frames", "2"]
    assert bench_pipeline.main(command) == 1
    said = capsys.readouterr().err.strip().splitlines()
    assert len(said) == 1
    assert said[0].startswith("bench: ")
    assert "no_such_backend" in said[0]

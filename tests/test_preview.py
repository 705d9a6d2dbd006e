"""False color, scopes, and pages that a real browser opens."""

from __future__ import annotations

import html
import json
import re
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
import vapoursynth as vs

from tests.browser import dump_dom, find_browser
from tests.clips import BT709, drawn, frame_props, noise, planes
from vs_gainmap import apply, gainmap_overlay, nits_overlay, predict, sdr_to_hdr10
from vs_gainmap.cli import main
from vs_gainmap.color.primaries import convert_primaries
from vs_gainmap.color.transfer import pq_eotf, pq_inverse_eotf
from vs_gainmap.errors import MediaError
from vs_gainmap.extras import install_command
from vs_gainmap.filters.false_color import NitsScale, StopsScale
from vs_gainmap.filters.options import Conversion
from vs_gainmap.photo.read import read_photo
from vs_gainmap.photo.render import render_photo
from vs_gainmap.preview.frames import Previewer, pixel_shares
from vs_gainmap.preview.pictures import legend, tone_map, ultra_hdr
from vs_gainmap.preview.report import measure_frames
from vs_gainmap.preview.scopes import histogram, waveform
from vs_gainmap.preview.stats import FrameStats, read_stats, write_stats
from vs_gainmap.video import encode, open_clip


def test_stops_are_blue_below_gray_at_and_warm_above_zero() -> None:
    scale = StopsScale(-2.0, 3.0)
    below, zero, above, top = scale.paint(np.array([[-1.8, 0.0, 1.0, 3.0]], np.float32))[0].astype(
        int
    )
    assert below[2] > below[0] + 100
    assert np.ptp(zero) <= 2
    assert above[0] > above[2]
    assert top.sum() > 600
    assert [text for _, text in scale.ticks()] == ["-2", "-1", "0", "+1", "+2", "+3"]


def test_nits_scale_is_pq() -> None:
    scale = NitsScale()
    colors = scale.paint(np.array([[0.0, 203.0, 4000.0, 9000.0]], np.float32))[0]
    assert (colors[2] == colors[3]).all()
    assert len({tuple(c) for c in colors[:3]}) == 3
    places = {text: place for place, text in scale.ticks()}
    assert places["203"] == pytest.approx(0.580689 / 0.902573, abs=1e-3)


def test_legend_fits_and_shows_the_table() -> None:
    scale = StopsScale(0.0, 2.3)
    strip = legend(scale, 320)
    assert strip.shape == (44, 320, 3)
    assert (strip[10, 24] == scale.table[0]).all()
    assert (strip[10, 320 - 25] == scale.table[255]).all()


def test_scopes_show_where_the_light_is() -> None:
    level = float(pq_inverse_eotf(torch.tensor(203.0)))
    flat = np.full((3, 90, 160), level, np.float32)
    image = cv2.imdecode(np.frombuffer(waveform(flat), np.uint8), cv2.IMREAD_COLOR)
    bright = np.argwhere(image[..., 1].astype(int) - image[..., 2] > 60)
    assert len(bright) > 300
    rows = bright[:, 0] / image.shape[0]
    # 203 cd/m2 is 64 % of the way up to 4000 on the PQ scale, and the line is flat.
    assert 0.3 < np.median(rows) < 0.42
    assert rows.std() < 0.05
    assert histogram(flat)[:8] == b"\x89PNG\r\n\x1a\n"
    assert histogram(flat) != histogram(flat * 0.5)


def test_tone_map_keeps_order_and_gray() -> None:
    nits = torch.linspace(0, 1000, 64).expand(3, 8, 64)
    mapped = tone_map(nits, 203.0)
    assert (np.diff(mapped[0, :, 0].astype(int)) >= 0).all()
    assert np.ptp(mapped, axis=2).max() <= 1
    assert mapped.max() == 255


def test_overlays_are_clips_in_false_color(tiny_weights: Path) -> None:
    clip = noise(96, 64, 2, **BT709)
    gain_map = predict(clip, weights=tiny_weights)
    shown = gainmap_overlay(clip, gain_map)
    assert (shown.format.id, shown.width, shown.height) == (vs.RGB24, 96, 64)
    found = frame_props(gain_map, 1)
    flat = gain_map.std.BlankClip(color=0.5, keep=True).std.CopyFrameProps(gain_map)
    scale = StopsScale(0.0, found["GainMapAlternateHeadroom"])
    want = scale.paint(np.array([[0.5 * found["GainMapMax"]]], np.float32))[0, 0].astype(int)
    got = np.array([p[3, 3] for p in planes(gainmap_overlay(clip, flat), 1)]).astype(int)
    assert np.abs(got - want).max() <= 6  # one step of the table
    half = gainmap_overlay(clip, gain_map, opacity=0.5)
    assert not np.array_equal(planes(half)[0], planes(shown)[0])
    hdr = sdr_to_hdr10(clip, weights=tiny_weights)
    assert nits_overlay(hdr).format.id == vs.RGB24
    with pytest.raises(vs.Error, match="nits_overlay: clip must be PQ or HLG"):
        nits_overlay(clip)
    with pytest.raises(vs.Error, match="no GainMapMax"):
        gainmap_overlay(clip, clip)


def test_a_frame_has_what_the_filters_gave(tiny_weights: Path) -> None:
    clip = noise(64, 48, 3, **BT709)
    previewer = Previewer(clip, Conversion(weights=tiny_weights, radius=0, strength=0.5))
    shown = previewer.frame(1)
    gain_map = predict(clip, weights=tiny_weights, radius=0)
    stops = planes(gain_map, 1)[0] * frame_props(gain_map, 1)["GainMapMax"]
    assert shown.seconds == pytest.approx(1 / 24)
    assert shown.sdr.shape == (48, 64, 3)
    assert shown.stops.mean() == pytest.approx(0.5 * np.clip(stops, 0, 2.33).mean(), rel=0.05)
    want = planes(apply(clip, gain_map, strength=0.5, format=vs.RGBS), 1)
    np.testing.assert_allclose(shown.pq, np.stack(want), atol=1e-5)


def two_shots() -> vs.VideoNode:
    """Return 10 + 10 PQ frames of 100 and 600 cd/m2, with a gradient in each."""
    blank = noise(128, 96, 20, vs.YUV420P10, _Matrix=9, _Transfer=16, _Primaries=9, _Range=0)

    def draw(n: int, p: int, shape: tuple[int, int]) -> np.ndarray:
        if p:
            return np.full(shape, 512)
        nits = torch.linspace(1, 100 if n < 10 else 600, shape[1])
        code = 64 + 876 * pq_inverse_eotf(nits).numpy()
        return np.broadcast_to(code if n < 10 else code[::-1], shape)

    return drawn(blank, draw).std.SetFrameProps(_ChromaLocation=0)


def test_frames_are_measured_and_cuts_found() -> None:
    frames = measure_frames(two_shots())
    assert [n for n, f in enumerate(frames) if f.begins_shot] == [10]
    assert frames[3].max_nits == pytest.approx(100, rel=0.02)
    assert frames[15].max_nits == pytest.approx(600, rel=0.02)
    assert frames[15].average_nits == pytest.approx(300, rel=0.05)
    assert frames[12].seconds == pytest.approx(0.5)


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


# Each figure's caption, and its picture's own size; what sticks out to the right; what overlaps.
PROBE = """
<script>addEventListener('load', () => {
  const boxes = [...document.querySelectorAll('figure, table, h1, h2, p, [data-hover] svg')];
  const rects = boxes.map(box => box.getBoundingClientRect());
  const overlaps = [];
  rects.forEach((a, i) => rects.slice(i + 1).forEach((b, k) => {
    if (a.left < b.right - 1 && b.left < a.right - 1 && a.top < b.bottom - 1
        && b.top < a.bottom - 1) overlaps.push([boxes[i].innerText, boxes[i + 1 + k].innerText]);
  }));
  const figures = [...document.querySelectorAll('figure')];
  const plot = document.querySelector('[data-hover]');
  if (plot) {
    const box = plot.firstElementChild.getBoundingClientRect();
    const clientX = box.left + 0.75 * box.width;
    plot.dispatchEvent(new PointerEvent('pointermove', {clientX, clientY: box.top + 9}));
  }
  document.title = JSON.stringify({
    figures: figures.map(f => [f.innerText.trim(), ...[...f.querySelectorAll('img')].flatMap(
      i => [i.naturalWidth, i.naturalHeight])]),
    places: figures.map(f => [f.getBoundingClientRect().left, f.getBoundingClientRect().top]),
    hover: plot && plot.lastElementChild.textContent,
    wide: document.documentElement.scrollWidth - innerWidth, overlaps,
  });
})</script></body>"""


def probe(page: Path, tmp_path: Path, width: int, *, in_ci: bool) -> dict[str, Any]:
    """Return what Chromium makes of a page: figures, with their pictures decoded, and layout."""
    probed = tmp_path / "probe.html"
    probed.write_text(page.read_text().replace("</body>", PROBE))
    dom = dump_dom(find_browser(in_ci=in_ci), probed, tmp_path / f"profile-{width}", width)
    title = re.search(r"<title>(.*?)</title>", dom)
    assert title
    found: dict[str, Any] = json.loads(html.unescape(title.group(1)))
    return found


def check_layout(page: Path, tmp_path: Path, *, in_ci: bool) -> dict[str, Any]:
    """Check that nothing overlaps or sticks out on a wide and a narrow screen."""
    found = {}
    for width in (500, 1400):
        found = probe(page, tmp_path, width, in_ci=in_ci)
        assert found["wide"] <= 0, width
        assert found["overlaps"] == [], width
    return found


def test_report_page(tmp_path: Path, capsys: pytest.CaptureFixture[str], *, in_ci: bool) -> None:
    video = tmp_path / "two.mkv"
    encode(two_shots(), video, preset="ultrafast")
    assert main(["report", str(video), "--quiet"]) == 0
    page = Path(capsys.readouterr().out.strip())
    assert page.name == "two.mkv.report.html"
    text = page.read_text()
    assert "measured here, as decoded" in text
    assert "<svg" in text
    assert main(["report", str(video), "--quiet"]) == 1
    assert "exists already; add --overwrite" in capsys.readouterr().err
    found = check_layout(page, tmp_path, in_ci=in_ci)
    captions = [re.fullmatch(r"([\d.]+) s: (\d+) cd/m²", c) for c, *_ in found["figures"]]
    assert [caption[1] for caption in captions[:2]] == ["0.00", "0.42"]
    # The brightest frames of the two shots follow.
    for first, brightest in zip(captions[:2], captions[2:], strict=True):
        assert int(brightest[2]) >= int(first[2])
    assert [sides for _, *sides in found["figures"]] == [[256, 192]] * 4
    text = html.unescape(text)
    assert "<th>codec</th><td>hevc, Main 10<" in text
    assert re.search(r"<th>file</th><td>two.mkv, \d+ kB, [\d.]+ Mbit/s with all streams<", text)
    assert f"<th>command</th><td>vs-gainmap report {video} --quiet<" in text
    # Three quarters of the way to the right.
    assert re.fullmatch(r"0\.6\d s: \d{3} cd/m², average \d+\.\d", found["hover"])


@pytest.mark.parametrize(
    ("command", "missing"),
    [("preview", "imagecodecs"), ("preview", "matplotlib"), ("report", "matplotlib")],
)
def test_a_missing_library_is_one_line_before_any_work(
    command: str,
    missing: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    for name in [n for n in sys.modules if n.startswith(f"{missing}.")]:
        monkeypatch.delitem(sys.modules, name)
    # It isn't even asked whether there is such a file.
    assert main([command, str(tmp_path / "none.mkv")]) == 1
    said = capsys.readouterr().err.strip()
    assert said.endswith(f"pages need {missing}, which is missing: {install_command('preview')}")
    assert "\n" not in said


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "sdr.mkv"
    encode(noise(128, 96, 12, vs.YUV420P10, _ChromaLocation=0, **BT709), path, encoder="ffv1")
    return path


def test_preview_page(
    tmp_path: Path,
    source: Path,
    tiny_weights: Path,
    capsys: pytest.CaptureFixture[str],
    *,
    in_ci: bool,
) -> None:
    arguments = ["preview", str(source), "--at", "0.1", "--at", "0.3", "--strength", "0.5"]
    arguments += ["--device", "cpu"]
    assert main([*arguments, "--weights", str(tiny_weights)]) == 0
    page = Path(capsys.readouterr().out.strip())
    assert page.parent == tmp_path
    text = html.unescape(page.read_text())
    assert text.count("<h2>") == 2
    for row in (
        "<th>file</th><td>sdr.mkv, YUV420P10, 128x96, 12 frames, 24 frames a second<",
        "<th>matrix</th><td>BT.709 (1), in the file<",
        f"<th>network</th><td>gmnet, weights {tiny_weights.name} on cpu by torch, ",
        "<th>options</th><td>strength 0.5, weights ",
        f"<th>command</th><td>vs-gainmap preview {source} --at 0.1 ",
        f", vs-gainmap {version('vs-gainmap')}<",
    ):
        assert row in text
    for name in ("above 203 cd/m²", "above 1000 cd/m²", "outside BT.709", "outside P3"):
        assert len(re.findall(rf"<th>pixels {name}</th><td>\d+\.\d\d%<", text)) == 2
    found = check_layout(page, tmp_path, in_ci=in_ci)
    frame = found["figures"][:10]
    assert len(found["figures"]) == 20
    # A slider over SDR, HDR and map, made of the page's own pictures.
    shown = "HDR, tone-mapped for this page"
    assert frame[0] == [f"SDR | {shown} | gain map, stops", 128, 96, 128, 96, 128, 140]
    # Chromium decodes the true HDR AVIF and the Ultra HDR JPEG, too.
    names = ("SDR", shown, "HDR as it is (PQ)", "HDR as Ultra HDR JPEG")
    assert [f for f in frame if f[0] in names] == [[name, 128, 96] for name in names]
    assert all(side for _, *sides in frame for side in sides)


def test_contact_sheet(
    tmp_path: Path,
    source: Path,
    tiny_weights: Path,
    capsys: pytest.CaptureFixture[str],
    *,
    in_ci: bool,
) -> None:
    arguments = ["preview", str(source), "--weights", str(tiny_weights), "--overwrite"]
    assert main([*arguments, "--sheet", "4"]) == 0
    page = Path(capsys.readouterr().out.strip())
    assert page.read_text().count("<h2>") == 1
    found = check_layout(page, tmp_path, in_ci=in_ci)
    legend_strip, *cells = found["figures"]
    assert legend_strip == ["scale of the gain maps, stops", 320, 44]
    assert len(cells) == 16
    # The middles of four parts of half a second at 24 frames a second.
    assert [cell[0] for cell in cells[::4]] == [f"{n / 24:.2f} s: SDR" for n in (1, 4, 7, 10)]
    assert [cell[0].split(",")[0] for cell in cells[1:4]] == ["gain map", "HDR", "HDR (PQ)"]
    assert {tuple(cell[1:]) for cell in cells} == {(320, 240)}
    # A frame's pictures stand below each other, and frames side by side.
    places = found["places"][1:]
    assert len({left for left, _ in places[:4]}) == 1
    assert [top for _, top in places[:4]] == sorted({top for _, top in places[:4]})
    assert places[4][0] > places[0][0]
    assert main([*arguments, "--sheet", "2", "--at", "0.2"]) == 0
    assert page.read_text().count("<h2>") == 2


def test_ultra_hdr_is_the_light_that_apply_gave(tiny_weights: Path, tmp_path: Path) -> None:
    ramp = drawn(
        noise(96, 64, 1, vs.YUV444P8, **BT709),
        lambda n, p, shape: (  # noqa: ARG005
            np.add.outer(
                np.arange(shape[0]), np.arange(shape[1]) if p == 0 else 60 - np.arange(shape[1])
            )
            + (30 if p == 0 else 60)
        ),
    )
    shown = Previewer(ramp, Conversion(weights=tiny_weights, strength=0.7)).frame(0)
    data = ultra_hdr(shown.sdr, shown.pq, sdr_white=shown.sdr_white, eotf=shown.eotf)
    path = tmp_path / "hdr.jpg"
    path.write_bytes(data)
    decoded = torch.from_numpy(render_photo(read_photo(path), primaries="bt2020")).movedim(-1, 0)
    want = pq_eotf(torch.from_numpy(shown.pq)) / shown.sdr_white
    error = (pq_inverse_eotf(decoded * 203) - pq_inverse_eotf(want * 203)).abs()
    # Two JPEGs of 8 bits lie between.
    assert float(error.mean()) < 0.006
    assert float(want.amax()) > 1.01  # brighter than SDR white


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


def test_pixel_shares_count_bright_and_saturated_colors() -> None:
    nits = torch.full((3, 10, 10), 100.0)
    nits[:, 0] = 300.0
    nits[:, 1, :5] = 2000.0
    nits[1:, 2] = 0.0  # BT.2020's own red is outside of both.
    p3_red = convert_primaries(torch.tensor([50.0, 0.5, 0.5]).view(3, 1, 1), "p3d65", "bt2020")
    nits[:, 3, :1] = p3_red[:, 0]
    assert pixel_shares(nits) == pytest.approx(
        {"above 203 cd/m²": 0.15, "above 1000 cd/m²": 0.05, "outside BT.709": 0.11,
         "outside P3": 0.10}
    )  # fmt: skip
    gray = torch.rand(1, 16, 16).expand(3, 16, 16) * 1000
    assert pixel_shares(gray)["outside BT.709"] == 0

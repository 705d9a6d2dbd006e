"""The report page: light, shots and metadata of a file, in a real browser."""

from __future__ import annotations

import base64
import html
import re
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import vapoursynth as vs

from tests.browser import check_layout
from tests.clips import drawn, noise, pq_ramp
from tests.encodes import pq_clip
from tests.media import ffmpeg
from vs_gainmap import measure
from vs_gainmap.cli import main
from vs_gainmap.color.transfer import pq_inverse_eotf
from vs_gainmap.filters.props import mastering_props
from vs_gainmap.hdr10 import MasteringDisplay
from vs_gainmap.preview.metadata import metadata_rows
from vs_gainmap.preview.report import measure_frames, write_report
from vs_gainmap.preview.stats import FrameStats
from vs_gainmap.video import encode, open_clip


def pictures(page: Path) -> list[np.ndarray]:
    found = re.findall(r'src="data:image/png;base64,([^"]+)"', page.read_text())
    buffers = [np.frombuffer(base64.b64decode(data), np.uint8) for data in found]
    return [cv2.imdecode(buffer, cv2.IMREAD_COLOR) for buffer in buffers]


def report(video: Path, *more: str) -> str:
    assert main(["report", str(video), "--quiet", "--overwrite", *more]) == 0
    return video.with_name(video.name + ".report.html").read_text()


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
    ("size", "aspect", "thumbnail"),
    [
        ((128, 96), (1, 1), (256, 192)),
        ((160, 90), (1, 1), (256, 144)),
        ((96, 96), (16, 9), (256, 144)),
        ((90, 160), (1, 1), (108, 192)),
        ((192, 80), (0, 0), (256, 107)),
    ],
)
def test_thumbnails_keep_the_aspect(
    size: tuple[int, int], aspect: tuple[int, int], thumbnail: tuple[int, int], tmp_path: Path
) -> None:
    clip = pq_ramp(*size, length=1).std.SetFrameProps(_SARNum=aspect[0], _SARDen=aspect[1])
    frames = [FrameStats(seconds=0.0, max_nits=600.0, average_nits=300.0)]
    write_report(tmp_path / "page.html", clip, frames, title="t")
    shown, brightest = pictures(tmp_path / "page.html")
    assert np.array_equal(shown, brightest)
    assert shown.shape[1::-1] == thumbnail


def test_metadata_is_in_words(tmp_path: Path) -> None:
    named = MasteringDisplay.named("p3d65", max_nits=1015, min_nits=0.005)
    clip = measure(pq_ramp().std.SetFrameProps(**mastering_props(named)), hdr10plus=True)
    video = tmp_path / "hdr.mkv"
    encode(clip, video, preset="ultrafast", hdr10plus=True)
    rows = dict(metadata_rows(open_clip(video)))
    assert rows["primaries"] == "BT.2020 (9)"
    assert rows["transfer"] == "PQ (16)"
    assert rows["matrix"] == "BT.2020 non-constant luminance (9)"
    assert rows["range"] == "limited (0)"
    assert rows["chroma location"] == "top left (2)"
    assert rows["mastering display"] == "P3-D65, 0.005 to 1015 cd/m²"
    assert rows["HDR10+"] == "yes"
    assert re.fullmatch(r"\d+, \d+ cd/m²", rows["MaxCLL, MaxFALL in the file"])
    assert "_Primaries" not in report(video)

    rows = dict(metadata_rows(pq_ramp()))
    assert rows["HDR10+"] == rows["mastering display"] == "none"
    own = {"MasteringDisplayPrimariesX": [0.7, 0.2, 0.1], "ContentLightLevelMax": 100}
    odd = clip.std.SetFrameProps(**own, ContentLightLevelAverage=200, _Primaries=2, _Transfer=18)
    rows = dict(metadata_rows(odd))
    display = "R(0.7000, 0.3200) G(0.2000, 0.6900) B(0.1000, 0.0600) W(0.3127, 0.3290)"
    assert rows["mastering display"] == f"{display}, 0.005 to 1015 cd/m²"
    assert rows["MaxCLL, MaxFALL in the file"].startswith("not usable: content light: needs")
    assert rows["primaries"] == "unspecified"
    assert rows["transfer"] == "HLG (18)"


def test_a_file_that_is_silent_is_taken_for_bt2020(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As Matroska of old tools has it: PQ, and not a word of matrix and primaries."""
    full, silent = tmp_path / "full.mkv", tmp_path / "silent.mkv"
    source = ("-f", "lavfi", "-i", "testsrc2=s=96x64:r=24:d=0.2")
    codec = ("-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=none")
    for path, more in ((full, ":color_primaries=bt2020:colorspace=bt2020nc"), (silent, "")):
        tags = f"format=yuv420p10,setparams=color_trc=smpte2084{more}:range=tv"
        ffmpeg(*source, "-vf", tags, *codec, path)
    text = report(silent)
    assert "The file has no primaries; BT.2020 is assumed." in text
    assert "The file has no matrix; BT.2020 non-constant luminance is assumed." in text
    assert "assumed" not in report(full)
    one, other = (pictures(p.with_name(p.name + ".report.html"))[0] for p in (full, silent))
    assert np.array_equal(one, other)
    capsys.readouterr()
    sdr = tmp_path / "sdr.mkv"
    ffmpeg(*source, "-vf", "setparams=color_trc=bt709", "-c:v", "ffv1", sdr)
    assert main(["report", str(sdr), "--quiet"]) == 1
    assert "is neither PQ nor HLG; its transfer is BT.709 (1)" in capsys.readouterr().err


def test_a_report_of_a_variable_rate_claims_none(tmp_path: Path) -> None:
    steady = tmp_path / "steady.mkv"
    encode(pq_clip(12), steady, encoder="ffv1")
    clip = measure(pq_clip(6))
    assert "23.976 frames a second" in dict(metadata_rows(clip))["format"]
    # 24 a second, but for two that stay.
    varying = clip.std.ModifyFrame(clip, _stay)
    write_report(tmp_path / "page.html", varying, measure_frames(varying), title="t")
    text = (tmp_path / "page.html").read_text()
    assert "6 frames, of a variable frame rate" in text
    assert "a second" not in text
    assert main(["report", str(steady), "-o", str(tmp_path / "steady.html"), "--quiet"]) == 0
    assert "12 frames, 23.976 frames a second" in (tmp_path / "steady.html").read_text()


def _stay(n: int, f: vs.VideoFrame) -> vs.VideoFrame:
    out = f.copy()
    out.props["_DurationNum"], out.props["_DurationDen"] = (3 if n in (2, 4) else 1), 24
    return out

"""The report page says what it knows, in words, and why it doesn't know the rest."""

from __future__ import annotations

import base64
import os
import re
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import vapoursynth as vs

from tests.clips import drawn, noise
from tests.media import ffmpeg
from vs_gainmap import measure
from vs_gainmap.cli import main
from vs_gainmap.color.transfer import pq_inverse_eotf
from vs_gainmap.filters.false_color import NitsScale, scale_top
from vs_gainmap.filters.props import mastering_props
from vs_gainmap.hdr10 import MasteringDisplay
from vs_gainmap.preview.metadata import metadata_rows
from vs_gainmap.preview.report import measure_frames, write_report
from vs_gainmap.preview.scopes import histogram, new_figure, nits_axis, waveform
from vs_gainmap.preview.stats import FrameStats, stats_beside, write_stats
from vs_gainmap.video import encode, open_clip

PQ2020 = {"_Matrix": 9, "_Transfer": 16, "_Primaries": 9, "_Range": 0, "_ChromaLocation": 2}


def ramp(width: int = 128, height: int = 96, length: int = 3, top: float = 600.0) -> vs.VideoNode:
    """Return gray PQ frames from 1 cd/m2 at the left to `top` at the right."""

    def draw(n: int, p: int, shape: tuple[int, int]) -> np.ndarray:  # noqa: ARG001
        if p:
            return np.full(shape, 512)
        code = 64 + 876 * pq_inverse_eotf(torch.linspace(1, top, shape[1])).numpy()
        return np.broadcast_to(code.round(), shape)

    return drawn(noise(width, height, length, vs.YUV420P10, **PQ2020), draw)


def pictures(page: Path) -> list[np.ndarray]:
    found = re.findall(r'src="data:image/png;base64,([^"]+)"', page.read_text())
    buffers = [np.frombuffer(base64.b64decode(data), np.uint8) for data in found]
    return [cv2.imdecode(buffer, cv2.IMREAD_COLOR) for buffer in buffers]


@pytest.fixture
def video(tmp_path: Path) -> Path:
    path = tmp_path / "hdr.mkv"
    encode(ramp(), path, encoder="ffv1")
    return path


def report(video: Path, *more: str) -> str:
    assert main(["report", str(video), "--quiet", "--overwrite", *more]) == 0
    return video.with_name(video.name + ".report.html").read_text()


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


def test_metadata_is_in_words(tmp_path: Path) -> None:
    named = MasteringDisplay.named("p3d65", max_nits=1015, min_nits=0.005)
    clip = measure(ramp().std.SetFrameProps(**mastering_props(named)), hdr10plus=True)
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

    rows = dict(metadata_rows(ramp()))
    assert rows["HDR10+"] == rows["mastering display"] == "none"
    own = {"MasteringDisplayPrimariesX": [0.7, 0.2, 0.1], "ContentLightLevelMax": 100}
    odd = clip.std.SetFrameProps(**own, ContentLightLevelAverage=200, _Primaries=2, _Transfer=18)
    rows = dict(metadata_rows(odd))
    display = "R(0.7000, 0.3200) G(0.2000, 0.6900) B(0.1000, 0.0600) W(0.3127, 0.3290)"
    assert rows["mastering display"] == f"{display}, 0.005 to 1015 cd/m²"
    assert rows["MaxCLL, MaxFALL in the file"].startswith("not usable: content light: needs")
    assert rows["primaries"] == "unspecified"
    assert rows["transfer"] == "HLG (18)"


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
    clip = ramp(*size, length=1).std.SetFrameProps(_SARNum=aspect[0], _SARDen=aspect[1])
    frames = [FrameStats(seconds=0.0, max_nits=600.0, average_nits=300.0)]
    write_report(tmp_path / "page.html", clip, frames, title="t")
    shown, brightest = pictures(tmp_path / "page.html")
    assert np.array_equal(shown, brightest)
    assert shown.shape[1::-1] == thumbnail


def test_scales_end_where_the_light_does(tmp_path: Path) -> None:
    assert [scale_top(v) for v in (0.0, 1000.0, 4000.2, 4100.0, 10000.0)] == [4000] * 3 + [1e4] * 2
    scale = NitsScale(10000.0)
    assert scale.ticks()[-1] == (1.0, "10000")
    assert NitsScale().ticks()[-1] == (1.0, "4000")
    colors = scale.paint(np.array([[4000.0, 6000.0, 10000.0]], np.float32))[0]
    assert len({tuple(color) for color in colors}) == 3
    bright = np.full((3, 40, 80), float(pq_inverse_eotf(torch.tensor(8000.0))), np.float32)
    for draw in (waveform, histogram):
        assert draw(bright, 10000.0) != draw(bright)
        assert draw(bright) == draw(bright * 2)  # beyond the scale nothing is drawn
    _, ax = new_figure(4, 3)
    nits_axis(ax, 10000.0)
    assert ax.get_yticklabels()[-1].get_text() == "10000"
    for top, labels in ((900.0, "4000"), (8000.0, "10000")):
        clip = ramp(length=2, top=top)
        write_report(tmp_path / "page.html", clip, measure_frames(clip), title="t")
        # Matplotlib draws text as paths, and leaves it as a comment.
        ticks = re.findall(r"<!-- (\d+) -->", (tmp_path / "page.html").read_text())
        assert max(ticks, key=int) == labels


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

"""The preview page: its pictures, head and layout, in a real browser."""

from __future__ import annotations

import base64
import html
import re
import sys
from fractions import Fraction
from importlib.metadata import version
from pathlib import Path

import cv2
import numpy as np
import pytest
import vapoursynth as vs

from tests.browser import check_layout
from tests.clips import BT709, noise
from tests.media import Media, ffmpeg
from vs_gainmap.cli import main
from vs_gainmap.extras import install_command
from vs_gainmap.filters.options import Conversion
from vs_gainmap.preview.frames import Previewer
from vs_gainmap.video import encode, open_clip
from vs_gainmap.video.index import scan

# Saturated enough that a wrong matrix or wrong primaries are far off.
COLOR = (200, 60, 40)


def painted(matrix: int, primaries: int, transfer: int, **options: int) -> vs.VideoNode:
    """Return one color, meant as BT.709 and coded as said, without any prop that says so."""
    rgb = vs.core.std.BlankClip(
        format=vs.RGB24, width=96, height=64, length=3, color=list(COLOR)
    ).std.SetFrameProps(_Matrix=0, _Transfer=4, _Primaries=1, _Range=1)
    wide = rgb.resize.Bicubic(format=vs.RGBS, primaries=primaries)
    wide = wide.std.SetFrameProps(_Transfer=transfer)
    coded = wide.resize.Bicubic(format=vs.YUV444P10, matrix=matrix, **options)
    return coded.std.RemoveFrameProps(["_Matrix", "_Transfer", "_Primaries", "_Range"])


def picture(page: Path) -> np.ndarray:
    """Return the first SDR picture of a page, R, G, B."""
    data = re.search(r'SDR" src="data:image/png;base64,([^"]+)"', page.read_text())
    assert data
    encoded = np.frombuffer(base64.b64decode(data[1]), np.uint8)
    return cv2.imdecode(encoded, cv2.IMREAD_COLOR)[..., ::-1]


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
    # Three quarters of the way: the SDR is hidden by the HDR, and half of that by the map.
    assert found["wiped"] == [0, 0, 50]
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


CASES = [
    # 96x64 without props is BT.601 by the usual rule: here it is wrong, and the user says so.
    ((1, 1, 1), {"range": 0}, "--matrix 709 --primaries 709 --transfer 709"),
    ((6, 1, 1), {"range": 1}, "--range full --primaries 709 --matrix 170m"),
    ((9, 9, 14), {"range": 0}, "--matrix 2020ncl --primaries 2020 --transfer 2020"),
]


@pytest.mark.parametrize(("codes", "options", "arguments"), CASES)
def test_the_sdr_picture_is_what_the_user_says(
    codes: tuple[int, int, int],
    options: dict[str, int],
    arguments: str,
    tmp_path: Path,
    tiny_weights: Path,
) -> None:
    clip = painted(*codes, **options)
    # The writer wants tags; they are the wrong ones.
    wrong = clip.std.SetFrameProps(_Matrix=6, _Transfer=6, _Primaries=6, _Range=0)
    source = tmp_path / "in.mkv"
    encode(wrong, source, encoder="ffv1")
    page = tmp_path / "page.html"
    command = ["preview", str(source), "--weights", str(tiny_weights), "--at", "0"]
    for more, right in ((arguments.split(), True), ([], False)):
        assert main([*command, *more, "-o", str(page), "--overwrite"]) == 0
        error = np.abs(picture(page).astype(int) - COLOR).max()
        assert (error <= 3) == right, error


@pytest.mark.parametrize("sheet", [False, True])
def test_bt2020_is_shown_in_bt709_without_a_word(
    sheet: bool, tmp_path: Path, tiny_weights: Path
) -> None:
    tags = {"_Matrix": 9, "_Transfer": 14, "_Primaries": 9, "_Range": 0}
    source, page = tmp_path / "in.mkv", tmp_path / "page.html"
    encode(painted(9, 9, 14, range=0).std.SetFrameProps(**tags), source, encoder="ffv1")
    part = ["--sheet", "1"] if sheet else ["--at", "0"]
    command = ["preview", str(source), "--weights", str(tiny_weights), "-o", str(page)]
    assert main([*command, *part]) == 0
    assert np.abs(picture(page).astype(int) - COLOR).max() <= 3


def test_times_are_the_files_own(
    media: Media, tmp_path: Path, tiny_weights: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Frame 4 of a variable rate is shown at 0.3 s; at 30 a second it would be frame 9."""
    index = scan(media.variable)
    assert index.times()[:5] == tuple(Fraction(n, 30) for n in (0, 3, 6, 7, 9))
    assert index.frame_at(Fraction(3, 10)) == 4
    assert index.frame_at(Fraction(299, 1000)) == 3
    assert index.frame_at(index.times()[-1]) == len(index) - 1
    page = tmp_path / "page.html"
    command = ["preview", str(media.variable), "--weights", str(tiny_weights), "-o", str(page)]
    assert main([*command, "--at", "0.31"]) == 0
    assert "<h2>0.300 s</h2>" in page.read_text()

    shown = Previewer(open_clip(media.variable), Conversion(weights=tiny_weights)).frame(4).sdr
    assert np.array_equal(picture(page), shown)
    capsys.readouterr()
    assert main([*command, "--overwrite", "--at", "0.31", "--at", "1:00"]) == 1
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert "vfr.mp4: lasts 1.200 s and shows nothing at 60.000 s" in error


def test_a_preview_is_upright(media: Media, tmp_path: Path, tiny_weights: Path) -> None:
    page = tmp_path / "page.html"
    command = ["preview", str(media.phone), "-o", str(page), "--at", "0"]
    assert main([*command, "--weights", str(tiny_weights)]) == 0
    images = re.findall(r'src="data:image/png;base64,([^"]+)"', page.read_text())
    shown = cv2.imdecode(np.frombuffer(base64.b64decode(images[0]), np.uint8), cv2.IMREAD_COLOR)
    # The command turns pictures by itself.
    one = ("-frames:v", "1", "-pix_fmt", "bgr24", "-f", "rawvideo", "-")
    upright = np.frombuffer(ffmpeg("-i", media.phone, *one), np.uint8).reshape(96, 64, 3)
    assert shown.shape == upright.shape
    assert np.abs(shown.astype(int) - upright).mean() < 8
    assert np.abs(shown.astype(int) - upright[::-1, ::-1]).mean() > 40

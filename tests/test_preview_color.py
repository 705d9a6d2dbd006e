"""The preview shows a clip in the color that it has, or that the user says."""

from __future__ import annotations

import base64
import re
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
import vapoursynth as vs

from tests.clips import BT709, noise, planes
from tests.media import Media
from vs_gainmap import apply, predict
from vs_gainmap.cli import main
from vs_gainmap.filters.options import Conversion
from vs_gainmap.preview.frames import Previewer
from vs_gainmap.video import encode
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


@pytest.mark.parametrize("matrix", ["2020cl", "709"])
def test_map_and_light_are_those_of_the_tagged_clip(matrix: str, tiny_weights: Path) -> None:
    clip = noise(64, 48, 2, vs.YUV444P10)
    color = {"matrix": matrix, "range": "full", "primaries": "2020", "transfer": "2020"}
    previewer = Previewer(clip, Conversion(weights=tiny_weights, **color))
    shown = previewer.frame(1)
    gain_map = predict(clip, weights=tiny_weights, **color)
    want = planes(apply(clip, gain_map, format=vs.RGBS, **color), 1)
    np.testing.assert_allclose(shown.pq, np.stack(want), atol=1e-5)


def test_samples_that_are_no_squares_are_shown_as_squares(tiny_weights: Path) -> None:
    for aspect, size in (((4, 3), (36, 64)), ((1, 2), (48, 32)), ((1, 1), (48, 64))):
        clip = noise(64, 48, 1, **BT709, _SARNum=aspect[0], _SARDen=aspect[1])
        shown = Previewer(clip, Conversion(weights=tiny_weights)).frame(0)
        assert shown.sdr.shape[:2] == shown.stops.shape == shown.pq.shape[1:] == size


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
    from vs_gainmap.video import open_clip

    shown = Previewer(open_clip(media.variable), Conversion(weights=tiny_weights)).frame(4).sdr
    assert np.array_equal(picture(page), shown)
    capsys.readouterr()
    assert main([*command, "--overwrite", "--at", "0.31", "--at", "1:00"]) == 1
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert "vfr.mp4: lasts 1.200 s and shows nothing at 60.000 s" in error

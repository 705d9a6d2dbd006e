"""The sheet of subjects: what is drawn, what is measured of it, and the command."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from training.__main__ import main
from training.evaluate import Output
from training.subjects import (
    HEIGHT,
    STAGED,
    WIDTH,
    Subject,
    as_film,
    bars_before,
    cartoon,
    draw_subjects,
    look_at,
    paper_on,
    subtitles,
    write_sheet,
)
from vs_gainmap.color import pq_eotf
from vs_gainmap.gainmap import GainMapPreset

PRESET = GainMapPreset(sdr_white=203.0, peak=1000 / 203, map_scale=4, min_log_gain=-2.0)


@pytest.fixture(scope="module")
def hdr(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One panorama of those that subjects are of: at night."""
    folder = tmp_path_factory.mktemp("hdr")
    rng = np.random.default_rng(0)
    panorama = cv2.resize(rng.random((8, 16, 3), dtype=np.float32) ** 4, (256, 128)) + 0.01
    cv2.imwrite(str(folder / "dreiassets__dikhololo_night.hdr"), panorama)
    return folder


def test_flat_things_are_flat_and_marked() -> None:
    view = torch.rand(3, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(0)) * 500 + 100
    for subject, nits in ((bars_before(view), 2.75), (paper_on(view), 188.0), (cartoon(), 111.0)):
        assert subject.mask is not None
        assert 0.05 < float(subject.mask.float().mean()) < 0.6
        marked = subject.nits[:, subject.mask]
        assert (marked.amax(1) - marked.amin(1)).max() < 1e-3 * nits
        assert float(marked.mean()) == pytest.approx(nits, rel=0.05)


def test_subtitles_go_onto_the_sdr_and_are_its_white_in_the_truth(hdr: Path) -> None:
    film = as_film(draw_subjects(hdr), "bt2390", PRESET)
    assert [subject.name for subject, _ in film] == ["dark scene", "subtitles", "cartoon"]
    subject, item = film[1]
    assert subject.mask is not None
    assert item.sdr_signal[:, subject.mask].median() == pytest.approx(0.92, abs=3e-3)
    assert item.truth[:, subject.mask].median() == pytest.approx(203 * 0.92**2.4, rel=0.01)
    assert item.survey is not None
    assert len(item.survey) == len(film) - 1
    assert subtitles("Where?").max() == 1


def test_looks_are_of_what_is_marked() -> None:
    codes = torch.full((1, HEIGHT, WIDTH), 400.0)
    mask = torch.zeros(HEIGHT, WIDTH, dtype=torch.bool)
    mask[:100, :100] = True
    truth = pq_eotf(codes / 1023).expand(3, -1, -1).clone()
    off = codes.clone()
    off[:, mask] += torch.linspace(-10, 10, 10000)
    off[:, 200:] += 20
    subject = Subject(name="a", nits=truth, mask=mask)
    nits = pq_eotf(off / 1023).expand(3, -1, -1)
    values = look_at(subject, Output(nits=nits), truth)
    assert values["spread"] == pytest.approx(19.6, abs=0.1)
    assert values["true_spread"] == 0
    assert values["bias"] == pytest.approx(20 * 56 / 256, abs=0.05)
    assert values["color"] == pytest.approx(0, abs=0.01)
    assert values["marked_top"] > values["marked"]
    assert values["marked"] == pytest.approx(values["true_marked"], rel=0.01)


def test_the_command_draws_a_sheet_and_prints_light(
    hdr: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    staged = tmp_path / "staged"
    staged.mkdir()
    name = f"gkjohnson3d__noon_grass_staged_{STAGED[0][1]:03d}"
    np.save(staged / f"{name}.npy", np.full((3, HEIGHT, WIDTH), 0.3, np.float16))
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[50:90, 60:100] = 255
    cv2.imwrite(str(staged / f"{name}.png"), mask)
    row = {"file": f"{name}.npy", "scene": "gkjohnson3d__noon_grass", "graded": False,
           "skin": f"{name}.png"}  # fmt: skip
    (staged / "index.json").write_text(json.dumps([row]))
    sheet = tmp_path / "sheet.jpg"
    command = ["subjects", "fast", "--hdr", str(hdr), "--out", str(sheet)]
    assert main([*command, "--staged", str(staged)]) == 0
    lines = capsys.readouterr().out.splitlines()
    names = [line.split(" | ")[0].strip("| ") for line in lines[2:]]
    assert names == ["dark scene", "subtitles", "cartoon", "light skin"]
    picture = cv2.imread(str(sheet))
    assert picture is not None
    assert picture.shape == (24 + 4 * HEIGHT, 3 * WIDTH, 3)
    assert main([*command, "--operator", "none"]) == 1
    assert "--operator must be one of clip" in capsys.readouterr().err


def test_a_sheet_is_made_small_enough(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (400, 400, 3), dtype=np.uint8)
    sizes = []
    for most in (200_000, 90_000):
        write_sheet(noise, tmp_path / "noise.jpg", most_bytes=most)
        sizes.append((tmp_path / "noise.jpg").stat().st_size)
    assert sizes[0] > sizes[1]
    assert sizes[1] <= 90_000

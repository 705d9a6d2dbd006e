"""Gain map photos as a measure: the SDR and the HDR that one file holds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tests.photo_samples import scene, ultrahdr
from training.__main__ import main
from training.evaluate import network_method, oracle_method
from training.evaluation.metrics import pq_psnr
from training.evaluation.photos import as_it_is, for_photos, items_from_photos
from vs_gainmap.errors import MediaError
from vs_gainmap.gainmap import GainMapPreset
from vs_gainmap.models import GridNet
from vs_gainmap.models.weights import Weights, load_weights, save_weights

PRESET = GainMapPreset(sdr_white=203.0, peak=1000 / 203, map_scale=4, min_log_gain=-2.0)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    (folder / "b.jpg").write_bytes(ultrahdr())
    Image.fromarray(scene()).save(folder / "a.jpg")
    (folder / "notes.txt").write_text("no picture")
    return folder


def test_only_photos_with_a_map_are_measured(photos: Path) -> None:
    (item,) = items_from_photos(photos, PRESET, longest=48)
    assert item.name == "b"
    assert item.sdr_signal.shape == item.truth.shape == (3, 32, 48)
    preset = for_photos(Weights(name="w", model=GridNet(), preset=PRESET)).preset
    assert preset.eotf == "srgb"
    alone = pq_psnr(as_it_is(preset)(item).nits, item.truth)
    best = pq_psnr(oracle_method(preset)(item).nits, item.truth)
    assert alone < 30 < 40 < best
    # The map lightens: the truth is brighter than SDR at its white.
    ratio = item.truth / as_it_is(preset)(item).nits.clamp(min=1.0)
    assert float(ratio.median()) > 1.1
    with pytest.raises(MediaError, match="no gain map photo in"):
        list(items_from_photos(photos.parent, PRESET))


def test_evaluate_on_photos(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.manual_seed(0)
    grid = GridNet(8, hidden=16).eval()
    grid.set_start(0.4, 0.8)
    weights = tmp_path / "grid.safetensors"
    save_weights(grid, PRESET, weights)
    command = ["evaluate", str(weights), "--photos", str(photos), "--out", str(tmp_path / "out")]
    assert main([*command, "--no-libplacebo"]) == 0
    table = capsys.readouterr().out
    assert "SDR as it is" in table
    assert (tmp_path / "out/report.html").is_file()
    rows = [line.split() for line in table.splitlines() if line.startswith(("grid", "oracle"))]
    assert len(rows) == 2
    assert np.isfinite([float(value) for value in rows[0][1:]]).all()


def test_the_bundled_set_for_photos_is_nearer_than_sdr(shared: Path, tmp_path: Path) -> None:
    for name in ("apple_iphone13mini_new", "glide_small_gainmap", "androidx_ultraHDR"):
        path = shared / "hdr/photos" / f"{name}.jpg"
        (tmp_path / path.name).write_bytes(path.read_bytes())
    weights = for_photos(load_weights("photo"))
    methods = [network_method(weights, map_scale=1), as_it_is(weights.preset)]
    scores = [
        [pq_psnr(method(item).nits, item.truth) for method in methods]
        for item in items_from_photos(tmp_path, weights.preset, longest=256)
    ]
    assert len(scores) == 3
    assert all(ours > sdr for ours, sdr in scores)

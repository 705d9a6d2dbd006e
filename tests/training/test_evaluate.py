"""Metrics against other implementations, baselines against their sources, and the report."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional

from training.evaluate import (
    Item,
    baseline_method,
    format_table,
    measure,
    network_method,
    oracle_method,
    summary,
    write_json,
)
from training.evaluation.baselines import (
    baselines,
    bt2446a_inverse,
    bt2446c_inverse,
    libplacebo_ffmpeg,
    libplacebo_inverse,
    scaling,
)
from training.evaluation.items import read_runs
from training.evaluation.metrics import (
    Scorer,
    best_exposure,
    delta_e_itp,
    ictcp,
    linear_psnr,
    normalised_psnr,
    pq_psnr,
    psnr,
    ssim,
)
from training.evaluation.report import WorstCases, write_html
from training.operators import Light
from training.operators.itu import Bt2446C
from vs_gainmap.color.primaries import convert_primaries
from vs_gainmap.color.transfer import gamma22_eotf, pq_inverse_eotf
from vs_gainmap.errors import MediaError
from vs_gainmap.gainmap import GainMapPreset
from vs_gainmap.models import GMNet
from vs_gainmap.models.weights import Weights

PRESET = GainMapPreset(sdr_white=203.0, peak=1000 / 203, map_scale=2, min_log_gain=-2.0)


def drawn_item(name: str, frame: int) -> Item:
    torch.manual_seed(1)
    signal = torch.rand(3, 32, 48) * 0.8 + 0.1
    light = gamma22_eotf(signal) * (1.5 + 0.1 * frame)
    truth = convert_primaries(light, "bt709", "bt2020") * 203
    return Item(
        name=f"{name}_{frame}", operator="drawn", sdr_signal=signal, truth=truth, sequence=name
    )


def test_color_difference_agrees_with_colour_science() -> None:
    colour = pytest.importorskip("colour")
    torch.manual_seed(0)
    a = torch.rand(3, 1, 20, dtype=torch.float64) * 800
    b = a * (0.7 + 0.6 * torch.rand_like(a))
    flat = [x.movedim(0, -1).reshape(-1, 3).numpy() for x in (a, b)]
    theirs = [colour.RGB_to_ICtCp(x, method="ITU-R BT.2100-2 PQ") for x in flat]
    assert np.allclose(ictcp(a).movedim(0, -1).reshape(-1, 3).numpy(), theirs[0], atol=1e-6)
    expected = colour.difference.delta_E_ITP(*theirs)
    assert np.allclose(delta_e_itp(a, b).flatten().numpy(), expected, atol=1e-3)


def test_psnr_of_known_errors() -> None:
    truth = torch.full((3, 16, 16), 100.0)
    assert psnr(torch.zeros(4), torch.full((4,), 0.1)) == pytest.approx(20)
    assert psnr(truth, truth) == 100
    assert linear_psnr(truth + 10, truth, peak_nits=1000) == pytest.approx(40)
    assert normalised_psnr(truth + 10, truth) == pytest.approx(20, abs=1e-4)
    step = float(pq_inverse_eotf(torch.tensor(110.0)) - pq_inverse_eotf(torch.tensor(100.0)))
    assert pq_psnr(truth * 1.1, truth) == pytest.approx(-20 * np.log10(step), abs=1e-3)


def test_ssim_is_one_for_the_same_and_falls() -> None:
    torch.manual_seed(0)
    truth = torch.rand(3, 32, 32) * 500
    assert ssim(truth, truth) == pytest.approx(1)
    assert ssim(truth + 50 * torch.rand_like(truth), truth) < 0.99


def test_best_exposure_is_the_one_that_a_picture_is_off_by() -> None:
    rng = np.random.default_rng(3)
    truth = torch.from_numpy(2.0 ** rng.uniform(-2, 8, (3, 64, 96)).astype(np.float32))
    assert best_exposure(truth, truth) == pytest.approx(0, abs=0.01)
    for stops in (-2.3, 0.37, 1.9):
        assert best_exposure(truth * 2**-stops, truth) == pytest.approx(stops, abs=0.01)
    values = Scorer(peak_nits=1000.0)(truth * 2**-0.75, truth)
    assert values["exposure_error"] == pytest.approx(0.75, abs=0.01)
    assert values["delta_e_exposed"] < 1 < 20 < values["delta_e_itp"]
    # A wrong curve stays wrong.
    bent = Scorer(peak_nits=1000.0)(truth**0.8, truth)
    assert bent["delta_e_exposed"] > 10


def test_color_video_vdp_is_ten_for_the_same_and_falls(in_ci: bool) -> None:
    if not in_ci:
        pytest.importorskip("pycvvdp", reason="ColorVideoVDP is in the extra cvvdp")
    torch.manual_seed(0)
    truth = functional.interpolate(torch.rand(1, 3, 16, 24) ** 3 * 800, (128, 192))[0]
    grain = torch.rand_like(truth) - 0.5
    scorer = Scorer(peak_nits=1000.0, color_video_vdp=True)
    same, little, more = (
        scorer((truth + nits * grain).clamp(min=0), truth)["cvvdp"] for nits in (0.0, 40.0, 200.0)
    )
    assert same == pytest.approx(10, abs=1e-3)
    assert 9.99 > little > more + 0.2 > 3
    # In light of a display: the same signals in the dark are told apart less.
    dark = scorer((truth + 200 * grain).clamp(min=0) / 1000, truth / 1000)["cvvdp"]
    assert dark > more


def test_color_video_vdp_that_is_not_there_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "pycvvdp", None)
    with pytest.raises(ImportError, match=r"pip install -e \.\[cvvdp\]"):
        Scorer(peak_nits=1000.0, color_video_vdp=True)


def test_scaling_puts_white_where_it_says() -> None:
    white = torch.ones(3, 1, 1)
    assert scaling(white, white_nits=203.0).flatten().tolist() == pytest.approx([203] * 3)


def test_bt2446_a_inverse_reaches_1000_and_lifts_mid_tones() -> None:
    levels = torch.tensor([0.0, 0.5, 1.0]).expand(3, 1, 3)
    nits = bt2446a_inverse(levels)[1, 0]
    # Table 4: Y'' = 127.5 gives E = 1.20367, so Y' = 342.1 / 1000, and 76 cd/m2.
    assert nits.tolist() == pytest.approx([0.0, 76.2, 1000.0], rel=5e-3, abs=1e-3)


def test_bt2446_c_inverse_undoes_the_forward_direction() -> None:
    nits = torch.tensor([5.0, 60.0, 150.0, 300.0]).expand(3, 1, 4)
    sdr = Bt2446C(crosstalk=0.0)(Light(rgb=nits, peak_nits=1000.0))
    back = bt2446c_inverse(sdr ** (1 / 2.4))[1, 0]
    assert back.tolist() == pytest.approx([5, 60, 150, 300], rel=2e-3)


def test_libplacebo_expands_to_a_display_of_1000_nits(in_ci: bool) -> None:
    if libplacebo_ffmpeg() is None:
        if in_ci:
            pytest.fail("libplacebo must run in CI: install ffmpeg and mesa-vulkan-drivers")
        pytest.skip("no ffmpeg with libplacebo and Vulkan here")
    levels = torch.tensor([0.0, 0.25, 0.5, 0.75, 1.0])
    nits = libplacebo_inverse(levels.repeat_interleave(16).expand(3, 32, -1).contiguous())
    black, dark, grey, bright, white = nits[1, 16, 8::16].tolist()
    assert black < 0.01
    assert white == pytest.approx(1000, rel=0.01)
    # Plain scaling to 203 cd/m2 gives 7, 38 and 102; to 1000 it gives 36, 189 and 501.
    assert 7 < dark < 20
    assert 50 < grey < 130
    assert 200 < bright < 500
    assert (nits[:, 16, 8::16].amax(0) - nits[:, 16, 8::16].amin(0)).max() < 1  # grey is grey
    assert "libplacebo" in baselines()


def test_libplacebo_that_fails_or_hangs_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "ffmpeg"
    program.write_text("#!/bin/sh\necho 'Device creation failed: no Vulkan' >&2\nexit 1\n")
    program.chmod(0o755)
    monkeypatch.setattr("training.evaluation.baselines.libplacebo_ffmpeg", lambda: str(program))
    grey = torch.full((3, 8, 8), 0.5)
    with pytest.raises(MediaError, match="libplacebo failed: Device creation failed") as told:
        libplacebo_inverse(grey)
    assert "\n" not in str(told.value)
    program.write_text("#!/bin/sh\nexec sleep 20\n")
    monkeypatch.setattr("training.evaluation.baselines.FFMPEG_TIMEOUT", 0.3)
    with pytest.raises(MediaError, match=r"more than 0\.3 s .* try --no-libplacebo"):
        libplacebo_inverse(grey)
    monkeypatch.setattr("training.evaluation.baselines.libplacebo_ffmpeg", lambda: None)
    with pytest.raises(MediaError, match="no ffmpeg with a working libplacebo"):
        libplacebo_inverse(grey)


def test_report_has_tables_and_worst_cases(tmp_path: Path) -> None:
    torch.manual_seed(0)
    weights = Weights(name="tiny", model=GMNet(4, blocks=1).eval(), preset=PRESET)
    methods = {
        "gmnet": network_method(weights),
        "scaling 203": baseline_method(baselines(with_libplacebo=False)["scaling 203"], 1000.0),
        "oracle map": oracle_method(PRESET),
    }
    items = [drawn_item("clip", frame) for frame in range(3)]
    worst = WorstCases("gmnet", 2)
    rows = []
    for row, item, output in measure(items, methods, PRESET, Scorer(peak_nits=1000.0)):
        rows.append(row)
        worst.add(row, item, output)
    means = summary(rows, by=lambda row: row.method)
    assert means["oracle map"]["pq_psnr"] > 60
    assert means["oracle map"]["qmax_error"] < 1e-3
    assert means["oracle map"]["flicker"] < 0.01
    # The truth gets brighter by a fifteenth a frame, scaling does not.
    assert means["scaling 203"]["flicker"] > 1
    assert "delta_e_itp" in format_table(means)
    write_json(rows, tmp_path / "report.json")
    assert len(json.loads((tmp_path / "report.json").read_text())["items"]) == 9
    write_html(rows, [worst], tmp_path / "report.html", base="scaling 203", title="<tiny>")
    page = (tmp_path / "report.html").read_text()
    assert page.count("data:image/jpeg;base64") == 8
    assert "&lt;tiny&gt;" in page
    assert "oracle map" in page


def test_video_frames_in_nits(shared: Path) -> None:
    videos = shared / "hdr/video"
    path = videos / "androidx__sample_with_it35_track.mp4"
    pq = [run[0] for run in read_runs(path, places=2, step=2)]
    assert [f.shape for f in pq] == [(3, 270, 480)] * 2
    assert 200 < pq[0].max() < 10000
    hlg = read_runs(videos / "androidx__sample_with_color_info.mp4", places=1)[0][0]
    assert hlg.max() <= 1000.001
    assert hlg.mean() > 10

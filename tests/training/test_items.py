"""Items and methods: a network is measured as the filters run it, and by the paper's protocol."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import vapoursynth as vs
from torch import Tensor
from torch.nn import functional

from tests.training.test_video import write_flat
from training.__main__ import main
from training.data.operators import OPERATORS
from training.data.pairs import Pair
from training.evaluation.command import check_light, name_sets
from training.evaluation.items import Item, items_from_layout, items_from_video
from training.evaluation.methods import network_method, published_method
from training.evaluation.metrics import Scorer, pq_psnr
from training.evaluation.resample import downsample, to_sdr_clip, upsample
from training.paper.layout import read_preset, write_pair
from vs_gainmap import apply, predict
from vs_gainmap.color.primaries import convert_primaries
from vs_gainmap.color.transfer import SDR_EOTFS, pq_eotf
from vs_gainmap.errors import MediaError, WeightsError
from vs_gainmap.gainmap import GainMapPreset, render_hdr
from vs_gainmap.models.weights import load_weights, save_weights
from vs_gainmap.photo.dataset import write_preset

PRESET = GainMapPreset(sdr_white=203.0, peak=1000 / 203, map_scale=2, min_log_gain=-2.0)


def blocks(seed: int, height: int = 96, width: int = 128, power: float = 1.0) -> Tensor:
    """Draw a picture of hard edges: (3, H, W), 0..1."""
    coarse = torch.rand(1, 3, 6, 8, generator=torch.Generator().manual_seed(seed)) ** power
    return functional.interpolate(coarse, (height, width), mode="nearest")[0]


@pytest.mark.parametrize("name", ["fast", "video"])
def test_a_network_is_measured_as_the_filters_run_it(name: str) -> None:
    signal = blocks(0)
    item = Item(name="a", operator="drawn", sdr_signal=signal, truth=200 * signal)
    measured = network_method(load_weights(name))(item).nits
    clip = to_sdr_clip(signal)
    made = apply(clip, predict(clip, weights=name, radius=0), format=vs.RGBS)
    with made.get_frame(0) as frame:
        shown = pq_eotf(torch.from_numpy(np.stack([np.asarray(plane) for plane in frame])))
    assert pq_psnr(measured, shown) > 60


def test_smaller_maps_go_up_guided() -> None:
    signal = blocks(1)
    weights = torch.tensor([0.2126, 0.7152, 0.0722]).view(3, 1, 1)
    # A map that is a curve over luma comes back as that curve of the large picture's.
    low = (downsample(signal, 4)[0] * weights).sum(0)[None, None]
    luma = (signal * weights).sum(0)
    assert (upsample(low, signal)[0, 0] - luma).abs().max() < 0.02
    plain = functional.interpolate(low, size=(96, 128), mode="bilinear")
    assert (plain[0, 0] - luma).abs().max() > 0.1
    assert torch.equal(upsample(signal[None, :1], signal), signal[None, :1])


def test_video_goes_through_every_operator(tmp_path: Path) -> None:
    path = write_flat(tmp_path / "a.mkv", [(300 + 10 * n, 512, 512) for n in range(10)])
    items = list(items_from_video([path], PRESET, count=2, lines=24))
    assert {item.operator for item in items} == set(OPERATORS)
    assert len(items) == 2 * sum(len(entry.usual) for entry in OPERATORS.values())
    for item in items:
        assert item.sdr_signal.shape == item.truth.shape == (3, 24, 32)
        assert 0 <= float(item.sdr_signal.min()) <= float(item.sdr_signal.max()) <= 1


@pytest.fixture
def layout(tmp_path: Path) -> Path:
    """Two pictures in the layout, and how they were made."""
    folder = tmp_path / "made"
    for seed in (5, 6):
        signal = blocks(seed)
        light = SDR_EOTFS["gamma22"](signal) * torch.exp2(2 * signal.mean(0, keepdim=True) ** 2)
        hdr = convert_primaries(light, "bt709", "bt2020").clamp(0, PRESET.peak)
        write_pair(Pair(signal, hdr, "drawn"), f"{seed:07d}", folder / "test", PRESET)
    write_preset(folder, PRESET)
    return folder


def test_published_numbers_are_of_linear_bt709(layout: Path, tiny_weights: Path) -> None:
    weights = load_weights(tiny_weights)
    item = next(items_from_layout(layout / "test", weights.preset))
    values = Scorer(peak_nits=weights.preset.peak_nits, published=True)(
        published_method(weights)(item).nits, item.truth
    )
    # By hand, in units of white.
    with torch.inference_mode():
        import cv2

        picture = item.sdr_signal.numpy().transpose(1, 2, 0)
        small = cv2.resize(picture, (64, 48), interpolation=cv2.INTER_CUBIC)
        assert item.thumbnail is not None
        gain_map, qmax_norm = weights.model(
            torch.from_numpy(small.transpose(2, 0, 1)).clamp(0, 1)[None], item.thumbnail[None]
        )
        gain_map = functional.interpolate(gain_map, size=(96, 128), mode="bilinear")
        light = render_hdr(item.sdr_signal[None], gain_map, qmax_norm, weights.preset)[0]
    truth = convert_primaries(item.truth, "bt2020", "bt709") / 203
    mse = float((light - truth).square().mean())
    assert values["psnr"] == pytest.approx(-10 * np.log10(mse / weights.preset.peak**2), abs=0.01)
    top = float(truth.max())
    assert values["norm_psnr"] == pytest.approx(-10 * np.log10(mse / top**2), abs=0.01)


def test_the_layout_gets_every_set_baselines_and_a_page(
    layout: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "report"
    # The bundled sets' own curve.
    write_preset(layout, replace(PRESET, eotf="srgb"))
    command = ["evaluate", "video", "fast", "--layout", str(layout / "test"), "--out", str(out)]
    assert main([*command, "--no-libplacebo"]) == 0
    methods = json.loads((out / "report.json").read_text())["methods"]
    assert {"video", "fast"} <= set(methods)
    assert {"scaling 203", "BT.2446 A inverse", "oracle map"} <= set(methods)
    assert methods["oracle map"]["pq_psnr"] > methods["scaling 203"]["pq_psnr"]
    for values in methods.values():
        assert {"psnr", "norm_psnr", "pq_psnr", "ssim", "delta_e_itp"} <= set(values)
    page = (out / "report.html").read_text()
    assert page.count("worst cases") == 2
    assert page.count("data:image/jpeg") == 16
    assert "scaling 203" in capsys.readouterr().out


def test_weights_for_another_display_are_refused_in_one_line(
    layout: Path, tiny_weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert read_preset(layout / "test") == read_preset(layout) == PRESET
    assert read_preset(tmp_path) is None
    out = str(tmp_path / "report")
    assert main(["evaluate", str(tiny_weights), "--layout", str(layout / "test"),
                 "--out", out]) == 1  # fmt: skip
    told = capsys.readouterr().err
    assert "tiny has peak 5, but" in told
    assert "preset.json 4.926" in told
    assert told.count("\n") == 1
    assert not Path(out).exists()
    # Without a preset.json the sets still have to agree with one another.
    (layout / "preset.json").unlink()
    assert main(["evaluate", "video", str(tiny_weights), "--layout", str(layout / "test"),
                 "--out", out]) == 1  # fmt: skip
    assert "tiny has peak 5, but video" in capsys.readouterr().err
    (layout / "preset.json").write_text("[1]")
    with pytest.raises(MediaError, match="is no preset"):
        read_preset(layout)


def test_sets_of_the_same_name_stay_apart(tiny_weights: Path, tmp_path: Path) -> None:
    other = tmp_path / "b" / tiny_weights.name
    other.parent.mkdir()
    tiny = load_weights(tiny_weights)
    save_weights(tiny.model, tiny.preset, other)
    named = name_sets([tiny, load_weights(other), load_weights("fast")])
    assert len(named) == 3
    check_light({"a": tiny}, tiny.preset, "itself")
    with pytest.raises(WeightsError, match="measure them apart"):
        check_light(named, tiny.preset, "tiny")


@pytest.mark.parametrize(
    ("source", "told"),
    [
        (["--video", "none.mkv", "--subtitles"], "--subtitles is for --views"),
        (["--real", "none"], "no NAME.OPERATOR.sdr.png in none"),
        (["--layout", "none"], "no pictures in none"),
        (["--video", "none.mkv"], "none.mkv: no such file"),
    ],
)
def test_what_can_not_be_measured_is_one_line(
    source: list[str], told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = ["--no-libplacebo", "--out", str(tmp_path / "out")]
    assert main(["evaluate", "fast", *source, *out]) == 1
    said = capsys.readouterr().err
    assert told in said
    assert said.count("\n") == 1

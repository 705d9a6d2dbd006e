"""The loop: schedule, resume, overfit; the data set's layout; evaluation and export."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils.data import Dataset

from tests.training.small import PRESET, make_pair, tiny
from training.__main__ import main
from training.batches import endless, open_data
from training.checkpoint import CHECKPOINT
from training.config import (
    Config,
    ConfigError,
    LossConfig,
    OptimizerConfig,
    build,
    load_config,
    to_dict,
)
from training.evaluate import published_method
from training.evaluation.items import items_from_layout
from training.evaluation.metrics import Scorer, pq_psnr
from training.export import export
from training.films import ALONE, draw_among
from training.loss import gain_map_loss
from training.pairs import PairDataset, true_log_gain
from training.paper.crop import patch_origins
from training.paper.layout import LayoutDataset, list_layout, rebuild, shrink
from training.train import build_model, learning_rate, train
from vs_gainmap.color.primaries import convert_primaries
from vs_gainmap.color.transfer import SDR_EOTFS
from vs_gainmap.errors import MediaError
from vs_gainmap.gainmap import GainMapPreset
from vs_gainmap.models.weights import load_weights

CONFIGS = Path(__file__).parents[2] / "training/configs"


def test_unknown_key_is_an_error() -> None:
    with pytest.raises(ConfigError, match=r"unknown key optimizer\.rat; known are"):
        build(Config, {"optimizer": {"rat": 1e-3}})
    with pytest.raises(ConfigError, match=r"run\.steps must be int, got '10'"):
        build(Config, {"run": {"steps": "10"}})
    with pytest.raises(ConfigError, match=r"data\.source must be one of views, layout"):
        build(Config, {"data": {"source": "web"}})


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.toml")), ids=lambda p: p.stem)
def test_configs_load_and_survive_a_checkpoint(path: Path) -> None:
    config = load_config(path, ["run.steps=7"])
    assert config.run.steps == 7
    assert build(Config, json.loads(json.dumps(to_dict(config)))) == config


def test_published_config_is_as_published() -> None:
    config = load_config(CONFIGS / "published.toml")
    rates = [
        learning_rate(s, config.run.steps, config.optimizer)
        for s in (0, 199_999, 200_000, 400_000, 600_000, 800_000)
    ]
    assert rates == pytest.approx([3e-5, 3e-5, 1.5e-5, 7.5e-6, 3.75e-6, 1.875e-6])
    assert (config.loss.gain_map, config.loss.product, config.loss.pq) == (1.0, 3.0, 0.0)
    assert (config.data.crop, config.data.batch, config.optimizer.betas) == (160, 32, (0.9, 0.99))


def test_schedule_warms_up_and_decays() -> None:
    config = OptimizerConfig(rate=1.0, warm_up=10, decay=0.5)
    rates = [learning_rate(step, 100, config) for step in (0, 9, 49, 75, 99)]
    assert rates == pytest.approx([0.1, 1.0, 1.0, 0.5, 0.02])


def test_network_starts_at_zero_stops() -> None:
    config = Config()
    preset = config.preset.build()
    model = build_model(replace(config.model, blocks=1), preset, 0).eval()
    torch.manual_seed(0)
    with torch.inference_mode():
        gain_map, qmax = model(torch.rand(1, 3, 32, 32), torch.rand(1, 3, 256, 256))
    low, high = preset.min_log_gain, preset.max_log_gain
    stops = low + gain_map * (qmax * high - low)
    assert stops.abs().mean() < 0.6
    assert qmax.item() == pytest.approx(0.8, abs=0.3)


def test_true_map_has_no_loss() -> None:
    config = Config()
    pair = make_pair(5)
    preset = GainMapPreset(sdr_white=203.0, peak=4.0, min_log_gain=-1.0)
    gain = true_log_gain(pair.sdr_signal, pair.hdr, preset)[None]
    batch = {
        "sdr": pair.sdr_signal[None],
        "hdr": pair.hdr[None],
        "qmax": torch.ones(1, 1, 1, 1),
    }
    gain_map = (gain + 1) / 3
    terms = gain_map_loss(gain_map, torch.ones(1, 1, 1, 1), batch, preset, config.loss)
    assert terms["log_gain"] < 1e-5
    assert terms["pq"] < 1e-3
    off = gain_map_loss(gain_map + 0.1, torch.ones(1, 1, 1, 1), batch, preset, config.loss)
    assert off["log_gain"].item() == pytest.approx(0.3, rel=0.1)
    assert off["total"] > 10 * terms["total"]


def test_the_title_term_is_the_error_where_letters_are() -> None:
    pair = make_pair(5)
    preset = GainMapPreset(sdr_white=203.0, peak=4.0, min_log_gain=-1.0)
    gain = true_log_gain(pair.sdr_signal, pair.hdr, preset)[None]
    letters = torch.zeros(1, 1, *gain.shape[-2:])
    letters[..., 8:16, 8:40] = 1.0
    batch = {
        "sdr": pair.sdr_signal[None],
        "hdr": pair.hdr[None],
        "title": letters,
        "qmax": torch.ones(1, 1, 1, 1),
    }
    weights = LossConfig(pq=0.0, log_gain=0.0, qmax=0.0, outside=0.0, title=3.0)

    def term(gain_map: Tensor) -> float:
        terms = gain_map_loss(gain_map, torch.ones(1, 1, 1, 1), batch, preset, weights)
        assert terms["total"].item() == pytest.approx(3 * terms["title"].item(), rel=1e-5)
        return terms["title"].item()

    right = (gain + 1) / 3
    assert term(right) < 1e-3
    assert term(right + 0.1 * (1 - letters)) < 1e-3
    # A tenth of three stops too bright, where a stop is 0.04 to 0.11 of the signal.
    there = term(right - 0.1 * letters)
    assert 0.01 < there < 0.04
    assert term(right - 0.1) == pytest.approx(there, rel=1e-4)
    batch["title"] = torch.zeros_like(letters)
    assert term(right - 0.1) == 0


def test_overfits_two_pictures(layout: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    config = tiny(layout, steps=100)
    model = train(config, tmp_path)
    weights_path = tmp_path / "tiny.safetensors"
    digest = export([tmp_path / CHECKPOINT], weights_path)
    assert len(digest) == 64
    weights = load_weights(weights_path)
    assert weights.preset == config.preset.build()
    state = weights.model.state_dict()
    assert all(torch.allclose(v, state[k], atol=2e-3) for k, v in model.state_dict().items())

    item = LayoutDataset(layout / "train", PRESET, crop=32, seed=0, length=1)[0]
    with torch.inference_mode():
        gain_map, qmax = model(item["sdr"][None], item["thumbnail"][None])
    stops = (PRESET.min_log_gain + gain_map * (qmax * 2 - PRESET.min_log_gain)).clamp(-1, 2)
    light = SDR_EOTFS["gamma22"](item["sdr"]) * torch.exp2(stops[0])
    wide = convert_primaries(light, "bt709", "bt2020").clamp(min=0)
    plain = convert_primaries(SDR_EOTFS["gamma22"](item["sdr"]), "bt709", "bt2020").clamp(min=0)
    assert pq_psnr(wide * 203, item["hdr"] * 203) > 36
    assert pq_psnr(plain * 203, item["hdr"] * 203) < 32

    first = next(items_from_layout(layout / "test", PRESET))
    scorer = Scorer(peak_nits=PRESET.peak_nits, published=True)
    assert scorer(published_method(weights)(first).nits, first.truth)["norm_psnr"] > 20


def test_several_runs_are_exported_as_their_mean(layout: Path, tmp_path: Path) -> None:
    config = tiny(layout, steps=2)
    runs = [tmp_path / name for name in ("a", "b")]
    models = [
        train(replace(config, run=replace(config.run, seed=seed)), run)
        for seed, run in enumerate(runs)
    ]
    out = tmp_path / "mean.safetensors"
    export([run / CHECKPOINT for run in runs], out)
    mean = load_weights(out).model.state_dict()
    one, two = (model.state_dict() for model in models)
    assert any(not torch.equal(one[k], two[k]) for k in one)
    assert all(torch.allclose(v, (one[k] + two[k]) / 2, atol=1e-3) for k, v in mean.items())
    weights, again = tmp_path / "a.safetensors", tmp_path / "again.safetensors"
    export([runs[0] / CHECKPOINT], weights)
    export([weights, runs[1] / CHECKPOINT], again)
    same = load_weights(again).model.state_dict()
    assert all(torch.allclose(v, mean[k], atol=2e-3) for k, v in same.items())
    with pytest.raises(ConfigError, match="different presets"):
        export([runs[0] / CHECKPOINT, Path("fast")], out)
    wide = replace(config, model=replace(config.model, channels=16))
    train(wide, tmp_path / "wide")
    with pytest.raises(ConfigError, match="different sizes"):
        export([runs[0] / CHECKPOINT, tmp_path / "wide" / CHECKPOINT], out)
    bright = replace(config, preset=replace(config.preset, peak=8.0))
    train(bright, tmp_path / "bright")
    with pytest.raises(ConfigError, match="different presets"):
        export([runs[0] / CHECKPOINT, tmp_path / "bright" / CHECKPOINT], out)


def test_views_become_the_papers_layout(views: Path, tmp_path: Path) -> None:
    made = tmp_path / "made"
    assert main(["dataset", str(views), "--out", str(made), "--count", "2", "--test", "1"]) == 0
    assert [item.image.name for item in list_layout(made / "train")] == [
        "0000001.png",
        "0000002.png",
    ]
    assert len(list_layout(made / "test")) == 1
    assert json.loads((made / "preset.json").read_text())["min_log_gain"] == -2.0


def test_views_may_lie_in_several_folders(tmp_path: Path) -> None:
    for name, scenes in (
        ("a", ("meadow", "polygonjs__neon_photostudio")),
        ("b", ("street", "realismfx__snowy_field")),
    ):
        (tmp_path / name).mkdir()
        rows = [{"file": f"{scene}.npy", "scene": scene, "graded": False} for scene in scenes]
        (tmp_path / name / "index.json").write_text(json.dumps(rows))
        for row in rows:
            np.save(tmp_path / name / str(row["file"]), np.full((3, 32, 48), 0.2, np.float16))
    names = [str(tmp_path / name) for name in "ab"]

    def opened(folder: str | list[str], *held_out: str) -> tuple[set[str], set[str], str]:
        data = {"folder": folder, "crop": 16, "held_out": list(held_out)}
        config = build(Config, {"data": data, "run": {"steps": 2}})
        pairs, held_out, digest = open_data(config, 1)
        assert isinstance(pairs, PairDataset)
        assert build(Config, to_dict(config)) == config  # as `export` reads a checkpoint's
        return {view.scene for view in pairs.views}, {view.scene for view in held_out}, digest

    seen, unseen, digest = opened(names)
    assert seen == {"meadow", "street"}
    assert unseen == {"polygonjs__neon_photostudio"}
    # Named ones instead; those of the first folder that has some are validated on.
    seen, unseen, _ = opened(names, "str*")
    assert seen == {"meadow", "polygonjs__neon_photostudio", "realismfx__snowy_field"}
    assert unseen == {"street"}
    with pytest.raises(ConfigError, match="no view of a scene that is not held out"):
        opened(names, "*")
    assert opened(names[0])[0] == {"meadow"}
    assert opened([names[0]])[2] == opened(names[0])[2] != digest

    for wrong in (3, [], [1]):
        with pytest.raises(ConfigError, match=r"data\.folder must be str or a list of str"):
            build(Config, {"data": {"folder": wrong}})
    with pytest.raises(ConfigError, match="one folder"):
        open_data(build(Config, {"data": {"source": "layout", "folder": names}}), 1)


def test_layout_gives_back_the_pair(layout: Path) -> None:
    item = list_layout(layout / "train")[0]
    image, gain_map, qmax, thumbnail = item.load()
    pair = make_pair(1)
    assert thumbnail.shape == (3, 256, 256)
    assert image.shape == pair.sdr_signal.shape
    assert gain_map.shape == (1, 32, 48)
    assert (image - pair.sdr_signal).abs().max() <= 0.5 / 255 + 1e-6
    up = torch.nn.functional.interpolate(gain_map[None], scale_factor=2, mode="bilinear")[0]
    light = rebuild(image, up, qmax, PRESET)
    assert pq_psnr(light * 203, convert_primaries(pair.hdr, "bt2020", "bt709") * 203) > 45


def test_patches_are_cut_and_named_as_published(layout: Path, tmp_path: Path) -> None:
    assert patch_origins(1080, 480, 480) == [0, 480]
    assert patch_origins(1000, 480, 240) == [0, 240, 480]
    assert main(["crop", str(layout / "train/image"), str(tmp_path / "image"),
                 "--crop", "32", "--step", "32", "--threads", "2"]) == 0  # fmt: skip
    assert main(["crop", str(layout / "train/gainmap"), str(tmp_path / "gainmap"),
                 "--crop", "16", "--step", "16", "--threads", "1"]) == 0  # fmt: skip
    names = sorted(p.name for p in (tmp_path / "image").iterdir())
    assert names[:2] == ["0000001_s001.png", "0000001_s002.png"]
    assert len(names) == 12
    whole = cv2.imread(str(layout / "train/image/0000001.png"))
    assert np.array_equal(cv2.imread(str(tmp_path / "image/0000001_s002.png")), whole[:32, 32:64])
    for part in ("metadata", "thumbnail"):
        (tmp_path / part).symlink_to(layout / "train" / part)
    items = list_layout(tmp_path)
    assert len(items) == 12
    assert items[5].metadata.name == "0000001.npy"
    patch = LayoutDataset(tmp_path, PRESET, crop=16, seed=0, length=4)[3]
    assert patch["sdr"].shape == (3, 16, 16)
    assert main(["crop", str(layout / "train/image"), str(tmp_path / "image")]) == 1


def test_published_patches_are_found_beside_the_pictures(layout: Path, tmp_path: Path) -> None:
    for part, size in (("image", "32"), ("gainmap", "16")):
        command = ["crop", str(layout / "train" / part), str(tmp_path / f"{part}_sp")]
        assert main([*command, "--crop", size, "--step", size, "--threads", "1"]) == 0
    for part in ("metadata", "thumbnail"):
        (tmp_path / part).symlink_to(layout / "train" / part)
    patches = list_layout(tmp_path)
    assert len(patches) == 12
    assert {item.image.parent.name for item in patches} == {"image_sp"}
    assert {item.gain_map.parent.name for item in patches} == {"gainmap_sp"}
    # Where whole pictures are there, too, training takes the patches, a test the pictures.
    for part in ("image", "gainmap"):
        (tmp_path / part).symlink_to(layout / "train" / part)
    assert [item.image.parent.name for item in list_layout(tmp_path)] == ["image"] * 2
    data = LayoutDataset(tmp_path, PRESET, crop=16, seed=0, length=1)
    assert [item.image for item in data.items] == [item.image for item in patches]


def test_crops_are_turned_only_where_asked(layout: Path) -> None:
    folder = layout / "train"
    whole = list_layout(folder)
    width, height = 48, 32
    plain = LayoutDataset(folder, PRESET, crop=height, seed=0, length=20)
    turned = LayoutDataset(folder, PRESET, crop=height, seed=0, length=20, augment=True)
    pictures = [shrink(item.load()[0], PRESET.map_scale) for item in whole]

    def lies_in(crop: torch.Tensor) -> bool:
        windows = (p[:, :, x : x + height] for p in pictures for x in range(width - height + 1))
        return any(torch.equal(crop, window) for window in windows)

    assert all(lies_in(plain[n]["sdr"]) for n in range(20))
    assert sum(lies_in(turned[n]["sdr"]) for n in range(20)) < 10


@pytest.mark.parametrize(
    ("source", "options", "message"),
    [
        ("none", [], "is not a folder"),
        ("train/metadata", [], "no pictures in"),
        ("train/image", ["--crop", "4000"], "is as large as 4000x4000"),
        ("train/image", ["--step", "0"], "must be 1 or more"),
    ],
)
def test_crop_says_what_it_lacks(
    layout: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], source: str,
    options: list[str], message: str,
) -> None:  # fmt: skip
    assert main(["crop", str(layout / source), str(tmp_path / "out"), *options]) == 1
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_incomplete_layout_is_an_error(layout: Path, tmp_path: Path) -> None:
    (tmp_path / "image").symlink_to(layout / "train/image")
    with pytest.raises(MediaError, match=r"0000001\.png has no"):
        list_layout(tmp_path)


def test_pictures_are_judged_with_some_of_their_own_film() -> None:
    config = build(Config, {"data": {"batch": 8, "film": 4}})
    among = torch.stack([draw_among(config, step) for step in range(50)])
    torch.testing.assert_close(among.sum(2), torch.ones(50, 8))
    assert float(among[:, :4, 4:].abs().max()) == 0
    assert float(among[:, 4:, :4].abs().max()) == 0
    assert float(torch.diagonal(among, dim1=1, dim2=2).min()) > 0
    sizes = (among > 0).sum(2).unique().tolist()
    assert sizes == [1, 2, 3, 4]
    alone = float(((among > 0).sum(2) == 1).float().mean())
    assert ALONE < alone < ALONE + 0.3
    torch.testing.assert_close(draw_among(config, 7), among[7])


def test_processes_share_a_step_film_by_film() -> None:
    config = build(Config, {"data": {"batch": 4, "film": 2, "workers": 0}, "run": {"steps": 5}})

    class Numbers(Dataset[dict[str, torch.Tensor]]):
        def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
            return {"n": torch.tensor(index)}

    def numbers(start: int, rank: int, world: int) -> list[list[int]]:
        return [batch["n"].tolist() for batch in endless(Numbers(), config, start, rank, world)]

    assert numbers(3, 0, 1) == [[12, 13, 14, 15], [16, 17, 18, 19]]
    assert numbers(3, 1, 2) == [[28, 29, 30, 31], [36, 37, 38, 39]]

"""Films that are made once, and the head of the fast model trained on them."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.training.remembering import FILMS, PICTURES, configure, fresh, open_pairs, places
from training import remembered
from training.__main__ import main
from training.checkpoint import CHECKPOINT, load_checkpoint
from training.config import ConfigError, LossConfig, TrainingError
from training.head import (
    NOISE,
    Lessons,
    blur,
    draw_lessons,
    learn,
    load_initial,
    train_head,
)
from training.loss import gain_map_loss
from training.measure import measure
from training.remembered import LETTERS, PIXELS, load_films, remember
from vs_gainmap.models import GMNet
from vs_gainmap.weights import load_weights, save_weights


def test_films_are_those_that_training_makes(views: Path, films: Path) -> None:
    config = configure(views)
    pairs, kept = open_pairs(config), load_films(films)[0]
    assert kept.measured.shape[:2] == kept.layout_mean.shape[:2] == (FILMS, PICTURES)
    titles = 0
    for film in range(FILMS):
        for picture in range(PICTURES):
            item = pairs[film * PICTURES + picture]
            seen, measured = fresh(config).see(item["thumbnail"][None])
            torch.testing.assert_close(
                kept.measured[film, picture].float(), measured[0], atol=1e-3, rtol=1e-3
            )
            torch.testing.assert_close(
                kept.seen[film, picture].float(), seen[0], atol=1e-3, rtol=1e-3
            )
            row, column = places(kept.places[film, picture], item["sdr"])
            for name, part in (("sdr", kept.sdr), ("hdr", kept.hdr)):
                torch.testing.assert_close(
                    part[film, picture].float(), item[name][:, row, column], atol=4e-3, rtol=1e-3
                )
            titled = bool(item["title"].sum() > 0)
            assert bool(kept.titled[film, picture]) == titled
            if titled:
                titles += 1
                assert (item["title"][0, row[PIXELS:], column[PIXELS:]] > 0).all()
    assert titles > 0
    assert kept.sdr.shape[-1] == PIXELS + LETTERS


def test_judges_from_memory_as_from_pictures(views: Path, films: Path) -> None:
    config = configure(views)
    preset, pairs, kept = config.preset.build(), open_pairs(config), load_films(films)[0]
    model = fresh(config).eval()
    items = [pairs[2 * PICTURES + k] for k in range(PICTURES)]
    among = torch.zeros(PICTURES, PICTURES)
    among[:, [0, 1, 3]] = 1 / 3
    thumbnails = torch.stack([item["thumbnail"] for item in items])
    features = model.analyze(thumbnails, among=among)
    heard = torch.tensor([[True, True, False, True]])
    lessons = Lessons(torch.tensor([2]), torch.tensor([0]), torch.tensor([1]), heard)
    loss = LossConfig()
    found = learn(model, kept, lessons, preset, loss)
    mine = type(features)(*(part[1:2] for part in features))
    place = kept.places[2, 1, :, :PIXELS].float()[None, ..., None]
    sdr, hdr = (part[2, 1, :, :PIXELS].float()[None, ..., None] for part in (kept.sdr, kept.hdr))
    made = model.slice_at(sdr, mine, *place.unbind(1))
    batch = {"sdr": sdr, "hdr": hdr, "qmax": items[1]["qmax"][None]}
    expected = gain_map_loss(made, mine.qmax_norm, batch, preset, loss)
    for name in ("pq", "log_gain", "qmax", "total"):
        torch.testing.assert_close(found[name], expected[name].detach(), atol=2e-3, rtol=2e-3)
    # And the map is that of the whole picture, where the pixel is.
    whole = model.predict(items[1]["sdr"][None], mine)[0, 0]
    row, column = places(place[0, :, :, 0], whole[None])
    torch.testing.assert_close(made[0, 0, :, 0], whole[row, column], atol=2e-3, rtol=2e-3)


def test_titles_are_scored_by_themselves(views: Path, films: Path) -> None:
    config = configure(views)
    preset, kept = config.preset.build(), load_films(films)[0]
    model = fresh(config).eval()
    lessons = draw_lessons(kept, 2 * PICTURES, 0, 0)
    without = learn(model, kept, lessons, preset, LossConfig())
    found = learn(model, kept, lessons, preset, LossConfig(title=3.0))
    assert found["pq"] == without["pq"]
    torch.testing.assert_close(found["total"], without["total"] + 3 * found["title"])
    none = kept._replace(titled=torch.zeros_like(kept.titled))
    assert learn(model, none, lessons, preset, LossConfig(title=3.0))["title"] == 0


def test_goes_on_where_it_stopped_making_films(
    views: Path, films: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remembered, "SHARD", 2)
    config = configure(views)
    first = remember(config, fresh(config), tmp_path, count=3)
    kept = (tmp_path / "films_000000.safetensors").stat().st_mtime_ns
    more = remember(config, fresh(config), tmp_path, count=FILMS)
    assert more != first
    assert (tmp_path / "films_000000.safetensors").stat().st_mtime_ns == kept
    parts, digest = load_films(tmp_path)
    whole, also = load_films(films)
    assert digest == also == more
    assert all(torch.equal(one, two) for one, two in zip(parts, whole, strict=True))
    other = replace(config, run=replace(config.run, seed=1))
    with pytest.raises(ConfigError, match="has other films"):
        remember(other, fresh(config), tmp_path, count=FILMS)


def test_films_of_several_folders_are_one(views: Path, films: Path, tmp_path: Path) -> None:
    config = configure(views)
    other = replace(config, run=replace(config.run, seed=1))
    remember(other, fresh(config), tmp_path / "more", count=2)
    (one, first), (two, second) = load_films(films), load_films(tmp_path / "more")
    both, digest = load_films(films, tmp_path / "more")
    assert len({first, second, digest, load_films(tmp_path / "more", films)[1]}) == 4
    for part, mine, more in zip(both, one, two, strict=True):
        assert torch.equal(part, torch.cat([mine, more]))
    short = replace(config, data=replace(config.data, film=PICTURES // 2))
    remember(short, fresh(config), tmp_path / "short", count=1)
    with pytest.raises(ConfigError, match="short have another"):
        load_films(films, tmp_path / "short")


def test_learns_and_leaves_the_convolutions_alone(views: Path, films: Path, tmp_path: Path) -> None:
    config = configure(views, steps=150, validate_every=1000)
    preset, kept = config.preset.build(), load_films(films)[0]
    model = fresh(config)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    lessons = draw_lessons(kept, 4 * PICTURES, 99, 0)
    start = learn(model.eval(), kept, lessons, preset, config.loss)["total"]
    average = train_head(config, model, [films], tmp_path)
    assert learn(average, kept, lessons, preset, config.loss)["total"] < 0.6 * start
    for name, value in average.state_dict().items():
        frozen = name.startswith(("layout", "normalize"))
        assert torch.equal(value, before[name]) == frozen, name


def test_resumed_run_is_the_same_run(views: Path, films: Path, tmp_path: Path) -> None:
    config = configure(views)
    whole = train_head(config, fresh(config), [films], tmp_path / "whole")
    train_head(config, fresh(config), [films], tmp_path / "parts", stop_at=3)
    assert load_checkpoint(tmp_path / "parts" / CHECKPOINT)["step"] == 3
    resumed = train_head(config, fresh(config), [films], tmp_path / "parts")
    for name, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name])
    scores, again = (
        (tmp_path / name / "validation.txt").read_text() for name in ("whole", "parts")
    )
    assert again.endswith(scores)
    assert "nan" not in scores


def test_statistics_are_blurred_in_training_alone(views: Path, films: Path) -> None:
    config = configure(views)
    preset, kept, model = config.preset.build(), load_films(films)[0], fresh(config)
    spread = torch.linspace(0.1, 10, kept.measured.shape[-1])
    model.normalize.running_var = spread.square()
    measured = torch.zeros(4000, len(spread))
    torch.testing.assert_close(blur(model, measured).std(0), NOISE * spread, rtol=0.1, atol=0)
    assert float((blur(model, measured).mean(0) / spread).abs().max()) < 0.1 * NOISE
    lessons = draw_lessons(kept, 4 * PICTURES, 0, 0)
    torch.nn.init.normal_(model.curves.weight, std=0.05)
    for layer in model.modules():
        if isinstance(layer, torch.nn.Dropout):
            layer.p = 0.0
    model.eval()
    found = [learn(model, kept, lessons, preset, config.loss)["pq"] for _ in range(2)]
    assert found[0] == found[1]
    model.train()
    model.normalize.eval()
    assert learn(model, kept, lessons, preset, config.loss)["pq"] != found[0]


def test_says_what_does_not_fit(views: Path, films: Path, tmp_path: Path) -> None:
    config = configure(views)
    with pytest.raises(ConfigError, match=r"films: none in .* remember"):
        train_head(config, fresh(config), [tmp_path], tmp_path)
    with pytest.raises(ConfigError, match="another model's convolutions"):
        train_head(config, fresh(config, seed=5), [films], tmp_path)
    brighter = replace(config, preset=replace(config.preset, sdr_white=100.0))
    with pytest.raises(ConfigError, match=r"are of .*203\.0.*, not .*100\.0"):
        train_head(brighter, fresh(config), [films], tmp_path)
    odd = replace(config, data=replace(config.data, batch=5, film=1))
    with pytest.raises(ConfigError, match="multiple of 2"):
        train_head(odd, fresh(config), [films], tmp_path)
    cropped = replace(config, data=replace(config.data, crop=16))
    with pytest.raises(ConfigError, match=r"data\.crop 0"):
        remember(cropped, fresh(config), tmp_path, count=1)
    path = tmp_path / "gmnet.safetensors"
    save_weights(GMNet(8, blocks=1), config.preset.build(), path)
    with pytest.raises(ConfigError, match="no fast model"):
        load_initial(path, config)
    with pytest.raises(ConfigError, match="no fast model"):
        measure(str(path), films)
    grid = tmp_path / "grid.safetensors"
    save_weights(fresh(config), config.preset.build(), grid)
    unseen = tmp_path / "unseen"
    remember(config, fresh(config), unseen, count=1, held_out=True)
    with pytest.raises(ConfigError, match="are of held-out scenes"):
        train_head(config, fresh(config), [unseen], tmp_path / "run")
    save_weights(fresh(config), brighter.preset.build(), grid)
    with pytest.raises(ConfigError, match="was trained for"):
        load_initial(grid, config)


@pytest.mark.parametrize("workers", [0, 1])
def test_names_the_view_that_cannot_be_read(views: Path, tmp_path: Path, workers: int) -> None:
    damaged = tmp_path / "views"
    shutil.copytree(views, damaged)
    config = configure(damaged)
    config = replace(config, data=replace(config.data, workers=workers))
    # As long as they were; the first is opened beforehand, and is well.
    for view in open_pairs(config).views[1:]:
        view.path.write_bytes(b"0" * view.path.stat().st_size)
    with pytest.raises(TrainingError, match=r"\.npy can't be read") as told:
        remember(config, fresh(config), tmp_path / "films", count=2)
    assert "\n" not in str(told.value)
    assert not list((tmp_path / "films").glob("*.safetensors"))


def test_from_views_to_weights(
    views: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = configure(views)
    initial, made = tmp_path / "initial.safetensors", tmp_path / "made.safetensors"
    save_weights(fresh(config), config.preset.build(), initial)
    toml = tmp_path / "small.toml"
    toml.write_text(
        "[preset]\nsdr_white = 203.0\npeak = 4.0\nmap_scale = 2\nmin_log_gain = -1.0\n"
        '[model]\nkind = "grid"\nchannels = 8\n'
        f'[data]\nfolder = "{views}"\ncrop = 0\nfilm = 2\nbatch = 4\nworkers = 1\n'
        "[run]\nsteps = 4\nvalidation_views = 1\n"
    )
    films, run = tmp_path / "films", tmp_path / "run"
    start = ["--initial", str(initial), "--set", "run.seed=3"]
    assert main(["remember", str(toml), "--films", "2", "--out", str(films), *start]) == 0
    assert main(["head", str(toml), "--films", str(films), "--out", str(run), *start]) == 0
    assert main(["export", str(run / CHECKPOINT), str(made)]) == 0
    before, after = (load_weights(path).model.state_dict() for path in (initial, made))
    assert not torch.equal(before["judge.0.weight"].half(), after["judge.0.weight"].half())
    torch.testing.assert_close(
        before["layout.0.weight"], after["layout.0.weight"], atol=1e-3, rtol=0
    )
    assert main(["head", str(toml), "--films", str(views), "--out", str(run), *start]) == 1
    assert capsys.readouterr().err.count("\n") == 1

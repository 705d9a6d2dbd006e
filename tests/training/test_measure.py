"""The fast model measured on many films at once."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from tests.training.remembering import FILMS, PICTURES, configure, fresh, places
from training.__main__ import main
from training.batches import open_data
from training.config import ConfigError
from training.head import train_head
from training.measure import compare, measure, report
from training.metrics import pq_psnr
from training.operators import OPERATORS
from training.pairs import PairDataset
from training.remembered import PIXELS, load_films, remember
from vs_gainmap.color import bt1886_eotf, convert_primaries, pq_inverse_eotf
from vs_gainmap.gainmap import render_hdr
from vs_gainmap.weights import save_weights


def test_measures_what_whole_pictures_have(views: Path, tmp_path: Path) -> None:
    config = configure(views)
    preset, model = config.preset.build(), fresh(config).eval()
    # Something to say, and as it is read again.
    torch.nn.init.normal_(model.curves.weight, std=0.05, generator=torch.Generator().manual_seed(1))
    path = tmp_path / "grid.safetensors"
    save_weights(model, preset, path)
    films = tmp_path / "films"
    count = len(OPERATORS) + 1
    remember(config, model, films, count=count, held_out=True)
    scores = measure(str(path), films, heard=[1, 2, PICTURES], stops=[-0.5, 0.0])
    for name, also in (("alone", 1), ("survey", PICTURES)):
        both = scores.pq_psnr[name], scores.pq_psnr[f"survey of {also}"]
        torch.testing.assert_close(*both, atol=1e-3, rtol=0)
    assert not torch.equal(scores.pq_psnr["survey of 2"], scores.pq_psnr["alone"])
    same, darker = (scores.too_bright[f"survey {more} stops"] for more in ("+0.00", "-0.50"))
    assert torch.equal(same, scores.too_bright["survey"])
    # Half a stop is some 35 steps of 10-bit PQ at 20 cd/m2, less in the dark.
    assert torch.all((same - darker > 10) & (same - darker < 40))
    with pytest.raises(ConfigError, match=f"1 to {PICTURES}"):
        measure(str(path), films, heard=[PICTURES + 1])
    assert scores.operators == [*OPERATORS, next(iter(OPERATORS))]
    assert scores.held_out.tolist() == [OPERATORS[name].held_out for name in scores.operators]
    _, held_out, _ = open_data(config, 1)
    pairs = PairDataset(
        held_out, preset, crop=0, seed=0, length=1, film=PICTURES, every_operator=True
    )
    film = list(OPERATORS).index("hable")
    items = [pairs[film * PICTURES + k] for k in range(PICTURES)]
    thumbnails = torch.stack([item["thumbnail"] for item in items])
    survey = model.gather(model.testify(thumbnails))
    kept = load_films(films)[0]
    for method, heard in (("survey", survey), ("alone", None)):
        features = model.analyze(thumbnails, heard)
        found, steps = [], []
        for k, item in enumerate(items):
            mine = type(features)(*(part[k : k + 1] for part in features))
            gain_map = model.predict(item["sdr"][None], mine)
            hdr = render_hdr(item["sdr"][None], gain_map, mine.qmax_norm, preset)[0]
            hdr = convert_primaries(hdr, "bt709", "bt2020") * preset.sdr_white
            row, column = places(kept.places[film, k, :, :PIXELS], hdr)
            truth = item["hdr"][:, row, column] * preset.sdr_white
            shown = hdr[:, row, column].clamp(0, preset.peak_nits)
            found.append(pq_psnr(shown, truth))
            steps.append(1023 * float((pq_inverse_eotf(shown) - pq_inverse_eotf(truth)).mean()))
        mean = sum(found) / PICTURES
        assert float(scores.pq_psnr[method][film]) == pytest.approx(mean, abs=0.02)
        assert abs(mean - float(scores.pq_psnr["scaling 203"][film])) > 0.1
        assert float(scores.too_bright[method][film]) == pytest.approx(sum(steps) / PICTURES, abs=1)
    assert not torch.equal(scores.pq_psnr["survey"], scores.pq_psnr["alone"])
    table = report(scores).splitlines()
    assert [line.split()[0] for line in table[1:18]] == list(OPERATORS)
    assert table[20].split()[:2] == ["all", str(count)]
    assert [line[:18].strip() for line in table[23:]] == list(scores.pq_psnr)
    chosen = scores.held_out
    psnr, difference = scores.pq_psnr["survey"][chosen], scores.delta_e["survey"][chosen]
    cells = next(line for line in table[23:] if line.startswith("survey  ")).split()
    assert cells[3:5] == [f"{float(psnr.mean()):.2f}", f"{float(difference.mean()):.1f}"]


def test_scaling_is_right_where_nothing_was_done(views: Path, tmp_path: Path) -> None:
    """A film that was clipped at 203 cd/m2 is right below that, and only there."""
    config = configure(views)
    model = fresh(config)
    films, path = tmp_path / "films", tmp_path / "grid.safetensors"
    save_weights(model, config.preset.build(), path)
    remember(config, model, films, count=1, held_out=True)
    before = float(measure(str(path), films).pq_psnr["scaling 203"])
    kept = load_films(films)[0]._asdict()
    light = bt1886_eotf(kept["sdr"].float())
    kept["hdr"] = convert_primaries(light.flatten(0, 1)[..., None], "bt709", "bt2020")
    kept["hdr"] = kept["hdr"][..., 0].view(light.shape).clamp(min=0).half().contiguous()
    save_file(kept, films / "films_000000.safetensors")
    scores = measure(str(path), films)
    assert float(scores.pq_psnr["scaling 203"]) > 60 > before + 20
    assert float(scores.delta_e["scaling 203"]) < 1


def test_measures_what_is_known_by_heart(views: Path, films: Path, tmp_path: Path) -> None:
    config = configure(views, steps=150, validate_every=1000)
    preset, path = config.preset.build(), tmp_path / "grid.safetensors"
    save_weights(fresh(config), preset, path)
    before = measure(str(path), films)
    assert not before.held_out.any()
    assert len(before.pq_psnr["survey"]) == FILMS
    save_weights(train_head(config, fresh(config), [films], tmp_path / "run"), preset, path)
    after = measure(str(path), films)
    assert float((after.pq_psnr["survey"] - before.pq_psnr["survey"]).mean()) > 1
    assert torch.equal(after.pq_psnr["scaling 203"], before.pq_psnr["scaling 203"])
    table = report(after).splitlines()
    assert [line[:22].strip() for line in table[1:3]] == ["as training draws", "all"]
    assert float(after.too_bright["survey"].abs().mean()) < float(
        before.too_bright["survey"].abs().mean()
    )


def test_compares_film_by_film(
    views: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = configure(views)
    preset, model = config.preset.build(), fresh(config)
    one, two, films = tmp_path / "one.safetensors", tmp_path / "two.safetensors", tmp_path / "films"
    save_weights(model, preset, one)
    torch.nn.init.normal_(model.curves.weight, std=0.05, generator=torch.Generator().manual_seed(1))
    save_weights(model, preset, two)
    remember(config, model, films, count=len(OPERATORS), held_out=True)
    base, scores = measure(str(one), films), measure(str(two), films)
    table = compare(scores, base).splitlines()
    assert [line[:22].strip() for line in table[1:]] == [
        "trained operators",
        "held-out operators",
        "all",
    ]
    more = (scores.pq_psnr["survey"] - base.pq_psnr["survey"])[scores.held_out]
    spread = float(more.std()) / len(more) ** 0.5
    assert table[2].split()[2:6] == ["4", f"{float(more.mean()):+.2f}", "+-", f"{spread:.2f}"]
    same = compare(base, base).splitlines()
    assert same[3].split()[2:4] == ["+0.00", "+-"]
    assert main(["measure", str(one), str(two), "--films", str(films)]) == 0
    printed = capsys.readouterr().out
    assert f"{two} over {one}\n{compare(scores, base)}" in printed
    assert report(base) in printed

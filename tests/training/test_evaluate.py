"""Measuring, and the report."""

from __future__ import annotations

import json
from pathlib import Path

import torch

from training.evaluation.baselines import (
    baselines,
)
from training.evaluation.items import Item
from training.evaluation.measure import format_table, measure, summary, write_json
from training.evaluation.methods import baseline_method, network_method, oracle_method
from training.evaluation.metrics import (
    Scorer,
)
from training.evaluation.report import WorstCases, write_html
from vs_gainmap.color.primaries import convert_primaries
from vs_gainmap.color.transfer import gamma22_eotf
from vs_gainmap.gainmap import GainMapPreset
from vs_gainmap.models import GMNet
from vs_gainmap.models.weights import Weights

PRESET = GainMapPreset(sdr_white=203.0, peak=1000 / 203, map_scale=2, min_log_gain=-2.0)


def drawn_item(name: str, frame: int) -> Item:
    torch.manual_seed(1)
    signal = torch.rand(3, 32, 48) * 0.8 + 0.1
    light = gamma22_eotf(signal) * (1.5 + 0.1 * frame)
    truth = convert_primaries(light, "bt709", "bt2020") * 203
    return Item(name=f"{name}_{frame}", operator="drawn", sdr_signal=signal, truth=truth)


def test_report_has_tables_and_worst_cases(tmp_path: Path) -> None:
    torch.manual_seed(0)
    weights = Weights(name="tiny", sha256="", model=GMNet(4, blocks=1).eval(), preset=PRESET)
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
    assert "delta_e_itp" in format_table(means)
    write_json(rows, tmp_path / "report.json")
    assert len(json.loads((tmp_path / "report.json").read_text())["items"]) == 9
    write_html(rows, [worst], tmp_path / "report.html", base="scaling 203", title="<tiny>")
    page = (tmp_path / "report.html").read_text()
    assert page.count("data:image/jpeg;base64") == 8
    assert "&lt;tiny&gt;" in page
    assert "oracle map" in page

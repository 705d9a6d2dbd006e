"""The command `evaluate`: measure weights and baselines; write tables, JSON and a page."""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from training.data.images import write_float_tiff
from training.data.splits import split_views
from training.data.views import read_index
from training.evaluation.baselines import baselines
from training.evaluation.items import Item, items_from_layout, items_from_video, items_from_views
from training.evaluation.measure import Row, format_table, measure, summary, write_json
from training.evaluation.methods import (
    Method,
    Output,
    baseline_method,
    network_method,
    oracle_method,
    published_method,
)
from training.evaluation.metrics import Scorer, as_bt709
from training.evaluation.real import Real, measure_real, real_pairs, real_table, write_sheet
from training.evaluation.report import WorstCases, write_html
from training.evaluation.subtitled import subtitled
from training.export import load_trained
from training.paper.layout import read_preset
from vs_gainmap.errors import MediaError, WeightsError
from vs_gainmap.gainmap import GainMapPreset
from vs_gainmap.models.weights import Weights

BASE = "scaling 203"
WORST = 8


def evaluate(args: argparse.Namespace) -> None:
    """Measure and write the report.

    Raises:
        MediaError: there is nothing to measure on, or `--subtitles` where no view is, or
            `--pictures` without a layout.
        WeightsError: weights are for another display than the truth's.
    """
    if args.subtitles and not args.views:
        raise MediaError("evaluate: --subtitles is for --views")
    if args.pictures and not args.layout:
        raise MediaError("evaluate: --pictures is for --layout")
    sets = [load_trained(name, preset=args.weights_preset).weights for name in args.weights]
    named = name_sets(sets)
    first = next(iter(named))
    preset, whose = sets[0].preset, first
    if args.layout is not None and (found := read_preset(args.layout)) is not None:
        preset, whose = found, f"{args.layout}'s preset.json"
    check_light(named, preset, whose)

    make = network_method if args.layout is None else published_method
    # Views stand for frames that are at map size already.
    scale = args.map_scale or (1 if args.views else None)
    methods: dict[str, Method] = {name: make(each, map_scale=scale) for name, each in named.items()}
    for name, baseline in baselines(with_libplacebo=not args.no_libplacebo).items():
        methods[name] = baseline_method(baseline, preset.peak_nits)
    if args.real is not None:
        _evaluate_real(args, {name: methods[name] for name in (*named, BASE)}, first, preset)
        return
    methods["oracle map"] = oracle_method(preset)
    scorer = Scorer(
        peak_nits=preset.peak_nits,
        published=args.layout is not None,
        color_video_vdp=args.cvvdp,
    )
    args.out.mkdir(parents=True, exist_ok=True)
    worst = [WorstCases(name, WORST if name == first else WORST // 2) for name in named]
    rows = []
    for row, item, output in measure(_items(args, preset), methods, preset, scorer):
        rows.append(row)
        if row.method == first and sys.stderr.isatty():
            print(
                f"\r{len(rows) // len(methods) + 1} {item.name[:40]:40s}", end="", file=sys.stderr
            )
        for cases in worst:
            cases.add(row, item, output)
        if args.pictures and row.method in named:
            folder = args.out if len(named) == 1 else args.out / row.method.replace("/", "_")
            write_published(item, output, preset, folder)
    print(format_table(summary(rows, by=lambda row: row.method)))
    for method in (*named, BASE) if args.views or args.video else ():
        mine: list[Row] = [row for row in rows if row.method == method]
        print(f"\n{method}\n{format_table(summary(mine, by=lambda row: row.operator))}")
    write_json(rows, args.out / "report.json")
    title = f"Weights {', '.join(named)}"
    write_html(rows, worst, args.out / "report.html", base=BASE, title=title)


def _evaluate_real(
    args: argparse.Namespace, methods: dict[str, Method], first: str, preset: GainMapPreset
) -> None:
    """Print the methods' tables on real pairs, and write a sheet of the first one's worst."""
    args.out.mkdir(parents=True, exist_ok=True)
    rows: dict[str, list[Real]] = {name: [] for name in methods}
    for item in real_pairs(args.real):
        for name, method in methods.items():
            rows[name].append(measure_real(item, method, preset.peak_nits))
    for name, mine in rows.items():
        print(f"{name}\n{real_table(mine)}\n")
    write_sheet(rows[first], args.out / "sheet.png")


def _items(args: argparse.Namespace, preset: GainMapPreset) -> Iterator[Item]:
    if args.layout is not None:
        return items_from_layout(args.layout, preset)
    if args.views is not None:
        _, held_out = split_views(read_index(args.views), held_out=args.held_out)
        items = items_from_views(held_out, preset, per_operator=args.count)
        return subtitled(items, preset) if args.subtitles else items
    # A multiple of twice every map scale.
    step = 2 * max(4, args.map_scale or 0)
    return items_from_video(args.video, preset, count=args.count, lines=args.lines, step=step)


def write_published(item: Item, output: Output, preset: GainMapPreset, folder: Path) -> None:
    """Write result and truth as the published test does: NAME_pd.tif and NAME_gt.tif.

    They are 32-bit float TIFF, linear light in BT.709, 1.0 = the preset's peak.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for end, nits in (("pd", output.nits), ("gt", item.truth)):
        light = as_bt709(nits) / preset.peak_nits
        write_float_tiff(light, folder / f"{item.name}_{end}.tif")


def name_sets(sets: Sequence[Weights]) -> dict[str, Weights]:
    """Name weights by their files' stems, or by whole paths where two have the same stem."""
    stems = [Path(each.name).stem for each in sets]
    names = [s if stems.count(s) == 1 else e.name for s, e in zip(stems, sets, strict=True)]
    return dict(zip(names, sets, strict=True))


def check_light(sets: Mapping[str, Weights], preset: GainMapPreset, whose: str) -> None:
    """Check that weights have the white, peak and EOTF of the truth.

    Args:
        sets: by name.
        preset: the truth's.
        whose: where it comes from.

    Raises:
        WeightsError: they differ.
    """
    for name, weights in sets.items():
        for field_name in ("sdr_white", "peak", "eotf"):
            own, wanted = getattr(weights.preset, field_name), getattr(preset, field_name)
            if own != wanted and (isinstance(own, str) or not math.isclose(own, wanted)):
                raise WeightsError(
                    f"evaluate: {name} has {field_name} {_short(own)}, but {whose} "
                    f"{_short(wanted)}; measure them apart"
                )


def _short(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:.4g}"

"""Validate a network during training: on held-out views, or a layout's test pictures."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from training.config import Config
from training.data.views import View
from training.evaluation.items import Item, items_from_layout, items_from_views, to_nits
from training.evaluation.measure import Row
from training.evaluation.methods import Output, network_method, published_method
from training.evaluation.metrics import as_bt709, delta_e_itp, paper_psnr, pq_psnr
from training.evaluation.report import MOST_WIDTH, for_sdr_screen
from training.paper.layout import list_layout
from vs_gainmap.color.transfer import SDR_EOTFS
from vs_gainmap.gainmap import GainMapPreset
from vs_gainmap.models import Model
from vs_gainmap.models.weights import Weights


@dataclass(frozen=True, slots=True, kw_only=True)
class Examples:
    """What a run is validated on.

    Attributes:
        load: yields the pictures; a layout's are read anew each time, since they may be large.
        count: how many there are.
        published: whether they are measured by the paper's protocol.
    """

    load: Callable[[], Iterable[Item]]
    count: int
    published: bool

    @property
    def figure(self) -> str:
        """Return the metric that says which checkpoint is best."""
        return "psnr" if self.published else "pq_psnr"


def open_examples(held_out: list[View], config: Config) -> Examples | None:
    """Return what a run is validated on; None where its data hold nothing back.

    Raises:
        MediaError: a layout's test/ lacks a part.
    """
    preset, count = config.preset.build(), config.run.validation_views
    if config.data.source == "layout":
        test = Path(str(config.data.folder)) / "test"
        count = min(count, len(list_layout(test)) if test.is_dir() else 0)
        load = partial(items_from_layout, test, preset, count=count)
        return Examples(load=load, count=count, published=True) if count else None
    if not held_out or not count:
        return None
    items = list(items_from_views(held_out, preset, per_operator=count))
    return Examples(load=lambda: items, count=len(items), published=False)


def validate(
    model: Model, examples: Examples, preset: GainMapPreset
) -> Iterator[tuple[Row, Item, Output]]:
    """Measure a network on every picture: as published, or in PQ beside scaling to SDR white."""
    # In memory, so without a file's digest.
    weights = Weights(name="validated", sha256="", model=model, preset=preset)
    if examples.published:
        method = published_method(weights)
    else:
        # Views stand for frames that are at map size already.
        method = network_method(weights, map_scale=1)
    for item in examples.load():
        output = method(item)
        if examples.published:
            values = paper_psnr(as_bt709(output.nits), as_bt709(item.truth), preset.peak_nits)
        else:
            scaled = to_nits(SDR_EOTFS[preset.eotf](item.sdr_signal), preset)
            values = {
                "pq_psnr": pq_psnr(output.nits, item.truth),
                "pq_psnr_scaled": pq_psnr(scaled, item.truth),
                "delta_e": float(delta_e_itp(output.nits, item.truth).mean()),
                "delta_e_scaled": float(delta_e_itp(scaled, item.truth).mean()),
            }
        row = Row(method="network", item=item.name, operator=item.operator, values=values)
        yield row, item, output


def picture(item: Item, output: Output) -> Tensor:
    """Put SDR, output and truth side by side for an SDR screen: (3, H, 3 W), 0..1."""
    panels = [item.sdr_signal, for_sdr_screen(output.nits), for_sdr_screen(item.truth)]
    height, width = item.sdr_signal.shape[-2:]
    if width > MOST_WIDTH:
        size = (round(height * MOST_WIDTH / width), MOST_WIDTH)
        panels = [functional.interpolate(panel[None], size, mode="area")[0] for panel in panels]
    return torch.cat(panels, dim=-1)

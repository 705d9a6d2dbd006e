"""How skin comes out: signed and absolute error in PQ, where staged views know that skin is.

A face that is a little too bright or too dark is seen before anything else in a picture, and
averages over whole pictures hide it.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from training.evaluate import Item, Method, Row
from training.grade import Grade, Master, draw_peak, quantize_pq
from training.metrics import errors_inside
from training.operators import OPERATORS
from training.pairs import make_sdr, show
from training.views import View
from vs_gainmap.errors import MediaError
from vs_gainmap.gainmap import GainMapPreset

SKIN_SEED = 2408
# Pixels that are at least so much skin, of which a view needs so many.
SHARE, LEAST = 0.9, 100


def with_skin(views: list[View]) -> list[tuple[View, Tensor]]:
    """Return views that show skin, with where it is: (1, H, W), bool.

    Raises:
        MediaError: none does.
    """
    masks = [(view, view.load_skin()) for view in views]
    shown = [(view, mask >= SHARE) for view, mask in masks if mask is not None]
    found = [(view, mask) for view, mask in shown if int(mask.sum()) >= LEAST]
    if not found:
        raise MediaError("skin: no held-out view shows skin; run `stage` on held-out scenes first")
    return found


def skin_items(
    views: list[tuple[View, Tensor]], preset: GainMapPreset, per_operator: int
) -> Iterator[tuple[Item, Tensor]]:
    """Yield views, graded, through every operator at its usual settings, and where skin is.

    No flips, captions, bars or codecs: the mask has to fit, and the operator is what is judged.

    Args:
        views: from `with_skin`; taken in turn, so that operators see many scenes.
        preset: SDR white and peak of the truth.
        per_operator: pictures an operator.
    """
    for row, (name, entry) in enumerate(OPERATORS.items()):
        for column in range(per_operator):
            rng = np.random.default_rng([SKIN_SEED, row, column])
            view, mask = views[int(rng.integers(len(views)))]
            peak = draw_peak(rng)
            nits = quantize_pq(Grade.draw(rng, peak_nits=peak)(view.load()))
            master = Master(
                nits=nits, peak_nits=min(p for p in (1000.0, 4000.0) if p >= 0.99 * peak)
            )
            operator = entry.usual[column % len(entry.usual)]
            signal = make_sdr(master, operator, wide=bool(rng.random() < 0.5), encoding="bt1886")
            item = Item(
                name=view.path.stem,
                operator=name,
                sdr_signal=(signal * 255).round() / 255,
                truth=show(master, preset, rolled=False) * preset.sdr_white,
            )
            yield item, mask


def skin_errors(nits: Tensor, truth: Tensor, mask: Tensor) -> dict[str, float]:
    """Return `skin_bias`, `skin_error`, `rest_bias` and `rest_error`; see `errors_inside`."""
    skin = errors_inside(nits, truth, mask, "skin")
    return skin | errors_inside(nits, truth, ~mask, "rest")


@torch.inference_mode()
def measure_skin(
    methods: dict[str, Method], views: list[View], preset: GainMapPreset, per_operator: int
) -> list[Row]:
    """Run every method on skin.

    Args:
        methods: weights and baselines, by name.
        views: staged, of held-out scenes.
        preset: of the truth.
        per_operator: pictures an operator.
    """
    rows = []
    for item, mask in skin_items(with_skin(views), preset, per_operator):
        for name, method in methods.items():
            values = skin_errors(method(item).nits, item.truth, mask)
            rows.append(Row(method=name, item=item.name, operator=item.operator, values=values))
    return rows

"""Put subtitles on pictures to evaluate; their white is SDR white in the truth, too."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np
import torch

from training.data.grade import draw_subtitles
from training.evaluation.items import Item
from vs_gainmap.color.transfer import bt1886_eotf
from vs_gainmap.gainmap import GainMapPreset

SUBTITLES_SEED = 608
# Range of their signal: from the grey of streaming services to full white.
LEVELS = (0.75, 1.0)
# Coverage from which a pixel counts as letter, as a share of the largest.
INSIDE = 0.8


def subtitled(items: Iterable[Item], preset: GainMapPreset) -> Iterator[Item]:
    """Yield items with subtitles on SDR and truth, marked in `Item.title`.

    Args:
        items: stills, for a BT.1886 display.
        preset: SDR white, which is the subtitles' in the truth at full signal.
    """
    for number, item in enumerate(items):
        rng = np.random.default_rng([SUBTITLES_SEED, number])
        letters = draw_subtitles(rng, *item.sdr_signal.shape[-2:])
        level = torch.tensor(rng.uniform(*LEVELS), dtype=item.sdr_signal.dtype)
        signal = torch.lerp(item.sdr_signal, level, letters)
        yield replace(
            item,
            sdr_signal=(signal * 255).round() / 255,
            truth=torch.lerp(item.truth, bt1886_eotf(level) * preset.sdr_white, letters),
            title=letters >= INSIDE * letters.max(),
        )

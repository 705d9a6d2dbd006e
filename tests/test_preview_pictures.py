"""Pictures for pages."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
import vapoursynth as vs

from tests.clips import BT709, drawn, noise
from vs_gainmap.color.transfer import pq_eotf, pq_inverse_eotf
from vs_gainmap.filters.false_color import StopsScale
from vs_gainmap.filters.options import Conversion
from vs_gainmap.photo.read import read_photo
from vs_gainmap.photo.render import render_photo
from vs_gainmap.preview.frames import Previewer
from vs_gainmap.preview.pictures import legend, tone_map, ultra_hdr


def test_legend_fits_and_shows_the_table() -> None:
    scale = StopsScale(0.0, 2.3)
    strip = legend(scale, 320)
    assert strip.shape == (44, 320, 3)
    assert (strip[10, 24] == scale.table[0]).all()
    assert (strip[10, 320 - 25] == scale.table[255]).all()


def test_tone_map_keeps_order_and_gray() -> None:
    nits = torch.linspace(0, 1000, 64).expand(3, 8, 64)
    mapped = tone_map(nits, 203.0)
    assert (np.diff(mapped[0, :, 0].astype(int)) >= 0).all()
    assert np.ptp(mapped, axis=2).max() <= 1
    assert mapped.max() == 255


def test_ultra_hdr_is_the_light_that_apply_gave(tiny_weights: Path, tmp_path: Path) -> None:
    ramp = drawn(
        noise(96, 64, 1, vs.YUV444P8, **BT709),
        lambda n, p, shape: (  # noqa: ARG005
            np.add.outer(
                np.arange(shape[0]), np.arange(shape[1]) if p == 0 else 60 - np.arange(shape[1])
            )
            + (30 if p == 0 else 60)
        ),
    )
    shown = Previewer(ramp, Conversion(weights=tiny_weights, strength=0.7)).frame(0)
    data = ultra_hdr(shown.sdr, shown.pq, sdr_white=shown.sdr_white, eotf=shown.eotf)
    path = tmp_path / "hdr.jpg"
    path.write_bytes(data)
    decoded = torch.from_numpy(render_photo(read_photo(path), primaries="bt2020")).movedim(-1, 0)
    want = pq_eotf(torch.from_numpy(shown.pq)) / shown.sdr_white
    error = (pq_inverse_eotf(decoded * 203) - pq_inverse_eotf(want * 203)).abs()
    # Two JPEGs of 8 bits lie between.
    assert float(error.mean()) < 0.006
    assert float(want.amax()) > 1.01  # brighter than SDR white

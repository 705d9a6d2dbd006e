"""Scopes, and where their scales end."""

from __future__ import annotations

import re
from pathlib import Path

import cv2
import numpy as np
import torch

from tests.clips import pq_ramp
from vs_gainmap.color.transfer import pq_inverse_eotf
from vs_gainmap.filters.false_color import NitsScale, scale_top
from vs_gainmap.preview.report import measure_frames, write_report
from vs_gainmap.preview.scopes import histogram, new_figure, nits_axis, waveform


def test_scopes_show_where_the_light_is() -> None:
    level = float(pq_inverse_eotf(torch.tensor(203.0)))
    flat = np.full((3, 90, 160), level, np.float32)
    image = cv2.imdecode(np.frombuffer(waveform(flat), np.uint8), cv2.IMREAD_COLOR)
    bright = np.argwhere(image[..., 1].astype(int) - image[..., 2] > 60)
    assert len(bright) > 300
    rows = bright[:, 0] / image.shape[0]
    # 203 cd/m2 is 64 % of the way up to 4000 on the PQ scale, and the line is flat.
    assert 0.3 < np.median(rows) < 0.42
    assert rows.std() < 0.05
    assert histogram(flat)[:8] == b"\x89PNG\r\n\x1a\n"
    assert histogram(flat) != histogram(flat * 0.5)


def test_scales_end_where_the_light_does(tmp_path: Path) -> None:
    assert [scale_top(v) for v in (0.0, 1000.0, 4000.2, 4100.0, 10000.0)] == [4000] * 3 + [1e4] * 2
    scale = NitsScale(10000.0)
    assert scale.ticks()[-1] == (1.0, "10000")
    assert NitsScale().ticks()[-1] == (1.0, "4000")
    colors = scale.paint(np.array([[4000.0, 6000.0, 10000.0]], np.float32))[0]
    assert len({tuple(color) for color in colors}) == 3
    bright = np.full((3, 40, 80), float(pq_inverse_eotf(torch.tensor(8000.0))), np.float32)
    for draw in (waveform, histogram):
        assert draw(bright, 10000.0) != draw(bright)
        assert draw(bright) == draw(bright * 2)  # beyond the scale nothing is drawn
    _, ax = new_figure(4, 3)
    nits_axis(ax, 10000.0)
    assert ax.get_yticklabels()[-1].get_text() == "10000"
    for top, labels in ((900.0, "4000"), (8000.0, "10000")):
        clip = pq_ramp(length=2, top=top)
        write_report(tmp_path / "page.html", clip, measure_frames(clip), title="t")
        # Matplotlib draws text as paths, and leaves it as a comment.
        ticks = re.findall(r"<!-- (\d+) -->", (tmp_path / "page.html").read_text())
        assert max(ticks, key=int) == labels

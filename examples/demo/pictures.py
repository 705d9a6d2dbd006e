"""The demo's picture: a comparison for ordinary screens."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vs_gainmap.color.primaries import convert_primaries
from vs_gainmap.color.transfer import REFERENCE_WHITE_NITS, bt1886_eotf, bt1886_inverse_eotf
from vs_gainmap.filters.false_color import StopsScale
from vs_gainmap.preview.frames import PreviewFrame
from vs_gainmap.preview.pictures import legend

Panel = NDArray[np.uint8]

WIDTH, HEIGHT = 368, 207
STRIP = 24
DARKER_STOPS = 2


def compare(shown: PreviewFrame, nits: Tensor) -> list[tuple[str, Panel]]:
    """Draw one frame four ways.

    Args:
        shown: the SDR frame, and the gain map predicted for it.
        nits: (3, H, W), the HDR result, BT.2020.

    Returns:
        Captions and panels (HEIGHT, WIDTH, 3).
    """
    exposure = 2.0**-DARKER_STOPS
    sdr_signal = torch.from_numpy(shown.sdr).movedim(-1, 0) / 255
    dark_sdr = bt1886_inverse_eotf(bt1886_eotf(sdr_signal) * exposure)
    light = convert_primaries(nits / REFERENCE_WHITE_NITS, "bt2020", "bt709").clamp(min=0.0)
    dark_hdr = bt1886_inverse_eotf((light * exposure).clamp(max=1.0))
    return [
        ("SDR", _panel(sdr_signal)),
        ("gain map", _false_color(shown.stops, StopsScale(*shown.stops_range))),
        (f"SDR, {DARKER_STOPS} stops darker", _panel(dark_sdr)),
        (f"HDR, {DARKER_STOPS} stops darker", _panel(dark_hdr)),
    ]


def write_picture(path: Path, rows: list[list[tuple[str, Panel]]]) -> None:
    """Write rows of panels under their captions as a PNG."""
    captions = [_caption(text) for text, _ in rows[0]]
    lines = [captions, *([panel for _, panel in row] for row in rows)]
    picture = np.concatenate([np.concatenate(line, axis=1) for line in lines])
    _, data = cv2.imencode(".png", picture[..., ::-1], [cv2.IMWRITE_PNG_COMPRESSION, 9])
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data.tobytes())


def _panel(signal: Tensor) -> Panel:
    pixels = (signal.clamp(0.0, 1.0) * 255).round().movedim(0, -1).numpy().astype(np.uint8)
    return cv2.resize(pixels, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)


def _false_color(stops: NDArray[np.float32], scale: StopsScale) -> Panel:
    strip = legend(scale, WIDTH, "stops")
    painted = cv2.resize(scale.paint(stops), (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)
    return np.concatenate([painted[: -len(strip)], strip])


def _caption(text: str) -> Panel:
    strip = np.full((STRIP, WIDTH, 3), 24, np.uint8)
    font, white = cv2.FONT_HERSHEY_SIMPLEX, (255, 255, 255)
    return cv2.putText(strip, text, (8, STRIP - 8), font, 0.5, white, 1, cv2.LINE_AA)

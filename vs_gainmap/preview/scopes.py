"""Waveform and histogram of HDR frames in PQ, with nits at the side."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vs_gainmap.filters.false_color import USUAL_TOP, pq_of, ticks_to
from vs_gainmap.preview.page import PLOTS, require

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

GRID = {"color": "#444", "linewidth": 0.5}
_CHANNELS = ("#ff5050", "#50e050", "#6090ff")


def new_figure(width: float, height: float, rows: int = 1) -> tuple[Figure, Any]:
    """Return a dark figure of so many inches with `rows` axes above each other.

    Raises:
        MediaError: matplotlib is not installed.
    """
    require(*PLOTS)
    import matplotlib.figure

    # Not pyplot: it keeps state and needs a screen.
    figure = matplotlib.figure.Figure(figsize=(width, height), layout="constrained")
    figure.set_facecolor("#181818")
    axes = figure.subplots(rows, 1, sharex=True)
    for ax in np.atleast_1d(axes):
        ax.set_facecolor("#101010")
        ax.tick_params(colors="#ccc", labelsize=8)
        ax.grid(visible=True, **GRID)
        for spine in ax.spines.values():
            spine.set_color("#555")
    return figure, axes


def to_svg(figure: Figure) -> str:
    """Return a figure as an SVG element to put into a page."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg")
    text = buffer.getvalue()
    return text[text.index("<svg") :]


def to_png(figure: Figure) -> bytes:
    """Return a figure as a PNG."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=100)
    return buffer.getvalue()


def nits_axis(ax: Axes, peak: float, *, vertical: bool = True) -> None:
    """Scale an axis that has PQ signals on it in nits, up to `peak` cd/m2."""
    places, texts = zip(*((pq_of(v), f"{v:g}") for v in ticks_to(peak)), strict=True)
    if vertical:
        ax.set_yticks(places, texts)
        ax.set_ylim(0, pq_of(peak))
        ax.set_ylabel("cd/m²", color="#ccc", fontsize=8)
    else:
        ax.set_xticks(places, texts)
        ax.set_xlim(0, pq_of(peak))
        ax.set_xlabel("cd/m²", color="#ccc", fontsize=8)


def waveform(pq: NDArray[np.float32], peak: float = USUAL_TOP) -> bytes:
    """Draw where the light is from left to right.

    Args:
        pq: (3, H, W), R, G, B in PQ, 0..1.
        peak: cd/m2 at the top.

    Returns:
        A PNG: max(R, G, B) of every column, brighter where there is more of it.
    """
    brightest = pq.max(axis=0)
    columns = min(brightest.shape[1], 480)
    x = np.broadcast_to(np.linspace(0, columns, brightest.shape[1]), brightest.shape)
    top = pq_of(peak)
    counts, _, _ = np.histogram2d(
        x.ravel(), brightest.ravel(), bins=(columns, 180), range=((0, columns), (0, top))
    )
    figure, ax = new_figure(5.6, 3.0)
    light = np.log1p(counts.T) / np.log1p(max(counts.max(), 1))
    phosphor = np.array([16.0, 16.0, 16.0]) * (1 - light[..., None])
    phosphor += np.array([150.0, 255.0, 150.0]) * light[..., None]
    extent = (0, 1, 0, top)
    ax.grid(visible=False)  # a solid line at 203 cd/m2 would hide what is there
    ax.imshow(phosphor.astype(np.uint8), origin="lower", aspect="auto", extent=extent)
    for nits in ticks_to(peak):
        ax.axhline(pq_of(nits), color="#fff", alpha=0.3, linewidth=0.5, linestyle=":")
    nits_axis(ax, peak)
    ax.set_xticks([])
    return to_png(figure)


def histogram(pq: NDArray[np.float32], peak: float = USUAL_TOP) -> bytes:
    """Draw how much of the picture is how bright, per channel, as a PNG.

    Args:
        pq: (3, H, W), R, G, B in PQ, 0..1.
        peak: cd/m2 at the right.
    """
    figure, ax = new_figure(5.6, 3.0)
    for plane, color in zip(pq, _CHANNELS, strict=True):
        counts, edges = np.histogram(plane, bins=256, range=(0, pq_of(peak)))
        ax.stairs(counts / plane.size * 100 + 1e-4, edges, color=color, linewidth=1)
    ax.set_yscale("log")
    ax.set_yticks([10.0**n for n in range(-3, 3)], ["0.001", "0.01", "0.1", "1", "10", "100"])
    ax.set_ylim(1e-3, 100)
    ax.set_ylabel("% of pixels", color="#ccc", fontsize=8)
    nits_axis(ax, peak, vertical=False)
    return to_png(figure)

"""GridNet: the fast model. A thumbnail becomes tone curves on a bilateral grid, and Qmax.

A gain map is nearly a tone curve that varies slowly over the picture, so the network sees the
thumbnail alone: its histograms, which say most about the operator that made the SDR, and its
layout through a few strided convolutions. Its output is a grid of curves over luma (a bilateral
grid, Chen et al., SIGGRAPH 2007; predicted as in Gharbi et al., "Deep Bilateral Learning",
SIGGRAPH 2017), sliced with each pixel's own luma, plus one curve over max(RGB). Slicing costs a
few operations a pixel, whatever the size, and edges stay where the luma has them.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from vs_gainmap.models.statistics import STATISTICS, luma, statistics

BINS = 16
CELLS = 16


class GridFeatures(NamedTuple):
    """What the thumbnail says: all that the model knows of a picture."""

    grid: Tensor
    """(N, BINS, CELLS, CELLS): the map's value by luma and place."""
    curve: Tensor
    """(N, BINS, 1, 1): what max(RGB) adds to it, the same everywhere."""
    qmax_norm: Tensor
    """(N, 1, 1, 1), Qmax / log2(peak)."""


class GridNet(nn.Module):
    """The network of the fast model.

    Args:
        channels: width of the convolutions at their end.
        hidden: width of the perceptron.
    """

    def __init__(self, channels: int = 64, hidden: int = 192) -> None:
        super().__init__()
        narrow, middle = channels * 3 // 8, channels * 3 // 4
        # The thumbnail is halved first: 128 -> 64 -> 32 -> 16.
        self.layout = nn.Sequential(
            nn.Conv2d(3, narrow, 3, 2, 1),
            nn.ReLU(inplace=True),
            nn.Conv2d(narrow, middle, 3, 2, 1),
            nn.ReLU(inplace=True),
            nn.Conv2d(middle, channels, 3, 2, 1),
            nn.ReLU(inplace=True),
            nn.Conv2d(channels, channels, 3, 1, 1),
            nn.ReLU(inplace=True),
        )
        self.code = nn.Sequential(
            nn.Linear(STATISTICS + channels, hidden),
            nn.GELU(),
            nn.Dropout(0.1),
            nn.Linear(hidden, hidden),
            nn.GELU(),
        )
        self.curves = nn.Linear(hidden, 2 * BINS + 1)
        self.context = nn.Linear(hidden, channels)
        self.places = nn.Sequential(
            nn.Conv2d(channels, channels, 1), nn.ReLU(inplace=True), nn.Conv2d(channels, BINS, 1)
        )
        for last in (self.curves, self.places[-1]):
            assert isinstance(last, nn.Linear | nn.Conv2d)
            assert last.bias is not None
            nn.init.normal_(last.weight, std=1e-3)
            nn.init.zeros_(last.bias)

    @classmethod
    def from_state_dict(cls, state: dict[str, Tensor]) -> GridNet:
        """Build the network whose sizes `state` has, and load it strictly.

        Raises:
            KeyError: a tensor that tells the sizes is missing.
            RuntimeError: names or shapes do not fit.
        """
        hidden, channels = state["curves.weight"].shape[1], state["context.weight"].shape[0]
        model = cls(channels, hidden)
        model.load_state_dict(state, strict=True)
        return model

    def set_start(self, map_value: float, qmax_norm: float) -> None:
        """Let an untrained network predict this map value everywhere, and this Qmax."""
        with torch.no_grad():
            self.curves.bias[:BINS].fill_(map_value)
            self.curves.bias[2 * BINS].fill_(qmax_norm)

    @staticmethod
    def measure(thumbnail: Tensor) -> tuple[Tensor, Tensor]:
        """Measure a thumbnail; there are no weights in this.

        Args:
            thumbnail: (N, 3, 256, 256), SDR signal, full range, 0..1, of the whole picture.

        Returns:
            It at half the size, (N, 3, 128, 128), and its statistics, (N, STATISTICS).
        """
        small = functional.avg_pool2d(thumbnail, 2)
        return small, statistics(small)

    def analyze(self, thumbnail: Tensor) -> GridFeatures:
        """Predict curves and Qmax.

        Args:
            thumbnail: (N, 3, 256, 256), SDR signal, full range, 0..1, of the whole picture.

        Returns:
            Curves and normalised Qmax; those of several pictures may be averaged.
        """
        return self.analyze_measured(*self.measure(thumbnail))

    def analyze_measured(self, small: Tensor, measured: Tensor) -> GridFeatures:
        """Predict curves and Qmax of what `measure` returns."""
        layout = self.layout(small)
        code = self.code(torch.cat([measured, layout.mean(dim=(2, 3))], dim=1))
        level, curve, qmax_norm = self.curves(code).split([BINS, BINS, 1], dim=1)
        local = self.places(functional.relu(layout + self.context(code)[:, :, None, None]))
        # The grid's own mean is the curve's business.
        local = local - local.mean(dim=(2, 3), keepdim=True)
        return GridFeatures(
            level[:, :, None, None] + local, curve[:, :, None, None], qmax_norm[:, :, None, None]
        )

    def predict(
        self, sdr_signal: Tensor, features: GridFeatures, window: Tensor | None = None
    ) -> Tensor:
        """Slice the grid with the picture.

        Args:
            sdr_signal: (N, 3, H, W), full range, 0..1, at any size.
            features: from `analyze`, of the same pictures.
            window: (N, 4): top, left, bottom and right of `sdr_signal` as shares of the whole
                picture, 0..1; None means that it is the whole.

        Returns:
            (N, 1, H, W), the gain map, nominally 0..1 and not clamped.
        """
        n, _, height, width = sdr_signal.shape
        if window is None:
            # 0, 0, 1, 1, and all that follows, made where the picture is: see `luma`.
            window = torch.arange(4, device=sdr_signal.device).ge(2)[None]
        top_left, bottom_right = window.to(sdr_signal).view(-1, 2, 2, 1).unbind(1)
        low, span = 2 * top_left - 1, bottom_right - top_left
        row, column = (
            torch.arange(k, device=sdr_signal.device, dtype=sdr_signal.dtype)
            for k in (height, width)
        )
        rows = low[:, 0] + span[:, 0] * (2 * row + 1) / height
        columns = low[:, 1] + span[:, 1] * (2 * column + 1) / width
        return self.slice_at(
            sdr_signal,
            features,
            rows[:, :, None].expand(n, height, width),
            columns[:, None, :].expand(n, height, width),
        )

    def slice_at(
        self, sdr_signal: Tensor, features: GridFeatures, rows: Tensor, columns: Tensor
    ) -> Tensor:
        """Slice the grid with pixels from anywhere.

        Args:
            sdr_signal: (N, 3, H, W), full range, 0..1.
            features: from `analyze`, of the same pictures.
            rows: (N, H, W), where each pixel is, -1 at the picture's upper edge, 1 at its lower.
            columns: (N, H, W), -1 at its left edge, 1 at its right.

        Returns:
            As `predict`.
        """
        n = len(sdr_signal)
        y = luma(sdr_signal).squeeze(1)
        top = sdr_signal.amax(dim=1)
        # Bin k stands at k / (BINS - 1); grid_sample counts from -1 to 1 over whole cells.
        at = torch.stack([columns, rows, (2 * (y * (BINS - 1) + 0.5) / BINS) - 1], dim=-1)
        sliced = functional.grid_sample(
            features.grid[:, None], at[:, None], padding_mode="border", align_corners=False
        )[:, 0]
        across = torch.stack([(2 * (top * (BINS - 1) + 0.5) / BINS) - 1, torch.zeros_like(y)], -1)
        added = functional.grid_sample(
            features.curve.view(n, 1, 1, BINS),
            across,
            padding_mode="border",
            align_corners=False,
        )
        return sliced + added

    def forward(
        self, sdr_signal: Tensor, small: Tensor, measured: Tensor, window: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Analyze what was measured, and slice: the part that is trained.

        Args:
            sdr_signal: (N, 3, H, W), full range, 0..1.
            small: (N, 3, 128, 128), from `measure`.
            measured: (N, STATISTICS), from `measure`.
            window: see `predict`.

        Returns:
            The map (N, 1, H, W) and qmax_norm (N, 1, 1, 1).
        """
        features = self.analyze_measured(small, measured)
        return self.predict(sdr_signal, features, window), features.qmax_norm

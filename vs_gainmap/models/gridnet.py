"""GridNet: the fast model. A thumbnail becomes tone curves on a bilateral grid, and Qmax.

A gain map is nearly a tone curve that varies slowly over the picture, so the network looks at
the thumbnail alone: at its histograms, which tell the operator that made the SDR, and at its
layout through a few strided convolutions. One picture says little about the operator, but a whole
film was made by one: pictures from all over it (a survey) testify, and what they say on average
and at its strongest is judged beside each picture's own: few pictures have the highlights that
tell a clip from a roll-off, and a mean alone drowns them. Its output is a grid of curves over
luma (a bilateral grid, Chen et al., SIGGRAPH 2007; predicted as in Gharbi et al., "Deep Bilateral
Learning", SIGGRAPH 2017), sliced with each pixel's own luma, plus one curve over max(RGB).
Slicing costs a few operations a pixel, whatever the size, and edges stay where the luma has
them.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from vs_gainmap.models.gmnet import THUMBNAIL_SIZE
from vs_gainmap.models.statistics import STATISTICS, luma, statistics

BINS = 16
CELLS = 16
# Pictures among which the strongest is looked for. A maximum grows with their number, so a larger
# survey is taken in groups of about as many.
PEAK_OF = 32


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
        peaks: whether the survey's strongest testimony is heard beside the mean; sets made before
            there was one don't.
    """

    def __init__(self, channels: int = 64, hidden: int = 192, *, peaks: bool = True) -> None:
        super().__init__()
        self.hidden = hidden
        self.peaks = peaks
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
        self.normalize = nn.BatchNorm1d(STATISTICS, affine=False, momentum=0.01)
        self.witness = nn.Sequential(
            nn.Linear(STATISTICS + channels, hidden),
            nn.GELU(),
            nn.Dropout(0.1),
            nn.Linear(hidden, hidden),
            nn.GELU(),
        )
        self.judge = nn.Sequential(
            nn.Linear(hidden + self.survey_size, hidden),
            nn.GELU(),
            nn.Dropout(0.1),
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
        model = cls(channels, hidden, peaks=state["judge.0.weight"].shape[1] == 3 * hidden)
        model.load_state_dict(state, strict=True)
        return model

    @property
    def survey_size(self) -> int:
        """Return the length of what `gather` makes."""
        return (2 if self.peaks else 1) * self.hidden

    def with_peaks(self) -> GridNet:
        """Return a network that says what this one says, and can learn to hear the strongest."""
        if self.peaks:
            return self
        state = self.state_dict()
        known = state["judge.0.weight"]
        state["judge.0.weight"] = torch.cat(
            [known, known.new_zeros(known.shape[0], self.hidden)], 1
        )
        return GridNet.from_state_dict(state)

    def set_start(self, map_value: float, qmax_norm: float) -> None:
        """Let an untrained network say this map value everywhere, and this Qmax."""
        with torch.no_grad():
            self.curves.bias[:BINS].fill_(map_value)
            self.curves.bias[2 * BINS].fill_(qmax_norm)

    def see(self, thumbnail: Tensor) -> tuple[Tensor, Tensor]:
        """Look at a picture: all that is judged and testified comes of this.

        Args:
            thumbnail: (N, 3, 256, 256), SDR signal, full range, 0..1.

        Returns:
            Its layout, (N, channels, CELLS, CELLS), and statistics, (N, STATISTICS).
        """
        small, measured = self._measure(thumbnail)
        return self.layout(small), measured

    def say(self, measured: Tensor, layout_mean: Tensor) -> Tensor:
        """Return what pictures testify, (N, hidden), of statistics and each layout's mean."""
        said: Tensor = self.witness(torch.cat([self.normalize(measured), layout_mean], dim=1))
        return said

    def _look(self, thumbnail: Tensor) -> tuple[Tensor, Tensor]:
        seen, measured = self.see(thumbnail)
        return seen, self.say(measured, seen.mean(dim=(2, 3)))

    def _measure(self, thumbnail: Tensor) -> tuple[Tensor, Tensor]:
        """Return a thumbnail of half the size, and its statistics."""
        small = functional.avg_pool2d(thumbnail, 2)
        return small, statistics(small)

    def testify(self, thumbnail: Tensor) -> Tensor:
        """Return what a picture says of how its film was made.

        Args:
            thumbnail: (N, 3, 256, 256), SDR signal, full range, 0..1.

        Returns:
            (N, hidden), for `gather`.
        """
        return self._look(thumbnail)[1]

    def gather(self, testimonies: Tensor) -> Tensor:
        """Return the survey of a film: what its pictures say on average, and at its strongest.

        Args:
            testimonies: (N, hidden), from `testify`, of pictures in the film's order.

        Returns:
            (1, survey_size): the mean, and beside it the strongest of each value among `PEAK_OF`
            pictures, averaged over as many groups as there are, each spread over the film.
        """
        mean = testimonies.mean(0, keepdim=True)
        if not self.peaks:
            return mean
        groups = max(round(len(testimonies) / PEAK_OF), 1)
        peaks = [testimonies[first::groups].amax(0) for first in range(groups)]
        return torch.cat([mean, torch.stack(peaks).mean(0, keepdim=True)], dim=1)

    def gather_among(self, testimonies: Tensor, among: Tensor) -> Tensor:
        """Return one survey a row of `among`; see `analyze`."""
        mean = among.to(testimonies) @ testimonies
        if not self.peaks:
            return mean
        left_out = (among == 0).unsqueeze(-1)
        peaks = testimonies.unsqueeze(0).masked_fill(left_out, -math.inf).amax(1)
        return torch.cat([mean, peaks], dim=1)

    def analyze(
        self,
        thumbnail: Tensor,
        survey: Tensor | None = None,
        among: Tensor | None = None,
    ) -> GridFeatures:
        """Judge a picture.

        Args:
            thumbnail: (N, 3, 256, 256), SDR signal, full range, 0..1, of the whole picture.
            survey: (N or 1, survey_size), of the film, from `gather`; None knows this picture
                alone.
            among: (N, N), for training: row n weighs the batch's testimonies for picture n,
                and sums to 1; those of no weight are not in the survey, whose place it takes.

        Returns:
            Curves and normalised Qmax; those of several pictures may be averaged.
        """
        seen, own = self._look(thumbnail)
        if among is not None:
            survey = self.gather_among(own, among)
        elif survey is None:
            survey = self._alone(own)
        return self.judge_seen(seen, own, survey)

    def analyze_twice(self, thumbnail: Tensor, survey: Tensor) -> tuple[GridFeatures, GridFeatures]:
        """Judge a picture with the survey and without; it is looked at once.

        Args:
            thumbnail: as for `analyze`.
            survey: as for `analyze`.
        """
        seen, own = self._look(thumbnail)
        return self.judge_seen(seen, own, survey), self.judge_seen(seen, own, self._alone(own))

    def _alone(self, own: Tensor) -> Tensor:
        """Return the survey of a film of one picture, for each."""
        return torch.cat([own, own], dim=1) if self.peaks else own

    def judge_seen(self, seen: Tensor, own: Tensor, survey: Tensor) -> GridFeatures:
        """Judge pictures by what was seen of them, what they say, and their film's survey.

        Args:
            seen: (N, channels, CELLS, CELLS), layouts, from `see`.
            own: (N, hidden), from `say`.
            survey: (N or 1, survey_size), from `gather`.
        """
        code = self.judge(torch.cat([own, survey.expand(len(own), -1)], dim=1))
        level, curve, qmax_norm = self.curves(code).split([BINS, BINS, 1], dim=1)
        local = self.places(functional.relu(seen + self.context(code)[:, :, None, None]))
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
            columns: likewise, from left to right.

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
        self,
        sdr_signal: Tensor,
        thumbnail: Tensor,
        among: Tensor | None = None,
        window: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Judge and slice.

        Args:
            sdr_signal: (N, 3, H, W), full range, 0..1.
            thumbnail: (N, 3, 256, 256), of the whole pictures.
            among: see `analyze`.
            window: see `predict`.

        Returns:
            The map (N, 1, H, W) and qmax_norm (N, 1, 1, 1).

        Raises:
            ValueError: the thumbnail is not 256x256.
        """
        if thumbnail.shape[-2:] != (THUMBNAIL_SIZE, THUMBNAIL_SIZE):
            raise ValueError(f"GridNet: the thumbnail must be 256x256, got {thumbnail.shape[-2:]}")
        features = self.analyze(thumbnail, among=among)
        return self.predict(sdr_signal, features, window), features.qmax_norm

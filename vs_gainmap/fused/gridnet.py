"""GridNet on a CPU: its histograms and its slicing compiled, its convolutions PyTorch's."""

from __future__ import annotations

from functools import cache

import numpy as np
import torch
from torch import Tensor

from vs_gainmap.fused.readiness import find_fault, is_wanted
from vs_gainmap.models.gridnet import CELLS, GridFeatures, GridNet
from vs_gainmap.models.statistics import STATISTICS


class CompiledGridNet(GridNet):
    """What GridNet says, eight times as fast where it is a CPU that says it; not for training."""

    @classmethod
    def of(cls, model: GridNet) -> GridNet:
        """Return this kind of a model, or the model as it is where Numba doesn't work.

        Args:
            model: float32, on the CPU.
        """
        if not is_wanted() or not _works():
            return model
        made = cls.from_state_dict(model.state_dict()).eval().requires_grad_(False)
        made.layout.to(memory_format=torch.channels_last)
        return made

    def _measure(self, thumbnail: Tensor) -> tuple[Tensor, Tensor]:
        from vs_gainmap.fused.tallying import measure

        count, _, height, width = thumbnail.shape
        small = thumbnail.new_empty(count, 3, height // 2, width // 2)
        measured = thumbnail.new_empty(count, STATISTICS)
        for each, halved, row in zip(thumbnail, small, measured, strict=True):
            measure(each.contiguous().numpy(), halved.numpy(), row.numpy())
        return small.contiguous(memory_format=torch.channels_last), measured

    def predict(
        self, sdr_signal: Tensor, features: GridFeatures, window: Tensor | None = None
    ) -> Tensor:
        """Slice the grid with the picture; see `GridNet.predict`."""
        if window is not None:
            return super().predict(sdr_signal, features, window)
        from vs_gainmap.fused.slicing import slice_grid

        out = sdr_signal.new_empty(len(sdr_signal), 1, *sdr_signal.shape[-2:])
        curves = features.curve.flatten(1)
        for each, grid, curve, made in zip(sdr_signal, features.grid, curves, out, strict=True):
            red, green, blue = each.contiguous().numpy()
            slice_grid(
                red, green, blue, grid.contiguous().numpy(), curve.contiguous().numpy(),
                made[0].numpy(),
            )  # fmt: skip
        return out


@cache
def _works() -> bool:
    return find_fault(_try_out) is None


def _try_out() -> None:
    """Measure and slice a small black picture."""
    from vs_gainmap.fused.slicing import slice_grid
    from vs_gainmap.fused.tallying import measure

    picture = np.zeros((3, 4, 4), np.float32)
    measure(picture, np.empty((3, 2, 2), np.float32), np.empty(STATISTICS, np.float32))
    grid, curve = np.zeros((2, CELLS, CELLS), np.float32), np.zeros(2, np.float32)
    slice_grid(picture[0], picture[1], picture[2], grid, curve, np.empty((4, 4), np.float32))

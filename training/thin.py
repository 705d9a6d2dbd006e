"""Score every nth pixel of every nth row: what is global needs pictures, not pixels."""

from __future__ import annotations

import torch
from torch import Tensor


def thin(batch: dict[str, Tensor], every: int, step: int) -> dict[str, Tensor]:
    """Take a lattice of pixels out of a batch, another one at every step.

    Args:
        batch: `sdr` and `hdr` (N, 3, H, W), `title` where it is there, and `window` (N, 4), see
            `pairs.PairDataset`, without which they are whole; the rest, thumbnails among it, stays.
        every: columns and rows from one pixel to the next; 1 returns the batch.
        step: of the run; `every` squared steps see all pixels once.

    Returns:
        The batch with fewer pixels, whose `window` keeps each where it was.
    """
    if every == 1:
        return batch
    top, left = step // every % every, step % every
    height, width = batch["sdr"].shape[-2:]
    scored = batch.keys() & {"sdr", "hdr", "title"}
    thinned = {name: batch[name][..., top::every, left::every] for name in scored}
    rows, columns = thinned["sdr"].shape[-2:]
    # A pixel of the lattice is as large as every x every of the picture, around its middle.
    middle = (every - 1) / 2
    y, x = (top - middle) / height, (left - middle) / width
    inside = [y, x, y + rows * every / height, x + columns * every / width]
    window = batch.get("window")
    if window is None:
        window = torch.tensor([[0.0, 0.0, 1.0, 1.0]]).to(batch["sdr"])
    corner, size = window[:, :2].repeat(1, 2), (window[:, 2:] - window[:, :2]).repeat(1, 2)
    placed = corner + size * torch.tensor(inside).to(window)
    return {**batch, **thinned, "window": placed.expand(len(batch["sdr"]), 4)}

"""What GridNet measures of a picture: histograms, and saturation and contrast by luma."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

# Weights of BT.709's Y' on R'G'B'.
LUMA = (0.2126, 0.7152, 0.0722)
# Bins of the histograms: of luma, maximum and minimum over 0..1, and of the maximum near white,
# where clipping and roll-off differ.
LUMA_BINS = 48
MAX_BINS = 48
MIN_BINS = 24
TOP_BINS = 24
TOP_FROM = 0.9
# Conditional means (saturation and local contrast by luma, saturation by maximum).
MEAN_BINS = 16
# What is added to luma before its logarithm, and the least share of pixels in a bin.
LOG_FLOOR = 0.02
LEAST_SHARE = 1e-12
STATISTICS = LUMA_BINS + MAX_BINS + MIN_BINS + TOP_BINS + 3 * MEAN_BINS


def tally(values: Tensor, weights: list[Tensor], bins: int, low: float = 0.0) -> list[Tensor]:
    """Add up weights by value: each is shared linearly between the two nearest bins.

    Args:
        values: (N, 1, H, W), `low`..1; what is outside counts as the end.
        weights: each (N, 1, H, W).
        bins: how many; the first stands at `low`, the last at 1.
        low: where bins begin.

    Returns:
        For each of `weights` its mean over the picture by bin, (N, bins).
    """
    place = ((values - low) * ((bins - 1) / (1 - low))).clamp(0, bins - 1)
    # Elsewhere sums of atomic additions would differ from run to run.
    return (tally_pixels if values.device.type == "cpu" else tally_bins)(place, weights, bins)


def tally_bins(place: Tensor, weights: list[Tensor], bins: int) -> list[Tensor]:
    """Tally bin by bin, each over all pixels; `place` counts in bins from 0."""
    centers = torch.arange(bins, device=place.device, dtype=place.dtype).view(1, -1, 1, 1)
    votes = functional.relu(1 - (place - centers).abs())
    return [(votes * weight).mean(dim=(2, 3)) for weight in weights]


def tally_pixels(place: Tensor, weights: list[Tensor], bins: int) -> list[Tensor]:
    """Tally in one pass over the pixels: ten times as fast on a CPU, where it was most of all."""
    lower = place.floor().clamp(max=bins - 2)
    part = (place - lower).double().flatten()
    count, pixels = place.shape[0], place[0].numel()
    first = (lower.flatten(1) + bins * torch.arange(count).view(-1, 1)).long().flatten()
    tallies = []
    for weight in weights:
        amount = weight.double().flatten()
        above = amount * part
        total = torch.bincount(first, amount - above, minlength=count * bins + 1)
        total = total + torch.bincount(first + 1, above, minlength=count * bins + 1)
        tallies.append((total[:-1].view(count, bins) / pixels).to(place.dtype))
    return tallies


def luma(signal: Tensor) -> Tensor:
    """Return (N, 1, H, W) luma of (N, 3, H, W) R'G'B'."""
    # The weights stay numbers: as a tensor they would be copied to the device, which waits for it.
    red, green, blue = signal.chunk(3, dim=1)
    return red * LUMA[0] + green * LUMA[1] + blue * LUMA[2]


def statistics(signal: Tensor) -> Tensor:
    """Measure histograms of a picture, and saturation and contrast by luma.

    Args:
        signal: (N, 3, H, W), R'G'B', 0..1.

    Returns:
        (N, STATISTICS), about 0..1.
    """
    y = luma(signal)
    top = signal.amax(dim=1, keepdim=True)
    bottom = signal.amin(dim=1, keepdim=True)
    saturation = top - bottom
    # The slope of the tone curve shows in the contrast of neighbours.
    logarithm = torch.log(y + LOG_FLOOR)
    contrast = functional.pad((logarithm[..., 1:] - logarithm[..., :-1]).abs(), (1, 0))
    one = torch.ones_like(y)

    def share(votes: Tensor) -> Tensor:
        return votes.clamp(min=LEAST_SHARE).sqrt()

    def mean(total: Tensor, votes: Tensor) -> Tensor:
        return total / (votes + 1 / y[0].numel())

    by_luma = tally(y, [one, saturation, contrast], MEAN_BINS)
    by_max = tally(top, [one, saturation], MEAN_BINS)
    return torch.cat(
        [
            share(tally(y, [one], LUMA_BINS)[0]),
            share(tally(top, [one], MAX_BINS)[0]),
            share(tally(bottom, [one], MIN_BINS)[0]),
            share(tally(top, [one], TOP_BINS, TOP_FROM)[0]),
            mean(by_luma[1], by_luma[0]),
            mean(by_luma[2], by_luma[0]),
            mean(by_max[1], by_max[0]),
        ],
        dim=1,
    )

"""GMNet's local branch piece by piece: tiles where the picture is large, strips for the way up."""

from __future__ import annotations

import torch
from torch import Tensor

from vs_gainmap.models import GMNet
from vs_gainmap.models.gmnet import DECODE_HALO, HALO, GlobalFeatures

# Largest map that a CUDA device or the CPU takes in one piece, in pixels: `encode` holds
# about four (H/2, W/2, 64) tensors, 256 bytes a pixel in float32. 8K goes in tiles.
WHOLE_PIXELS = 3840 * 2160
DEFAULT_TILE = 1536
# Rows of features that `decode` takes at a time; a strip of 1080p then stays near the cache.
DECODE_ROWS = 64


def predict_in_tiles(
    model: GMNet, x: Tensor, features: GlobalFeatures, tile: int | None = None
) -> Tensor:
    """Run the local branch.

    Args:
        model: whose `encode` and `decode` are run.
        x: (1, 3, H, W), SDR signal, full range, 0..1, channels last; H and W even.
        features: of the same picture.
        tile: side of a square tile in pixels, even; None works on the whole picture up to
            2160p and in tiles above; 0 never tiles.

    Returns:
        (1, 1, H, W), the gain map.
    """
    height, width = x.shape[-2:]
    if tile is None and height * width > WHOLE_PIXELS:
        tile = DEFAULT_TILE
    if not tile or (tile >= height and tile >= width):
        return _decode(model, model.encode(x, features))
    out = x.new_empty((1, 1, height, width), dtype=torch.float32)
    for top, bottom in _spans(height, tile):
        for left, right in _spans(width, tile):
            # Cut, not padded: at true edges the network pads with zeros as on the whole.
            y0, x0 = max(top - HALO, 0), max(left - HALO, 0)
            part = x[..., y0 : bottom + HALO, x0 : right + HALO]
            part = part.contiguous(memory_format=torch.channels_last)
            gain_map = _decode(model, model.encode(part, features))
            out[..., top:bottom, left:right] = gain_map[
                ..., top - y0 : bottom - y0, left - x0 : right - x0
            ]
    return out


def _decode(model: GMNet, x: Tensor) -> Tensor:
    """Decode in strips of rows: the same result, a fraction of the memory, faster."""
    rows = x.shape[-2]
    strips = []
    for top, bottom in _spans(rows, DECODE_ROWS):
        first = max(top - DECODE_HALO, 0)
        strip = model.decode(x[..., first : bottom + DECODE_HALO, :])
        strips.append(strip[..., 2 * (top - first) : 2 * (bottom - first), :])
    return torch.cat(strips, dim=-2)


def _spans(length: int, step: int) -> list[tuple[int, int]]:
    return [(start, min(start + step, length)) for start in range(0, length, step)]

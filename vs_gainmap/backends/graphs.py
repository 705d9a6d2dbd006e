"""GMNet as two graphs that every runtime takes: fixed sizes, plain operators.

vs-mlrt's plugins take clips of one size and give clips of that size (or a multiple), so the
256x256 thumbnail can't be a second input of the local branch. Two graphs it is: the global
one maps the thumbnail clip to a clip of 256x256 whose first samples are the feature vector;
between the two, Qmax and the vector can be averaged over time; the local one takes the
picture's three planes and a fourth whose first samples are the vector.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from vs_gainmap.models.gmnet import THUMBNAIL_SIZE, GMNet

# The 64x64 features of a thumbnail, pooled to 3x3: windows of 22 at a stride of 21 are what
# adaptive pooling does, and an operator of its own in every runtime.
POOL_WINDOW, POOL_STRIDE, GRID = 22, 21, 64
# The last convolution's sum goes out in so many parts, each over some of the channels, and is
# added up in float32. In bfloat16 a whole sum would have steps of 2^-8, which show as bands.
# Sixteen fill a register, so it costs nothing on a CPU.
PARTS = 16


def vector_size(model: GMNet) -> int:
    """Return the length of the feature vector: 3x3 kernels, attention, qmax_norm."""
    return 10 * model.HRconv.in_channels + 1


def vector_rows(size: int, width: int) -> int:
    """Return how many rows of a plane the vector takes."""
    return -(-size // width)


class GlobalGraph(nn.Module):
    """Thumbnail to feature vector.

    Args:
        model: float32, in evaluation mode.
    """

    def __init__(self, model: GMNet) -> None:
        super().__init__()
        self.model = model

    def forward(self, thumbnail: Tensor) -> Tensor:
        """Map (1, 3, 256, 256) to (1, 1, 256, 256), zero after the vector."""
        model = self.model
        y = model.res_y(model.down2(model.down1(thumbnail.clamp(0.0, 1.0))))
        whole = functional.avg_pool2d(y, GRID)
        kernel = model.sq_ker.conv(functional.avg_pool2d(y, POOL_WINDOW, POOL_STRIDE))
        attention = torch.sigmoid(model.sq_chn.conv(whole))
        qmax_norm = model.sq_qmax.conv(whole)
        channels = model.HRconv.in_channels
        size, side = vector_size(model), THUMBNAIL_SIZE
        rows = vector_rows(size, side)
        vector = torch.cat(
            [
                kernel.reshape(1, 1, 1, 9 * channels),
                attention.reshape(1, 1, 1, channels),
                qmax_norm.reshape(1, 1, 1, 1),
            ],
            dim=3,
        )
        top = functional.pad(vector, (0, rows * side - size)).reshape(1, 1, rows, side)
        return functional.pad(top, (0, 0, 0, side - rows))


class LocalGraph(nn.Module):
    """Picture and feature vector to gain map.

    Args:
        model: float32, in evaluation mode.
        dynamic_kernel: steer by a convolution whose weights are an input; else by shifting
            and adding, for runtimes that want weights to be constant.
        split_sum: add the last convolution up in float32, for runtimes that compute in bfloat16.
    """

    def __init__(
        self,
        model: GMNet,
        *,
        dynamic_kernel: bool,
        split_sum: bool = False,
    ) -> None:
        super().__init__()
        self.model = model
        self.dynamic_kernel, self.split_sum = dynamic_kernel, split_sum
        if not split_sum:
            return
        last = model.conv_last
        assert last.bias is not None
        parts = torch.zeros(PARTS, *last.weight.shape[1:], dtype=last.weight.dtype)
        for channel in range(last.in_channels):
            parts[channel % PARTS, channel] = last.weight[0, channel]
        self.last = nn.Conv2d(last.in_channels, PARTS, 3, 1, 1, bias=False, dtype=parts.dtype)
        self.last.weight = nn.Parameter(parts, requires_grad=False)
        self.bias = float(last.bias)

    def forward(self, planes: Tensor) -> Tensor:
        """Map (1, 4, H, W) to (1, 1, H, W)."""
        model = self.model
        channels = model.HRconv.in_channels
        width = planes.shape[-1]
        rows = vector_rows(vector_size(model), width)
        sdr_signal = planes[:, :3].clamp(0.0, 1.0)
        vector = planes[:, 3:, :rows].reshape(1, 1, 1, rows * width)
        kernel = vector[..., : 9 * channels].reshape(1, channels, 3, 3)
        attention = vector[..., 9 * channels : 10 * channels].reshape(1, channels, 1, 1)

        x = model.res1(model.down_x(sdr_signal))
        steered = self._steer(x, kernel)
        x = x * torch.sigmoid(model.mask_est(steered))
        x = model.res3(model.res2(x) * attention)
        # ReLU first is the same, and lets 8-bit runtimes shuffle bytes.
        x = functional.pixel_shuffle(torch.relu(model.upconv(x)), 2)
        x = torch.relu(model.HRconv(x))
        if not self.split_sum:
            whole: Tensor = model.conv_last(x)
            return whole
        parts: Tensor = self.last(x)
        return parts.sum(dim=1, keepdim=True) + self.bias

    def _steer(self, x: Tensor, kernel: Tensor) -> Tensor:
        """Convolve each channel with its own 3x3 kernel, as `GMNet.encode` does."""
        channels, height, width = x.shape[1:]
        if self.dynamic_kernel:
            weight = kernel.reshape(channels, 1, 3, 3)
            return functional.conv2d(x, weight, padding=1, groups=channels)
        padded = functional.pad(x, (1, 1, 1, 1))
        total = torch.zeros(())
        for i in range(3):
            for j in range(3):
                tap = padded[..., i : i + height, j : j + width] * kernel[..., i : i + 1, j : j + 1]
                total = tap if i == j == 0 else total + tap
        return total

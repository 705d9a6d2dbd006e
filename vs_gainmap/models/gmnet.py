"""GMNet, as published: Liao et al., "Learning Gain Map for Inverse Tone Mapping", ICLR 2025.

The global branch takes a 256x256 thumbnail of the whole picture and yields a 3x3 kernel per
channel, a channel attention and the normalised Qmax. The local branch is pure convolution,
steered by the first two. Names of the submodules are those of the published checkpoints.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

THUMBNAIL_SIZE = 256
# Reach of the local branch in input pixels is about 76 (measured by gradient); a halo of 80
# keeps tile origins even and gives the whole-frame result.
HALO = 80
# Reach of `decode` in rows of its input: three 3x3 convolutions, two of them at double size.
DECODE_HALO = 2


class GlobalFeatures(NamedTuple):
    """The global features of a picture: computed once a picture, whatever its size."""

    kernel: Tensor
    """(N, C, 3, 3), the depthwise kernel."""
    attention: Tensor
    """(N, C, 1, 1), channel attention after the sigmoid, 0..1."""
    qmax_norm: Tensor
    """(N, 1, 1, 1), Qmax / log2(peak)."""


class DownConv(nn.Module):
    """Three 3x3 convolutions with ReLU, the first with stride 2."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv = nn.Sequential(
            nn.Conv2d(in_channels, out_channels, 3, 2, 1),
            nn.ReLU(inplace=True),
            nn.Conv2d(out_channels, out_channels, 3, 1, 1),
            nn.ReLU(inplace=True),
            nn.Conv2d(out_channels, out_channels, 3, 1, 1),
            nn.ReLU(inplace=True),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, Ci, H, W) to (N, Co, H/2, W/2)."""
        out: Tensor = self.conv(x)
        return out


class Residual(nn.Module):
    """Residual block without normalisation."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, 1, 1)
        self.conv2 = nn.Conv2d(channels, channels, 3, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to the same shape."""
        out: Tensor = self.conv2(functional.relu(self.conv1(x), inplace=True))
        # In place: at 2160p a tensor here is 66 MB.
        return out.add_(x)


class Squeeze(nn.Module):
    """Adaptive average pooling, then a small perceptron of 1x1 convolutions."""

    def __init__(self, size: int, channels: int, out_channels: int) -> None:
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d(size)
        self.conv = nn.Sequential(
            nn.Conv2d(channels, 2 * channels, 1),
            nn.ReLU(inplace=True),
            nn.Conv2d(2 * channels, channels, 1),
            nn.ReLU(inplace=True),
            nn.Conv2d(channels, out_channels, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to (N, Co, size, size)."""
        out: Tensor = self.conv(self.pool(x))
        return out


class GMNet(nn.Module):
    """The published two-branch network.

    Args:
        channels: width of both branches; 64 as published.
        out_channels: channels of the map; 1 as published.
        blocks: residual blocks per group; 5 as published.
    """

    def __init__(self, channels: int = 64, out_channels: int = 1, blocks: int = 5) -> None:
        super().__init__()

        def group() -> nn.Sequential:
            return nn.Sequential(*(Residual(channels) for _ in range(blocks)))

        self.down1 = DownConv(3, 16)
        self.down2 = DownConv(16, channels)
        self.res_y = group()
        self.sq_ker = Squeeze(3, channels, channels)
        self.sq_chn = Squeeze(1, channels, channels)
        self.sq_qmax = Squeeze(1, channels, 1)

        self.mask_est = nn.Sequential(
            nn.Conv2d(channels, channels, 3, 1, 1),
            nn.ReLU(inplace=True),
            nn.Conv2d(channels, 1, 3, 1, 1),
        )
        self.down_x = DownConv(3, channels)
        self.res1 = group()
        self.res2 = group()
        self.res3 = group()
        self.upconv = nn.Conv2d(channels, 4 * channels, 3, 1, 1)
        self.HRconv = nn.Conv2d(channels, channels, 3, 1, 1)
        self.conv_last = nn.Conv2d(channels, out_channels, 3, 1, 1)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the published initialisation: Kaiming normal (fan in) times 0.1, biases zero."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, a=0, mode="fan_in")
                with torch.no_grad():
                    module.weight.mul_(0.1)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    @classmethod
    def from_state_dict(cls, state: dict[str, Tensor]) -> GMNet:
        """Build the network whose sizes `state` has, and load it strictly.

        Raises:
            KeyError: a tensor that gives the sizes is missing.
            RuntimeError: names or shapes do not fit.
        """
        blocks = 1 + max(int(name.split(".")[1]) for name in state if name.startswith("res1."))
        out_channels, channels = state["conv_last.weight"].shape[:2]
        model = cls(channels, out_channels, blocks)
        model.load_state_dict(state, strict=True)
        return model

    def analyze(self, thumbnail: Tensor) -> GlobalFeatures:
        """Run the global branch.

        Args:
            thumbnail: (N, 3, 256, 256), SDR signal, full range, 0..1, of the whole picture.

        Returns:
            Kernel, attention and normalised Qmax.
        """
        y = self.res_y(self.down2(self.down1(thumbnail)))
        return GlobalFeatures(self.sq_ker(y), torch.sigmoid(self.sq_chn(y)), self.sq_qmax(y))

    def encode(self, sdr_signal: Tensor, features: GlobalFeatures) -> Tensor:
        """Run the local branch up to the upsampling: nearly all of the arithmetic.

        Args:
            sdr_signal: (N, 3, H, W), full range, 0..1; H and W even.
            features: from `analyze`, of the same pictures.

        Returns:
            (N, C, H/2, W/2).
        """
        # Block by block, and no name for what is done with: three tensors are alive at most.
        x = self.down_x(sdr_signal)
        for block in self.res1:
            x = block(x)
        x = x * self._mask(x, features)
        for block in self.res2:
            x = block(x)
        x = x * features.attention
        for block in self.res3:
            x = block(x)
        out: Tensor = x
        return out

    def _mask(self, x: Tensor, features: GlobalFeatures) -> Tensor:
        n, c, h, w = x.shape
        # One depthwise convolution per picture: the batch becomes groups.
        kernel = features.kernel.reshape(n * c, 1, 3, 3)
        steered = functional.conv2d(x.reshape(1, n * c, h, w), kernel, padding=1, groups=n * c)
        mask: Tensor = torch.sigmoid(self.mask_est(steered.reshape(n, c, h, w)))
        return mask

    def decode(self, x: Tensor) -> Tensor:
        """Go up to full size: little arithmetic, most of the memory.

        Args:
            x: (N, C, H/2, W/2), from `encode`. The result depends on `DECODE_HALO` rows
                around; a strip that has them gives the whole picture's rows.

        Returns:
            (N, 1, H, W), the gain map in the dtype of `conv_last`.
        """
        x = functional.relu(functional.pixel_shuffle(self.upconv(x), 2), inplace=True)
        x = functional.relu(self.HRconv(x), inplace=True)
        out: Tensor = self.conv_last(x.to(self.conv_last.weight.dtype))
        return out

    def predict(self, sdr_signal: Tensor, features: GlobalFeatures) -> Tensor:
        """Run the local branch.

        Args:
            sdr_signal: (N, 3, H, W), full range, 0..1; H and W even.
            features: from `analyze`, of the same pictures.

        Returns:
            (N, 1, H, W), the gain map, nominally 0..1 and not clamped.
        """
        return self.decode(self.encode(sdr_signal, features))

    def forward(self, sdr_signal: Tensor, thumbnail: Tensor) -> tuple[Tensor, Tensor]:
        """Run both branches.

        The published forward returns (map, qmax * map); we return Qmax itself, because
        it is smoothed over time and written into metadata on its own.

        Args:
            sdr_signal: (N, 3, H, W), full range, 0..1; H and W even.
            thumbnail: (N, 3, 256, 256), the same picture.

        Returns:
            The map (N, 1, H, W), nominally 0..1 and not clamped, and qmax_norm (N, 1, 1, 1).

        Raises:
            ValueError: a size is odd, or the thumbnail is not 256x256.
        """
        if sdr_signal.shape[-1] % 2 or sdr_signal.shape[-2] % 2:
            raise ValueError(f"GMNet: height and width must be even, got {sdr_signal.shape[-2:]}")
        if thumbnail.shape[-2:] != (THUMBNAIL_SIZE, THUMBNAIL_SIZE):
            raise ValueError(f"GMNet: the thumbnail must be 256x256, got {thumbnail.shape[-2:]}")
        features = self.analyze(thumbnail)
        return self.predict(sdr_signal, features), features.qmax_norm

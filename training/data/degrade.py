"""Degrade SDR as storage does: 8 bits, chroma subsampling, grain, compression, resizing."""

from __future__ import annotations

import io
from dataclasses import dataclass

import av
import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from training.data.images import from_uint8, to_uint8
from vs_gainmap.color.primaries import rgb_to_xyz_matrix

KR, KG, KB = (float(w) for w in rgb_to_xyz_matrix("bt709")[1])


@dataclass(frozen=True, slots=True, kw_only=True)
class Degradation:
    """How SDR is degraded.

    Attributes:
        subsample: chroma to 4:2:0.
        noise: standard deviation of grain in 8-bit codes.
        jpeg: quality; None for no JPEG.
        h264: CRF; None for no H.264.
        shrink: factor by which the picture is made smaller, and large again.
    """

    subsample: bool = False
    noise: float = 0.0
    jpeg: int | None = None
    h264: int | None = None
    shrink: float = 1.0

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Degradation:
        """Draw a degradation: always rounding, the rest for some pictures."""
        kind = rng.random()
        return cls(
            subsample=bool(rng.random() < 0.4),
            noise=rng.exponential(1.2) if rng.random() < 0.35 else 0.0,
            jpeg=int(rng.integers(55, 96)) if kind < 0.25 else None,
            h264=int(rng.integers(16, 31)) if kind > 0.88 else None,
            shrink=rng.uniform(0.5, 0.9) if rng.random() < 0.15 else 1.0,
        )

    def __call__(self, signal: Tensor, rng: np.random.Generator) -> Tensor:
        """Degrade a picture.

        Args:
            signal: (3, H, W), SDR signal, full range, 0..1; H and W even.
            rng: for the grain.

        Returns:
            The same shape and range.
        """
        if self.shrink < 1:
            height, width = signal.shape[-2:]
            size = (round(height * self.shrink), round(width * self.shrink))
            small = functional.interpolate(signal[None], size=size, mode="area")
            signal = functional.interpolate(
                small, size=(height, width), mode="bicubic", align_corners=False
            )[0].clamp(0.0, 1.0)
        if self.noise > 0:
            grain = rng.standard_normal(signal.shape[-2:], dtype=np.float32) * self.noise / 255
            signal = signal + torch.from_numpy(grain)
        signal = limited_8bit(signal, subsample=self.subsample)
        if self.jpeg is not None:
            signal = jpeg_round_trip(signal, self.jpeg)
        if self.h264 is not None:
            signal = h264_round_trip(signal, self.h264)
        return signal


def rgb_to_ycbcr(signal: Tensor) -> Tensor:
    """Convert (3, H, W) R'G'B' to Y'CbCr of BT.709: 0..1 and twice -0.5..0.5."""
    red, green, blue = signal
    y = KR * red + KG * green + KB * blue
    return torch.stack([y, (blue - y) / (2 - 2 * KB), (red - y) / (2 - 2 * KR)])


def ycbcr_to_rgb(ycbcr: Tensor) -> Tensor:
    """Invert `rgb_to_ycbcr`."""
    y, cb, cr = ycbcr
    red, blue = y + (2 - 2 * KR) * cr, y + (2 - 2 * KB) * cb
    return torch.stack([red, (y - KR * red - KB * blue) / KG, blue])


def limited_8bit(signal: Tensor, *, subsample: bool) -> Tensor:
    """Round to 8-bit limited range Y'CbCr (BT.709-6, item 4.6), 4:2:0 where asked."""
    ycbcr = rgb_to_ycbcr(signal)
    luma, chroma = ycbcr[:1], ycbcr[1:]
    if subsample:
        chroma = functional.avg_pool2d(chroma[None], 2)[0]
    luma = ((luma * 219).round() / 219).clamp(-16 / 219, 239 / 219)
    chroma = ((chroma * 224).round() / 224).clamp(-0.5, 0.5)
    if subsample:
        chroma = functional.interpolate(
            chroma[None], scale_factor=2, mode="bilinear", align_corners=False
        )[0]
    return ycbcr_to_rgb(torch.cat([luma, chroma])).clamp(0.0, 1.0)


def jpeg_round_trip(signal: Tensor, quality: int) -> Tensor:
    """Compress as JPEG and decode again."""
    bgr = np.ascontiguousarray(to_uint8(signal)[..., ::-1])
    _, coded = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return from_uint8(np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR))[..., ::-1])


def h264_round_trip(signal: Tensor, crf: int) -> Tensor:
    """Compress as one H.264 key frame (4:2:0) and decode again."""
    height, width = signal.shape[-2:]
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.codec_context.thread_count = 1
        stream.options = {"crf": str(crf), "preset": "veryfast"}
        frame = av.VideoFrame.from_ndarray(to_uint8(signal), format="rgb24")
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    buffer.seek(0)
    with av.open(buffer, "r") as source:
        decoded = next(source.decode(video=0)).to_ndarray(format="rgb24")
    return from_uint8(decoded)

"""HDR10 and HLG video as training data: scene-spread frames in cd/m2, through PyAV."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import torch
from torch import Tensor

from vs_gainmap.color import hlg_inverse_oetf, hlg_ootf, pq_eotf
from vs_gainmap.errors import MediaError

VIDEO_SUFFIXES = {".mp4", ".mkv", ".mov", ".webm", ".ts", ".m2ts"}

# ITU-T H.273: TransferCharacteristics and ColourPrimaries.
_PQ, _HLG, _BT2020 = 16, 18, 9


def frame_to_nits(frame: av.VideoFrame) -> Tensor:
    """Convert a decoded PQ or HLG frame to (3, H, W), BT.2020, cd/m2.

    Raises:
        MediaError: the frame is neither PQ nor HLG, or not BT.2020.
    """
    transfer, primaries = int(frame.color_trc), int(frame.color_primaries)
    if transfer not in (_PQ, _HLG) or primaries != _BT2020:
        raise MediaError(
            f"training: frames must be PQ or HLG in BT.2020, got transfer {transfer} and "
            f"primaries {primaries} (ITU-T H.273)"
        )
    rgb = frame.reformat(format="gbrp16le", src_colorspace="BT2020", dst_colorspace="BT2020")
    picture = rgb.to_ndarray().astype(np.float32) / 65535
    signal = torch.from_numpy(np.ascontiguousarray(picture.transpose(2, 0, 1)))
    if transfer == _PQ:
        return pq_eotf(signal)
    return hlg_ootf(hlg_inverse_oetf(signal))


def frames(path: Path, *, count: int) -> Iterator[Tensor]:
    """Yield `count` frames spread evenly over a video, cd/m2, BT.2020.

    Raises:
        MediaError: there is no video in the file, or it is not HDR.
    """
    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise MediaError(f"training: {path.name} has no video")
            stream = container.streams.video[0]
            total = stream.frames or _count(path)
            wanted = {int((i + 0.5) * total / count) for i in range(count)}
            for number, frame in enumerate(container.decode(stream)):
                if number in wanted:
                    yield frame_to_nits(frame)
    except av.FFmpegError as error:
        raise MediaError(f"training: {path.name} can't be decoded: {error}") from error


def _count(path: Path) -> int:
    with av.open(str(path)) as container:
        return sum(1 for packet in container.demux(video=0) if packet.size)

"""Read frames of HDR10 and HLG video as light, BT.2020, in cd/m2."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import torch
import vapoursynth as vs
from torch import Tensor

from vs_gainmap.color.transfer import hlg_inverse_oetf, hlg_ootf, pq_eotf
from vs_gainmap.errors import MediaError
from vs_gainmap.filters import props
from vs_gainmap.video.index import VideoIndex, scan
from vs_gainmap.video.source import VideoReader

VIDEO_SUFFIXES = {".mp4", ".mkv", ".mov", ".webm", ".ts", ".m2ts"}


def read_frames(
    path: Path, numbers: Iterable[int], *, index: VideoIndex | None = None
) -> Iterator[Tensor]:
    """Yield frames of a video by number, (3, H, W), BT.2020, cd/m2.

    Where the stream doesn't say it, the range is limited, the matrix BT.2020 non-constant
    luminance and chroma sited left.

    Raises:
        MediaError: the file can't be read, or a frame is neither PQ nor HLG in BT.2020.
    """
    with VideoReader(path, index=index) as reader:
        clip = reader.clip
        for n in numbers:
            with reader.own_errors(), clip.get_frame(n) as frame:
                transfer = frame.props.get(props.TRANSFER)
                primaries = frame.props.get(props.PRIMARIES)
                tagged = clip
                if props.MATRIX not in frame.props and clip.format.color_family == vs.YUV:
                    tagged = clip.std.SetFrameProps(**{props.MATRIX: int(vs.MATRIX_BT2020_NCL)})
            if primaries != vs.PRIMARIES_BT2020 or transfer not in _TO_NITS:
                raise MediaError(
                    f"{path}: frames must be PQ or HLG in BT.2020, got transfer {transfer} and "
                    f"primaries {primaries} (ITU-T H.273)"
                )
            try:
                with tagged.resize.Bicubic(format=vs.RGBS).get_frame(n) as rgb:
                    signal = torch.from_numpy(np.stack([np.asarray(plane) for plane in rgb]))
            except vs.Error as error:
                raise MediaError(f"{path}: frame {n} can't be converted: {error}") from error
            yield _TO_NITS[transfer](signal)


def _hlg_to_nits(signal: Tensor) -> Tensor:
    return hlg_ootf(hlg_inverse_oetf(signal))


_TO_NITS = {int(vs.TRANSFER_ST2084): pq_eotf, int(vs.TRANSFER_ARIB_B67): _hlg_to_nits}


def spread_frames(path: Path, *, count: int) -> Iterator[Tensor]:
    """Yield `count` frames spread evenly over a video, key frames where it has enough of them.

    Encoders put key frames at cuts, and they are read without decoding what lies between.

    Raises:
        MediaError: as `read_frames`.
    """
    index = scan(path)
    places = [int((k + 0.5) * len(index) / count) for k in range(min(count, len(index)))]
    number = {pts: n for n, pts in enumerate(index.pts)}
    keys = sorted(number[pts] for pts, _ in index.keyframes if pts in number)
    chosen = {keys[max(bisect_right(keys, place) - 1, 0)] for place in places if keys}
    yield from read_frames(path, sorted(chosen) if len(chosen) == count else places, index=index)

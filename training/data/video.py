"""HDR10 and HLG video as training data: frames in cd/m2, one of each shot where it can be."""

from __future__ import annotations

from collections.abc import Collection, Container, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np
import torch
import vapoursynth as vs
from av.container import InputContainer
from av.video.stream import VideoStream
from numpy.typing import NDArray
from torch import Tensor

from vs_gainmap.color.transfer import hlg_inverse_oetf, hlg_ootf, pq_eotf
from vs_gainmap.errors import MediaError
from vs_gainmap.filters import props
from vs_gainmap.video.index import main_video, open_input
from vs_gainmap.video.pixels import layout_of, to_vapoursynth

VIDEO_SUFFIXES = {".mp4", ".mkv", ".mov", ".webm", ".ts", ".m2ts"}

# ITU-T H.273: TransferCharacteristics, ColourPrimaries, and MatrixCoefficients.
_PQ, _HLG, _BT2020, _BT2020_NCL = 16, 18, 9, 9

# Frames that are looked at for each that is wanted.
LOOKS = 4
# Share of a picture's pixels whose color has changed when the shot has: under it are grain,
# people who move, and pans over one scene.
NEW_SHOT = 0.3
# A looked-at frame is shrunk to it; bins a channel of its histogram.
_LOOK_SIZE, _BINS = (64, 36), 12


def frame_to_nits(frame: av.VideoFrame) -> Tensor:
    """Convert a decoded PQ or HLG frame to (3, H, W), BT.2020, cd/m2.

    Range, matrix and chroma siting are the stream's; where it tells none, limited, BT.2020
    non-constant luminance and left. zimg does them in floating point, as in the filters.

    Raises:
        MediaError: the frame is neither PQ nor HLG, or not BT.2020, or can't be converted.
    """
    transfer, primaries = int(frame.color_trc), int(frame.color_primaries)
    if transfer not in (_PQ, _HLG) or primaries != _BT2020:
        raise MediaError(
            f"training: frames must be PQ or HLG in BT.2020, got transfer {transfer} and "
            f"primaries {primaries} (ITU-T H.273)"
        )
    try:
        whole = _whole_chroma(frame)
        source = to_vapoursynth(whole, layout_of(whole.format.name))
        blank = vs.core.std.BlankClip(
            format=source.format.id, width=frame.width, height=frame.height, length=1
        )
        clip = blank.std.ModifyFrame(blank, lambda n, f: source)  # noqa: ARG005
        if source.format.color_family != vs.RGB and props.MATRIX not in source.props:
            clip = clip.std.SetFrameProps(**{props.MATRIX: _BT2020_NCL})
        with clip.resize.Bicubic(format=vs.RGBS).get_frame(0) as rgb:
            signal = torch.from_numpy(np.stack([np.asarray(plane) for plane in rgb]))
    except (vs.Error, ValueError) as error:
        raise MediaError(
            f"training: a frame of {frame.width}x{frame.height} in {frame.format.name} "
            f"can't be converted: {error}"
        ) from error
    if transfer == _PQ:
        return pq_eotf(signal)
    return hlg_ootf(hlg_inverse_oetf(signal))


def _whole_chroma(frame: av.VideoFrame) -> av.VideoFrame:
    """Give a frame of odd size, which VapourSynth can't hold in 4:2:0, chroma at full size."""
    layout = layout_of(frame.format.name)
    if not (
        (frame.width % 2 and layout.subsampling_w) or (frame.height % 2 and layout.subsampling_h)
    ):
        return frame
    whole = frame.reformat(format="yuv444p16le")
    for name in ("color_range", "color_primaries", "color_trc", "colorspace"):
        setattr(whole, name, getattr(frame, name))
    return whole


def scene_frames(path: Path, *, count: int) -> Iterator[Tensor]:
    """Yield `count` frames of different shots of a video, cd/m2, BT.2020, in order.

    `LOOKS` times as many key frames, evenly spread, are sought out and compared; nothing else
    is decoded. Where a video has fewer key frames than `count`, all its frames are. Where it
    has fewer shots, they give several frames each, as far apart as can be.

    Raises:
        MediaError: there is no video in the file, or it is not HDR.
    """
    looks = _look_at_keys(path, count * LOOKS)
    if len(looks) >= count:
        yield from _sought(path, [looks[n].place for n in choose(looks, count)])
        return
    total = count_frames(path)
    spread = {int((i + 0.5) * total / (count * LOOKS)) for i in range(count * LOOKS)}
    looks = [Look(number, histogram(frame)) for number, frame in numbered(path, spread)]
    wanted = {looks[n].place for n in choose(looks, count)}
    yield from (frame_to_nits(frame) for _, frame in numbered(path, wanted))


class Look(NamedTuple):
    """A frame that was looked at."""

    place: int
    """Its number, or its time."""
    histogram: NDArray[np.float64]


def histogram(frame: av.VideoFrame) -> NDArray[np.float64]:
    """Return how a picture's luma and chroma are spread, (3, bins), each row 0..1 summing to 1.

    A pan or a person that moves changes it little, another scene does.
    """
    width, height = _LOOK_SIZE
    small = frame.reformat(width=width, height=height, format="yuv444p").to_ndarray()
    return np.stack(
        [np.histogram(plane, _BINS, (0, 256))[0] / plane.size for plane in small.astype(float)]
    )


def choose(looks: list[Look], count: int) -> list[int]:
    """Choose which of the frames looked at to take: all shots in turn before any shot twice.

    Args:
        looks: in order of time.
        count: how many; as many as there are, if fewer.

    Returns:
        Places in `looks`, ascending.
    """
    shots: list[list[int]] = []
    for number, look in enumerate(looks):
        new = not shots or _changed(looks[number - 1].histogram, look.histogram) > NEW_SHOT
        if new:
            shots.append([])
        shots[-1].append(number)
    if len(shots) >= count:
        picked = [shots[i * len(shots) // count + len(shots) // (2 * count)] for i in range(count)]
        return [shot[len(shot) // 2] for shot in picked]
    # Fill the shots up in turn, as evenly as their lengths allow.
    takes = [0] * len(shots)
    for _ in range(min(count, len(looks))):
        free = [i for i, shot in enumerate(shots) if takes[i] < len(shot)]
        takes[min(free, key=lambda i: takes[i])] += 1
    return [
        shot[int((k + 0.5) * len(shot) / take)]
        for shot, take in zip(shots, takes, strict=True)
        for k in range(take)
    ]


def _changed(one: NDArray[np.float64], two: NDArray[np.float64]) -> float:
    """Return the largest share of pixels, over luma and chroma, that another bin has now."""
    return float(np.abs(one - two).sum(axis=1).max() / 2)


def _look_at_keys(path: Path, count: int) -> list[Look]:
    """Look at key frames near `count` evenly spread times; fewer where they are far apart."""
    looks: dict[int, Look] = {}
    with _opened(path, keys_only=True) as (container, stream):
        start, length = _span(container, stream)
        if length <= 0:
            return []
        for i in range(count):
            wanted = start + int((i + 0.5) * length / count)
            frame = _key_frame(container, stream, wanted, looks)
            if frame is not None and frame.pts is not None:
                looks.setdefault(frame.pts, Look(frame.pts, histogram(frame)))
    return [looks[pts] for pts in sorted(looks)]


def _sought(path: Path, times: list[int]) -> Iterator[Tensor]:
    with _opened(path, keys_only=True) as (container, stream):
        for pts in times:
            frame = _key_frame(container, stream, pts)
            if frame is not None:
                yield frame_to_nits(frame)


def _key_frame(
    container: InputContainer, stream: VideoStream, pts: int, known: Container[int] = ()
) -> av.VideoFrame | None:
    """Return the key frame before a time in the stream's ticks; None at an end, or if known."""
    container.seek(pts, stream=stream, backward=True)
    for packet in container.demux(stream):
        if packet.pts in known:
            return None
        for frame in packet.decode():
            return frame
    return None


def _span(container: InputContainer, stream: VideoStream) -> tuple[int, int]:
    """Return first time and length of a stream in its ticks; 0 where the file tells none."""
    if stream.time_base is None:
        return 0, 0
    if stream.duration is not None:
        length = stream.duration
    else:
        length = int((container.duration or 0) / av.time_base / stream.time_base)
    return stream.start_time or 0, length


def numbered(path: Path, wanted: Collection[int]) -> Iterator[tuple[int, av.VideoFrame]]:
    """Decode from the beginning and yield the frames of these numbers, with them.

    Raises:
        MediaError: there is no video in the file, or it can't be decoded.
    """
    last = max(wanted, default=-1)
    with _opened(path) as (container, stream):
        for number, frame in enumerate(container.decode(stream)):
            if number in wanted:
                yield number, frame
            if number >= last:
                return


def count_frames(path: Path) -> int:
    """Return how many frames the main video of a file has, by its packets.

    Raises:
        MediaError: there is none.
    """
    with _opened(path) as (container, stream):
        return sum(1 for packet in container.demux(stream) if packet.size)


@contextmanager
def _opened(path: Path, *, keys_only: bool = False) -> Iterator[tuple[InputContainer, VideoStream]]:
    """Open the main video of a file; what goes wrong while it is read names the file."""
    try:
        with open_input(path) as container:
            stream = main_video(container, path)
            # Frame threads would read on for as many frames as there are threads.
            stream.thread_type = "SLICE" if keys_only else "AUTO"
            if keys_only:
                stream.codec_context.skip_frame = "NONKEY"
            yield container, stream
    except av.FFmpegError as error:
        raise MediaError(f"training: {path.name} can't be decoded: {error.strerror}") from error

"""HDR video as light: exact levels for codes, and frames from all over a file."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import torch

from training.data.video import read_frames, spread_frames
from vs_gainmap.color.transfer import hlg_inverse_oetf, hlg_ootf
from vs_gainmap.errors import MediaError

PQ, HLG, BT2020, LIMITED, FULL = 16, 18, 9, 1, 2


def write_flat(
    path: Path,
    frames: Sequence[tuple[int, int, int]],
    *,
    pix_fmt: str = "yuv420p10le",
    transfer: int = PQ,
    color_range: int = LIMITED,
    keyint: int = 1,
) -> Path:
    """Write flat frames of these codes, without loss."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=Fraction(24))
        stream.width, stream.height, stream.pix_fmt = 64, 48, pix_fmt
        context = stream.codec_context
        context.color_trc, context.color_primaries, context.colorspace = transfer, BT2020, 9
        context.color_range = color_range
        stream.options = {"g": str(keyint)}
        for codes in frames:
            frame = av.VideoFrame(64, 48, pix_fmt)
            for plane, code in zip(frame.planes, codes, strict=True):
                plane.update(np.full(plane.buffer_size // 2, code, "<u2").tobytes())
            frame.color_trc, frame.color_primaries, frame.colorspace = transfer, BT2020, 9
            frame.color_range = color_range
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def flat(nits: torch.Tensor) -> list[float]:
    """Return the middle pixel, after checking that all are the same."""
    assert (nits.amax((1, 2)) - nits.amin((1, 2))).max() <= 1e-4 * nits.max()
    return [float(v) for v in nits[:, 8, 16]]


def pq_nits(signal: float) -> float:
    """SMPTE ST 2084 in double precision, written out again."""
    p = min(max(signal, 0.0), 1.0) ** (32 / 2523)
    return 10000 * (max(p - 3424 / 4096, 0) / (2413 / 128 - 2392 / 128 * p)) ** (16384 / 2610)


@pytest.mark.parametrize("pix_fmt", ["yuv420p10le", "yuv422p10le", "yuv444p10le"])
def test_limited_luma_codes_are_exact(tmp_path: Path, pix_fmt: str) -> None:
    # BT.2100-2, table 9: 64 is black and 940 is nominal peak; 509 is 100 cd/m2.
    codes = [64, 65, 200, 509, 722, 939, 940]
    path = write_flat(tmp_path / "a.mkv", [(c, 512, 512) for c in codes], pix_fmt=pix_fmt)
    for code, nits in zip(codes, read_frames(path, range(len(codes))), strict=True):
        expected = pq_nits((code - 64) / 876)
        assert flat(nits) == pytest.approx([expected] * 3, rel=2e-4, abs=1e-5)


@pytest.mark.parametrize("rgb", [(0.6, 0.3, 0.1), (0.1, 0.55, 0.3), (0.2, 0.25, 0.7)])
@pytest.mark.parametrize(
    ("pix_fmt", "bits", "color_range"),
    [("yuv420p10le", 10, LIMITED), ("yuv444p12le", 12, LIMITED), ("yuv420p10le", 10, FULL)],
)
def test_chroma_codes_are_exact(
    tmp_path: Path, rgb: tuple[float, float, float], pix_fmt: str, bits: int, color_range: int
) -> None:
    # BT.2100-2, table 6 (non-constant luminance) and table 9.
    red, green, blue = rgb
    luma = 0.2627 * red + 0.6780 * green + 0.0593 * blue
    cb, cr = (blue - luma) / 1.8814, (red - luma) / 1.4746
    step = 2 ** (bits - 8)
    full = color_range == FULL
    scales = (2**bits - 1,) * 3 if full else (219 * step, 224 * step, 224 * step)
    offsets = (0 if full else 16 * step, 128 * step, 128 * step)
    codes = [round(v * s + o) for v, s, o in zip((luma, cb, cr), scales, offsets, strict=True)]
    y, u, v = ((c - o) / s for c, s, o in zip(codes, scales, offsets, strict=True))
    back = (y + 1.4746 * v, 0.0, y + 1.8814 * u)
    green_back = (y - 0.2627 * back[0] - 0.0593 * back[2]) / 0.6780
    expected = [pq_nits(back[0]), pq_nits(green_back), pq_nits(back[2])]
    one = (codes[0], codes[1], codes[2])
    path = write_flat(tmp_path / "a.mkv", [one], pix_fmt=pix_fmt, color_range=color_range)
    assert flat(next(read_frames(path, [0]))) == pytest.approx(expected, rel=5e-4)


def test_hlg_codes_are_exact(tmp_path: Path) -> None:
    codes = (64, 502, 721, 940)
    path = write_flat(tmp_path / "a.mkv", [(c, 512, 512) for c in codes], transfer=HLG)
    for code, nits in zip(codes, read_frames(path, range(4)), strict=True):
        signal = torch.full((3, 1, 1), (code - 64) / 876, dtype=torch.float64)
        expected = float(hlg_ootf(hlg_inverse_oetf(signal))[0])
        assert flat(nits)[0] == pytest.approx(expected, rel=2e-4, abs=1e-3)


def test_sdr_video_is_an_error(tmp_path: Path) -> None:
    path = write_flat(tmp_path / "a.mkv", [(500, 512, 512)], transfer=1)
    with pytest.raises(MediaError, match="must be PQ or HLG"):
        next(read_frames(path, [0]))


@pytest.mark.parametrize(("keyint", "expected"), [(5, [0, 10, 20]), (500, [4, 12, 20])])
def test_spread_frames_are_key_frames_where_there_are_enough(
    tmp_path: Path, keyint: int, expected: list[int]
) -> None:
    codes = [100 + 20 * n for n in range(24)]
    path = write_flat(tmp_path / "a.mkv", [(c, 512, 512) for c in codes], keyint=keyint)
    levels = [flat(nits)[0] for nits in spread_frames(path, count=3)]
    assert levels == pytest.approx([pq_nits((codes[n] - 64) / 876) for n in expected], rel=2e-4)


def test_video_frames_in_nits(shared: Path) -> None:
    videos = shared / "hdr/video"
    path = videos / "androidx__sample_with_it35_track.mp4"
    pq = list(spread_frames(path, count=2))
    assert [f.shape for f in pq] == [(3, 270, 480)] * 2
    assert 200 < pq[0].max() < 10000
    hlg = next(spread_frames(videos / "androidx__sample_with_color_info.mp4", count=1))
    assert hlg.max() <= 1000.001
    assert hlg.mean() > 10

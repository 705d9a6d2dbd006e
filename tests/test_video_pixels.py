"""Pixels and color between PyAV's frames and VapourSynth's."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import vapoursynth as vs

from tests.media import digest, ffmpeg
from vs_gainmap.errors import MediaError
from vs_gainmap.video.pixels import layout_of, pix_fmt_of, to_pyav, to_vapoursynth
from vs_gainmap.video.source import VideoReader


def _noise(pix_fmt: str, width: int = 36, height: int = 22) -> av.VideoFrame:
    """Return a frame of random samples that fit the format."""
    frame = av.VideoFrame(width, height, pix_fmt)
    bits = frame.format.components[0].bits
    rng = np.random.default_rng(1)
    for plane in frame.planes:
        samples = np.frombuffer(plane, np.uint8 if bits == 8 else np.uint16)
        samples[:] = rng.integers(0, 2**bits, samples.size)
        if pix_fmt.startswith("p0") or "msb" in pix_fmt:
            samples <<= 16 - bits
    return frame


def _planes(frame: vs.VideoFrame) -> list[np.ndarray[Any, Any]]:
    return [np.array(frame[p]) for p in range(frame.format.num_planes)]


@pytest.mark.parametrize(
    ("pix_fmt", "clip_format"),
    [
        ("yuv420p", vs.YUV420P8),
        ("yuvj422p", vs.YUV422P8),
        ("yuv444p", vs.YUV444P8),
        ("yuv440p", vs.YUV440P8),
        ("yuv411p", vs.YUV411P8),
        ("yuva420p", vs.YUV420P8),
        ("yuv420p9le", vs.YUV420P9),
        ("yuv422p10le", vs.YUV422P10),
        ("yuv420p12le", vs.YUV420P12),
        ("yuv444p16le", vs.YUV444P16),
        ("nv12", vs.YUV420P8),
        ("nv16", vs.YUV422P8),
        ("p010le", vs.YUV420P10),
        ("p016le", vs.YUV420P16),
        ("gray", vs.GRAY8),
        ("gray10le", vs.GRAY10),
        ("gbrp", vs.RGB24),
        ("gbrp10le", vs.RGB30),
        ("gbrap16le", vs.RGB48),
        ("yuv444p10msble", vs.YUV444P10),
        ("gbrp12msble", vs.RGB36),
    ],
)
def test_samples_arrive_as_they_are(pix_fmt: str, clip_format: vs.PresetVideoFormat) -> None:
    source = _noise(pix_fmt)
    layout = layout_of(pix_fmt)
    made = to_vapoursynth(source, layout)
    assert made.format.id == int(clip_format)
    plain = {vs.YUV: "yuv", vs.RGB: "gbrp", vs.GRAY: "gray"}[made.format.color_family]
    width, height = source.width, source.height
    for p, plane in enumerate(_planes(made)):
        # PyAV's own, slower way to the same numbers.
        component = source.format.components[p]
        raw = np.frombuffer(source.planes[component.plane], np.uint8)
        rows = raw[
            : raw.size
            // source.planes[component.plane].line_size
            * source.planes[component.plane].line_size
        ].reshape(-1, source.planes[component.plane].line_size)
        samples = rows if layout.bits == 8 else rows.view("<u2")
        step = 2 if layout.interleaved_chroma and p else 1
        expected = samples[:, p - 1 :: 2] if step == 2 else samples
        shape = (component.height, component.width)
        assert plane.shape == shape, plain
        np.testing.assert_array_equal(plane, expected[: shape[0], : shape[1]] >> layout.shift)
    assert (made.width, made.height) == (width, height)


@pytest.mark.parametrize(
    ("packed", "clip_format"),
    [("rgb24", vs.RGB24), ("bgra", vs.RGB24), ("rgb48le", vs.RGB48), ("rgb48be", vs.RGB48)],
)
def test_packed_rgb_is_unpacked_losslessly(packed: str, clip_format: vs.PresetVideoFormat) -> None:
    source = _noise(packed)
    made = to_vapoursynth(source, layout_of(packed))
    assert made.format.id == int(clip_format)
    expected = source.to_ndarray()[..., :3]
    if packed == "bgra":
        expected = expected[..., ::-1]
    for channel, plane in enumerate(_planes(made)):
        np.testing.assert_array_equal(plane, expected[..., channel])


def test_packed_yuv_is_unpacked_losslessly() -> None:
    source = _noise("yuyv422")
    raw = np.frombuffer(source.planes[0], np.uint8).reshape(-1, source.planes[0].line_size)
    y, u, v = _planes(to_vapoursynth(source, layout_of("yuyv422")))
    np.testing.assert_array_equal(y, raw[:22, 0:72:2])
    np.testing.assert_array_equal(u, raw[:22, 1:72:4])
    np.testing.assert_array_equal(v, raw[:22, 3:72:4])


@pytest.mark.parametrize("pix_fmt", ["gbrpf32le", "grayf32le", "bayer_rggb8", "xyz12le", "vaapi"])
def test_unsupported_pixels_are_a_clear_error(pix_fmt: str) -> None:
    with pytest.raises(MediaError, match=f"pixel format {pix_fmt} isn't supported; convert it"):
        layout_of(pix_fmt)


@pytest.mark.parametrize(
    "clip_format", [vs.YUV420P10, vs.YUV422P10, vs.YUV444P12, vs.RGB48, vs.YUV420P8]
)
def test_to_pyav_and_back(clip_format: vs.PresetVideoFormat) -> None:
    blank = vs.core.std.BlankClip(format=clip_format, width=34, height=22, length=1)
    frame = blank.get_frame(0).copy()
    rng = np.random.default_rng(3)
    for p in range(3):
        target = np.asarray(frame[p])
        target[...] = rng.integers(0, 2**frame.format.bits_per_sample, target.shape)
    name = pix_fmt_of(frame.format)
    back = to_vapoursynth(to_pyav(frame, name), layout_of(name))
    for one, other in zip(_planes(frame), _planes(back), strict=True):
        np.testing.assert_array_equal(one, other)
    if clip_format == vs.YUV420P10:
        semi = to_vapoursynth(to_pyav(frame, "p010le"), layout_of("p010le"))
        for one, other in zip(_planes(frame), _planes(semi), strict=True):
            np.testing.assert_array_equal(one, other)


def test_color_props_are_those_of_the_stream() -> None:
    frame = av.VideoFrame(32, 32, "yuv420p")
    layout = layout_of("yuv420p")
    frame.colorspace = frame.color_trc = frame.color_primaries = 2
    assert dict(to_vapoursynth(frame, layout).props) == {}
    frame.colorspace, frame.color_trc, frame.color_primaries = 5, 6, 7
    frame.color_range, frame.chroma_location = 1, 3
    props = dict(to_vapoursynth(frame, layout).props)
    assert props == {
        "_Matrix": 5, "_Transfer": 6, "_Primaries": 7, "_Range": 0, "_ChromaLocation": 2,
    }  # fmt: skip
    frame.color_range = 2
    assert to_vapoursynth(frame, layout).props["_Range"] == 1
    full = av.VideoFrame(32, 32, "yuvj420p")
    assert to_vapoursynth(full, layout_of("yuvj420p")).props["_Range"] == 1
    rgb = to_vapoursynth(av.VideoFrame(32, 32, "rgb24"), layout_of("rgb24"))
    assert rgb.props["_Matrix"] == 0


@pytest.mark.parametrize(
    ("codec", "suffix", "pix_fmt"),
    [
        ("rawvideo", "avi", "pal8"),
        ("rawvideo", "mov", "pal8"),
        ("png", "mov", "pal8"),
        ("targa", "avi", "pal8"),
        ("tiff", "mov", "pal8"),
        ("zmbv", "avi", "pal8"),
        ("smc", "mov", "pal8"),
        ("gif", "gif", "pal8"),
        ("cinepak", "avi", "rgb24"),
        ("msvideo1", "avi", "rgb555le"),
        ("rpza", "mov", "rgb555le"),
        ("rawvideo", "avi", "rgb565le"),
        ("rawvideo", "nut", "bgr8"),
        ("rawvideo", "nut", "rgb4_byte"),
        ("png", "mov", "monob"),
    ],
)
def test_palettes_and_few_bits_are_colors(
    codec: str, suffix: str, pix_fmt: str, tmp_path: Path
) -> None:
    path = tmp_path / f"few.{suffix}"
    source = ("-f", "lavfi", "-i", "testsrc2=s=96x64:r=10:d=0.3")
    palette = ("-filter_complex", "[0]split[a][b];[a]palettegen[p];[b][p]paletteuse")
    filters = palette if pix_fmt == "pal8" else ()
    ffmpeg(*source, *filters, "-pix_fmt", pix_fmt, "-c:v", codec, path)
    with VideoReader(path) as reader:
        family = reader.layout.family
        found = [digest(frame) for frame in reader.clip.frames(close=True)]
    assert family == (vs.GRAY if pix_fmt == "monob" else vs.RGB)
    shown, samples = ("gray", 1) if family == vs.GRAY else ("rgb24", 3)
    copy = ("-map", "0:v:0", "-fps_mode", "passthrough", "-f", "rawvideo", "-")
    raw = ffmpeg("-i", path, "-pix_fmt", shown, *copy)
    frames = np.frombuffer(raw, np.uint8).reshape(-1, 64, 96, samples)
    expected = [hashlib.md5(frame.transpose(2, 0, 1).tobytes()).hexdigest() for frame in frames]
    assert found == expected

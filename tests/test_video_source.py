"""Reading: pixels moved losslessly, exact times, any order, clear errors."""

from __future__ import annotations

import gc
import hashlib
import os
import random
import shutil
import subprocess
import sys
import weakref
from contextlib import suppress
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import vapoursynth as vs

from tests.media import X264, Media, decode, digest, ffmpeg, frame_times
from vs_gainmap.errors import MediaError
from vs_gainmap.video import open_clip
from vs_gainmap.video.index import scan
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
        if pix_fmt.startswith("p0"):
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


@pytest.mark.parametrize("pix_fmt", ["gbrpf32le", "grayf32le", "bayer_rggb8", "rgb565le", "monob"])
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


def test_color_props_say_what_the_stream_says() -> None:
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


def test_frames_are_those_of_another_decoder(media: Media) -> None:
    expected = decode(media.plain, "yuv420p")
    with VideoReader(media.plain) as reader:
        found = [digest(frame) for frame in reader.clip.frames(close=True)]
        assert reader.clip.fps == Fraction(24000, 1001)
        props = dict(reader.clip.get_frame(0).props)
    assert len(found) == 29
    assert found == expected
    assert props["_Matrix"] == props["_Transfer"] == props["_Primaries"] == 1
    assert props["_Range"] == 0
    assert props["_FieldBased"] == 0
    assert props["_PictType"] == "I"
    assert Fraction(props["_DurationNum"], props["_DurationDen"]) == Fraction(1001, 24000)


def test_evicted_frames_are_decoded_again(media: Media) -> None:
    expected = decode(media.plain, "yuv420p")
    order = list(range(29)) * 2
    random.Random(5).shuffle(order)
    with VideoReader(media.plain, keep=1) as reader:
        futures = [(n, reader.clip.get_frame_async(n)) for n in order]
        assert [digest(future.result()) for _, future in futures] == [
            expected[n] for n, _ in futures
        ]


def test_a_graph_that_looks_back_decodes_once_more_not_each_time(media: Media) -> None:
    """As when frame n of the output needs frames n + 12 and n - 2 of the input."""
    with VideoReader(media.plain, keep=4) as reader:
        for n in range(17):
            reader.clip.get_frame(n + 12)
            reader.clip.get_frame(max(n - 2, 0))
        assert 1 <= reader.restarts <= 3
    with VideoReader(media.plain) as reader:
        for n in range(17):
            reader.clip.get_frame(n + 12)
            reader.clip.get_frame(max(n - 2, 0))
        assert reader.restarts == 0


def test_a_survey_of_the_whole_film_keeps_no_more_frames(media: Media) -> None:
    with VideoReader(media.plain, keep=4) as reader:
        for n in (2, 11, 20, reader.count - 1):
            reader.clip.get_frame(n)
        for n in range(12):
            reader.clip.get_frame(n)
        assert reader.restarts == 1
        assert len(reader._frames) <= 4


def test_a_frame_kept_for_who_waits_is_forgotten_when_that_one_has_it(media: Media) -> None:
    with VideoReader(media.plain, keep=4) as reader:
        # A thread that is slow to wake, while others are served from what is decoded.
        reader._wanted.append(0)
        frame = reader.clip.get_frame(0)
        for n in range(1, 9):
            reader.clip.get_frame(n)
        assert 0 in reader._frames
        reader._wanted.remove(0)
        assert digest(reader._serve(0, frame)) == digest(frame)
        assert 0 not in reader._frames
        assert len(reader._frames) <= 4


@pytest.mark.parametrize("first", [0, 1, 7, 8, 9, 15, 17, 28])
def test_a_start_inside_open_groups_is_frame_accurate(media: Media, first: int) -> None:
    expected = decode(media.plain, "yuv420p")
    with VideoReader(media.plain, first=first, count=6) as reader:
        found = [digest(frame) for frame in reader.clip.frames(close=True)]
    assert found == expected[first : first + 6]


def test_variable_rate_is_kept_exactly(media: Media) -> None:
    times = frame_times(media.variable)
    assert len(set(np.diff([float(t) for t in times]).round(4))) > 1
    with VideoReader(media.variable) as reader:
        assert reader.clip.fps == 0
        frames = [dict(frame.props) for frame in reader.clip.frames(close=True)]
        assert [reader.index.seconds(n) for n in range(len(reader.index))] == times
    durations = [Fraction(p["_DurationNum"], p["_DurationDen"]) for p in frames]
    assert durations[:-1] == [b - a for a, b in pairwise(times)]
    assert durations[-1] > 0
    assert Fraction(frames[0]["_SARNum"], frames[0]["_SARDen"]) == Fraction(4, 3)


def test_transport_streams_do_not_start_at_zero(media: Media) -> None:
    index = scan(media.late)
    assert len(index) == 29
    assert index.seconds(0) == frame_times(media.late)[0] > 1


def test_files_without_times_count_frames(media: Media, tmp_path: Path) -> None:
    raw = tmp_path / "raw.h264"
    ffmpeg("-i", media.plain, "-map", "0:v", "-c", "copy", "-bsf:v", "h264_mp4toannexb", raw)
    with VideoReader(raw) as reader:
        assert not reader.index.timed
        found = [digest(frame) for frame in reader.clip.frames(close=True)]
    assert found == decode(media.plain, "yuv420p")


def test_hidden_frames_of_vp8_are_not_counted(tmp_path: Path) -> None:
    path = tmp_path / "vp8.webm"
    ffmpeg(
        "-f", "lavfi", "-i", "testsrc2=s=96x64:r=25", "-t", "1.6", "-c:v", "libvpx",
        "-auto-alt-ref", "1", "-lag-in-frames", "16", "-deadline", "good", "-b:v", "100k", path,
    )  # fmt: skip
    assert len(scan(path)) == 40


def test_damaged_frames_are_replaced_by_a_neighbor(media: Media, tmp_path: Path) -> None:
    """A packet that can't be decoded must not shift the sound against the picture."""
    path = tmp_path / "damaged.mkv"
    # A stream cut inside an open group: its first B-frames can't be decoded.
    with av.open(str(media.plain)) as source, av.open(str(path), "w") as out:
        stream = source.streams.video[0]
        copy = out.add_stream_from_template(stream)
        keyframes = 0
        for packet in source.demux(stream):
            keyframes += packet.is_keyframe
            if packet.size and keyframes >= 2:
                packet.stream = copy
                out.mux(packet)
    with VideoReader(path) as reader:
        found = [digest(frame) for frame in reader.clip.frames(close=True)]
        assert len(found) == len(reader.index)
    decodable = decode(path, "yuv420p")
    assert found[-len(decodable) :] == decodable
    assert reader.repeated == len(found) - len(decodable)


def test_a_damaged_packet_does_not_end_the_conversion(media: Media, tmp_path: Path) -> None:
    path = tmp_path / "noise.mkv"
    with av.open(str(media.plain)) as source, av.open(str(path), "w") as out:
        stream = source.streams.video[0]
        copy = out.add_stream_from_template(stream)
        for n, packet in enumerate(p for p in source.demux(stream) if p.size):
            made = av.Packet(bytes(packet) if n != 20 else b"\xff" * packet.size)
            made.pts, made.dts, made.time_base = packet.pts, packet.dts, packet.time_base
            made.is_keyframe, made.stream = packet.is_keyframe, copy
            out.mux(made)
    with VideoReader(path) as reader:
        assert len(list(reader.clip.frames(close=True))) == 29
        assert 1 <= reader.repeated <= 4


def test_interlaced_is_a_clear_error(media: Media) -> None:
    with VideoReader(media.interlaced) as reader:
        with pytest.raises(vs.Error):
            reader.clip.get_frame(0)
        assert "is interlaced; deinterlace first" in str(reader.error)
    with VideoReader(media.interlaced, assume_progressive=True) as reader:
        assert reader.clip.get_frame(0).props["_FieldBased"] == 0


def test_changing_size_is_a_clear_error(media: Media) -> None:
    with VideoReader(media.changing) as reader:
        with pytest.raises(vs.Error):
            list(reader.clip.frames(close=True))
        assert "changes from 96x64 yuv420p to 64x64 yuv420p at frame" in str(reader.error)


def test_a_clock_that_jumps_back_is_a_clear_error(media: Media) -> None:
    with pytest.raises(MediaError, match=r"jumps back after 22\.\d+ s"):
        scan(media.rewound)


def test_odd_sizes_that_vapoursynth_lacks_are_a_clear_error(media: Media) -> None:
    with pytest.raises(MediaError, match="can't hold 95x64 in yuv420p; crop it first"):
        VideoReader(media.odd)


def test_unusable_files_are_clear_errors(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match="no such file"):
        scan(tmp_path / "none.mp4")
    text = tmp_path / "text.mp4"
    text.write_text("no video")
    with pytest.raises(MediaError, match="not a media file"):
        scan(text)
    sound = tmp_path / "sound.wav"
    ffmpeg("-f", "lavfi", "-i", "sine", "-t", "0.1", sound)
    with pytest.raises(MediaError, match="has no video stream"):
        scan(sound)


def test_a_closed_reader_says_so(media: Media) -> None:
    with VideoReader(media.plain) as reader:
        clip = reader.clip
    with pytest.raises(vs.Error, match="closed"):
        clip.get_frame(3)


def test_random_access_is_frame_accurate(media: Media, tmp_path: Path) -> None:
    """H.264 with B-frames and open groups, any order, against two other decoders."""
    expected = decode(media.plain, "yuv420p")
    with av.open(str(media.plain)) as container:
        second = [
            digest(to_vapoursynth(frame, layout_of("yuv420p")))
            for frame in container.decode(video=0)
        ]
    assert second == expected
    order = list(range(29)) * 2
    random.Random(9).shuffle(order)
    clip = open_clip(media.plain, cache_dir=tmp_path)
    assert clip.num_frames == 29
    assert [digest(clip.get_frame(n)) for n in order] == [expected[n] for n in order]
    again = open_clip(media.plain, cache_dir=tmp_path)
    assert digest(again.get_frame(20)) == expected[20]


def test_open_clip_leaves_rotation_aspect_and_folder_alone(media: Media, tmp_path: Path) -> None:
    before = set(media.folder.iterdir())
    clip = open_clip(media.phone, cache_dir=tmp_path)
    assert (clip.width, clip.height) == (96, 64)
    wide = open_clip(media.variable, cache_dir=tmp_path).get_frame(0).props
    assert Fraction(wide["_SARNum"], wide["_SARDen"]) == Fraction(4, 3)
    assert clip.get_frame(0).props["_Matrix"] == 1
    made = {path for path in media.folder.iterdir() if path not in before}
    assert made <= {media.phone, media.variable, media.plain}


def test_open_clip_errors(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match="open_clip: no such file"):
        open_clip(tmp_path / "none.mkv")
    text = tmp_path / "text.mkv"
    text.write_text("no video")
    with pytest.raises(MediaError, match=r"open_clip: .*text\.mkv"):
        open_clip(text, cache_dir=tmp_path)


@pytest.mark.parametrize(
    ("codec", "suffix", "extra"),
    [
        ("rawvideo", "avi", ()),
        ("png", "mov", ()),
        ("targa", "avi", ()),
        ("gif", "gif", ()),
        ("xwd", "nut", ("-pix_fmt", "pal8")),
    ],
)
def test_palettes_are_colors(
    codec: str, suffix: str, extra: tuple[str, ...], tmp_path: Path
) -> None:
    path = tmp_path / f"palette.{suffix}"
    source = ("-f", "lavfi", "-i", "testsrc2=s=96x64:r=10:d=0.5")
    palette = ("-filter_complex", "[0]split[a][b];[a]palettegen[p];[b][p]paletteuse")
    try:
        ffmpeg(*source, *palette, *(extra or ("-pix_fmt", "pal8")), "-c:v", codec, path)
    except subprocess.CalledProcessError:
        pytest.skip(f"this ffmpeg writes no palettes with {codec}")
    with VideoReader(path) as reader:
        assert reader.layout.family == vs.RGB
        found = [digest(frame) for frame in reader.clip.frames(close=True)]
    shown = ffmpeg(
        "-i", path, "-pix_fmt", "rgb24", "-fps_mode", "passthrough", "-f", "rawvideo", "-"
    )
    frames = np.frombuffer(shown, np.uint8).reshape(-1, 64, 96, 3)
    expected = [hashlib.md5(frame.transpose(2, 0, 1).tobytes()).hexdigest() for frame in frames]
    assert found == expected


@pytest.mark.parametrize("error", [TypeError, MemoryError, av.error.MemoryError, RecursionError])
def test_whatever_fails_in_the_decoder_ends_the_wait(
    error: type[Exception], media: Media, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise error(12, "out of luck")

    monkeypatch.setattr("vs_gainmap.video.source.to_vapoursynth", fail)
    with VideoReader(media.plain) as reader:
        future = reader.clip.get_frame_async(0)
        assert isinstance(future.exception(timeout=20), vs.Error)
        with pytest.raises(MediaError, match=r"plain\.mp4: .*out of luck"), reader.own_errors():
            reader.clip.get_frame(1)


def _threads_and_memory() -> tuple[int, float]:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    threads = len(list(Path("/proc/self/task").iterdir()))
    return threads, pages * os.sysconf("SC_PAGESIZE") / 1e6


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_readers_leave_neither_threads_nor_memory(media: Media) -> None:
    def use(path: Path) -> None:
        with suppress(MediaError), VideoReader(path) as reader, reader.own_errors():
            reader.clip.get_frame(3).close()

    alive = weakref.WeakSet[VideoReader]()
    for _ in range(5):
        use(media.half)
        use(media.interlaced)
    before = _threads_and_memory()
    for _ in range(50):
        with VideoReader(media.half) as reader:
            alive.add(reader)
            reader.clip.get_frame(0).close()
        del reader
        use(media.interlaced)
    gc.collect()
    after = _threads_and_memory()
    assert not alive
    assert after[0] <= before[0]
    assert after[1] - before[1] < 20


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_seeks_take_no_more_memory(tmp_path: Path) -> None:
    path = tmp_path / "long.mp4"
    ffmpeg("-f", "lavfi", "-i", "testsrc2=s=64x48:r=24:d=50", *X264, "-g", "4", path)
    numbers = [random.Random(n).randrange(1200) for n in range(500)]
    with VideoReader(path, keep=1) as reader:
        for n in numbers[:50]:
            reader.clip.get_frame(n).close()
        before = _threads_and_memory()
        for n in numbers[50:]:
            reader.clip.get_frame(n).close()
        after = _threads_and_memory()
        assert reader.restarts > 200
    assert after[0] <= before[0]
    assert after[1] - before[1] < 20


def test_another_file_of_the_same_name_is_noticed(media: Media, tmp_path: Path) -> None:
    path = tmp_path / "in.mp4"
    shutil.copy(media.plain, path)
    index = scan(path)
    path.unlink()
    shutil.copy(media.silent, path)
    changed = pytest.raises(MediaError, match=r"in\.mp4: changed while")
    with VideoReader(path, index=index) as reader, changed, reader.own_errors():
        reader.clip.get_frame(0)

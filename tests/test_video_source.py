"""Reading: pixels moved losslessly, exact times, any order, clear errors."""

from __future__ import annotations

import gc
import os
import random
import shutil
import sys
import weakref
from contextlib import suppress
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest
import vapoursynth as vs

from tests.media import X264, Media, decode, digest, ffmpeg, frame_times
from vs_gainmap.errors import MediaError
from vs_gainmap.video import open_clip
from vs_gainmap.video.index import scan
from vs_gainmap.video.pixels import layout_of, to_vapoursynth
from vs_gainmap.video.source import VideoReader


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


def test_a_window_that_is_read_backwards_after_a_jump_is_decoded_once(media: Media) -> None:
    """As VapourSynth with one thread does it."""
    with VideoReader(media.plain, keep=12) as reader:
        reader.clip.get_frame(28)
        for n in range(15, 8, -1):
            reader.clip.get_frame(n)
        assert reader.restarts == 1


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
        assert "changes from 96x64 yuv420p to 64x64 yuv420p at frame 29;" in str(reader.error)
    # From a later frame on, as a worker reads it.
    with VideoReader(media.changing, first=50) as reader:
        with pytest.raises(vs.Error):
            reader.clip.get_frame(0)
        assert "64x64 yuv420p at or before frame" in str(reader.error)


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


def test_a_closed_reader_is_a_clear_error(media: Media) -> None:
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
    numbers = [random.Random(n).randrange(1200) for n in range(250)]
    with VideoReader(path, keep=1) as reader:
        for n in numbers[:50]:
            reader.clip.get_frame(n).close()
        before = _threads_and_memory()
        for n in numbers[50:]:
            reader.clip.get_frame(n).close()
        after = _threads_and_memory()
        assert reader.restarts > 100
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


def test_a_decoder_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Damaged HEVC on which FFmpeg's frame threads wait for each other for ever."""
    monkeypatch.setattr("vs_gainmap.video.source._HANGS_AFTER", 2)
    path = Path(__file__).parent / "data" / "decoder_hangs.mkv"
    with VideoReader(path) as reader:
        futures = [reader.clip.get_frame_async(n) for n in range(4)]
        errors = [future.exception(timeout=30) for future in futures]
        # Another FFmpeg may get through.
        assert all(error is None or "the decoder hangs at" in str(error) for error in errors)

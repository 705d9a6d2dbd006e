"""A clock that can't be trusted: no picture is lost without a word."""

from __future__ import annotations

import logging
import re
import shlex
import struct
from collections.abc import Callable
from fractions import Fraction
from itertools import accumulate
from pathlib import Path

import av
import pytest
import vapoursynth as vs
from hypothesis import given
from hypothesis import strategies as st

from tests.media import X264, Media, decode, digest, ffmpeg, frame_times
from vs_gainmap.errors import MediaError
from vs_gainmap.video.index import scan
from vs_gainmap.video.source import VideoReader
from vs_gainmap.video.timestamps import FrameTimes, warn_of_holes

Change = Callable[[int, av.Packet], av.Packet | None]


def remux(source: Path, target: Path, change: Change) -> Path:
    """Copy a file's video with its packets, counted in coding order, changed or left out."""
    with av.open(str(source)) as opened, av.open(str(target), "w") as out:
        stream = opened.streams.video[0]
        copy = out.add_stream_from_template(stream)
        for n, packet in enumerate(p for p in opened.demux(stream) if p.size):
            made = change(n, packet)
            if made is not None:
                made.stream = copy
                out.mux(made)
    return target


def _same_time(at: int) -> Change:
    """Return a change that gives a packet the times of the one before it."""
    seen: list[int] = []

    def change(n: int, packet: av.Packet) -> av.Packet:
        seen.append(packet.pts)
        if n == at:
            packet.pts = packet.dts = seen[n - 1]
        return packet

    return change


def _advice(path: Path) -> list[str]:
    with pytest.raises(MediaError, match="its clock jumps back after") as found:
        scan(path)
    text = str(found.value)
    assert len(text.splitlines()) == 1
    return shlex.split(re.search(r"ffmpeg (.*)", text).group(1))


def _follow(advice: list[str], source: Path, target: Path) -> Path:
    ffmpeg(*[{"IN": source, "OUT.mkv": target}.get(word, word) for word in advice])
    return target


def _frames(path: Path) -> list[str]:
    with VideoReader(path) as reader:
        return [digest(frame) for frame in reader.clip.frames(close=True)]


@pytest.mark.parametrize("name", ["joined", "rewound"])
def test_a_joined_stream_is_an_error_whose_advice_keeps_all_frames(
    name: str, media: Media, tmp_path: Path
) -> None:
    source: Path = getattr(media, name)
    advice = _advice(source)
    assert "copy" in advice
    mended = _follow(advice, source, tmp_path / "mended.mkv")
    once = decode(media.half if name == "joined" else media.plain, "yuv420p")
    assert _frames(mended) == once * 2


def test_another_size_in_a_joined_stream_is_noticed(media: Media, tmp_path: Path) -> None:
    small, source = tmp_path / "small.ts", tmp_path / "both.ts"
    ffmpeg("-i", media.half, "-vf", "scale=64:32", *X264, "-bf", "3", small)
    source.write_bytes(media.half.read_bytes() + small.read_bytes())
    mended = _follow(_advice(source), source, tmp_path / "mended.mkv")
    with VideoReader(mended) as reader:
        with pytest.raises(vs.Error):
            list(reader.clip.frames(close=True))
        assert "changes from 96x64 yuv420p to 64x32" in str(reader.error)


def test_a_jump_that_ffmpeg_leaves_open_has_advice_of_its_own(tmp_path: Path) -> None:
    short, source = tmp_path / "short.ts", tmp_path / "twice.ts"
    ffmpeg("-f", "lavfi", "-i", "testsrc2=s=96x64:r=24", *X264, "-frames:v", "4", short)
    source.write_bytes(short.read_bytes() * 2)
    advice = _advice(source)
    assert "copy" not in advice
    assert _frames(_follow(advice, source, tmp_path / "mended.mkv")) == decode(short, "yuv420p") * 2


def test_pictures_of_one_time_are_an_error(media: Media, tmp_path: Path) -> None:
    lossless = tmp_path / "lossless.mkv"
    ffmpeg("-i", media.plain, "-an", "-c:v", "ffv1", lossless)
    twice = remux(lossless, tmp_path / "twice.mkv", _same_time(10))
    mended = _follow(_advice(twice), twice, tmp_path / "mended.mkv")
    assert _frames(mended) == decode(media.plain, "yuv420p")


def test_two_pictures_that_look_like_fields_are_an_error(media: Media, tmp_path: Path) -> None:
    """Packets may be two fields of one picture; that these are two, only the decoder shows."""
    flat = tmp_path / "flat.mkv"
    ffmpeg("-i", media.plain, "-an", *X264, "-bf", "0", flat)
    with VideoReader(remux(flat, tmp_path / "twice.mkv", _same_time(10))) as reader:
        with pytest.raises(vs.Error):
            list(reader.clip.frames(close=True))
        assert "its clock jumps back after" in str(reader.error)


def test_avi_has_no_times_to_sort_by(media: Media, tmp_path: Path) -> None:
    """FFmpeg makes some up for H.264 with B-frames, in coding order."""
    path = tmp_path / "old.avi"
    ffmpeg("-i", media.plain, "-an", "-c:v", "copy", "-bsf:v", "h264_mp4toannexb", path)
    with VideoReader(path) as reader:
        found = [digest(frame) for frame in reader.clip.frames(close=True)]
        assert reader.repeated == 0
    assert found == decode(media.plain, "yuv420p")


def test_holes_are_logged_once(
    media: Media, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    whole = tmp_path / "whole.mkv"
    ffmpeg("-f", "lavfi", "-i", "testsrc2=s=96x64:r=24:d=4", *X264, "-bf", "0", whole)
    path = remux(whole, tmp_path / "holes.mkv", lambda n, p: None if 8 <= n < 16 or n == 40 else p)
    caplog.set_level(logging.WARNING)
    assert len(scan(path)) == 87
    (line,) = caplog.messages
    assert line.startswith(
        f"{path}: 2 holes in its timestamps, as if 9 of 96 pictures were missing"
    )
    assert "the first of 0.375 s at 0.292 s" in line
    caplog.clear()
    for sound in (media.plain, media.variable, media.late, media.rich, media.cover, media.edited):
        scan(sound)
    assert caplog.messages == []


@pytest.mark.parametrize(
    ("steps", "text"),
    [
        (
            [1] * 20 + [2] + [1] * 20,
            "a hole in its timestamps, as if 1 of 43 pictures were missing",
        ),
        ([33, 34, 33] * 10 + [67] + [33] * 10, "a hole in its timestamps, as if 1 of 43 pictures"),
        ([3003] * 20 + [9009, 6006], "2 holes in its timestamps, as if 3 of 26 pictures"),
        ([1] * 40, None),
        ([33, 34, 33] * 10, None),
        # Film in 30 ticks a second, doubles left out, a slow pan, one picture, two.
        ([1, 1, 1, 2] * 10, None),
        ([42, 42, 42, 42, 83] * 10, None),
        ([42] * 8 + [300] + [83] * 9, None),
        ([], None),
        ([500], None),
    ],
)
def test_holes_of_a_constant_rate(
    steps: list[int], text: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    times = list(accumulate(steps, initial=0))
    warn_of_holes(Path("film.mkv"), times, Fraction(1, 1000))
    assert len(caplog.messages) == (text is not None)
    assert text is None or text in caplog.messages[0]


@pytest.mark.parametrize("suffix", ["mkv", "mp4", "avi"])
def test_a_missing_end_is_logged(
    suffix: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    whole, part = tmp_path / f"whole.{suffix}", tmp_path / f"part.{suffix}"
    more = ("-movflags", "faststart") if suffix == "mp4" else ("-cluster_time_limit", "200")
    source = ("-f", "lavfi", "-i", "testsrc2=s=96x64:r=24:d=4")
    ffmpeg(*source, *X264, "-bf", "0", *more, whole)
    data = whole.read_bytes()
    part.write_bytes(data[: len(data) // 2])
    caplog.set_level(logging.WARNING)
    scan(whole)
    assert caplog.messages == []
    assert 20 < len(scan(part)) < 80
    (line,) = caplog.messages
    assert line.startswith(f"{part}: declares 4.000 s, but ends at ")
    assert line.endswith("it is damaged or cut off")


def test_an_edit_list_cuts_nothing_off(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """As phones trim a clip: the file has more than it shows."""
    path = tmp_path / "trimmed.mp4"
    ffmpeg("-f", "lavfi", "-i", "testsrc2=s=96x64:r=24:d=4", *X264, "-g", "12", path)
    data = bytearray(path.read_bytes())
    # Version, entries, duration in milliseconds, first tick of the media in 1/12288 s.
    entry = data.index(b"elst") + 4
    assert struct.unpack_from(">IIIi", data, entry) == (0, 1, 4000, 0)
    struct.pack_into(">Ii", data, entry + 8, 1000, 2 * 12288)
    path.write_bytes(data)
    caplog.set_level(logging.WARNING)
    assert len(scan(path)) == 24
    assert caplog.messages == []


def test_damage_is_logged_once_with_file_and_seconds(
    media: Media, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def noise(n: int, packet: av.Packet) -> av.Packet:
        made = av.Packet(bytes(packet) if n != 20 else b"\xff" * packet.size)
        made.pts, made.dts, made.time_base = packet.pts, packet.dts, packet.time_base
        made.is_keyframe = packet.is_keyframe
        return made

    path = remux(media.plain, tmp_path / "noise.mkv", noise)
    caplog.set_level(logging.WARNING)
    with VideoReader(path, keep=1) as reader:
        for _ in range(2):
            list(reader.clip.frames(close=True))
        assert reader.restarts >= 1
    assert len(frame_times(path)) == 29
    damage = [line for line in caplog.messages if "a damaged packet at" in line]
    assert len(damage) == 1
    assert re.search(rf"^{re.escape(str(path))}: a damaged packet at 0\.\d+ s is left", damage[0])
    assert len(set(caplog.messages)) == len(caplog.messages)
    assert any("can't be decoded; a neighbor is shown" in line for line in caplog.messages)


@given(
    st.lists(st.fractions(Fraction(1, 1000), 10, max_denominator=90_000), min_size=1, max_size=9),
    st.integers(-1000, 10**6),
)
def test_times_are_exact_or_finer_than_a_nanosecond(durations: list[Fraction], start: int) -> None:
    first = Fraction(start, 90_000)
    times = FrameTimes.from_durations(durations, start=first)
    exact = first
    for n, duration in enumerate(durations):
        error = times.pts(n) * times.time_base - exact
        assert error == 0 or (times.time_base == Fraction(1, 705_600_000) and abs(error) < 1e-9)
        exact += duration
    decoding = [times.dts(n) for n in range(-3, len(times))]
    assert decoding == sorted(set(decoding))
    assert all(times.dts(n) <= times.pts(n) for n in range(len(times)))


def test_the_source_time_base_is_kept_where_it_fits() -> None:
    steps = [Fraction(1001, 24000)] * 3
    assert FrameTimes.from_durations(steps, prefer=Fraction(1, 24000)).time_base == Fraction(
        1, 24000
    )
    assert FrameTimes.from_durations(steps, prefer=Fraction(1, 1000)).time_base == Fraction(
        1, 24000
    )

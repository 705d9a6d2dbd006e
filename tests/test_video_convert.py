"""File to file: everything else of the source goes along, whole or in part."""

from __future__ import annotations

import gc
import os
import sys
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import pytest
import vapoursynth as vs

from tests.media import Media, decode, frame_times, mediainfo, packets
from vs_gainmap.errors import MediaError
from vs_gainmap.video import Encoded, Selection, convert
from vs_gainmap.video.index import scan

MILLISECOND = Fraction(1, 1000)


def graph(clip: vs.VideoNode) -> vs.VideoNode:
    """Return SDR as PQ: any HDR clip will do here."""
    return clip.resize.Bicubic(
        format=vs.YUV420P10, matrix=9, transfer=16, primaries=9,
        matrix_in=1, transfer_in=1, primaries_in=1,
    )  # fmt: skip


def same_pixels(clip: vs.VideoNode) -> vs.VideoNode:
    """Return SDR pixels with PQ tags, to compare with the source."""
    return clip.std.SetFrameProps(_Matrix=9, _Transfer=16, _Primaries=9)


def run(source: Path, target: Path, **options: Any) -> Encoded:
    return convert(source, target, graph, preset="ultrafast", **options)


def _streams(path: Path) -> list[tuple[str, str | None, int]]:
    with av.open(str(path)) as container:
        return [
            (s.type, s.codec_context.name if s.codec_context else None, int(s.disposition))
            for s in container.streams
        ]


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "mov"])
def test_sound_and_times_are_untouched(suffix: str, media: Media, tmp_path: Path) -> None:
    target = tmp_path / f"out.{suffix}"
    made = run(media.plain, target)
    assert made.frames == 29
    assert made.notes == ()
    before, after = packets(media.plain), packets(target)
    assert [md5 for _, md5 in after[1]] == [md5 for _, md5 in before[1]]
    tolerance = MILLISECOND if suffix == "mkv" else 0
    # The encoder's delay included: the first packet starts before zero.
    for (old, _), (new, _) in zip(before[1], after[1], strict=True):
        assert abs(new - old) <= tolerance
    for old, new in zip(frame_times(media.plain), frame_times(target), strict=True):
        assert abs(new - old) <= tolerance


def test_variable_frame_rate_and_aspect_are_untouched(media: Media, tmp_path: Path) -> None:
    run(media.variable, tmp_path / "out.mp4")
    assert frame_times(tmp_path / "out.mp4") == frame_times(media.variable)
    run(media.variable, tmp_path / "out.mkv")
    info = [mediainfo(tmp_path / name) for name in ("out.mp4", "out.mkv")]
    assert [track["pixel_aspect_ratio"] for track in info] == ["1.333", "1.333"]
    assert [track["frame_rate_mode"] for track in info] == ["VFR", "VFR"]
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert container.streams.video[0].time_base.denominator == 90_000
    default_duration = b"\x23\xe3\x83"
    assert default_duration not in (tmp_path / "out.mkv").read_bytes()[:1000]
    run(media.silent, tmp_path / "constant.mkv")
    head = (tmp_path / "constant.mkv").read_bytes()[:1000]
    at = head.index(default_duration) + 4
    assert int.from_bytes(head[at : at + 4]) == round(10**9 * Fraction(1001, 24000))


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_a_start_above_zero_is_kept(suffix: str, media: Media, tmp_path: Path) -> None:
    target = tmp_path / f"out.{suffix}"
    run(media.late, target)
    for stream in (0, 1):
        old, new = packets(media.late)[stream], packets(target)[stream]
        assert len(old) == len(new)
        assert abs(min(old)[0] - min(new)[0]) <= MILLISECOND
    assert min(packets(target)[0])[0] > 1


def test_without_audio(media: Media, tmp_path: Path) -> None:
    run(media.plain, tmp_path / "out.mkv", audio=False)
    assert [kind for kind, _, _ in _streams(tmp_path / "out.mkv")] == ["video"]
    run(media.silent, tmp_path / "silent.mkv")
    assert [kind for kind, _, _ in _streams(tmp_path / "silent.mkv")] == ["video"]


def test_a_part_starts_at_zero_with_its_sound(media: Media, tmp_path: Path) -> None:
    target = tmp_path / "out.mkv"
    part = Selection(start=Fraction(1, 2), end=Fraction("0.8"))
    made = convert(media.plain, target, same_pixels_10, selection=part, encoder="ffv1")
    times = frame_times(media.plain)
    chosen = [n for n, time in enumerate(times) if Fraction(1, 2) <= time < Fraction("0.8")]
    assert made.frames == len(chosen) == 8
    assert frame_times(target)[0] == 0
    start = times[chosen[0]]
    old, new = packets(media.plain)[1], packets(target)[1]
    moved = {md5: time for time, md5 in old}
    for time, md5 in new:
        assert abs(time + start - moved[md5]) <= MILLISECOND
    # From what AAC needs to warm up (1024 samples at 48 kHz) to the end of the last frame.
    warm, stop = start - Fraction(1024, 48000), start + 8 * Fraction(1001, 24000)
    assert [md5 for _, md5 in new] == [md5 for time, md5 in old if warm <= time < stop]
    assert decode(target, "yuv420p") == [decode(media.plain, "yuv420p")[n] for n in chosen]


def same_pixels_10(clip: vs.VideoNode) -> vs.VideoNode:
    return same_pixels(clip.resize.Point(format=vs.YUV420P10))


def test_a_part_cuts_subtitles_and_chapters(media: Media, tmp_path: Path) -> None:
    target = tmp_path / "out.mkv"
    run(media.rich, target, selection=Selection(start=Fraction(1, 2), end=Fraction("0.9")))
    start = frame_times(media.rich)[12]
    subtitles = packets(target)[3]
    # The first is on screen from 0.2 s to 0.9 s, the second starts at 1.0 s.
    assert [time for time, _ in subtitles] == [0]
    with av.open(str(target)) as container:
        packet = next(p for p in container.demux(subtitles=0) if p.size)
        assert packet.duration == round((Fraction("0.9") - start) * 1000)
        chapters = [(c["start"], c["end"], c["metadata"]["title"]) for c in container.chapters()]
        tick = Fraction(container.chapters()[0]["time_base"].denominator)
    assert [title for _, _, title in chapters] == ["One", "Two"]
    assert chapters[0][0] == 0
    assert abs(chapters[0][1] / tick - (Fraction("0.7") - start)) <= MILLISECOND


@pytest.mark.parametrize("suffix", ["mkv", "mov"])
def test_a_part_ends_its_last_subtitle(suffix: str, media: Media, tmp_path: Path) -> None:
    source = media.rich if suffix == "mkv" else media.edited
    target = tmp_path / f"out.{suffix}"
    # The first is on screen from 0.2 s to 0.9 s.
    made = run(source, target, selection=Selection(start=Fraction("0.1"), end=Fraction("0.5")))
    with av.open(str(target)) as container:
        packet = next(p for p in container.demux(subtitles=0) if p.size > 2)
        end = (packet.pts + packet.duration) * packet.time_base
    assert made.frames == 9
    assert abs(end - 9 * Fraction(1001, 24000)) <= MILLISECOND


@pytest.mark.parametrize(
    ("selection", "expected"),
    [
        (Selection(), (0, 29)),
        (Selection(frames=5), (0, 5)),
        (Selection(start=Fraction(0), frames=100), (0, 29)),
        (Selection(start=Fraction(1001, 24000)), (1, 28)),
        (Selection(start=Fraction(1, 24)), (1, 28)),
        (Selection(start=Fraction(1001, 24000) + Fraction(1, 10**6)), (2, 27)),
        (Selection(end=Fraction(1001, 24000)), (0, 1)),
    ],
)
def test_selection(selection: Selection, expected: tuple[int, int], media: Media) -> None:
    index = scan(media.plain)
    assert selection.range(index) == expected
    assert (selection.span(index) is None) == (expected == (0, 29))


def test_selection_counts_from_the_first_frame(media: Media) -> None:
    index = scan(media.late)
    part = Selection(start=Fraction(1, 2), frames=3)
    assert part.range(index) == (12, 3)
    span = part.span(index)
    assert span is not None
    assert span.start == index.seconds(12)


def test_empty_selection_is_a_clear_error(media: Media, tmp_path: Path) -> None:
    with pytest.raises(MediaError, match=r"no frame is selected; its last one starts at 1\.168 s"):
        run(media.plain, tmp_path / "out.mkv", selection=Selection(start=Fraction(60)))
    assert list(tmp_path.iterdir()) == []


def test_unreadable_frames_are_reported_by_the_reader(media: Media, tmp_path: Path) -> None:
    with pytest.raises(MediaError, match=r"frame 0 is interlaced; deinterlace first"):
        run(media.interlaced, tmp_path / "out.mkv")
    with pytest.raises(MediaError, match=r"changes from 96x64"):
        run(media.changing, tmp_path / "out.mkv")
    assert list(tmp_path.iterdir()) == []
    run(media.interlaced, tmp_path / "out.mkv", assume_progressive=True)
    assert len(frame_times(tmp_path / "out.mkv")) == len(scan(media.interlaced))


def test_a_graph_must_keep_the_number_of_frames(media: Media, tmp_path: Path) -> None:
    with pytest.raises(MediaError, match="29 frames went in and 28 came out"):
        convert(media.plain, tmp_path / "out.mkv", lambda clip: graph(clip)[1:])


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_process_that_converts_all_day_stays_as_it_is(media: Media, tmp_path: Path) -> None:
    def failing(clip: vs.VideoNode) -> vs.VideoNode:
        def fail(n: int, f: vs.VideoFrame) -> vs.VideoFrame:
            if n == 5:
                raise ValueError("frame 5 is bad")
            return f

        hdr = graph(clip)
        return hdr.std.ModifyFrame(hdr, fail)

    def state() -> tuple[int, float]:
        gc.collect()
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        threads = len(list(Path("/proc/self/task").iterdir()))
        return threads, pages * os.sysconf("SC_PAGESIZE") / 1e6

    before = (0, 0.0)
    for n in range(200):
        source = (media.half, media.interlaced, media.half, media.changing)[n % 4]
        with suppress(MediaError, vs.Error):
            convert(
                source, tmp_path / "out.mkv", failing if n % 4 == 2 else graph,
                encoder="ffv1", overwrite=True,
            )  # fmt: skip
        if n == 40:
            before = state()
    after = state()
    assert after[0] <= before[0] + 1
    assert after[1] - before[1] < 25

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
from av.sidedata.sidedata import Type

from tests.media import X264, Media, decode, ffmpeg, frame_times, mediainfo, packets
from vs_gainmap.errors import MediaError
from vs_gainmap.video import Encoded, Selection, convert
from vs_gainmap.video.index import scan

MILLISECOND = Fraction(1, 1000)
DATA = Path(__file__).parent / "data"


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
    said = [mediainfo(tmp_path / name) for name in ("out.mp4", "out.mkv")]
    assert [track["pixel_aspect_ratio"] for track in said] == ["1.333", "1.333"]
    assert [track["frame_rate_mode"] for track in said] == ["VFR", "VFR"]
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


def test_matroska_keeps_everything(media: Media, tmp_path: Path) -> None:
    target = tmp_path / "out.mkv"
    made = run(media.rich, target)
    assert made.notes == ()
    before, after = packets(media.rich), packets(target)
    for stream in (1, 2, 3):
        assert after[stream] == before[stream]
    kinds = [kind for kind, _, _ in _streams(target)]
    assert kinds == ["video", "audio", "audio", "subtitle", "attachment"]
    assert [d for _, _, d in _streams(target)] == [d for _, _, d in _streams(media.rich)]
    with av.open(str(media.rich)) as old, av.open(str(target)) as new:
        assert bytes(new.streams[4].data) == bytes(old.streams[4].data)
        assert new.streams[4].metadata == old.streams[4].metadata
        assert new.streams[1].metadata["language"] == "fra"
        assert new.streams[2].metadata["title"] == "Second"
        assert "title" not in new.streams[0].metadata
        assert new.metadata["title"] == "My film"
        chapters = [
            (c["start"] * c["time_base"], c["end"] * c["time_base"], c["metadata"]["title"])
            for c in new.chapters()
        ]
    assert [(float(a), float(b), title) for a, b, title in chapters] == [
        (0.0, 0.7, "One"),
        (0.7, 1.2, "Two"),
    ]


def test_mp4_says_what_it_leaves_out(media: Media, tmp_path: Path) -> None:
    target = tmp_path / "out.mp4"
    made = run(media.rich, target)
    assert made.notes == (
        "rich.mkv: subtitle stream 3 (srt) can't be stored in .mp4; it is left out",
        "rich.mkv: attachment stream 4 (no known codec) can't be stored in .mp4; it is left out",
    )
    before, after = packets(media.rich), packets(target)
    for stream in (1, 2):
        assert [md5 for _, md5 in after[stream]] == [md5 for _, md5 in before[stream]]
    with av.open(str(target)) as container:
        assert len(container.chapters()) == 2
        assert container.metadata["title"] == "My film"


@pytest.mark.parametrize("suffix", ["mp4", "mov", "mkv"])
def test_chapters_go_along_once(suffix: str, media: Media, tmp_path: Path) -> None:
    target = tmp_path / f"out.{suffix}"
    assert run(media.chapters, target).notes == ()
    with av.open(str(target)) as container:
        assert [c["metadata"]["title"] for c in container.chapters()] == ["One", "Two"]
        assert len(container.streams.data) == (suffix != "mkv")


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_cover_art_goes_along(suffix: str, media: Media, tmp_path: Path) -> None:
    target = tmp_path / f"out.{suffix}"
    made = run(media.cover, target)
    assert made.notes == ()
    pictures = int(av.stream.Disposition.attached_pic)
    assert ("video", "mjpeg", pictures) in _streams(target)
    assert packets(target)[2][0][1] == packets(media.cover)[2][0][1]


@pytest.mark.parametrize("suffix", ["mp4", "mov", "mkv"])
def test_rotation_is_kept_and_not_applied(suffix: str, media: Media, tmp_path: Path) -> None:
    target = tmp_path / f"out.{suffix}"
    run(media.phone, target)
    with av.open(str(media.phone)) as old, av.open(str(target)) as new:
        matrices = [
            s.streams.video[0].codec_context.coded_side_data["display_matrix"] for s in (old, new)
        ]
        video = new.streams.video[0]
        assert (video.width, video.height) == (96, 64)
        assert new.metadata.get("com.apple.quicktime.make") == "Apple" or suffix == "mkv"
    assert matrices[0] == matrices[1]


@pytest.mark.parametrize("suffix", ["mov", "mp4"])
def test_timed_text_and_timecode_go_along(suffix: str, media: Media, tmp_path: Path) -> None:
    target = tmp_path / f"out.{suffix}"
    made = run(media.edited, target)
    assert made.notes == ()
    before, after = packets(media.edited), packets(target)
    assert after[1] == before[1]
    assert after[2] == before[2]
    with av.open(str(target)) as container:
        assert container.streams.data[0].metadata["timecode"] == "01:00:00:00"


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


@pytest.mark.parametrize(
    ("mode", "size"), [("left_right", "192x64"), ("right_left", "192x64"), ("top_bottom", "96x128")]
)
def test_3d_keeps_the_shape_of_a_view(mode: str, size: str, tmp_path: Path) -> None:
    source, target = tmp_path / "3d.mkv", tmp_path / "out.mkv"
    flags = ("-vf", "setsar=1", *X264, "-metadata:s:v", f"stereo_mode={mode}")
    ffmpeg("-f", "lavfi", "-i", f"testsrc2=s={size}:r=24:d=0.2", *flags, source)
    run(source, target)
    with av.open(str(target)) as container:
        assert container.streams.video[0].metadata["stereo_mode"] == mode
        assert container.streams.video[0].sample_aspect_ratio == 1
    assert mediainfo(target)["display_aspect_ratio"] == "1.500"


@pytest.mark.parametrize("suffix", ["mkv", "mp4", "mov"])
def test_what_the_container_crops_stays_cropped(suffix: str, tmp_path: Path) -> None:
    target = tmp_path / f"out.{suffix}"
    run(DATA / "container_crop.mkv", target)
    with av.open(str(target)) as container:
        context = container.streams.video[0].codec_context
        crop = memoryview(context.coded_side_data["frame_cropping"]).cast("I")
        assert list(crop) == [40, 40, 0, 0]
        assert container.streams.video[0].sample_aspect_ratio == 1


@pytest.mark.parametrize("encoder", ["prores", "x265"])
@pytest.mark.parametrize("name", ["edited", "variable"])
def test_timecode_goes_along_with_every_encoder(
    name: str, encoder: str, media: Media, tmp_path: Path
) -> None:
    source, target = tmp_path / "in.mov", tmp_path / "out.mov"
    timecode = ("-timecode", "10:00:00:00", "-map", "0:v")
    ffmpeg("-i", getattr(media, name), *timecode, "-c", "copy", source)
    preset = {"x265": "ultrafast", "prores": "proxy"}[encoder]
    convert(source, target, graph, encoder=encoder, preset=preset)
    with av.open(str(target)) as container:
        assert container.streams.data[0].metadata["timecode"] == "10:00:00:00"


@pytest.mark.parametrize("suffix", ["mkv", "mp4"])
def test_names_that_are_no_utf8_stay_as_they_are(suffix: str, media: Media, tmp_path: Path) -> None:
    named, source, target = tmp_path / "n.mkv", tmp_path / "in.mkv", tmp_path / f"out.{suffix}"
    ffmpeg("-i", media.rich, "-map", "0", "-c", "copy", "-metadata:s:v", "title=Picture", named)
    old = [b"Picture", b"Second", b"font.ttf", b"My film", b"Two"]
    new = [b"P\xe9cture", b"S\xffcond", b"f\xe9nt.ttf", b"M\xe9 film", b"T\xffo"]
    data = named.read_bytes()
    for before, after in zip(old, new, strict=True):
        data = data.replace(before, after)
    source.write_bytes(data)
    run(source, target)
    found = target.read_bytes()
    assert all(name in found for name in new if suffix == "mkv" or name != b"f\xe9nt.ttf")


def _captions(path: Path) -> list[bytes | None]:
    with av.open(str(path)) as container:
        return [
            bytes(found) if (found := frame.side_data.get(Type.A53_CC)) is not None else None
            for frame in container.decode(video=0)
        ]


@pytest.mark.parametrize(
    ("encoder", "preset", "suffix"),
    [("x265", "medium", "mkv"), ("x265", "ultrafast", "mp4"), ("svtav1", "12", "mp4")],
)
def test_captions_go_along(encoder: str, preset: str, suffix: str, tmp_path: Path) -> None:
    target = tmp_path / f"out.{suffix}"
    made = convert(DATA / "captions_a53.mkv", target, graph, encoder=encoder, preset=preset)
    before = _captions(DATA / "captions_a53.mkv")
    assert any(before)
    assert _captions(target) == before
    assert made.notes == ()


def test_captions_that_a_codec_lacks_are_noted(tmp_path: Path) -> None:
    made = convert(DATA / "captions_a53.mkv", tmp_path / "out.mov", graph, encoder="prores")
    assert made.notes == ("closed captions can't be stored in prores; they are left out",)


@pytest.mark.parametrize("codec", ["libvpx", "libvpx-vp9", "ffv1"])
def test_transparency_is_noted_and_no_longer_declared(codec: str, tmp_path: Path) -> None:
    source, target = tmp_path / "in.mkv", tmp_path / "out.mkv"
    lavfi = "testsrc2=s=96x64:d=0.2,format=yuva420p"
    ffmpeg("-f", "lavfi", "-i", lavfi, "-c:v", codec, "-auto-alt-ref", "0", source)
    made = run(source, target)
    assert made.notes == ("in.mkv: the picture's transparency is left out",)
    with av.open(str(target)) as container:
        assert "alpha_mode" not in {key.lower() for key in container.streams.video[0].metadata}


@pytest.mark.parametrize("suffix", ["mp4", "hevc", "ts"])
def test_a_second_view_is_noted(suffix: str, tmp_path: Path) -> None:
    """HEVC whose video parameter set announces two layers."""
    plain, source = tmp_path / f"plain.{suffix}", tmp_path / f"in.{suffix}"
    params = ("-x265-params", "log-level=none:keyint=5")
    ffmpeg("-f", "lavfi", "-i", "testsrc2=s=96x64:d=0.2", "-c:v", "libx265", *params, plain)
    data = bytearray(plain.read_bytes())
    at = data.find(b"\x40\x01\x0c\x01")
    while at >= 0:
        data[at + 3] |= 0x10
        at = data.find(b"\x40\x01\x0c\x01", at)
    source.write_bytes(data)
    (note,) = run(source, tmp_path / "out.mkv").notes
    assert "(a second view) is left out" in note


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

"""What of the source goes along, and what is noted as left out."""

from __future__ import annotations

import struct
from fractions import Fraction
from pathlib import Path

import av
import pytest
from av.sidedata.sidedata import Type

from tests.media import X264, Media, ffmpeg, mediainfo, packets
from tests.test_video_convert import _streams, graph, run
from vs_gainmap.video import Selection, convert
from vs_gainmap.video.hdr_metadata import matroska

DATA = Path(__file__).parent / "data"


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


def test_what_mp4_leaves_out_is_noted(media: Media, tmp_path: Path) -> None:
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


@pytest.mark.parametrize(
    ("mode", "size"), [("left_right", "192x64"), ("right_left", "192x64"), ("top_bottom", "96x128")]
)
def test_3d_keeps_the_shape_of_a_view(mode: str, size: str, tmp_path: Path) -> None:
    source, target = tmp_path / "3d.mkv", tmp_path / "out.mkv"
    flags = ("-vf", "setsar=1", *X264, "-metadata:s:v", f"stereo_mode={mode}")
    ffmpeg("-f", "lavfi", "-i", f"testsrc2=s={size}:r=24:d=0.2", *flags, source)
    assert run(source, target).notes == ()
    (note,) = run(source, tmp_path / "out.mp4").notes
    assert note == "3d.mkv: the arrangement of its 3D views is left out"
    with av.open(str(target)) as container:
        assert container.streams.video[0].metadata["stereo_mode"] == mode
        assert container.streams.video[0].sample_aspect_ratio == 1
    assert mediainfo(target)["display_aspect_ratio"] == "1.500"


@pytest.mark.parametrize("suffix", ["mkv", "mp4", "ts"])
def test_3d_and_rotation_that_the_stream_states_are_noted(suffix: str, tmp_path: Path) -> None:
    """H.264 whose SEI arranges two views, and turns the picture."""
    source = tmp_path / f"3d.{suffix}"
    flags = (
        *X264,
        "-x264-params",
        "frame-packing=3",
        "-bsf:v",
        "h264_metadata=display_orientation=insert:rotate=90",
    )
    ffmpeg("-f", "lavfi", "-i", "testsrc2=s=192x64:r=24:d=0.2", *flags, source)
    assert run(source, tmp_path / "out.mkv").notes == (
        f"3d.{suffix}: the arrangement of its 3D views is left out",
        f"3d.{suffix}: the rotation that its stream states is left out",
    )


@pytest.mark.parametrize(("mode", "lost"), [("mono", False), ("anaglyph_cyan_red", True)])
def test_what_is_no_3d_or_two_colors_of_it(mode: str, lost: bool, tmp_path: Path) -> None:
    source = tmp_path / "3d.mkv"
    flags = (*X264, "-metadata:s:v", f"stereo_mode={mode}")
    ffmpeg("-f", "lavfi", "-i", "testsrc2=s=96x64:r=24:d=0.2", *flags, source)
    assert run(source, tmp_path / "out.mkv").notes == ()
    assert bool(run(source, tmp_path / "out.mp4").notes) == lost


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


@pytest.mark.parametrize("suffix", ["mov", "mxf", "mkv"])
def test_a_part_does_not_begin_at_the_films_timecode(suffix: str, tmp_path: Path) -> None:
    source = tmp_path / f"in.{suffix}"
    flags = ("-c:v", "mpeg2video", "-timecode", "02:00:00:00")
    ffmpeg("-f", "lavfi", "-i", "testsrc2=s=96x64:r=25:d=0.4", *flags, source)
    for target, selection in (("whole", Selection()), ("part", Selection(start=Fraction(1, 10)))):
        path = tmp_path / f"{target}.mov"
        convert(source, path, graph, preset="ultrafast", selection=selection)
        with av.open(str(path)) as container:
            found = [stream.metadata.get("timecode") for stream in container.streams]
        assert ("02:00:00:00" in found) == (target == "whole")


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


def _set_back(path: Path, target: Path, track: int) -> None:
    """Copy a Matroska file with some of a track's blocks 0.2 s earlier than they were."""
    data = bytearray(path.read_bytes())
    number = 0
    ((_, start, end),) = [s for s in matroska.spans(data, 0) if s[0] == matroska.SEGMENT]
    for kind, begin, stop in matroska.spans(data, start, end):
        if kind != matroska.CLUSTER:
            continue
        for block, at, _ in matroska.spans(data, begin, stop):
            # SimpleBlock: track, then the time in the cluster.
            if block == 0xA3 and data[at] == 0x80 | track:
                number += 1
                if number % 10 == 0:
                    (time,) = struct.unpack_from(">h", data, at + 1)
                    struct.pack_into(">h", data, at + 1, time - 200)
    target.write_bytes(data)


@pytest.mark.parametrize("suffix", ["mkv", "mp4"])
def test_sound_whose_clock_jumps_back_does_not_fail_at_the_end(
    suffix: str, media: Media, tmp_path: Path
) -> None:
    plain, source = tmp_path / "plain.mkv", tmp_path / "in.mkv"
    ffmpeg("-i", media.plain, "-c", "copy", plain)
    _set_back(plain, source, 2)
    target = tmp_path / f"out.{suffix}"
    run(source, target)
    assert len(packets(target)[1]) == len(packets(source)[1])

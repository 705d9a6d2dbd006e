"""What a file is before any frame is decoded: rate, times, color, and whether it is readable."""

from __future__ import annotations

import os
from fractions import Fraction
from pathlib import Path

import av
import pytest

from tests.media import BT709, X264, Media, decode, digest, ffmpeg
from vs_gainmap.errors import MediaError
from vs_gainmap.video.index import scan
from vs_gainmap.video.pixels import layout_of, to_vapoursynth
from vs_gainmap.video.random_access import open_clip
from vs_gainmap.video.source import VideoReader

DATA = Path(__file__).parent / "data"


@pytest.mark.parametrize(
    ("codec", "suffix"),
    [("libx264", "h264"), ("libx265", "hevc"), ("mpeg2video", "m2v"), ("vc2", "drc")],
)
@pytest.mark.parametrize("rate", ["24000/1001", "30000/1001", "50"])
def test_raw_streams_have_the_rate_of_their_headers(
    codec: str, suffix: str, rate: str, tmp_path: Path
) -> None:
    path = tmp_path / f"raw.{suffix}"
    quiet = ("-x265-params", "log-level=none") if codec == "libx265" else ()
    source = ("-f", "lavfi", "-i", f"testsrc2=s=96x64:r={rate}")
    b_frames = () if codec == "vc2" else ("-bf", "2")
    ffmpeg(*source, "-frames:v", "12", "-c:v", codec, *b_frames, *quiet, path)
    index = scan(path)
    assert index.average_rate == Fraction(rate)
    assert index.times()[-1] == 12 / Fraction(rate)
    assert index.constant_rate() == Fraction(rate)


@pytest.mark.parametrize("rate", ["12", "120000/1001"])
def test_h264_counts_pictures_and_not_fields(rate: str, tmp_path: Path) -> None:
    path = tmp_path / "raw.h264"
    ffmpeg("-f", "lavfi", "-i", f"testsrc2=s=96x64:r={rate}", "-frames:v", "12", *X264, path)
    assert scan(path).average_rate == Fraction(rate)


@pytest.mark.parametrize(
    ("suffix", "flags"), [("obu", ("-c:v", "libaom-av1", "-cpu-used", "8")), ("mjpeg", ())]
)
def test_a_frame_rate_that_nothing_tells_is_named(
    suffix: str, flags: tuple[str, ...], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / f"raw.{suffix}"
    ffmpeg("-f", "lavfi", "-i", "testsrc2=s=96x64:r=24", "-frames:v", "3", *flags, path)
    assert scan(path).average_rate == 25
    assert f"raw.{suffix}: does not say its frame rate, 25 a second is assumed" in caplog.text
    copy = tmp_path / "copy.mkv"
    ffmpeg("-r", "24", "-i", path, "-c", "copy", copy)
    assert scan(copy).average_rate == 24


def test_fields_that_mpeg2_repeats_are_shown(tmp_path: Path) -> None:
    """Film of 24000/1001 in a stream whose header says 30000/1001: two, three fields in turn."""
    path = tmp_path / "film.m2v"
    source = ("-f", "lavfi", "-i", "testsrc2=s=96x64:r=30000/1001")
    ffmpeg(*source, "-frames:v", "24", "-c:v", "mpeg2video", "-bf", "0", "-flags", "+ildct", path)
    data, at, number = bytearray(path.read_bytes()), 0, 0
    while (at := data.find(b"\0\0\1\xb5", at) + 4) > 3:
        if data[at] >> 4 == 1:
            # The sequence is not progressive (ISO/IEC 13818-2, 6.2.2.3) ...
            data[at + 1] &= ~0x08
        elif data[at] >> 4 == 8:
            # ... but each picture is, with top_field_first and repeat_first_field (6.2.3.1).
            first, repeat = ((1, 1), (0, 0), (0, 1), (1, 0))[number % 4]
            data[at + 3] = data[at + 3] & ~0x82 | first << 7 | repeat << 1
            data[at + 4] |= 0x80
            number += 1
    path.write_bytes(data)
    index = scan(path)
    assert len(index) == 24
    assert index.times()[-1] == 24 / Fraction(24000, 1001)


@pytest.mark.parametrize(
    ("name", "expected"), [("pq_only_in_container.mkv", 16), ("container_crop.mkv", None)]
)
def test_color_that_only_the_container_has(name: str, expected: int | None, tmp_path: Path) -> None:
    with VideoReader(DATA / name) as reader:
        assert reader.clip.get_frame(0).props.get("_Transfer") == expected
    if expected is not None:
        props = open_clip(DATA / name, cache_dir=tmp_path).get_frame(0).props
        assert (props["_Transfer"], props["_Primaries"], props["_Matrix"]) == (16, 9, 9)


@pytest.mark.parametrize("suffix", ["mkv", "mp4"])
def test_a_container_that_declares_hdr_is_believed(suffix: str, tmp_path: Path) -> None:
    """The stream itself is tagged BT.709."""
    stream, path = tmp_path / "in.mp4", tmp_path / f"both.{suffix}"
    ffmpeg("-f", "lavfi", "-i", "testsrc2=s=96x64:d=0.2", *BT709, "-c:v", "libx264", stream)
    with av.open(str(stream)) as source, av.open(str(path), "w") as out:
        video = source.streams.video[0]
        copy = out.add_stream_from_template(video, opaque=True)
        copy.codec_context.color_trc = 16
        for packet in source.demux(video):
            if packet.size:
                packet.stream = copy
                out.mux(packet)
    with VideoReader(path) as reader:
        assert reader.clip.get_frame(0).props["_Transfer"] == 16
    assert open_clip(path, cache_dir=tmp_path).get_frame(0).props["_Transfer"] == 16


def test_the_stream_itself_comes_before_its_container(tmp_path: Path) -> None:
    path = tmp_path / "tagged.mp4"
    ffmpeg("-f", "lavfi", "-i", "testsrc2=s=96x64:d=0.2", *BT709, "-c:v", "libx264", path)
    with VideoReader(path) as reader:
        props = reader.clip.get_frame(0).props
        assert (props["_Transfer"], props["_Primaries"], props["_Matrix"]) == (1, 1, 1)


def test_dolby_vision_of_its_own_colors_is_refused() -> None:
    with pytest.raises(MediaError, match=r"is Dolby Vision profile 5, HDR already"):
        scan(DATA / "dolby_vision_profile5.mp4")


@pytest.mark.parametrize(("compatibility", "transfer"), [(1, 16), (4, 18), (6, 16), (2, None)])
def test_a_base_layer_of_dolby_vision_is_what_its_record_declares(
    compatibility: int, transfer: int | None, tmp_path: Path
) -> None:
    data = bytearray((DATA / "dolby_vision_profile5.mp4").read_bytes())
    # dvcC: versions, then 7 bits of profile, 6 of level, 3 flags, 4 bits of compatibility.
    at = data.index(b"dvcC") + 4
    data[at + 4] = compatibility << 4 | data[at + 4] & 0x0F
    path = tmp_path / "dv.mp4"
    path.write_bytes(data)
    with VideoReader(path) as reader:
        assert reader.clip.get_frame(0).props.get("_Transfer") == transfer


_MASTERED = "master-display=G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,1)"


@pytest.mark.parametrize("suffix", ["hevc", "ts", "mkv"])
@pytest.mark.parametrize(
    ("metadata", "transfer"),
    [
        (_MASTERED, 16),
        ("max-cll=1000,400", 16),
        # Over tags of SDR, too, but not over those of HLG.
        (f"{_MASTERED}:colorprim=bt709:transfer=bt709:colormatrix=bt709", 16),
        (f"{_MASTERED}:colorprim=bt2020:transfer=arib-std-b67:colormatrix=bt2020nc", 18),
        ("colorprim=bt2020:transfer=bt2020-10:colormatrix=bt2020nc", 14),
    ],
)
def test_metadata_of_hdr_declare_it(
    metadata: str, transfer: int, suffix: str, tmp_path: Path
) -> None:
    path = tmp_path / f"mastered.{suffix}"
    params = f"log-level=none:repeat-headers=1:{metadata}"
    source = ("-f", "lavfi", "-i", "testsrc2=s=96x64:d=0.2,format=yuv420p10")
    ffmpeg(*source, "-c:v", "libx265", "-x265-params", params, path)
    with VideoReader(path) as reader:
        assert reader.clip.get_frame(0).props["_Transfer"] == transfer
    if suffix != "hevc":
        assert open_clip(path, cache_dir=tmp_path).get_frame(0).props["_Transfer"] == transfer


def test_packed_b_frames_are_pictures_of_their_own() -> None:
    path = DATA / "mpeg4_packed_b_frames.avi"
    with VideoReader(path) as reader:
        assert len(reader.index) == 30
        found = [digest(frame) for frame in reader.clip.frames(close=True)]
        assert reader.repeated == 0
    assert found == decode(path, "yuv420p")


@pytest.mark.parametrize("b_frames", [0, 2])
def test_plain_mpeg4_is_untouched(b_frames: int, tmp_path: Path) -> None:
    path = tmp_path / "plain.avi"
    source = ("-f", "lavfi", "-i", "testsrc2=s=96x64:r=25:d=1")
    ffmpeg(*source, "-c:v", "mpeg4", "-bf", str(b_frames), path)
    with VideoReader(path) as reader:
        found = [digest(frame) for frame in reader.clip.frames(close=True)]
    assert found == decode(path, "yuv420p")


@pytest.mark.parametrize("codec", ["libx264", "mpeg2video"])
def test_mxf_of_long_groups_is_in_order(codec: str, tmp_path: Path) -> None:
    path = tmp_path / "long.mxf"
    source = ("-f", "lavfi", "-i", "testsrc2=s=96x64:r=25:d=1")
    ffmpeg(*source, "-c:v", codec, "-pix_fmt", "yuv420p", "-bf", "2", path)
    with VideoReader(path) as reader:
        found = [digest(frame) for frame in reader.clip.frames(close=True)]
        assert reader.index.average_rate == 25
    with av.open(str(path)) as container:
        layout = layout_of("yuv420p")
        frames = [digest(to_vapoursynth(f, layout)) for f in container.decode(video=0)]
    assert found == frames
    assert len(found) == 25


@pytest.mark.parametrize("name", ["a:b.mp4", "concat:x.mp4", "12:30.mp4"])
def test_a_colon_in_a_name_is_no_protocol(
    name: str, media: Media, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if os.name == "nt":
        pytest.skip("no such names there")
    monkeypatch.chdir(tmp_path)
    Path(name).write_bytes(media.silent.read_bytes())
    assert len(scan(Path(name))) == 29


def test_a_damaged_avi_index_is_one_line(media: Media, tmp_path: Path) -> None:
    """FFmpeg asks for as much memory as the index has it, and gets none."""
    plain, bad = tmp_path / "plain.avi", tmp_path / "bad.avi"
    ffmpeg("-i", media.plain, "-c:v", "mpeg4", "-c:a", "copy", "-bf", "0", plain)
    data = bytearray(plain.read_bytes())
    # Entries of 16 bytes: stream, flags, offset, size.
    entry = data.index(b"idx1") + 8 + 66 * 16
    data[entry + 14 : entry + 18] = b";;;;"
    bad.write_bytes(data)
    with pytest.raises(MediaError, match=r"bad\.avi: can't be read: Cannot allocate memory"):
        scan(bad)


def test_a_pipe_is_refused(tmp_path: Path) -> None:
    if not hasattr(os, "mkfifo"):
        pytest.skip("no pipes with names there")
    os.mkfifo(tmp_path / "pipe.mp4")
    with pytest.raises(MediaError, match=r"pipe\.mp4: is a pipe or device"):
        scan(tmp_path / "pipe.mp4")

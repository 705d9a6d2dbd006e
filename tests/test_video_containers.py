"""EBML, the header that carries HDR10 metadata, exact times, encoder options."""

from __future__ import annotations

import io
import struct
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vs_gainmap.errors import MediaError
from vs_gainmap.hdr10 import ContentLight, MasteringDisplay
from vs_gainmap.video.encoder_pass import usual_scheduling
from vs_gainmap.video.encoders import (
    ENCODERS,
    codec_options,
    find_encoder,
    format_params,
    parse_params,
)
from vs_gainmap.video.hdr_metadata import matroska
from vs_gainmap.video.hdr_metadata.matroska import (
    finish_matroska,
    header_with_hdr10,
    mark_title,
    open_template,
)
from vs_gainmap.video.streams import find_container
from vs_gainmap.video.timestamps import FrameTimes

P3 = MasteringDisplay.named("p3d65", max_nits=1000, min_nits=0.0001)
LIGHT = ContentLight(max_cll=850, max_fall=120)


@given(
    st.lists(st.tuples(st.sampled_from([matroska.VIDEO, matroska.NAME]), st.binary(max_size=400)))
)
def test_elements_round_trip(parts: list[tuple[int, bytes]]) -> None:
    data = b"".join(matroska.element(kind, payload) for kind, payload in parts)
    assert list(matroska.elements(data)) == parts


@pytest.mark.parametrize("size", [126, 127, 128, 16382, 16383])
def test_a_size_of_all_ones_is_never_written(size: int) -> None:
    ((_, payload),) = matroska.elements(matroska.element(matroska.NAME, bytes(size)))
    assert len(payload) == size


@pytest.mark.parametrize("size", [0, 2, 8, 9, 10, 300])
def test_void_takes_exactly_its_room(size: int) -> None:
    assert len(matroska.void(size)) == size
    assert all(kind == matroska.VOID for kind, _ in matroska.elements(matroska.void(size)))


def _header(codec: str = "libx265") -> bytes:
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="matroska") as out:
        stream = out.add_stream(codec, rate=25, options={"x265-params": "log-level=none"})
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p10le"
        stream.codec_context.color_trc = 16
        out.start_encoding()
    return buffer.getvalue()


def _side_data(header: bytes) -> dict[str, bytes]:
    with open_template(header) as stream:
        return dict(stream.codec_context.coded_side_data)


@pytest.mark.parametrize(("library", "codec"), [("libx265", "hevc"), ("ffv1", "ffv1")])
def test_header_carries_metadata(library: str, codec: str) -> None:
    header = _header(library)
    assert not _side_data(header_with_hdr10(header, codec, None, None))
    found = _side_data(header_with_hdr10(header, codec, P3, LIGHT))
    # AVContentLightMetadata: MaxCLL, MaxFALL.
    assert struct.unpack("2I", found["content_light_level"]) == (850, 120)
    # AVMasteringDisplayMetadata: 3x2 primaries, white, min, max as rationals; 2 flags.
    numbers = struct.unpack("20i2i", found["mastering_display_metadata"])
    values = [Fraction(a, b) for a, b in zip(numbers[0:20:2], numbers[1:20:2], strict=True)]
    assert [float(v) for v in values] == pytest.approx(
        [0.68, 0.32, 0.265, 0.69, 0.15, 0.06, 0.3127, 0.329, 0.0001, 1000]
    )
    again = header_with_hdr10(header_with_hdr10(header, codec, None, LIGHT), codec, P3, LIGHT)
    assert _side_data(again) == found


@pytest.mark.parametrize("title", ["", "Director's cut, ümlaut"])
def test_finished_matroska_says_aspect_and_title(title: str, tmp_path: Path) -> None:
    path = tmp_path / "out.mkv"
    with av.open(str(path), "w", format="matroska", options={"write_crc32": "0"}) as out:
        stream = out.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p10le"
        stream.metadata["title"] = mark_title(title)
        for n in range(3):
            frame = av.VideoFrame(96, 64, "yuv420p10le")
            frame.pts, frame.time_base = n, Fraction(1, 25)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    size = path.stat().st_size
    with path.open("r+b") as file:
        finish_matroska(file, (96, 64), Fraction(4, 3))
    assert path.stat().st_size == size
    with av.open(str(path)) as back:
        video = back.streams.video[0]
        assert Fraction(video.sample_aspect_ratio.numerator, 3) == Fraction(4, 3)
        assert video.metadata.get("title", "") == title
        assert sum(1 for _ in back.decode(video)) == 3


def test_a_header_without_tracks_is_an_error() -> None:
    with pytest.raises(MediaError, match="no tracks"):
        finish_matroska(io.BytesIO(matroska.element(matroska.SEGMENT, b"")), (96, 64), None)


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


@pytest.mark.parametrize(
    ("name", "encoder", "message"),
    [
        ("a.avi", "x265", "must end in one of .mp4, .mov, .mkv, .webm"),
        ("a", "x265", "must end in one of"),
        ("a.webm", "x265", "x265 goes into .mp4 or .mov or .mkv, not .webm"),
        ("a.mp4", "prores", "prores goes into .mov or .mkv, not .mp4"),
        ("a.mov", "svtav1", "svtav1 goes into .mp4 or .mkv or .webm, not .mov"),
        ("a.mp4", "ffv1", "ffv1 goes into .mkv, not .mp4"),
    ],
)
def test_container_must_fit(name: str, encoder: str, message: str) -> None:
    with pytest.raises(MediaError, match=message):
        find_container(Path(name), ENCODERS[encoder])


def test_every_encoder_is_known_to_ffmpeg_and_has_a_container() -> None:
    for encoder in ENCODERS.values():
        codec = av.Codec(encoder.library, "w")
        assert av.Codec(encoder.codec, "r").id == codec.id
        formats = {known.name for known in codec.video_formats or []}
        assert set(encoder.pix_fmts) <= formats
        for suffix in encoder.containers:
            assert find_container(Path(f"a.{suffix}"), encoder).suffix == suffix
    with pytest.raises(MediaError, match=r"encoder must be one of x265, .*, got x264"):
        find_encoder("x264")


def test_codec_options() -> None:
    x265 = codec_options(
        ENCODERS["x265"],
        crf=16.5,
        params={"aq-mode": "3"},
        mastering=P3,
        light=LIGHT,
        pq_420=True,
    )
    assert x265["crf"] == "16.5"
    assert x265["preset"] == "medium"
    assert parse_params(x265["x265-params"]) == {
        "log-level": "error",
        "hdr10": "1",
        "hdr10-opt": "1",
        "master-display": P3.x265(),
        "max-cll": "850,120",
        "aq-mode": "3",
    }
    large = codec_options(ENCODERS["x265"], large=True)
    assert "rc-lookahead=8" in large["x265-params"]
    for mine in ({"preset": "slow"}, {"params": {"rc-lookahead": "60"}}):
        kept = codec_options(ENCODERS["x265"], large=True, **mine)
        assert "rc-lookahead=8" not in kept["x265-params"].split(":")
    own = codec_options(ENCODERS["x265"], params={"hdr10-opt": "0"}, pq_420=True)
    assert parse_params(own["x265-params"])["hdr10-opt"] == "0"
    av1 = codec_options(ENCODERS["svtav1"], preset="4", mastering=P3, light=LIGHT)
    assert av1["preset"] == "4"
    assert parse_params(av1["svtav1-params"]) == {
        "mastering-display": P3.svtav1(),
        "content-light": "850,120",
    }
    nvenc = codec_options(ENCODERS["hevc_nvenc"], crf=21, params={"spatial-aq": "1"})
    assert nvenc["cq"] == "21"
    assert nvenc["spatial-aq"] == "1"
    assert codec_options(ENCODERS["prores"], preset="standard")["profile"] == "standard"
    with pytest.raises(MediaError, match="prores has no crf"):
        codec_options(ENCODERS["prores"], crf=20)
    with pytest.raises(MediaError, match="ffv1 has no presets"):
        codec_options(ENCODERS["ffv1"], preset="slow")


@pytest.mark.parametrize(
    ("encoder", "settings", "message"),
    [
        ("x265", {"crf": -1}, "crf of x265 must be from 0 to 51, got -1"),
        ("x265", {"crf": float("nan")}, "crf of x265 must be from 0 to 51, got nan"),
        ("svtav1", {"crf": 0}, "crf of svtav1 must be from 1 to 63, got 0"),
        ("x265", {"preset": "p5"}, r"preset of x265 must be one of ultrafast, .* or a number from"),
        ("svtav1", {"preset": "slow"}, "preset of svtav1 must be a number from -2 to 13, got slow"),
        ("prores", {"preset": "slow"}, r"preset \(profile\) of prores must be one of proxy, lt,"),
        ("x265", {"params": {"Max_CLL": "1,1"}}, "parameter Max_CLL would be overruled; say it by"),
        ("svtav1", {"params": {"mastering-display": "1"}}, r"say it by --mastering \(mastering=\)"),
    ],
)
def test_settings_out_of_range(encoder: str, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(MediaError, match=message):
        codec_options(ENCODERS[encoder], **settings)


@pytest.mark.parametrize("name", ["x265", "svtav1", "prores"])
def test_every_preset_is_the_encoders(name: str) -> None:
    encoder = ENCODERS[name]
    for preset in (*encoder.presets, *map(str, encoder.preset_numbers)):
        options = codec_options(encoder, preset=preset)
        context = av.CodecContext.create(encoder.library, "w")
        assert isinstance(context, av.VideoCodecContext)
        context.width, context.height, context.time_base = 320, 192, Fraction(1, 24)
        context.pix_fmt = encoder.pix_fmts["4444" in preset]
        context.options = options
        with usual_scheduling():
            context.open()


def test_params_round_trip() -> None:
    text = "aq-mode=3:master-display=G(1,2)B(3,4):no-sao=1"
    assert format_params(parse_params(text)) == text
    assert parse_params("no-sao") == {"no-sao": "1"}
    assert parse_params(None) == {}
    with pytest.raises(MediaError, match="key=value"):
        parse_params("=3")

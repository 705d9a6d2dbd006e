"""Encodes reopened by other software: pixels, tags, HDR10 metadata, times."""

from __future__ import annotations

import re
import shutil
import subprocess
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import torch
import vapoursynth as vs
from av.sidedata.sidedata import Type

import vs_gainmap
from tests.clips import noise
from tests.encodes import P3, PQ, pq_clip, quick
from tests.media import (
    Media,
    decode,
    digest,
    ffprint,
    frame_times,
    mediainfo,
    packets,
    pixels,
    split_sample,
)
from vs_gainmap.color.transfer import pq_eotf
from vs_gainmap.hdr10 import ContentLight, MasteringDisplay
from vs_gainmap.video.hdr_metadata.av1 import hdr10_obus, split_obus
from vs_gainmap.video.hdr_metadata.hevc import nal_type, parse_sei


@pytest.mark.parametrize(
    ("encoder", "suffix"),
    [
        ("x265", "mp4"),
        ("x265", "mkv"),
        ("x265", "mov"),
        ("svtav1", "mp4"),
        ("svtav1", "webm"),
        ("prores", "mov"),
        ("ffv1", "mkv"),
    ],
)
def test_every_encoder_and_container_declares_hdr10(
    encoder: str, suffix: str, tmp_path: Path
) -> None:
    path = tmp_path / f"out.{suffix}"
    made = quick(pq_clip(), path, encoder, mastering=P3)
    assert made.measured
    assert made.light is not None
    info = mediainfo(path)
    assert info["hdr_format"].startswith("SMPTE ST 2086")
    assert info["hdr_format_compatibility"].startswith("HDR10")
    assert info["mastering_display_color_primaries"] == "Display P3"
    assert info["mastering_display_luminance"] == "min: 0.0001 cd/m2, max: 1000 cd/m2"
    assert info["maximum_content_light_level"].split()[0] == str(made.light.max_cll)
    assert info["maximum_frameaverage_light_level"].split()[0] == str(made.light.max_fall)
    assert info["color_primaries"] == "BT.2020"
    assert info["transfer_characteristics"] == "PQ"
    assert info["matrix_coefficients"] == "BT.2020 non-constant"
    assert info["frame_rate"] == "23.976"
    text = ffprint(path)
    kind = r"yuv42\dp10le\(tv, bt2020nc/bt2020/smpte2084"
    assert re.search(kind, text), text
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        side = stream.codec_context.coded_side_data
        assert {"mastering_display_metadata", "content_light_level"} <= set(side)
        assert stream.codec_context.color_range == 1
        assert len(list(container.decode(stream))) == 12
    assert [path.name for path in tmp_path.iterdir()] == [path.name]


def test_ffprobe_agrees(tmp_path: Path, in_ci: bool) -> None:
    ffprobe = shutil.which("ffprobe")
    if ffprobe is None:
        assert not in_ci, "CI must have ffprobe"
        pytest.skip("no ffprobe on PATH")
    path = tmp_path / "out.mp4"
    made = quick(pq_clip(), path, mastering=P3)
    command = [ffprobe, "-v", "error", "-show_frames", "-read_intervals", "%+#1", str(path)]
    info = subprocess.run(command, capture_output=True, check=True, text=True).stdout
    assert made.light is not None
    # In the coded picture itself, not only in the container.
    assert f"max_content={made.light.max_cll}" in info
    assert f"max_average={made.light.max_fall}" in info
    assert "red_x=34000/50000" in info
    assert "max_luminance=10000000/10000" in info
    assert "color_transfer=smpte2084" in info


def test_light_levels_are_those_of_the_pixels(tmp_path: Path) -> None:
    """Decoded by ffmpeg, matrixed by hand: no pixel is above MaxCLL, and one is near."""
    path = tmp_path / "out.mkv"
    rgb_noise = noise(96, 64, 5, vs.RGB48, _Matrix=0, _Transfer=16, _Primaries=9, _Range=1)
    clip = rgb_noise.resize.Point(format=vs.YUV444P10, matrix=9, range=0)
    made = quick(vs_gainmap.measure(clip), path, "ffv1")
    y, u, v = np.moveaxis(pixels(path, "yuv444p10le", (3, 64, 96)).astype(np.float64), 1, 0)
    # BT.2100-2, tables 6 and 9: 10 bit limited range; the non-constant luminance matrix.
    luma, cb, cr = (y - 64) / 876, (u - 512) / 896, (v - 512) / 896
    red, blue = luma + 1.4746 * cr, luma + 1.8814 * cb
    green = (luma - 0.2627 * red - 0.0593 * blue) / 0.678
    rgb = torch.from_numpy(np.stack([red, green, blue]))
    brightest = pq_eotf(rgb).amax(0)
    assert made.light is not None
    assert made.light.max_cll == pytest.approx(float(brightest.max()), rel=0.01, abs=1)
    averages = brightest.mean(dim=(1, 2))
    assert made.light.max_fall == pytest.approx(float(averages.max()), rel=0.01, abs=1)


def test_hevc_carries_both_messages_at_every_random_access_point(tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    params = "keyint=4:min-keyint=4:open-gop=1:bframes=2"
    made = quick(pq_clip(), path, mastering=P3, encoder_params=params)
    assert made.light is not None
    access_points = 0
    with av.open(str(path)) as container:
        for packet in container.demux(video=0):
            nals = split_sample(bytes(packet))
            kinds = [nal_type(nal) for nal in nals]
            assert not {32, 33, 34} & set(kinds), "hvc1 has parameter sets in its header only"
            messages = [m for nal in nals if nal_type(nal) == 39 for m in parse_sei(nal)]
            levels = [payload for kind, payload in messages if kind == 144]
            displays = [payload for kind, payload in messages if kind == 137]
            if any(16 <= kind <= 23 for kind in kinds):
                access_points += 1
                light = made.light.max_cll.to_bytes(2, "big") + made.light.max_fall.to_bytes(2)
                assert levels == [light]
                assert len(displays) == 1
            else:
                assert levels == displays == []
    assert access_points == 3


def test_av1_carries_both_messages_at_every_sequence_header(tmp_path: Path) -> None:
    path = tmp_path / "out.mkv"
    made = quick(pq_clip(), path, "svtav1", mastering=P3, encoder_params="keyint=5")
    assert made.light is not None
    expected = hdr10_obus(P3, made.light)
    headers = 0
    with av.open(str(path)) as container:
        for packet in container.demux(video=0):
            obus = list(split_obus(bytes(packet)))
            metadata = [whole for kind, _, whole in obus if kind == 5]
            # A sequence header is OBU type 1.
            if any(kind == 1 for kind, _, _ in obus):
                headers += 1
                assert metadata == expected
            else:
                assert metadata == []
    assert headers == 3
    with av.open(str(path)) as container:
        first = next(container.decode(video=0))
    assert Type.CONTENT_LIGHT_LEVEL in first.side_data
    assert Type.MASTERING_DISPLAY_METADATA in first.side_data


def test_lossless_is_lossless(tmp_path: Path) -> None:
    path = tmp_path / "out.mkv"
    clip = pq_clip(6)
    quick(clip, path, "ffv1")
    assert decode(path) == [digest(frame) for frame in clip.frames(close=True)]


@pytest.mark.parametrize(
    ("encoder", "clip_format", "decoded"),
    [
        ("x265", vs.YUV422P12, "yuv422p12le"),
        ("ffv1", vs.YUV444P16, "yuv444p16le"),
        ("ffv1", vs.RGB48, "gbrp16le"),
        ("prores", vs.YUV444P10, "yuv444p10le"),
        # What an encoder doesn't take is converted for it.
        ("prores", vs.YUV420P10, "yuv422p10le"),
        ("x265", vs.RGB48, "yuv420p10le"),
        ("svtav1", vs.YUV444P16, "yuv420p10le"),
    ],
)
def test_formats(
    encoder: str, clip_format: vs.PresetVideoFormat, decoded: str, tmp_path: Path
) -> None:
    clip = pq_clip(2)
    if clip_format == vs.RGB48:
        clip = clip.resize.Bicubic(format=clip_format, range=1)
    elif clip_format != vs.YUV420P10:
        clip = clip.resize.Bicubic(format=clip_format)
    path = tmp_path / ("out.mov" if encoder == "prores" else "out.mkv")
    quick(clip, path, encoder)
    with av.open(str(path)) as container:
        assert container.streams.video[0].codec_context.pix_fmt == decoded
        assert container.streams.video[0].codec_context.color_primaries == 9
    if clip_format == vs.RGB48 and encoder == "ffv1":
        with av.open(str(path)) as container:
            first = next(container.decode(video=0))
        np.testing.assert_array_equal(
            np.frombuffer(first.planes[2], "<u2").reshape(64, -1)[:, :96],
            np.asarray(clip.get_frame(0)[0]),
        )


def test_conversion_for_the_encoder_keeps_colors(tmp_path: Path) -> None:
    """RGB PQ through the encoder's own format and back, in BT.2020."""
    clip = vs.core.std.BlankClip(
        format=vs.RGB48, width=64, height=64, length=1, color=[40000, 30000, 20000]
    ).std.SetFrameProps(_Matrix=0, _Transfer=16, _Primaries=9, _Range=1)
    path = tmp_path / "out.mkv"
    quick(clip, path, "x265", crf=1)
    y, u, v = (int(plane.mean()) for plane in pixels(path, "yuv444p10le", (3, 64, 64))[0])
    luma = (0.2627 * 40000 + 0.678 * 30000 + 0.0593 * 20000) / 65535
    assert y == pytest.approx(64 + 876 * luma, abs=2)
    assert u == pytest.approx(512 + 896 * (20000 / 65535 - luma) / 1.8814, abs=2)
    assert v == pytest.approx(512 + 896 * (40000 / 65535 - luma) / 1.4746, abs=2)


@pytest.mark.parametrize("location", [0, 2])
def test_chroma_location(location: int, tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    quick(pq_clip(2, _ChromaLocation=location), path)
    with av.open(str(path)) as container:
        # AVChromaLocation: 1 is left, 3 is topleft.
        assert container.streams.video[0].codec_context.chroma_sample_location == location + 1


def test_hlg_has_no_hdr10_metadata(tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    made = quick(pq_clip(2, _Transfer=18), path, mastering=P3)
    assert made.light is None
    assert made.mastering is None
    info = mediainfo(path)
    assert info["transfer_characteristics"] == "HLG"
    assert "mastering_display_luminance" not in info
    assert "maximum_content_light_level" not in info


def test_metadata_of_the_first_frame_is_used(tmp_path: Path) -> None:
    from vs_gainmap.filters import props

    display = MasteringDisplay.named("bt2020", max_nits=4000, min_nits=0.005)
    clip = noise(96, 64, 2, vs.YUV420P10, **PQ)
    known = {
        **props.mastering_props(display),
        **props.light_props(ContentLight(max_cll=700, max_fall=90)),
    }
    made = quick(clip.std.SetFrameProps(**known), tmp_path / "out.mp4")
    assert made.mastering == display
    assert made.light == ContentLight(max_cll=700, max_fall=90)
    assert not made.measured
    info = mediainfo(tmp_path / "out.mp4")
    assert info["mastering_display_color_primaries"] == "BT.2020"
    assert info["mastering_display_luminance"] == "min: 0.0050 cd/m2, max: 4000 cd/m2"


def test_given_light_levels_win(tmp_path: Path) -> None:
    light = ContentLight(max_cll=4000, max_fall=400)
    made = quick(pq_clip(2), tmp_path / "out.mkv", content_light=light)
    assert made.light == light
    assert not made.measured
    assert mediainfo(tmp_path / "out.mkv")["maximum_content_light_level"] == "4000"


def test_unmeasured_frames_make_no_promise(tmp_path: Path) -> None:
    clip = noise(96, 64, 3, vs.YUV420P10, **PQ)
    made = quick(clip, tmp_path / "out.mp4")
    assert made.light is None
    assert "maximum_content_light_level" not in mediainfo(tmp_path / "out.mp4")


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_durations_of_a_script_are_kept(suffix: str, tmp_path: Path) -> None:
    durations = [Fraction(1, 24), Fraction(1, 12), Fraction(1, 8), Fraction(1, 24), Fraction(1, 60)]

    def change(n: int, f: vs.VideoFrame) -> vs.VideoFrame:
        out = f.copy()
        out.props["_DurationNum"] = durations[n].numerator
        out.props["_DurationDen"] = durations[n].denominator
        return out

    clip = pq_clip(5)
    clip = clip.std.ModifyFrame(clip, change)
    path = tmp_path / f"out.{suffix}"
    quick(clip, path)
    expected = [sum(durations[:n], Fraction(0)) for n in range(5)]
    times = frame_times(path)
    if suffix == "mp4":
        assert times == expected
    else:
        # Matroska as FFmpeg writes it counts milliseconds.
        assert times == [Fraction(round(time * 1000), 1000) for time in expected]


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_times_of_the_source_are_kept(suffix: str, media: Media, tmp_path: Path) -> None:
    """A clip of as many frames gets the source's times, whatever its own props say."""
    times = frame_times(media.variable)
    path = tmp_path / f"out.{suffix}"
    quick(pq_clip(len(times)), path, source=media.variable)
    tick = Fraction(1, 1000)
    expected = times if suffix == "mp4" else [round(time / tick) * tick for time in times]
    assert frame_times(path) == expected
    assert packets(path)[1][0][1] == packets(media.variable)[1][0][1]


def test_mp4_is_ready_for_the_web_and_for_apple(tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    quick(pq_clip(3), path)
    data = path.read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")
    assert b"hvc1" in data
    assert b"hev1" not in data


def test_no_promise_is_above_what_pq_can_say(tmp_path: Path) -> None:
    clip = pq_clip(2).std.SetFrameProps(FrameMaxNits=20000.0, FrameAverageNits=9.5)
    made = quick(clip, tmp_path / "out.mp4")
    assert made.light == ContentLight(max_cll=10_000, max_fall=10)


def test_nothing_is_written_by_an_encoder_without_metadata_but_the_mux_adds_it(
    tmp_path: Path,
) -> None:
    """As with NVENC: x265 has parameters to write none."""
    path = tmp_path / "out.mkv"
    made = quick(pq_clip(), path, mastering=P3, encoder_params="hdr10=0:hdr10-opt=0")
    assert made.light is not None
    with av.open(str(path)) as container:
        first = next(container.decode(video=0))
    assert Type.CONTENT_LIGHT_LEVEL in first.side_data
    assert Type.MASTERING_DISPLAY_METADATA in first.side_data

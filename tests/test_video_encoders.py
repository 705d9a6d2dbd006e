"""The table of encoders: options, presets, containers."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import pytest

from vs_gainmap.errors import MediaError, OptionError
from vs_gainmap.hdr10 import ContentLight, MasteringDisplay
from vs_gainmap.video.containers import find_container
from vs_gainmap.video.encoder_pass import usual_scheduling
from vs_gainmap.video.encoders import (
    ENCODERS,
    codec_options,
    find_encoder,
    format_params,
    parse_params,
)

P3 = MasteringDisplay.named("p3d65", max_nits=1000, min_nits=0.0001)
LIGHT = ContentLight(max_cll=850, max_fall=120)


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
    with pytest.raises(OptionError, match=r"encoder must be one of x265, .*, got x264"):
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
    with pytest.raises(OptionError, match="prores has no crf"):
        codec_options(ENCODERS["prores"], crf=20)
    with pytest.raises(OptionError, match="ffv1 has no presets"):
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
        ("x265", {"params": {"crf": "nan"}}, "parameter crf must be finite, got nan"),
        ("x265", {"params": {"Max_CLL": "1,1"}}, "parameter Max_CLL would be overruled; use"),
        ("svtav1", {"params": {"mastering-display": "1"}}, r"use --mastering \(mastering=\)"),
    ],
)
def test_settings_out_of_range(encoder: str, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=message):
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
    with pytest.raises(OptionError, match="key=value"):
        parse_params("=3")

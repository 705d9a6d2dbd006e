"""Sound that no container takes as it is."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from tests.media import X264, Media, ffmpeg, packets
from tests.test_video_convert import run
from vs_gainmap.errors import MediaError
from vs_gainmap.video import Selection

FILES = {
    "wmav2": "asf", "adpcm_ms": "avi", "adpcm_ima_wav": "avi", "pcm_bluray": "m2ts",
    "pcm_alaw": "avi", "pcm_mulaw": "avi",
}  # fmt: skip


def _make(codec: str, folder: Path) -> Path:
    path = folder / f"in.{FILES[codec]}"
    video = ("-f", "lavfi", "-i", "testsrc2=s=96x64:r=25:d=1.5", *X264, "-bf", "0")
    audio = ("-f", "lavfi", "-i", "sine=f=440:r=48000:d=1.5", "-c:a", codec, "-ac", "2")
    ffmpeg(*video[:4], *audio[:4], *video[4:], *audio[4:], path)
    return path


def _samples(path: Path) -> np.ndarray:
    out = ffmpeg("-i", path, "-map", "0:a", "-f", "s16le", "-c:a", "pcm_s16le", "-")
    return np.frombuffer(out, "<i2").reshape(-1, 2).astype(int)


@pytest.mark.parametrize("codec", list(FILES))
@pytest.mark.parametrize("suffix", ["mkv", "mp4"])
def test_flac_is_the_same_sound(codec: str, suffix: str, tmp_path: Path) -> None:
    source, target = _make(codec, tmp_path), tmp_path / f"out.{suffix}"
    run(source, target, audio_codec="flac")
    before, after = _samples(source), _samples(target)
    assert abs(len(before) - len(after)) <= 2048
    length = min(len(before), len(after))
    assert np.abs(before[:length] - after[:length]).max() <= 1
    with av.open(str(source)) as old, av.open(str(target)) as new:
        starts = [c.streams.audio[0].start_time * c.streams.audio[0].time_base for c in (old, new)]
        videos = [c.streams.video[0].start_time * c.streams.video[0].time_base for c in (old, new)]
    assert abs((starts[0] - videos[0]) - (starts[1] - videos[1])) < 0.05


@pytest.mark.parametrize(
    ("codec", "suffix", "ways"),
    [
        (
            "wmav2",
            "mkv",
            r"code it anew with --audio-codec flac \(audio_codec=.flac.\), or leave",
        ),
        ("pcm_bluray", "mkv", r"code it anew with --audio-codec flac"),
        ("pcm_alaw", "mkv", r"write \.mov, or code it anew"),
        ("pcm_bluray", "mov", r"write \.mp4 with --audio-codec flac"),
    ],
)
def test_what_no_copy_is_possible_for_has_ways_named(
    codec: str, suffix: str, ways: str, tmp_path: Path
) -> None:
    with pytest.raises(MediaError, match=rf"\({codec}\) can't be stored in \.{suffix}; {ways}"):
        run(_make(codec, tmp_path), tmp_path / f"out.{suffix}")


@pytest.mark.parametrize("channels", [2, 6])
def test_channels_without_places_get_the_usual_ones_in_mp4(channels: int, tmp_path: Path) -> None:
    """Matroska does not say where the channels of PCM are, and MP4 must when it is finished."""
    source = _with_channels(channels, tmp_path)
    run(source, tmp_path / "out.mp4")
    before, after = packets(source)[1], packets(tmp_path / "out.mp4")[1]
    assert [digest for _, digest in after] == [digest for _, digest in before]
    with av.open(str(tmp_path / "out.mp4")) as container:
        layout = container.streams.audio[0].codec_context.layout.name
    assert layout == {2: "stereo", 6: "5.1"}[channels]


def test_channels_that_mp4_has_no_places_for_are_refused_before_the_encode(tmp_path: Path) -> None:
    source = _with_channels(9, tmp_path)
    with pytest.raises(MediaError, match=r"\(pcm_s24le\) can't be stored in \.mp4; write \.mov or"):
        run(source, tmp_path / "out.mp4")
    with pytest.raises(MediaError, match=r"stored as FLAC in \.mkv; leave out .*\(audio_codec=\)$"):
        run(source, tmp_path / "out.mkv", audio_codec="flac")
    downmix = tmp_path / "in.mov"
    video = ("-f", "lavfi", "-i", "testsrc2=s=96x64:r=25:d=0.2")
    audio = ("-f", "lavfi", "-i", "anoisesrc=d=0.2,aformat=channel_layouts=downmix")
    ffmpeg(*video, *audio, *X264, "-c:a", "pcm_s16le", downmix)
    with pytest.raises(MediaError, match=r"\(pcm_s16le\) can't be stored in \.mp4; write \.mov or"):
        run(downmix, tmp_path / "out.mp4")


def _with_channels(channels: int, folder: Path) -> Path:
    path = folder / "in.mkv"
    video = ("-f", "lavfi", "-i", "testsrc2=s=96x64:r=25:d=0.2")
    tones = "|".join(f"sin({n})" for n in range(channels))
    audio = ("-f", "lavfi", "-i", f"aevalsrc={tones}:d=0.2")
    ffmpeg(*video, *audio, *X264, "-c:a", "pcm_s24le", path)
    return path


def test_a_part_has_its_own_sound(tmp_path: Path) -> None:
    source = _make("adpcm_ms", tmp_path)
    whole, part = tmp_path / "whole.mkv", tmp_path / "part.mkv"
    run(source, whole, audio_codec="flac")
    run(source, part, audio_codec="flac", selection=Selection(frames=10))
    before, after = _samples(whole), _samples(part)
    assert 0.35 < len(after) / 48000 < 0.5
    np.testing.assert_array_equal(before[: len(after)], after)


def test_sound_of_no_known_codec_is_a_clear_error(media: Media, tmp_path: Path) -> None:
    source = tmp_path / "in.mp4"
    data = media.plain.read_bytes()
    source.write_bytes(data.replace(b"mp4a", b"zzzz").replace(b"esds", b"xsds"))
    message = r"can't be stored in \.mkv; leave the audio out with --no-audio"
    with pytest.raises(MediaError, match=message):
        run(source, tmp_path / "out.mkv")
    with pytest.raises(MediaError, match=r"can't be stored as FLAC in \.mkv"):
        run(source, tmp_path / "out.mkv", audio_codec="flac")
    run(source, tmp_path / "out.mkv", audio=False)

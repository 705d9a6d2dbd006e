"""Encodes that fail: one clear line, and nothing lost or left behind."""

from __future__ import annotations

import os
import shutil
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import av
import pytest
import vapoursynth as vs

from tests.clips import noise
from tests.encodes import PQ, pq_clip, quick
from tests.media import X264, Media, ffmpeg, frame_times, packets
from vs_gainmap.errors import MediaError, OptionError
from vs_gainmap.video import encode
from vs_gainmap.video.encoder_pass import EncodingPass, captured_log


def test_bad_requests_are_refused_before_any_work(media: Media, tmp_path: Path) -> None:
    clip = pq_clip(2)
    target = tmp_path / "out.mp4"
    target.write_bytes(b"precious")
    with pytest.raises(MediaError, match="exists already; add --overwrite"):
        encode(clip, target)
    with pytest.raises(MediaError, match="is the same file as"):
        encode(clip, target, source=target, overwrite=True)
    with pytest.raises(MediaError, match="folder doesn't exist"):
        encode(clip, tmp_path / "none" / "out.mp4")
    with pytest.raises(OptionError, match="encoder must be one of"):
        encode(clip, tmp_path / "a.mp4", encoder="x266")
    with pytest.raises(MediaError, match="has no transfer or primaries"):
        encode(noise(96, 64, 2, vs.YUV420P10), tmp_path / "a.mp4")
    with pytest.raises(OptionError, match=r"preset of x265 must be .*, got nonsense"):
        encode(clip, tmp_path / "a.mp4", preset="nonsense")
    with pytest.raises(MediaError, match="no such file"):
        encode(clip, tmp_path / "a.mp4", source=tmp_path / "none.mkv")
    with pytest.raises(MediaError, match=r"audio stream 1 \(aac\) can't be stored in \.webm"):
        encode(clip, tmp_path / "a.webm", source=media.plain, encoder="svtav1")
    assert target.read_bytes() == b"precious"
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"crf": float("nan")}, "crf must be a number, got nan"),
        ({"crf": "18"}, "crf must be a number, got '18'"),
        ({"preset": 5}, "preset must be str, got 5"),
        ({"encoder": ["x265"]}, r"encoder must be str, got \['x265'\]"),
        ({"encoder_params": {"crf": 1}}, "encoder_params must be str, got"),
        ({"mastering": "x"}, "mastering must be MasteringDisplay, got 'x'"),
        ({"content_light": 1000}, "content_light must be ContentLight, got 1000"),
        ({"workers": float("inf")}, "workers must be a whole number, got inf"),
        ({"workers": 0}, "workers must be at least 1, got 0"),
        ({"workers": None}, "workers must be a whole number, a Team or a Cluster, got None"),
        ({"workers": 2.0}, "workers must be a whole number, a Team or a Cluster, got 2.0"),
    ],
)
def test_values_of_another_kind_are_one_line(
    options: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(OptionError, match=message):
        encode(pq_clip(2), tmp_path / "a.mkv", **options)


@pytest.mark.parametrize(
    ("encoder", "params", "message"),
    [
        ("x265", "nonsense:aq-mode=1:foo=bar", "encoder x265 doesn't know nonsense, foo; correct"),
        ("svtav1", "foo=bar", "encoder svtav1 doesn't take foo=bar; correct --encoder-params"),
        ("prores", "foo=bar", "encoder prores doesn't know foo; correct --encoder-params"),
        ("ffv1", "slices=4:foo=bar", "encoder ffv1 doesn't know foo; correct --encoder-params"),
    ],
)
def test_parameters_that_the_encoder_passes_over(
    encoder: str, params: str, message: str, tmp_path: Path
) -> None:
    with pytest.raises(MediaError, match=message):
        encode(pq_clip(2), tmp_path / "out.mkv", encoder=encoder, encoder_params=params)
    assert list(tmp_path.iterdir()) == []


def test_an_encoder_that_will_not_open_has_one_reason(tmp_path: Path) -> None:
    with pytest.raises(MediaError) as found:
        encode(pq_clip(2), tmp_path / "out.mkv", encoder_params="aq-mode=77")
    text = str(found.value)
    assert text.count("x265-params") == text.count("aq-mode=77") == 1
    assert "{" not in text
    assert text.endswith("Cannot open libx265 encoder")


def test_nvenc_without_a_gpu(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As libavcodec logs it where there is no driver."""

    def refuse(*_: object) -> None:
        av.logging.log(av.logging.ERROR, "hevc_nvenc", "Cannot load libcuda.so.1")
        raise av.FFmpegError(1, "Operation not permitted")

    monkeypatch.setattr(EncodingPass, "_open", refuse)
    with pytest.raises(MediaError, match=r"needs an NVIDIA GPU that has it, and its driver: Can"):
        encode(pq_clip(2), tmp_path / "out.mkv", encoder="hevc_nvenc")


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError, vs.Error])
def test_failure_leaves_the_old_file_and_nothing_else(
    error: type[BaseException], tmp_path: Path
) -> None:
    target = tmp_path / "out.mp4"
    target.write_bytes(b"precious")

    def stop(done: int, total: int, size: int) -> None:
        assert total == 12
        assert size >= 0
        if done == 5:
            raise error("stop")

    with pytest.raises(error, match="stop"):
        quick(pq_clip(), target, overwrite=True, progress=stop)
    assert target.read_bytes() == b"precious"
    assert list(tmp_path.iterdir()) == [target]
    quick(pq_clip(3), target, overwrite=True)
    assert len(frame_times(target)) == 3


def test_a_clip_without_rate_or_durations_is_a_clear_error(tmp_path: Path) -> None:
    blank = vs.core.std.BlankClip(format=vs.YUV420P10, length=2, fpsnum=0, fpsden=1)
    clip = blank.std.SetFrameProps(**PQ)
    assert "_DurationNum" not in clip.get_frame(0).props
    with pytest.raises(MediaError, match="no duration and the clip no frame rate"):
        quick(clip, tmp_path / "out.mp4")
    assert list(tmp_path.iterdir()) == []


def test_a_failing_filter_is_reported_and_leaves_nothing(tmp_path: Path) -> None:
    def fail(n: int, f: vs.VideoFrame) -> vs.VideoFrame:
        if n == 6:
            raise ValueError("frame 6 is bad")
        return f

    clip = pq_clip()
    with pytest.raises(vs.Error, match="frame 6 is bad"):
        quick(clip.std.ModifyFrame(clip, fail), tmp_path / "out.mp4")
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_came_meanwhile_is_not_replaced(tmp_path: Path) -> None:
    target = tmp_path / "out.mkv"

    def other_run(done: int, total: int, size: int) -> None:  # noqa: ARG001
        target.write_bytes(b"of another run")

    with pytest.raises(MediaError, match=r"another file has come there meanwhile; this one is out"):
        quick(pq_clip(3), target, progress=other_run)
    assert target.read_bytes() == b"of another run"
    assert len(frame_times(tmp_path / "out.2.mkv")) == 3
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.2.mkv", "out.mkv"]


@pytest.mark.parametrize("length", [240, 246, 247, 255])
def test_long_names(length: int, tmp_path: Path) -> None:
    target = tmp_path / ("é" * ((length - 4) // 2) + "x" * (length % 2) + ".mkv")
    assert len(os.fsencode(target.name)) == length
    quick(pq_clip(2), target)
    assert list(tmp_path.iterdir()) == [target]


def test_a_name_that_is_too_long_is_refused_before_the_encode(tmp_path: Path) -> None:
    def never(*_: object) -> None:
        raise AssertionError("encoded")

    with pytest.raises(OSError, match="too long"):
        quick(pq_clip(2), tmp_path / ("x" * 252 + ".mkv"), progress=never)


@pytest.mark.skipif(os.name == "nt", reason="no such names there")
@pytest.mark.parametrize("name", ["a:b.mkv", "file:x.mp4", "12:30.mov"])
def test_a_colon_in_a_name_is_no_protocol(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    quick(pq_clip(2), Path(name))
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.skipif(os.name == "nt", reason="no limits on files there")
@pytest.mark.parametrize(
    ("encoder", "suffix", "share"), [("ffv1", "mkv", 0.3), ("ffv1", "mkv", 1), ("x265", "mp4", 1)]
)
def test_a_full_disk_names_the_file(
    encoder: str, suffix: str, share: float, tmp_path: Path
) -> None:
    """While it encodes, and while it muxes."""
    import resource

    target = tmp_path / f"out.{suffix}"
    quick(pq_clip(12), target, encoder)
    with av.open(str(target)) as container:
        size = sum(packet.size for packet in container.demux(video=0))
    target.unlink()
    # Where share is 1, between what the packets take and what the file does.
    limit = int(size * share) + (10 if share == 1 else 0)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    try:
        with pytest.raises(MediaError) as found:
            quick(pq_clip(12), target, encoder)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert str(found.value) == f"{target}: can't be written: File too large"
    assert list(tmp_path.iterdir()) == []


def test_sound_is_that_of_the_file_that_was_read(media: Media, tmp_path: Path) -> None:
    source, target = tmp_path / "in.mp4", tmp_path / "out.mkv"
    shutil.copy(media.plain, source)

    def replace(done: int, total: int, size: int) -> None:  # noqa: ARG001
        if done == 5:
            source.unlink()
            shutil.copy(media.silent, source)

    encode(pq_clip(29), target, source=source, preset="ultrafast", progress=replace)
    assert [md5 for _, md5 in packets(target)[1]] == [md5 for _, md5 in packets(media.plain)[1]]


def test_a_source_that_is_written_to_is_an_error(media: Media, tmp_path: Path) -> None:
    source = tmp_path / "in.mp4"
    shutil.copy(media.plain, source)

    def grow(done: int, total: int, size: int) -> None:  # noqa: ARG001
        if done == 5:
            with source.open("ab") as file:
                file.write(b"more")

    with pytest.raises(MediaError, match=r"in\.mp4: changed while it was read"):
        encode(pq_clip(29), tmp_path / "out.mkv", source=source, progress=grow, preset="ultrafast")
    assert list(tmp_path.iterdir()) == [source]


def test_decoders_may_log_while_an_encoder_opens(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "damaged.mp4"
    ffmpeg("-f", "lavfi", "-i", "testsrc2=s=96x64:r=24:d=20", *X264, "-g", "12", path)
    data = bytearray(path.read_bytes())
    for at in range(3000, len(data) - 20000, 211):
        data[at] ^= 0x55
    path.write_bytes(data)
    done = threading.Event()

    def decode() -> None:
        while not done.is_set():
            with suppress(av.FFmpegError), av.open(str(path)) as container:
                container.streams.video[0].thread_type = "FRAME"
                for packet in container.demux(video=0):
                    with suppress(av.FFmpegError):
                        packet.decode()

    threads = [threading.Thread(target=decode) for _ in range(4)]
    for thread in threads:
        thread.start()
    end = time.monotonic() + 1.5
    while time.monotonic() < end:
        with captured_log("libx265") as lines:
            av.logging.log(av.logging.WARNING, "libx265", "Unknown option: x.")
        assert lines == ["Unknown option: x."]
    done.set()
    for thread in threads:
        thread.join()
    assert capfd.readouterr().err == ""

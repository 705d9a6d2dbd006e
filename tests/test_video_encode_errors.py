"""Encodes that fail: one clear line, and nothing lost or left behind."""

from __future__ import annotations

from pathlib import Path

import av
import pytest
import vapoursynth as vs

from tests.clips import noise
from tests.encodes import PQ, pq_clip, quick
from tests.media import Media, frame_times
from vs_gainmap.errors import MediaError
from vs_gainmap.video import encode
from vs_gainmap.video.encoder_pass import EncodingPass


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
    with pytest.raises(MediaError, match="encoder must be one of"):
        encode(clip, tmp_path / "a.mp4", encoder="x266")
    with pytest.raises(MediaError, match="doesn't say its transfer"):
        encode(noise(96, 64, 2, vs.YUV420P10), tmp_path / "a.mp4")
    with pytest.raises(MediaError, match=r"preset of x265 must be .*, got nonsense"):
        encode(clip, tmp_path / "a.mp4", preset="nonsense")
    with pytest.raises(MediaError, match="no such file"):
        encode(clip, tmp_path / "a.mp4", source=tmp_path / "none.mkv")
    with pytest.raises(MediaError, match=r"audio stream 1 \(aac\) can't be stored in \.webm"):
        encode(clip, tmp_path / "a.webm", source=media.plain, encoder="svtav1")
    assert target.read_bytes() == b"precious"
    assert list(tmp_path.iterdir()) == [target]


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


def test_an_encoder_that_will_not_open_says_why_once(tmp_path: Path) -> None:
    level = av.logging.get_level()
    with pytest.raises(MediaError) as found:
        encode(pq_clip(2), tmp_path / "out.mkv", encoder_params="aq-mode=77")
    said = str(found.value)
    assert said.count("x265-params") == said.count("aq-mode=77") == 1
    assert "{" not in said
    assert said.endswith("Cannot open libx265 encoder")
    assert av.logging.get_level() == level


def test_nvenc_without_a_gpu(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As libavcodec says it where there is no driver."""

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

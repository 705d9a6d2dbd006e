"""`vs-gainmap still`, as a user runs it."""

from __future__ import annotations

from pathlib import Path

import av
import imagecodecs
import numpy as np
import pytest
from av.video.reformatter import ColorRange

from tests.photo_samples import (
    relative,
    textured_scene,
    write_weights,
)
from vs_gainmap.cli import main
from vs_gainmap.photo.input import as_bytes
from vs_gainmap.photo.linear import read_linear
from vs_gainmap.photo.read import read_photo
from vs_gainmap.photo.render import render_photo


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_weights(tmp_path_factory.mktemp("weights") / "tiny.safetensors"))


def run(*args: object) -> int:
    return main([str(arg) for arg in args])


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("video") / "clip.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=10)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv444p"
        stream.codec_context.color_range = 2
        for number in range(5):
            gray = np.full((64, 96, 3), 40 * number + 20, np.uint8)
            frame = av.VideoFrame.from_ndarray(gray, format="rgb24").reformat(
                format="yuv444p", dst_color_range=ColorRange.JPEG
            )
            for packet in stream.encode(frame):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)
    return path


@pytest.fixture(scope="module")
def textured_video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("video") / "texture.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=10)
        stream.width, stream.height, stream.pix_fmt = 256, 192, "yuv420p"
        # H.273: BT.709 throughout, so that the photo is sRGB and the EXR in the same primaries.
        stream.codec_context.color_primaries = 1
        stream.codec_context.color_trc = 1
        stream.codec_context.colorspace = 1
        frame = av.VideoFrame.from_ndarray(textured_scene(256, 192), format="rgb24")
        for packet in (*stream.encode(frame), *stream.encode()):
            container.mux(packet)
    return path


@pytest.mark.parametrize(("at", "level"), [("0", 20), ("0.25", 100), ("00:00:00.4", 180)])
def test_still_is_the_frame_that_is_shown(
    tmp_path: Path, weights: str, video: Path, at: str, level: int
) -> None:
    out = tmp_path / "still.jpg"
    assert run("still", video, "--at", at, out, "--weights", weights) == 0
    made = read_photo(out)
    assert made.picture.signal.shape == (64, 96, 3)
    assert np.abs(as_bytes(made.picture.signal).astype(int) - level).max() <= 2
    assert render_photo(made).mean() > ((level - 3) / 255) ** 2.2


def test_still_is_turned_as_a_player_turns_it(tmp_path: Path, weights: str) -> None:
    path, out = tmp_path / "portrait.mp4", tmp_path / "still.tif"
    pixels = np.zeros((64, 96, 3), np.uint8)
    pixels[:, :48] = 200
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        # What a phone held upright writes: a quarter turn clockwise (16.16 and 2.30 fixed point).
        stream.set_display_matrix((0, 1 << 16, 0, -1 << 16, 0, 0, 0, 0, 1 << 30))
        frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
        for packet in (*stream.encode(frame), *stream.encode()):
            container.mux(packet)
    assert run("still", path, "--at", "0", out, "--weights", weights) == 0
    hdr, _ = read_linear(out)
    assert hdr.shape == (96, 64, 3)
    assert hdr[:44].min() > 0.3 > 0.02 > hdr[52:].max()


def test_libultrahdr_gets_the_still_that_we_read(tmp_path: Path, textured_video: Path) -> None:
    photo, linear = tmp_path / "still.jpg", tmp_path / "still.exr"
    command = ("still", textured_video, "--at", "0", "--weights", "video")
    assert run(*command, photo) == 0
    assert run(*command, linear) == 0
    theirs = imagecodecs.ultrahdr_decode(photo.read_bytes())[..., :3].astype(np.float32)
    mine = render_photo(read_photo(photo))
    assert np.abs(mine - theirs).mean() / theirs.mean() < 0.0025
    assert np.quantile(relative(mine, theirs), 0.99) < 0.01
    ours, _ = read_linear(linear)
    assert ours.max() > 1.2
    # Coding of the base changes colors, which one channel does not put right.
    assert np.abs(theirs - ours).mean() / ours.mean() < 0.015


def test_still_of_a_wrong_tag(
    tmp_path: Path, weights: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path, out = tmp_path / "mistagged.mkv", tmp_path / "still.jpg"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=10)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        stream.codec_context.color_trc = 16
        frame = av.VideoFrame.from_ndarray(np.full((64, 96, 3), 90, np.uint8), format="rgb24")
        for packet in (*stream.encode(frame), *stream.encode()):
            container.mux(packet)
    command = ("still", path, "--at", "0", out, "--weights", weights)
    assert run(*command) == 1
    assert "PQ already" in (said := capsys.readouterr().err)
    assert "--transfer 709" in said
    assert run(*command, "--transfer", "709") == 0
    assert np.abs(as_bytes(read_photo(out).picture.signal).astype(int) - 90).max() <= 2


def test_still_behind_the_end(
    tmp_path: Path, weights: str, video: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("still", video, "--at", "7", tmp_path / "x.jpg", "--weights", weights) == 1
    assert "lasts 0.500 s" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []

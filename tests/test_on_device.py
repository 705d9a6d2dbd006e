"""From planes to planes on the network's device, beside the way through VapourSynth's filters."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import vapoursynth as vs

from tests.clips import BT709, drawn, frame_props, noise, planes
from tests.media import Media, mediainfo
from vs_gainmap import sdr_to_hdr10
from vs_gainmap.cli import main
from vs_gainmap.filters import on_device
from vs_gainmap.models.inference import Predictor
from vs_gainmap.onboard import Onboard

# Black bars, a slope of luma and a bright window in it, grain, and colors that change slowly.
WIDTH, HEIGHT = 320, 180


def scene(length: int = 10, clip_format: int = vs.YUV420P8, **tags: int) -> vs.VideoNode:
    blank = vs.core.std.BlankClip(
        format=clip_format, width=WIDTH, height=HEIGHT, length=length
    ).std.SetFrameProps(**{**BT709, "_ChromaLocation": 0, **tags})
    step = 2 ** (blank.format.bits_per_sample - 8)

    def draw(n: int, p: int, shape: tuple[int, int]) -> np.ndarray:
        rows, columns = np.mgrid[0 : shape[0], 0 : shape[1]] / np.array(shape).reshape(2, 1, 1)
        if p:
            return (128 + (-1) ** p * 24 * np.sin(5 * columns + n / 9) * rows) * step
        grain = np.random.default_rng(n).normal(0, 1, shape)
        luma = 40 + 150 * columns + 20 * np.sin(7 * rows) + grain
        luma[np.abs(columns - 0.4) < 0.08] = 225
        luma[(rows < 0.1) | (rows >= 0.9)] = 16
        return luma.clip(16, 235) * step

    return drawn(blank, draw)


def both(clip: vs.VideoNode, **how: Any) -> tuple[vs.VideoNode, vs.VideoNode]:
    # Of 12 bits, so that the usual way goes through linear R'G'B', too.
    how = {"dtype": "float32", "measure": True, "format": vs.YUV420P12, **how}
    return sdr_to_hdr10(clip, **how), sdr_to_hdr10(clip, on_device=True, **how)


def assert_close(usual: vs.VideoNode, ours: vs.VideoNode, n: int, *, codes: int) -> None:
    """`codes` of the format is what 99 % are within."""
    assert ours.format.id == usual.format.id
    for mine, theirs in zip(planes(ours, n), planes(usual, n), strict=True):
        off = np.abs(mine.astype(int) - theirs.astype(int))
        assert off.mean() < 0.25 * codes
        assert np.percentile(off, 99) <= codes


@pytest.mark.parametrize("radius", [0, 3])
@pytest.mark.parametrize(
    "how",
    [
        {"model": "fast"},
        {"model": "fast", "upsampling": "bilinear", "scale": 2},
        {"model": "fast", "strength": 0.6, "peak_nits": 600.0, "sdr_white": 120.0},
        {"model": "fast", "strength": 2.5},
    ],
)
def test_it_is_the_usual_way(how: dict[str, Any], radius: int) -> None:
    usual, ours = both(scene(), radius=radius, survey=4, **how)
    assert_close(usual, ours, 4, codes=4)


def test_published_network_and_what_a_survey_adds(tiny_weights: Path) -> None:
    usual, ours = both(scene(4), weights=tiny_weights, radius=2)
    assert_close(usual, ours, 1, codes=4)
    usual, ours = both(scene(4), weights="video", radius=2, survey=3)
    assert_close(usual, ours, 1, codes=4)
    assert frame_props(ours, 1)["GainMapMax"] == pytest.approx(
        frame_props(usual, 1)["GainMapMax"], abs=1e-4
    )


@pytest.mark.parametrize(
    ("source", "target"),
    [
        ({"clip_format": vs.YUV422P10}, vs.YUV422P12),
        ({"clip_format": vs.YUV444P16, "_Range": 0}, vs.YUV444P12),
        ({"_Matrix": 6, "_Primaries": 6, "_ChromaLocation": 1}, vs.YUV420P12),
        ({"_Matrix": 9, "_Primaries": 9, "_Transfer": 14}, vs.YUV420P12),
    ],
)
def test_formats_and_colors(source: dict[str, int], target: int) -> None:
    bits = vs.core.get_video_format(target).bits_per_sample
    usual, ours = both(scene(2, **source), model="fast", radius=0, format=target)
    assert_close(usual, ours, 0, codes=2 ** (bits - 10))


@pytest.mark.parametrize(
    ("size", "source", "target"),
    [((321, 181), vs.YUV444P8, vs.YUV444P12), ((642, 36), vs.YUV422P8, vs.YUV422P12)],
)
@pytest.mark.parametrize("scale", [4, 8])
def test_sizes_that_the_map_does_not_divide(
    size: tuple[int, int], source: int, target: int, scale: int
) -> None:
    coarse = noise(size[0] // 8 * 2, size[1] // 8 * 2, 2, source, **BT709)
    usual, ours = both(
        coarse.resize.Bicubic(*size), model="fast", scale=scale, radius=1, format=target
    )
    assert_close(usual, ours, 1, codes=4)


def test_ten_bits_differ_at_hard_edges_only() -> None:
    """There the usual way puts the gain onto Y'CbCr, and it goes onto R'G'B' here."""
    usual, ours = both(scene(2), model="fast", radius=0, format=vs.YUV420P10)
    for mine, theirs in zip(planes(ours), planes(usual), strict=True):
        off = np.abs(mine.astype(int) - theirs.astype(int))
        assert off.mean() < 0.2
        assert (off > 1).mean() < 0.03


@pytest.mark.parametrize(
    ("target", "brightest"),
    # At a hard edge the brightest pixel of ten bits differs, as above; of twelve it may not.
    [(vs.YUV420P10, 0.08), (vs.YUV444P10, 0.08), (vs.YUV420P12, 0.001), (vs.YUV444P12, 0.001)],
)
def test_props_are_those_of_the_usual_way(target: int, brightest: float) -> None:
    usual, ours = both(scene(3), model="fast", radius=2, format=target)
    expected, found = frame_props(usual, 1), frame_props(ours, 1)
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        if name in ("FrameMaxNits", "FrameAverageNits"):
            assert found[name] == pytest.approx(value, rel=brightest if "Max" in name else 0.005)
        elif name == "GainMapMax":
            assert found[name] == pytest.approx(value, abs=1e-4)
        else:
            assert found[name] == value, name


def test_the_network_sees_each_frame_once_and_any_order_gives_the_same(
    tiny_weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs: list[int] = []
    predict = Predictor.predict

    def counted(self: Predictor, *args: Any) -> Any:
        runs.append(1)
        return predict(self, *args)

    monkeypatch.setattr(Predictor, "predict", counted)
    clip = noise(160, 96, 24, **BT709, _ChromaLocation=0)
    how: dict[str, Any] = {"weights": tiny_weights, "radius": 3, "on_device": True}
    made = sdr_to_hdr10(clip, **how)
    forward = [planes(made, n) for n in range(24)]
    assert len(runs) == 24
    # Kept for fewer frames than are asked for in between: made again, of the same bits.
    monkeypatch.setattr(on_device, "window_length", lambda _radius: 1)
    again = sdr_to_hdr10(clip, **how)
    runs.clear()
    for n in (20, 2, 19, 3, 20):
        for ours, theirs in zip(planes(again, n), forward[n], strict=True):
            np.testing.assert_array_equal(ours, theirs)
    assert len(runs) > 24


def test_frames_in_flight_do_not_mix(tiny_weights: Path) -> None:
    clip = noise(160, 96, 12, **BT709, _ChromaLocation=0)
    how: dict[str, Any] = {"weights": tiny_weights, "radius": 2, "on_device": True}
    alone = sdr_to_hdr10(clip, **how)
    one = [planes(alone, n) for n in range(12)]
    many = sdr_to_hdr10(clip, streams=3, **how)
    frames = [many.get_frame_async(n) for n in reversed(range(12))]
    for n, future in zip(reversed(range(12)), frames, strict=True):
        with future.result() as frame:
            for p in range(3):
                np.testing.assert_array_equal(np.asarray(frame[p]), one[n][p])


@pytest.mark.parametrize(
    ("clip", "how", "message"),
    [
        (scene(1), {"output": "hlg"}, "pq"),
        (scene(1), {"dither": "ordered"}, "dither"),
        (scene(1), {"format": vs.RGB48}, "integer YUV"),
        (scene(1), {"strength": 9.0}, "strength"),
        (scene(1), {"eotf": "log"}, "eotf"),
        (scene(1), {"peak_nits": 100.0}, "peak_nits"),
        (scene(1), {"upsampling": "cubic"}, "upsampling"),
        (scene(1, _Matrix=10, _Primaries=9), {}, "constant luminance"),
        (noise(64, 64, 1, vs.RGB24), {}, "integer YUV"),
        (noise(65, 64, 1, vs.YUV444P8, **BT709), {}, "crop"),
        (scene(1), {"backend": "ov", "model": "gmnet"}, "torch"),
    ],
)
def test_what_it_can_not_do_is_said(clip: vs.VideoNode, how: dict[str, Any], message: str) -> None:
    with pytest.raises(vs.Error, match=message):
        sdr_to_hdr10(clip, on_device=True, **{"model": "fast", **how})


def test_nothing_is_kept_without_a_window(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[int] = []
    monkeypatch.setattr(Onboard, "compare", lambda *_: compared.append(1))
    sdr_to_hdr10(scene(2), model="fast", radius=0, on_device=True).get_frame(1).close()
    assert not compared


def test_convert_on_the_device(media: Media, tmp_path: Path, tiny_weights: Path) -> None:
    """Lossless, so that codes can be held against the usual way's."""
    pictures = []
    for name, more in (("usual", ()), ("device", ("--on-device",))):
        target = tmp_path / f"{name}.mkv"
        options = ["-e", "ffv1", "--format", "YUV444P16", "--frames", "3"]
        options += ["--dtype", "float32", "--quiet"]
        fixed = (str(media.plain), str(target), "--weights", str(tiny_weights))
        assert main(["convert", *fixed, *options, *more]) == 0
        assert mediainfo(target)["hdr_format_compatibility"].startswith("HDR10")
        with av.open(str(target)) as container:
            pictures.append([frame.to_ndarray() for frame in container.decode(video=0)])
    for usual, ours in zip(*pictures, strict=True):
        off = np.abs(usual.astype(int) - ours.astype(int))
        # A quarter of a code of 10 bits, and little more than one.
        assert off.mean() < 16
        assert np.percentile(off, 99) <= 80

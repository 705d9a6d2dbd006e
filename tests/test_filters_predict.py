"""`predict`: the map, its props, its order, and what it refuses."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
import torch
import vapoursynth as vs
from numpy.typing import NDArray

from tests.clips import BT709, drawn, frame_props, noise, planes
from vs_gainmap import predict, sdr_to_hdr10
from vs_gainmap.models.inference import Predictor
from vs_gainmap.models.weights import load_weights


def test_map_and_qmax_are_the_networks(tiny_weights: Path) -> None:
    clip = noise(**BT709)
    gain_map = predict(clip, weights=tiny_weights, dtype="float32", scale=1, radius=0)
    picture = clip.resize.Bicubic(format=vs.RGBS, filter_param_a=0, filter_param_b=0.5)
    thumbnail = clip.resize.Bicubic(256, 256, format=vs.RGBS, filter_param_a=0, filter_param_b=0.5)
    model = load_weights(tiny_weights).model
    with torch.inference_mode():
        want, qmax_norm = model(
            torch.from_numpy(np.stack(planes(picture, 2)))[None].clamp(0, 1),
            torch.from_numpy(np.stack(planes(thumbnail, 2)))[None].clamp(0, 1),
        )
    np.testing.assert_allclose(planes(gain_map, 2)[0], want[0, 0], atol=1e-5)
    found = frame_props(gain_map, 2)
    assert found["GainMapMax"] == pytest.approx(qmax_norm.item() * np.log2(5), abs=1e-5)
    assert want.std() > 0.01


def test_props_name_everything_that_apply_needs(tiny_weights: Path) -> None:
    found = frame_props(predict(noise(**BT709), weights=tiny_weights))
    assert found.pop("GainMapMax") > 0
    assert found == {
        "GainMapMin": 0.0,
        "GainMapGamma": 1.0,
        "GainMapBaseOffset": 0.0,
        "GainMapAlternateOffset": 0.0,
        "GainMapBaseHeadroom": 0.0,
        "GainMapAlternateHeadroom": pytest.approx(np.log2(5)),
        "GainMapSDRWhite": 203.0,
        "GainMapEOTF": "gamma22",
        "_Range": 1,
        "_SceneChangePrev": 0,
        "_DurationNum": 1,
        "_DurationDen": 24,
    }


@pytest.mark.parametrize(("scale", "size"), [(None, (49, 33)), (1, (97, 65)), (4, (25, 17))])
def test_map_size(tiny_weights: Path, scale: int | None, size: tuple[int, int]) -> None:
    clip = noise(97, 65, 1, vs.YUV444P8, **BT709)
    gain_map = predict(clip, weights=tiny_weights, scale=scale)
    assert gain_map.format.id == vs.GRAYS
    assert (gain_map.width, gain_map.height, gain_map.num_frames) == (*size, 1)
    assert planes(gain_map)[0].shape == size[::-1]


@pytest.mark.parametrize(
    ("size", "map_size"),
    [((96, 64), (48, 32)), ((1920, 1080), (960, 540)), ((3840, 2160), (960, 540))],
)
def test_auto_scale_bounds_the_map(
    tiny_weights: Path, size: tuple[int, int], map_size: tuple[int, int]
) -> None:
    clip = vs.core.std.BlankClip(None, *size, vs.YUV420P8, 1).std.SetFrameProps(**BT709)
    gain_map = predict(clip, weights=tiny_weights, scale="auto")
    assert (gain_map.width, gain_map.height) == map_size


@pytest.mark.parametrize("streams", [1, 3])
def test_any_order_in_parallel_and_again_is_bit_identical(tiny_weights: Path, streams: int) -> None:
    def fresh() -> vs.VideoNode:
        return predict(noise(length=8, **BT709), weights=tiny_weights, num_streams=streams)

    ordered = [planes(fresh(), n)[0] for n in range(8)]
    clip = fresh()
    order = list(range(8)) * 2
    random.Random(5).shuffle(order)
    futures = [(n, clip.get_frame_async(n)) for n in order]
    for n, future in futures:
        with future.result() as frame:
            assert np.array_equal(np.asarray(frame[0]), ordered[n])
    assert not np.array_equal(ordered[0], ordered[1])


FORMATS = [
    vs.YUV420P8,
    vs.YUV422P8,
    vs.YUV444P10,
    vs.YUV420P16,
    vs.YUV444PS,
    vs.YUV410P8,
    vs.YUV411P8,
    vs.RGB24,
    vs.RGB48,
    vs.RGBS,
    vs.RGBH,
    vs.GRAY8,
    vs.GRAY16,
    vs.GRAYS,
]


@pytest.mark.parametrize("format_id", FORMATS)
def test_every_format_is_taken(tiny_weights: Path, format_id: vs.PresetVideoFormat) -> None:
    clip = noise(64, 32, 1, format_id)
    gain_map = predict(clip, weights=tiny_weights)
    values = planes(gain_map)[0]
    assert np.isfinite(values).all()
    assert values.std() > 0


def test_sixteen_by_sixteen_is_the_least(tiny_weights: Path) -> None:
    assert np.isfinite(planes(predict(noise(16, 16, 1, **BT709), weights=tiny_weights))[0]).all()
    with pytest.raises(vs.Error, match="predict: clip must be between 16x16"):
        predict(noise(14, 16, 1), weights=tiny_weights)


def test_full_and_limited_range_are_told_apart(tiny_weights: Path) -> None:
    ramp = noise(64, 64, 1, vs.GRAY8)
    limited = planes(predict(ramp, weights=tiny_weights, range="limited"))[0]
    full = planes(predict(ramp, weights=tiny_weights, range="full"))[0]
    untagged = planes(predict(ramp, weights=tiny_weights))[0]
    old_tag = planes(predict(ramp.std.SetFrameProps(_ColorRange=0), weights=tiny_weights))[0]
    assert np.abs(limited - full).max() > 1e-3
    assert np.array_equal(limited, untagged)
    assert np.array_equal(full, old_tag)


def refusals() -> list[tuple[vs.VideoNode, str]]:
    clip = noise(64, 64, 3, **BT709)
    return [
        (clip.std.SetFrameProps(_Transfer=16), "frame 0 is PQ already"),
        (clip.std.SetFrameProps(_Transfer=18), "frame 0 is HLG already"),
        (clip.std.SetFrameProps(_Transfer=8), "frame 0 is linear light"),
        (clip.std.SetFrameProps(_FieldBased=2), "interlaced; deinterlace first"),
        (
            vs.core.std.Splice([clip, noise(64, 32, 1, **BT709)], mismatch=True),
            "constant format and size",
        ),
        (noise(64, 64, 1, vs.GRAY32), "8 to 16 bit integer or float"),
    ]


@pytest.mark.parametrize("case", range(6))
def test_unusable_clips_are_refused_before_the_graph(tiny_weights: Path, case: int) -> None:
    clip, message = refusals()[case]
    with pytest.raises(vs.Error, match=f"predict: .*{message}"):
        predict(clip, weights=tiny_weights)


def test_a_tag_that_changes_later_is_caught_with_its_frame(tiny_weights: Path) -> None:
    clip = noise(64, 64, 2, **BT709)
    clip = clip + clip.std.SetFrameProps(_Transfer=16)
    gain_map = predict(clip, weights=tiny_weights, radius=0)
    assert planes(gain_map, 1)[0].shape == (32, 32)
    with pytest.raises(vs.Error, match="predict: frame 2 is PQ already"):
        gain_map.get_frame(2)


def test_color_is_decided_by_the_first_frame(tiny_weights: Path) -> None:
    """A later frame without tags takes frame 0's; one that says otherwise is an error."""
    clip = noise(64, 64, 2, **BT709)
    silent = clip.std.RemoveFrameProps(["_Matrix", "_Range"]).std.SetFrameProps(_Transfer=2)
    hdr = sdr_to_hdr10(clip + silent, weights=tiny_weights, radius=0)
    for n in (0, 1):
        for one, other in zip(planes(hdr, n), planes(hdr, n + 2), strict=True):
            assert np.array_equal(one, other)
    other_range = clip + clip.std.SetFrameProps(_Range=1)
    changed = sdr_to_hdr10(other_range, weights=tiny_weights, radius=0)
    with pytest.raises(vs.Error, match=r"frame 2 is tagged range full, frame 0 limited; .*--range"):
        changed.get_frame(2)
    sdr_to_hdr10(other_range, weights=tiny_weights, range="limited").get_frame(2).close()


def test_yuv_tagged_as_rgb_is_named() -> None:
    with pytest.raises(vs.Error, match=r'YUV420P8, but tagged as RGB .* pass matrix="709"'):
        predict(noise(**{**BT709, "_Matrix": 0}))


def test_a_sample_that_is_no_number_stays_where_it_is() -> None:
    """NaN and infinity in one frame of a float clip leave other frames and pixels alone."""

    def spoil(n: int, p: int, shape: tuple[int, int]) -> NDArray:
        values = np.full(shape, 0.4 if p == 0 else 0.0, np.float32)
        if n == 3 and p == 0:
            values[20, 30], values[21, 31], values[22, 32] = np.nan, np.inf, -np.inf
        return values

    blank = vs.core.std.BlankClip(format=vs.YUV444PS, width=96, height=64, length=7)
    clip = drawn(blank.std.SetFrameProps(**BT709), spoil)
    clean = drawn(blank.std.SetFrameProps(**BT709), lambda _n, p, s: spoil(0, p, s))
    hdr = [sdr_to_hdr10(c, model="fast", format=vs.YUV444P10) for c in (clip, clean)]
    for n in range(7):
        got, want = (planes(one, n)[0].astype(int) for one in hdr)
        # A sixth of a stop; three bright pixels more are another picture for the network.
        off = np.abs(got - want) > 12
        assert not off[:, :24].any()
        assert off.sum() < 150


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"scale": 3}, "scale must be one of 1, 2, 4, 8, auto, got 3"),
        ({"tile": 63}, "tile must be even"),
        ({"num_streams": 0}, "num_streams must be"),
        ({"device": "tpu"}, "device must be"),
        ({"dtype": "int8"}, "dtype must be"),
        ({"matrix": "rec709"}, "matrix must be one of"),
        ({"weights": "nowhere.safetensors"}, "no file nowhere.safetensors"),
        ({"preset": "cinema"}, "preset must be one of"),
    ],
)
def test_bad_arguments_are_one_clear_line(
    tiny_weights: Path, options: dict[str, object], message: str
) -> None:
    with pytest.raises(vs.Error, match=message) as error:
        predict(noise(**BT709), **{"weights": tiny_weights, **options})
    assert "\n" not in str(error.value)


def test_what_is_missing_is_assumed_by_size_and_said(
    tiny_weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    monkeypatch.setattr(
        "vs_gainmap.filters.color_props.log_warning", lambda message: said.append(message)
    )
    predict(noise(720, 480, 1), weights=tiny_weights)
    predict(noise(720, 576, 1), weights=tiny_weights)
    predict(noise(1280, 720, 1), weights=tiny_weights)
    predict(noise(1280, 720, 1, _ChromaLocation=0, **BT709), weights=tiny_weights)
    assert ["matrix 170m" in said[0], "matrix 470bg" in said[1], "matrix 709" in said[2]] == [
        True,
        True,
        True,
    ]
    assert len(said) == 3


def test_wide_gamut_is_seen_in_bt709(tiny_weights: Path) -> None:
    """BT.2020 SDR and the same picture in BT.709 get nearly the same map."""
    narrow = noise(64, 64, 1, vs.RGBS, _Matrix=0, _Transfer=1, _Primaries=1, _Range=1)
    narrow = narrow.std.Expr("x 0.6 * 0.2 +")
    wide = narrow.resize.Bicubic(primaries=9)
    untreated = wide.std.SetFrameProps(_Primaries=1)
    maps = [
        planes(predict(c, weights=tiny_weights, dtype="float32", scale=1))[0]
        for c in (narrow, wide, untreated)
    ]
    assert np.abs(maps[0] - maps[1]).max() < 1e-3
    assert np.abs(maps[0] - maps[2]).max() > 1e-2


@pytest.mark.parametrize("model", ["fast", "gmnet"])
def test_a_random_frame_costs_one_map(model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Seeking: the frames around cost a thumbnail's features each, and no map."""
    runs: list[str] = []
    for name in ("analyze", "local"):
        inner = getattr(Predictor, name)

        def counted(self: Predictor, *args: object, inner=inner, name=name) -> object:
            runs.append(name)
            return inner(self, *args)

        monkeypatch.setattr(Predictor, name, counted)
    clip = noise(96, 64, 60, **BT709)
    hdr = sdr_to_hdr10(clip, model=model, radius=5)
    hdr.get_frame(30).close()
    assert runs.count("local") == 1
    assert runs.count("analyze") == 11
    hdr.get_frame(31).close()
    assert runs.count("local") == 2
    assert runs.count("analyze") == 12

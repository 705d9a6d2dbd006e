"""One compiled pass from SDR planes to HDR10 planes, beside zimg's and akarin's filters."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
import vapoursynth as vs
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch.nn.functional import interpolate

from tests.clips import BT709, drawn, frame_props, planes
from tests.test_filters_apply import flat_map
from vs_gainmap import apply
from vs_gainmap.color.h273 import KNOWN_PRIMARIES, LUMA_WEIGHTS, TABLE
from vs_gainmap.color.primaries import convert_primaries
from vs_gainmap.color.transfer import BRIGHTEST_SIGNAL, EOTF_POWERS, pq_inverse_eotf
from vs_gainmap.filters import compiled, one_pass, rendering
from vs_gainmap.filters.color_props import chroma_shift
from vs_gainmap.fused.polynomials import HALF_STOPS, LOG, POWER, PQ
from vs_gainmap.fused.readiness import SWITCH
from vs_gainmap.planes import PlaneFormat, decode_planes, encode_planes

_CODES = 876
HEADROOM = 1.8
FORMATS = {8: vs.YUV420P8, 9: vs.YUV420P9, 10: vs.YUV420P10, 16: vs.YUV420P16}


def polynomial(coefficients: tuple[float, ...], x: NDArray[Any]) -> NDArray[Any]:
    return np.polynomial.polynomial.polyval(x, coefficients)


def codes(nits: NDArray[Any]) -> NDArray[Any]:
    return pq_inverse_eotf(torch.from_numpy(nits)).numpy() * _CODES


@pytest.mark.parametrize("eotf", POWER)
def test_the_power_is_near_the_curve(eotf: str) -> None:
    x = np.geomspace(1e-4, 1.5, 20_000)
    got = x * np.sqrt(x) * polynomial(POWER[eotf], np.sqrt(x))
    for gain in (0.25, 1, 4):
        nits = 203 * gain * np.stack([np.maximum(got, 0), x ** EOTF_POWERS[eotf]])  # type: ignore[index]
        assert np.abs(np.diff(codes(nits), axis=0)).max() < 0.07


def test_the_logarithm_and_pq_are_near_the_curves() -> None:
    m = np.linspace(1, 2, 10_000)
    assert np.abs(m - 1 + polynomial(LOG, m) - np.log2(m)).max() < 1.5e-4
    t = np.linspace(-1, 1, 20_000)
    nits = 10_000 * 2.0 ** (HALF_STOPS * (t - 1))
    assert np.abs(polynomial(PQ, t) * _CODES - codes(nits)).max() < 0.03


def scene(seed: int, width: int, height: int, target: int, **color: int) -> vs.VideoNode:
    """Return two frames of blots of any color: soft in one, with hard edges in the other."""
    rng = np.random.default_rng(seed)
    colors = rng.random((2, 3, 5, 7)).round(1)
    rows, columns = np.mgrid[0 : 5 : height * 1j, 0 : 7 : width * 1j]
    places = (np.minimum(rows.astype(int), 4), np.minimum(columns.astype(int), 6))
    blank = vs.core.std.BlankClip(format=vs.RGBS, width=7, height=5, length=2)
    soft = drawn(blank, lambda n, p, _s: colors[n, p]).resize.Bilinear(width, height)
    pixels = planes(soft)
    clip = drawn(soft, lambda n, p, _s: colors[n, p][places] if n else pixels[p])
    names = {"_Matrix": "matrix", "_Range": "range", "_ChromaLocation": "chromaloc"}
    color = {**BT709, "_ChromaLocation": 0, **color}
    asked = {argument: color[name] for name, argument in names.items()}
    return clip.resize.Bicubic(format=target, **asked).std.SetFrameProps(**color)


def drawn_map(clip: vs.VideoNode, seed: int, width: int, height: int) -> vs.VideoNode:
    """Return noise that also goes beyond what the log gain is clamped to."""
    flat = flat_map(clip, 0.0, 2.0, GainMapMin=-1.0, GainMapAlternateHeadroom=HEADROOM)
    values = np.random.default_rng(seed).random((2, height, width)) * 1.3 - 0.15
    return drawn(flat.resize.Point(width, height), lambda n, _p, _s: values[n])


def by_filters(make: Callable[[], vs.VideoNode]) -> tuple[list[Any], list[dict[str, object]]]:
    """Return planes and props of both frames as filters make them, through linear light."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rendering, "can_pass_once", lambda *_: False)
        patch.setattr(rendering, "can_gain_signal", lambda *_: False)
        made = make()
        return [planes(made, n) for n in range(2)], [frame_props(made, n) for n in range(2)]


def layout(
    clip: vs.VideoNode, bits: int, *, kr: float, kb: float, location: int, full: bool
) -> Any:
    right, down = chroma_shift(clip.format, location)
    return PlaneFormat(
        bits=bits, subsampling_w=1, subsampling_h=1, kr=kr, kb=kb, full_range=full, right=right,
        down=down,
    )  # fmt: skip


def by_arithmetic(
    clip: vs.VideoNode, gain_map: vs.VideoNode, n: int, *, eotf: str, strength: float,
    peak_nits: float, location: int,
) -> list[NDArray[Any]]:  # fmt: skip
    """Return a frame's planes by PyTorch and double precision, as `apply` defines them."""
    found = frame_props(clip, n)
    kr, kb = LUMA_WEIGHTS[int(found["_Matrix"])]
    source = layout(
        clip, clip.format.bits_per_sample, kr=kr, kb=kb, location=int(found["_ChromaLocation"]),
        full=found["_Range"] == 1,
    )  # fmt: skip
    given = [plane.view(np.int16) if plane.itemsize == 2 else plane for plane in planes(clip, n)]
    signal = decode_planes([torch.from_numpy(plane) for plane in given], source).double()
    value = torch.from_numpy(planes(gain_map, n)[0])[None, None].double()
    value = interpolate(value, signal.shape[-2:], mode="bilinear")
    stops = (value * 3 - 1).clamp(-1, HEADROOM / max(strength, 1))
    stops = stops.clamp(min=0) * np.log2(peak_nits / 203) / HEADROOM + stops.clamp(max=0)
    light = signal.clamp(0, BRIGHTEST_SIGNAL) ** EOTF_POWERS[eotf] * 2 ** (stops * strength)  # type: ignore[index]
    light = convert_primaries(light, KNOWN_PRIMARIES[int(found["_Primaries"])], "bt2020")
    pq = pq_inverse_eotf(light * 203).float()
    target = layout(clip, 10, kr=0.2627, kb=0.0593, location=location, full=False)
    return [plane.numpy() for plane in encode_planes(pq, target)]


@settings(max_examples=60)
@given(
    seed=st.integers(0, 10_000),
    size=st.tuples(st.integers(8, 60), st.integers(8, 40)),
    map_size=st.tuples(st.sampled_from([1, 2, 3, 4, 7]), st.integers(0, 1)),
    bits=st.sampled_from(sorted(FORMATS)),
    color=st.fixed_dictionaries(
        {
            "_Matrix": st.sampled_from(sorted(LUMA_WEIGHTS)),
            "_Primaries": st.sampled_from(sorted(KNOWN_PRIMARIES)),
            "_Range": st.integers(0, 1),
            "_ChromaLocation": st.integers(0, 5),
        }
    ),
    location=st.integers(0, 5),
    options=st.fixed_dictionaries(
        {
            "eotf": st.sampled_from(sorted(POWER)),
            "strength": st.sampled_from([0.0, 0.7, 1.0, 1.5]),
            "peak_nits": st.sampled_from([400.0, 1000.0, 4000.0]),
        }
    ),
)
def test_one_pass_is_the_arithmetic(
    seed: int,
    size: tuple[int, int],
    map_size: tuple[int, int],
    bits: int,
    color: dict[str, int],
    location: int,
    options: dict[str, Any],
) -> None:
    width, height = 2 * size[0], 2 * size[1]
    clip = scene(seed, width, height, FORMATS[bits], **color)
    scale, more = map_size
    gain_map = drawn_map(clip, seed, -(-width // scale), min(height // scale + more, height))
    site = TABLE["chroma_location"][location].name
    got = apply(clip, gain_map, upsampling="bilinear", output_chroma_location=site, **options)
    for n in range(2):
        want = by_arithmetic(clip, gain_map, n, location=location, **options)
        for made, plane in zip(planes(got, n), want, strict=True):
            assert made.dtype == np.uint16
            difference = np.abs(made.astype(int) - plane)
            assert difference.max() <= 1
            assert (difference > 0).mean() < 0.15


@pytest.mark.parametrize("upsampling", ["bilinear", "guided"])
@pytest.mark.parametrize("eotf", POWER)
@pytest.mark.parametrize(
    "color", [{}, {"_Range": 1, "_ChromaLocation": 2}, {"_Matrix": 9, "_Primaries": 9}]
)
@pytest.mark.parametrize("bits", [8, 10])
def test_one_pass_is_what_filters_make(
    bits: int, color: dict[str, int], eotf: str, upsampling: Any
) -> None:
    """Below 10 000 cd/m2, where zimg's tables end; props too."""
    clip = scene(bits, 192, 108, FORMATS[bits], **color)
    gain_map = drawn_map(clip, bits, 48, 27)
    options = {"eotf": eotf, "upsampling": upsampling, "peak_nits": 1000.0}
    got = apply(clip, gain_map, output_chroma_location="top_left", **options)
    want, want_props = by_filters(
        lambda: apply(clip, gain_map, output_chroma_location="top_left", **options)
    )
    for n in range(2):
        assert frame_props(got, n) == want_props[n]
        for made, plane in zip(planes(got, n), want[n], strict=True):
            difference = np.abs(made.astype(int) - plane.astype(int))
            assert difference.max() <= 2
            assert np.percentile(difference, 99.9) <= 1
            assert (difference > 0).mean() < 0.1


def test_what_no_display_has_is_bounded() -> None:
    """Codes at random: R'G'B' far beyond any overshoot, and still no wild samples."""
    blank = vs.core.std.BlankClip(format=vs.YUV420P8, width=128, height=128, length=2)
    wild = np.random.default_rng(0).integers(0, 256, (2, 128, 128))
    tags = {**BT709, "_ChromaLocation": 0}
    clip = drawn(blank.std.SetFrameProps(**tags), lambda n, _p, s: wild[n, : s[0], : s[1]])
    gain_map = drawn_map(clip, 0, 64, 64)
    got = planes(apply(clip, gain_map, upsampling="bilinear", peak_nits=1000.0))
    options = {"eotf": "gamma22", "strength": 1.0, "peak_nits": 1000.0}
    want = by_arithmetic(clip, gain_map, 0, location=0, **options)
    for made, plane in zip(got, want, strict=True):
        assert np.abs(made.astype(int) - plane).max() <= 2


def test_it_is_the_usual_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of YUV420 to HDR10; everything else has none of it."""
    used = []

    def spy(*arguments: Any) -> vs.VideoNode:
        used.append(arguments)
        return one_pass.pass_once(*arguments)

    monkeypatch.setattr(rendering, "pass_once", spy)
    clip = scene(0, 32, 32, vs.YUV420P8)
    flat = flat_map(clip, 0.5, 1.0, 2)
    apply(clip, flat)
    assert len(used) == 1
    for options in (
        {"dither": "ordered"},
        {"output": "hlg"},
        {"format": vs.YUV422P10},
        {"format": vs.YUV420P12},
        {"eotf": "srgb"},
    ):
        apply(clip, flat, **options)
    large = flat.resize.Point(64, 64)
    apply(clip, large)
    apply(clip, flat.std.SetFrameProps(GainMapBaseOffset=1 / 64))
    apply(clip, flat.std.SetFrameProps(GainMapGamma=1.5))
    apply(scene(0, 32, 32, vs.YUV422P8), flat)
    monkeypatch.setenv(SWITCH, "0")
    apply(clip, flat)
    assert len(used) == 1


def test_frames_are_the_same_however_they_are_asked_for() -> None:
    two = scene(3, 160, 96, vs.YUV420P8)
    clip, gain_map = two * 12, drawn_map(two, 3, 40, 24) * 12
    made = apply(clip, gain_map)
    alone = [planes(made, n) for n in (0, 1)]
    again = apply(clip, gain_map)
    requests = [again.get_frame_async(n) for n in range(24)]
    for n, request in enumerate(requests):
        with request.result() as frame:
            for k, plane in enumerate(alone[n % 2]):
                np.testing.assert_array_equal(np.asarray(frame[k]), plane)


def test_a_frame_of_unknown_color_is_left_to_filters() -> None:
    """BT.2020's constant luminance, which no kernel knows, in the middle of a clip."""
    clip = scene(4, 64, 48, vs.YUV420P8)
    both = clip[:1] + clip[1:].std.SetFrameProps(_Matrix=8)
    gain_map = flat_map(both, 0.5, 1.0, 2)
    made = apply(both, gain_map)
    want, _ = by_filters(lambda: apply(both, gain_map))
    for got, plane in zip(planes(made, 1), want[1], strict=True):
        assert np.abs(got.astype(int) - plane.astype(int)).max() <= 3
    assert frame_props(made, 1)["_Matrix"] == 9


@pytest.fixture
def fresh() -> Iterator[None]:
    compiled._is_ready.cache_clear()
    yield
    compiled._is_ready.cache_clear()


@pytest.mark.usefixtures("fresh")
def test_without_numba_filters_do_it(monkeypatch: pytest.MonkeyPatch) -> None:
    clip = scene(5, 64, 48, vs.YUV420P8)
    gain_map = flat_map(clip, 0.5, 1.0, 2)
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    made = planes(apply(clip, gain_map))
    monkeypatch.setenv(SWITCH, "0")
    for got, plane in zip(made, planes(apply(clip, gain_map)), strict=True):
        np.testing.assert_array_equal(got, plane)


@pytest.mark.usefixtures("fresh")
def test_a_compiler_that_fails_is_said_once(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []

    def fail(_kind: object) -> None:
        raise RuntimeError("no locator available")

    monkeypatch.setattr(one_pass, "_try_out", fail)
    monkeypatch.setattr(compiled, "log_warning", said.append)
    clip = scene(6, 64, 48, vs.YUV420P8)
    for _ in range(2):
        assert apply(clip, flat_map(clip, 0.5, 1.0, 2)).format.id == vs.YUV420P10
    assert len(said) == 1
    assert "no locator available" in said[0]

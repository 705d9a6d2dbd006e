"""`apply`, `measure` and `sdr_to_hdr10`: pixels and props against zimg and the core."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import vapoursynth as vs

from tests.clips import BT709, drawn, frame_props, noise, planes
from vs_gainmap import MasteringDisplay, apply, measure, predict, sdr_to_hdr10
from vs_gainmap.bench import zimg_to_pq
from vs_gainmap.color.primaries import convert_primaries
from vs_gainmap.color.transfer import hlg_inverse_ootf, hlg_oetf, pq_eotf, pq_inverse_eotf
from vs_gainmap.gainmap import GainMapPreset, render_hdr

CHROMA = {"_ChromaLocation": 0}


def flat_map(
    clip: vs.VideoNode, value: float, qmax: float, scale: int = 1, **more: float
) -> vs.VideoNode:
    """Return a constant map with its props, at 1/scale of the clip's size."""
    blank = vs.core.std.BlankClip(
        format=vs.GRAYS,
        width=clip.width // scale,
        height=clip.height // scale,
        length=clip.num_frames,
        color=value,
    )
    return blank.std.SetFrameProps(
        **{"GainMapMax": qmax, "GainMapAlternateHeadroom": 2.3, "GainMapSDRWhite": 203.0, **more}
    )


@pytest.mark.parametrize("source", [vs.YUV420P8, vs.YUV422P10, vs.YUV444P16])
def test_gain_of_one_is_zimgs_own_conversion(source: vs.PresetVideoFormat) -> None:
    clip = noise(128, 96, 2, source, **BT709, **CHROMA)
    mid = 2 ** (clip.format.bits_per_sample - 1)
    # Colors that exist, and overshoots, but no R'G'B' beyond 1.5, where zimg's table ends.
    wild = [planes(clip, n) for n in range(2)]
    clip = drawn(clip, lambda n, p, _s: wild[n][p] / 2 + (mid / 2 if p else 0))
    ours = planes(apply(clip, flat_map(clip, 0.5, 0.0)), 1)
    zimg = planes(zimg_to_pq(clip), 1)
    for plane, (got, want) in enumerate(zip(ours, zimg, strict=True)):
        difference = np.abs(got.astype(int) - want.astype(int))
        assert difference.max() <= 1, plane


def test_strength_zero_is_the_sdr_as_it_is() -> None:
    clip = noise(64, 64, 1, **BT709)
    weak = planes(apply(clip, flat_map(clip, 1.0, 2.0), strength=0.0))
    zimg = planes(zimg_to_pq(clip))
    assert all(np.abs(a.astype(int) - b).max() <= 1 for a, b in zip(weak, zimg, strict=True))


def test_gray_stays_gray(tiny_weights: Path) -> None:
    """Neutral in, neutral out: chroma at its middle code, whatever the map says."""
    clip = noise(96, 64, 1, vs.YUV444P8, **BT709)
    gray = drawn(clip, lambda n, p, s: planes(clip, n)[0] if p == 0 else np.full(s, 128))
    for output in ("pq", "hlg"):
        y, u, v = planes(sdr_to_hdr10(gray, weights=tiny_weights, output=output))
        assert y.std() > 10
        assert np.abs(u.astype(int) - 512).max() <= 1
        assert np.abs(v.astype(int) - 512).max() <= 1


def test_pixels_are_the_papers(tiny_weights: Path) -> None:
    """The whole filter against render_hdr on the same map: float, no subsampling."""
    clip = noise(96, 64, 2, vs.RGBS, _Matrix=0, _Transfer=13, _Primaries=1, _Range=1)
    gain_map = predict(clip, weights=tiny_weights, scale=1, dtype="float32")
    result = apply(clip, gain_map, format=vs.RGBS)
    found = frame_props(gain_map, 1)
    preset = GainMapPreset(sdr_white=203, peak=5)
    qmax_norm = torch.tensor(found["GainMapMax"] / preset.max_log_gain).view(1, 1, 1, 1)
    hdr = render_hdr(
        torch.from_numpy(np.stack(planes(clip, 1)))[None],
        torch.from_numpy(planes(gain_map, 1)[0])[None, None],
        qmax_norm,
        preset,
    )
    want = pq_inverse_eotf(203 * convert_primaries(hdr, "bt709", "bt2020"))[0].numpy()
    np.testing.assert_allclose(np.stack(planes(result, 1)), want, atol=2e-4)


def test_half_size_map_goes_up_bilinearly_then_clamps() -> None:
    clip = noise(64, 32, 1, vs.RGBS, _Matrix=0, _Transfer=13, _Primaries=1, _Range=1)
    steps = drawn(
        flat_map(clip, 0.0, 2.0, 2), lambda _n, _p, s: np.indices(s).sum(axis=0) % 5 * 0.4
    )
    bigger = steps.resize.Bilinear(64, 32)
    linear = planes(apply(clip, steps, upsampling="bilinear", format=vs.RGBS, output="linear"))
    sdr = convert_primaries(torch.from_numpy(np.stack(planes(clip))) ** 2.2, "bt709", "bt2020")
    gain = np.exp2(np.clip(planes(bigger)[0] * 2.0, 0, 2.3))
    np.testing.assert_allclose(np.stack(linear), sdr.numpy() * gain, rtol=2e-3, atol=2e-4)


def test_negative_minimum_in_the_props_darkens() -> None:
    clip = noise(64, 32, 1, vs.RGBS, _Matrix=0, _Transfer=13, _Primaries=1, _Range=1)
    gain_map = flat_map(clip, 0.25, 2.0, GainMapMin=-2.0)
    dark = np.stack(planes(apply(clip, gain_map, format=vs.RGBS, output="linear")))
    same = np.stack(planes(apply(clip, flat_map(clip, 0, 0), format=vs.RGBS, output="linear")))
    np.testing.assert_allclose(dark, same / 2, rtol=1e-3, atol=1e-5)


def test_props_are_read_on_every_frame() -> None:
    clip = noise(64, 32, 1, **BT709) * 2
    gain_map = flat_map(clip, 1.0, 0.0)
    gain_map = gain_map[0] + gain_map[1].std.SetFrameProps(GainMapMax=2.0)
    result = apply(clip, gain_map)
    assert planes(result, 1)[0].mean() > planes(result, 0)[0].mean() + 50


def test_a_map_edited_in_between_is_what_counts(tiny_weights: Path) -> None:
    clip = noise(64, 64, 2, **BT709)
    gain_map = predict(clip, weights=tiny_weights)
    edited = gain_map.std.Expr("x 0.5 *").std.BoxBlur(hradius=1, vradius=1)
    integer = edited.resize.Point(format=vs.GRAY16)
    outputs = [planes(apply(clip, m))[0].astype(int) for m in (gain_map, edited, integer)]
    assert outputs[0].mean() > outputs[1].mean() + 3
    assert np.abs(outputs[1] - outputs[2]).max() <= 1


def test_peak_and_white_move_what_they_should() -> None:
    clip = noise(64, 32, 1, vs.RGBS, _Matrix=0, _Transfer=13, _Primaries=1, _Range=1)
    white = drawn(clip, lambda _n, _p, s: np.ones(s))
    full = flat_map(clip, 1.0, 9.0)
    nits = {}
    for name, options in {
        "default": {},
        "peak": {"peak_nits": 600},
        "white": {"sdr_white": 100},
    }.items():
        out = apply(white, full, format=vs.RGBS, measure=True, **options)
        nits[name] = frame_props(out)["FrameMaxNits"]
        assert frame_props(out)["MasteringDisplayMaxLuminance"] == pytest.approx(
            nits[name], abs=0.8
        )
    assert nits["default"] == pytest.approx(203 * 2**2.3, rel=1e-3)
    assert nits["peak"] == pytest.approx(600, rel=1e-3)
    assert nits["white"] == pytest.approx(100 * 2**2.3, rel=1e-3)


def test_eotf_choices_are_display_referred() -> None:
    clip = noise(64, 32, 1, vs.RGBS, _Matrix=0, _Transfer=1, _Primaries=9, _Range=1)
    signal = np.stack(planes(clip))
    none = flat_map(clip, 0, 0)
    for eotf, power in (("gamma22", 2.2), ("bt1886", 2.4)):
        linear = planes(apply(clip, none, eotf=eotf, format=vs.RGBS, output="linear"))
        np.testing.assert_allclose(np.stack(linear), signal**power, atol=2e-4)


OUTPUTS = [
    (vs.YUV420P10, "pq", {"_Matrix": 9, "_Transfer": 16, "_Range": 0, "_ChromaLocation": 0}),
    (vs.YUV422P10, "pq", {"_Matrix": 9, "_Transfer": 16, "_Range": 0, "_ChromaLocation": 0}),
    (vs.YUV444P12, "pq", {"_Matrix": 9, "_Transfer": 16, "_Range": 0}),
    (vs.YUV420P16, "hlg", {"_Matrix": 9, "_Transfer": 18, "_Range": 0, "_ChromaLocation": 0}),
    (vs.RGB48, "pq", {"_Matrix": 0, "_Transfer": 16, "_Range": 1}),
    (vs.RGBS, "linear", {"_Matrix": 0, "_Transfer": 8, "_Range": 1}),
]


@pytest.mark.parametrize(("format_id", "output", "want"), OUTPUTS)
def test_color_props(
    tiny_weights: Path, format_id: vs.PresetVideoFormat, output: str, want: dict[str, int]
) -> None:
    clip = noise(64, 48, 1, **BT709, **CHROMA)
    result = sdr_to_hdr10(clip, weights=tiny_weights, format=format_id, output=output)
    found = frame_props(result)
    assert result.format.id == format_id
    assert {k: v for k, v in found.items() if k in want} == want
    assert found["_Primaries"] == 9
    assert ("_ChromaLocation" in found) == ("_ChromaLocation" in want)
    assert ("MasteringDisplayMaxLuminance" in found) == (output == "pq")
    assert "ContentLightLevelMax" not in found


def test_hdr10_props() -> None:
    clip = noise(64, 48, 1, **BT709)
    found = frame_props(apply(clip, flat_map(clip, 1, 1), max_cll=800, max_fall=90))
    assert found["ContentLightLevelMax"] == 800
    assert found["ContentLightLevelAverage"] == 90
    assert found["MasteringDisplayPrimariesX"] == [0.68, 0.265, 0.15]
    wide = apply(clip, flat_map(clip, 1, 1), primaries="2020", matrix="2020ncl")
    assert frame_props(wide)["MasteringDisplayPrimariesX"] == [0.708, 0.17, 0.131]
    own = MasteringDisplay.named("bt2020", max_nits=4000, min_nits=0.005)
    found = frame_props(apply(clip, flat_map(clip, 1, 1), mastering=own))
    assert found["MasteringDisplayMaxLuminance"] == 4000


def test_output_chroma_location_is_where_the_samples_are() -> None:
    clip = noise(64, 48, 1, vs.YUV444P8, **BT709)
    none = flat_map(clip, 0, 0)
    left = apply(clip, none)
    corner = apply(clip, none, output_chroma_location="top_left")
    assert frame_props(corner)["_ChromaLocation"] == 2
    assert np.abs(planes(left)[1].astype(int) - planes(corner)[1]).max() > 1
    moved = planes(left.resize.Bicubic(chromaloc=2, format=vs.YUV444P10))[1].astype(int)
    again = planes(corner.resize.Bicubic(format=vs.YUV444P10))[1].astype(int)
    assert np.abs(moved - again).mean() < 12


def test_hlg_is_bt2100s() -> None:
    """Zimg's HLG at the same white against BT.2100's inverse OOTF and OETF at 1000 cd/m2."""
    clip = noise(64, 48, 1, vs.RGBS, _Matrix=0, _Transfer=13, _Primaries=9, _Range=1)
    result = apply(clip, flat_map(clip, 0, 0), format=vs.RGBS, output="hlg")
    nits = 203 * torch.from_numpy(np.stack(planes(clip))).double() ** 2.2
    want = hlg_oetf(hlg_inverse_ootf(nits))
    np.testing.assert_allclose(np.stack(planes(result)), want.numpy(), atol=1e-3)


def test_measured_light_is_the_pixels() -> None:
    clip = noise(64, 48, 2, **BT709)
    result = apply(clip, flat_map(clip, 0.5, 2.0), format=vs.RGBS, measure=True)
    found = frame_props(result, 1)
    again = frame_props(measure(result), 1)
    for name in ("FrameMaxNits", "FrameAverageNits"):
        assert found[name] == pytest.approx(again[name], rel=2e-3)
    linear = apply(clip, flat_map(clip, 0.5, 2.0), format=vs.RGBS, output="linear")
    brightest = 203 * np.stack(planes(linear, 1)).max(axis=0)
    # Zimg's table for PQ is off by as much.
    assert found["FrameMaxNits"] == pytest.approx(brightest.max(), rel=5e-4)
    assert found["FrameAverageNits"] == pytest.approx(brightest.mean(), rel=5e-4)
    wild = noise(64, 48, 1, vs.YUV420P10, _Matrix=9, _Transfer=16, _Primaries=9, _Range=0)
    assert frame_props(measure(wild))["FrameMaxNits"] == pytest.approx(10_000)
    with pytest.raises(vs.Error, match="measure: clip must be PQ or HLG"):
        measure(clip)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"format": vs.YUV420P8}, "at least 10 bits"),
        ({"format": vs.GRAY16}, "must be YUV or RGB"),
        ({"format": 12345}, "must be YUV or RGB of at least 10 bits"),
        ({"output": "linear"}, "needs format=vs.RGBS"),
        ({"output": "sdr"}, "output must be one of"),
        ({"eotf": "2.2"}, "eotf must be one of gamma22, bt1886, srgb"),
        ({"strength": -1}, "strength must be"),
        ({"sdr_white": 0}, "sdr_white must be"),
        ({"peak_nits": 100}, "peak_nits must be above sdr_white"),
        ({"peak_nits": 20000}, "peak_nits must be"),
        ({"dither": "floyd"}, "dither must be one of"),
        ({"max_cll": 100}, "go together"),
        ({"max_cll": 100, "max_fall": 400}, "MaxFALL <= MaxCLL"),
        ({"output_chroma_location": "middle"}, "output_chroma_location must be one of"),
    ],
)
def test_bad_arguments_are_one_clear_line(options: dict[str, object], message: str) -> None:
    clip = noise(64, 48, 1, **BT709)
    with pytest.raises(vs.Error, match=message) as error:
        apply(clip, flat_map(clip, 1, 1), **options)
    assert str(error.value).startswith("apply: ")
    assert "\n" not in str(error.value)


def test_unfit_maps_are_refused() -> None:
    clip = noise(64, 48, 3, **BT709)
    good = flat_map(clip, 1, 1)
    with pytest.raises(vs.Error, match="gain_map must be GRAY"):
        apply(clip, clip)
    with pytest.raises(vs.Error, match="2 frames and clip 3"):
        apply(clip, good[:2])
    with pytest.raises(vs.Error, match="frame 0 has no GainMapMax"):
        apply(clip, good.std.RemoveFrameProps("GainMapMax"))
    late = good[:2] + good[2].std.RemoveFrameProps("GainMapMax")
    with pytest.raises(vs.Error, match="gain_map frame 2 has no GainMapMax"):
        apply(clip, late).get_frame(2)


def test_timing_props_survive(tiny_weights: Path) -> None:
    clip = noise(64, 48, 2, **BT709).std.AssumeFPS(fpsnum=24000, fpsden=1001)
    result = sdr_to_hdr10(clip, weights=tiny_weights)
    assert (result.fps_num, result.fps_den, result.num_frames) == (24000, 1001, 2)
    assert frame_props(result)["_DurationNum"] == 1001


@pytest.mark.parametrize("output", ["pq", "linear"])
def test_no_strength_goes_beyond_the_peak(output: str) -> None:
    clip = noise(64, 32, 1, **BT709).akarin.Expr(["235", "128"])
    gain_map = drawn(
        flat_map(clip, 0.0, 2.3), lambda _n, _p, s: np.broadcast_to(np.linspace(0, 1, s[1]), s)
    )
    into = {"output": output, "format": vs.YUV420P10 if output == "pq" else vs.RGBS}
    for strength in (1.0, 1.5, 4.0):
        plane = planes(apply(clip, gain_map, strength=strength, peak_nits=700, **into))[0]
        nits = plane.max() * 203
        if output == "pq":
            nits = pq_eotf(torch.tensor((plane.max() - 64) / 876))
        assert float(nits) == pytest.approx(700, rel=0.02)


def test_a_format_that_is_none_is_named() -> None:
    clip = noise(**BT709, _ChromaLocation=0)
    for wrong in ("YUV420P11",):
        with pytest.raises(vs.Error, match=f"must be a VapourSynth format such as .*, got {wrong}"):
            apply(clip, flat_map(clip, 0.5, 1.0), format=wrong)
    assert apply(clip, flat_map(clip, 0.5, 1.0), format="YUV422P10").format.id == vs.YUV422P10


def test_an_odd_size_is_named_before_zimg_fails() -> None:
    clip = noise(33, 32, 1, vs.YUV444P8, **BT709)
    with pytest.raises(vs.Error, match=r"needs a width that is a multiple of 2 .* got 33x32"):
        apply(clip, flat_map(clip, 0.5, 1.0))

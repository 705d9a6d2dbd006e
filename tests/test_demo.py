"""The bundled clip and its truth are what the README promises, and belong together."""

from __future__ import annotations

from importlib import import_module
from itertools import pairwise
from pathlib import Path
from types import ModuleType

import av
import numpy as np
import pytest
import torch
import vapoursynth as vs

from vs_gainmap.color.transfer import pq_eotf
from vs_gainmap.filters import props
from vs_gainmap.filters.false_color import StopsScale
from vs_gainmap.preview.frames import PreviewFrame
from vs_gainmap.video import open_clip

DEMO = Path(__file__).resolve().parents[1] / "examples" / "demo"
SDR, TRUTH = DEMO / "demo_sdr.mp4", DEMO / "demo_truth.mkv"
# H.273 codes: matrix, transfer, primaries.
BT709, BT2020_PQ = (1, 1, 1), (9, 16, 9)


@pytest.fixture
def demo(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(DEMO))
    return import_module("demo")


@pytest.fixture
def make_clip(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(DEMO))
    return import_module("make_clip")


def color_codes(clip: vs.VideoNode) -> tuple[object, ...]:
    with clip.get_frame(0) as frame:
        return tuple(frame.props[name] for name in (props.MATRIX, props.TRANSFER, props.PRIMARIES))


def test_sdr_clip_is_an_ordinary_sdr_file() -> None:
    with av.open(SDR) as container:
        video, audio = container.streams.video[0], container.streams.audio[0]
        assert 2 <= container.duration / av.time_base <= 4
        assert video.codec_context.name == "h264"
        assert video.format.name == "yuv420p"
        assert video.width >= 640
        assert video.height >= 360
        assert video.codec_context.color_range == 1  # limited
        assert video.codec_context.has_b_frames
        assert (audio.codec_context.name, audio.rate, audio.channels) == ("aac", 48_000, 2)
        assert audio.duration * audio.time_base == pytest.approx(2.5, abs=0.1)
    clip = open_clip(SDR)
    assert color_codes(clip) == BT709
    assert clip.get_frame(0).props[props.CHROMA_LOCATION] == 0
    assert SDR.stat().st_size < 1_000_000


def test_sound_is_quiet_but_there() -> None:
    with av.open(SDR) as container:
        blocks = [frame.to_ndarray() for frame in container.decode(audio=0)]
    sound = np.concatenate(blocks, axis=1)
    level = 20 * np.log10(np.sqrt((sound**2).mean(axis=1)))
    assert (level > -60).all()
    assert (level < -20).all()


def test_truth_is_hdr10_with_bright_and_dark_parts() -> None:
    truth = open_clip(TRUTH)
    assert truth.num_frames == open_clip(SDR).num_frames
    assert color_codes(truth) == BT2020_PQ
    assert truth.format.bits_per_sample == 10
    assert TRUTH.stat().st_size < 3_000_000
    with truth.get_frame(0) as frame:
        mastering, light = props.read_mastering(frame.props), props.read_light(frame.props)
    assert mastering is not None
    assert mastering.max_nits == 1000
    assert light is not None
    assert 700 < light.max_cll <= 1000


@pytest.mark.parametrize("n", [3, 50])
def test_both_shots_have_dynamic_range_and_motion(make_clip: ModuleType, n: int) -> None:
    truth = open_clip(TRUTH)
    first, later = (pq_eotf(pq) for pq in make_clip.signals(truth[n] + truth[n + 6]))
    assert first.amax() > 700
    assert (first.amax(dim=0) < 1.0).float().mean() > 0.001
    assert ((later - first).abs().amax(dim=0) > 5).float().mean() > 0.02


def test_clip_has_exactly_one_cut(make_clip: ModuleType) -> None:
    clip = open_clip(SDR)
    luma = clip.resize.Bilinear(160, 90, format=vs.GRAY8)
    frames = [np.asarray(frame[0]).astype(float) for frame in luma.frames(close=True)]
    change = np.array([np.abs(b - a).mean() for a, b in pairwise(frames)])
    assert change.argmax() == make_clip.CUT - 1
    assert np.sort(change)[-2] < change.max() / 5


@pytest.mark.parametrize("n", [0, 29, 30, 59])
def test_sdr_clip_is_the_tone_mapped_truth(make_clip: ModuleType, n: int) -> None:
    pq = next(make_clip.signals(open_clip(TRUTH)[n]))
    sdr = next(make_clip.signals(open_clip(SDR)[n]))
    expected = make_clip.tone_map(pq_eotf(pq))
    assert make_clip.psnr(sdr, expected) > 34
    assert (sdr - expected).mean(dim=(1, 2)).abs().max() < 1.5 / 255


def test_grade_keeps_white_and_bends_highlights_below_the_peak(make_clip: ModuleType) -> None:
    unit = 203 / make_clip.EXPOSURE_NITS["terrace"]
    ramp = torch.tensor([0.0, 0.5, 1.0, 4.0, 1000.0]) * unit
    nits = make_clip.grade(ramp.expand(3, 1, -1), "terrace")[:, 0]
    torch.testing.assert_close(nits[:, :3], torch.tensor([0, 101.5, 203.0]).expand(3, 3))
    assert (nits.diff(dim=1) > 0).all()
    assert 990 < nits.max() <= 1000
    torch.testing.assert_close(nits[0], nits[2])


def test_baseline_shows_sdr_white_at_203_nits(demo: ModuleType) -> None:
    signal = torch.tensor([0.0, 1.0]).expand(3, 1, -1)
    expected = torch.tensor([0.0, 203.0]).expand(3, 1, -1)
    torch.testing.assert_close(demo.scale_up(signal), expected, rtol=1e-5, atol=1e-4)


def test_distance_knows_equal_from_brighter(demo: ModuleType) -> None:
    truth = torch.linspace(1, 900, 3 * 16 * 16).view(3, 16, 16)
    assert demo.distance([truth], [truth]) == pytest.approx((100.0, 0.0))
    psnr, delta = demo.distance([truth * 1.1], [truth])
    assert 30 < psnr < 45
    assert 2 < delta < 10


def test_comparison_shows_what_sdr_clips(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(DEMO))
    compare = import_module("pictures").compare
    shown = PreviewFrame(
        seconds=0.0,
        sdr=np.full((36, 64, 3), 255, np.uint8),
        stops=np.full((36, 64), 2.0, np.float32),
        stops_range=(-2.0, 2.0),
        pq=np.zeros((3, 36, 64), np.float32),
        sdr_white=203.0,
        eotf="gamma22",
        found={},
    )
    panels = dict(compare(shown, torch.full((3, 36, 64), 812.0)))
    assert (panels["SDR"] == 255).all()
    assert (panels["SDR, 2 stops darker"] == round(255 * 0.25 ** (1 / 2.4))).all()
    # 4 times SDR white, two stops down.
    assert (panels["HDR, 2 stops darker"] >= 254).all()
    top = StopsScale(-2.0, 2.0).table[-1]
    np.testing.assert_array_equal(panels["gain map"][0, 0], top)

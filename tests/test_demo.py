"""The demo's clip and its truth are what the README says, belong together, and convert."""

from __future__ import annotations

from importlib import import_module
from itertools import pairwise
from pathlib import Path
from types import ModuleType

import av
import cv2
import numpy as np
import pytest
import torch
import vapoursynth as vs

from vs_gainmap import open_clip, predict, sdr_to_hdr10
from vs_gainmap.filters import props

DEMO = Path(__file__).resolve().parents[1] / "examples" / "demo"
SDR, TRUTH = DEMO / "demo_sdr.mp4", DEMO / "demo_truth.mkv"
CUT = 36
# H.273 codes: matrix, transfer, primaries.
BT709, BT2020_PQ = (1, 1, 1), (9, 16, 9)


@pytest.fixture
def demo(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(DEMO))
    return import_module("demo")


def color_codes(clip: vs.VideoNode) -> tuple[object, ...]:
    with clip.get_frame(0) as frame:
        return tuple(frame.props[name] for name in (props.MATRIX, props.TRANSFER, props.PRIMARIES))


def test_sdr_clip_is_an_ordinary_sdr_file() -> None:
    with av.open(SDR) as container:
        video, audio = container.streams.video[0], container.streams.audio[0]
        assert container.duration / av.time_base == pytest.approx(3, abs=0.1)
        assert video.codec_context.name == "h264"
        assert video.format.name == "yuv420p"
        assert (video.width, video.height, video.average_rate) == (960, 540, 24)
        assert video.codec_context.color_range == 1  # limited
        assert (audio.codec_context.name, audio.rate, audio.channels) == ("aac", 48_000, 2)
        assert audio.duration * audio.time_base == pytest.approx(3, abs=0.1)
    clip = open_clip(SDR)
    assert color_codes(clip) == BT709
    assert clip.get_frame(0).props[props.CHROMA_LOCATION] == 0


def test_sound_is_quiet_but_there() -> None:
    with av.open(SDR) as container:
        blocks = [frame.to_ndarray() for frame in container.decode(audio=0)]
    sound = np.concatenate(blocks, axis=1)
    level = 20 * np.log10(np.sqrt((sound**2).mean(axis=1)))
    assert (level > -60).all()
    assert (level < -20).all()


def test_truth_is_hdr10() -> None:
    truth = open_clip(TRUTH)
    assert truth.num_frames == open_clip(SDR).num_frames == 2 * CUT
    assert color_codes(truth) == BT2020_PQ
    assert truth.format.bits_per_sample == 10
    with truth.get_frame(0) as frame:
        mastering, light = props.read_mastering(frame.props), props.read_light(frame.props)
    assert mastering is not None
    assert mastering.max_nits == 1000
    assert light is not None
    assert 700 < light.max_cll <= 1000


def test_both_files_are_small() -> None:
    assert SDR.stat().st_size + TRUTH.stat().st_size < 1_500_000


@pytest.mark.parametrize("n", [18, 54])
def test_both_shots_have_highlights_and_motion(demo: ModuleType, n: int) -> None:
    truth = open_clip(TRUTH)
    first, later = demo.nits(truth[n] + truth[n + 6])
    brightest = first.amax(dim=0)
    assert brightest.max() > 900
    assert (brightest > 203).float().mean() > 0.05
    assert brightest.median() < 100
    assert ((later - first).abs().amax(dim=0) > 5).float().mean() > 0.1


def test_clip_has_exactly_one_cut() -> None:
    luma = open_clip(SDR).resize.Bilinear(160, 90, format=vs.GRAY8)
    frames = [np.asarray(frame[0]).astype(float) for frame in luma.frames(close=True)]
    change = np.array([np.abs(b - a).mean() for a, b in pairwise(frames)])
    assert change.argmax() == CUT - 1
    assert np.sort(change)[-2] < change.max() / 5


@pytest.mark.parametrize("n", [0, 35, 36, 71])
def test_sdr_clip_is_the_tone_mapped_truth(demo: ModuleType, n: int) -> None:
    make_clip = import_module("make_clip")
    (nits,) = demo.nits(open_clip(TRUTH)[n])
    with open_clip(SDR)[n].resize.Bicubic(format=vs.RGBS).get_frame(0) as frame:
        sdr = torch.from_numpy(np.stack([np.asarray(plane) for plane in frame]))
    # Coded, hard edges of color overshoot the peak of the master.
    error = sdr.clamp(0, 1) - make_clip.tone_map(nits.clamp(max=make_clip.PEAK_NITS))
    assert error.square().mean().sqrt() < 0.02
    assert error.mean(dim=(1, 2)).abs().max() < 1.5 / 255


def test_a_pan_looks_where_it_is_told(demo: ModuleType) -> None:
    make_clip = import_module("make_clip")
    # Longitude in the first channel, latitude in the second.
    height, width = 200, 400
    signal = np.zeros((height, width + 16, 3), np.float32)
    signal[..., 0] = (np.arange(width + 16) - 7.5) / width
    signal[..., 1] = ((np.arange(height) + 0.5) / height)[:, None]
    shot = make_clip.Shot(pattern="", yaw=(0, 0), pitch=9, fov=60, nits=1)
    pq = demo.pq_inverse_eotf(shot.view(signal, 36.0))
    middle = pq[:, make_clip.HEIGHT // 2 - 1 :, make_clip.WIDTH // 2 - 1 :][:, :2, :2]
    expected = torch.tensor([0.5 + 36 / 360, 0.5 - 9 / 180])
    torch.testing.assert_close(middle[:2].mean(dim=(1, 2)), expected, rtol=0, atol=1e-3)


def test_highlights_come_nearer_to_the_truth(demo: ModuleType) -> None:
    sdr, truth = open_clip(SDR), open_clip(TRUTH)
    few, true = sdr[18] + sdr[54], torch.stack([*demo.nits(truth[18] + truth[54])])
    hdr = torch.stack([*demo.nits(sdr_to_hdr10(few))])
    plain = torch.stack([*demo.nits(sdr_to_hdr10(few, strength=0))])
    bright = true.amax(dim=1, keepdim=True).expand_as(true) > 500
    errors = [(demo.pq_inverse_eotf(x) - demo.pq_inverse_eotf(true)).abs() for x in (hdr, plain)]
    assert errors[0][bright].mean() < 0.75 * errors[1][bright].mean()
    assert hdr[bright].mean() > 1.3 * plain[bright].mean()


def test_distance_of_equal_and_brighter(demo: ModuleType) -> None:
    truth = torch.linspace(1, 900, 3 * 16 * 16).view(3, 16, 16)
    assert demo.distance([truth], [truth]) == pytest.approx((100.0, 0.0))
    psnr, delta = demo.distance([truth * 1.1], [truth])
    assert 30 < psnr < 45
    assert 2 < delta < 10


def test_picture_shows_highlights_that_sdr_clips(demo: ModuleType) -> None:
    sdr, truth = open_clip(SDR), open_clip(TRUTH)
    drawn = demo.draw(sdr, truth, predict(sdr))
    width, height = demo.WIDTH, demo.HEIGHT + 24
    assert drawn.shape == (4 * height, 3 * width, 3)
    panels = [drawn[row * height + 24 : (row + 1) * height, width : 2 * width] for row in range(2)]
    darker_sdr, darker_hdr = (cv2.cvtColor(p, cv2.COLOR_RGB2GRAY) for p in panels)
    assert darker_sdr.max() < 160  # a quarter of white
    assert darker_hdr.max() > 230

"""Grading, degradation and pairs: what the network is shown is what was meant."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from training.data.augment import Title
from training.data.degrade import Degradation, jpeg_round_trip, limited_8bit
from training.data.encodings import PLAYER, SRGB, Encoding
from training.data.grade import Grade, Levels, Master, quantize_pq, roll_off
from training.data.pairs import (
    PairDataset,
    make_pair,
    make_thumbnail,
    robust_qmax,
    show,
    true_log_gain,
)
from training.data.scenes import Camera, log_average, perspective, render_views
from training.data.sources import Still, read_still
from training.data.views import read_index
from vs_gainmap.color.primaries import convert_primaries, luminance
from vs_gainmap.color.transfer import SDR_EOTFS, pq_eotf
from vs_gainmap.errors import MediaError
from vs_gainmap.gainmap import GainMapPreset
from vs_gainmap.models.gridnet import GridNet

PRESET = GainMapPreset(sdr_white=203.0, peak=1000 / 203, map_scale=2, min_log_gain=-2.0)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Views of two drawn panoramas, written as Radiance files and rendered."""
    import cv2

    folder = tmp_path_factory.mktemp("hdr")
    rng = np.random.default_rng(1)
    for name in ("meadow", "polygonjs__neon_photostudio"):
        coarse = rng.random((8, 16, 3), dtype=np.float32) ** 4 * 20
        cv2.imwrite(str(folder / f"{name}.hdr"), cv2.resize(coarse, (256, 128)))
    out = tmp_path_factory.mktemp("views")
    assert render_views([folder], out, views=3, width=96, height=64).count == 6
    return out


def test_perspective_looks_where_the_camera_points() -> None:
    panorama = torch.zeros(3, 180, 360)
    panorama[:, 85:95, 265:275] = 1.0  # a lamp 90 degrees to the right of the middle
    seen = perspective(panorama, Camera(yaw=90, pitch=0, roll=0, fov=60), 65, 65)
    y, x = np.unravel_index(int(seen[1].argmax()), (65, 65))
    assert seen[1, 32, 32] == pytest.approx(1.0, abs=0.05)
    assert abs(x - 32) < 8
    assert abs(y - 32) < 8
    assert perspective(panorama, Camera(yaw=0, pitch=0, roll=0, fov=60), 65, 65).max() == 0


def test_views_have_a_middle_grey_log_average(cache: Path) -> None:
    views = read_index(cache)
    assert [view.scene for view in views[::3]] == ["meadow", "polygonjs__neon_photostudio"]
    assert log_average(views[0].load()) == pytest.approx(0.18, rel=0.02)


def test_missing_cache_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match="run `render` first"):
        read_index(tmp_path)


def test_pq_png_is_read_in_nits(tmp_path: Path) -> None:
    import cv2

    code = np.full((4, 6, 3), round(0.508078 * 65535), np.uint16)
    cv2.imwrite(str(tmp_path / "a.png"), code)
    still = read_still(tmp_path / "a.png")
    assert isinstance(still, Still)
    assert still.graded
    assert still.linear.mean().item() == pytest.approx(100, rel=1e-3)


def test_exr_of_luminance_and_chroma(shared: Path) -> None:
    pytest.importorskip("OpenEXR")
    still = read_still(shared / "hdr/exr/openexr__Flowers.exr")
    assert still.linear.shape == (3, 734, 784)
    spread = still.linear.amax(0) - still.linear.amin(0)
    assert spread.mean() > 0.05 * still.linear.mean()  # it is a color picture
    assert not still.panorama


def test_gain_map_panorama_is_decoded(shared: Path) -> None:
    folder = shared / "hdr/panoramas_gainmap"
    still = read_still(folder / "bdhshifter__chapmans_drive_2k.ldr.webp")
    assert still.panorama
    # SOURCES.md: the largest luminance is 65256.9; half precision cuts at 65504.
    top = float(luminance(still.linear, "bt2020").max())
    assert top == pytest.approx(65256.9, rel=0.01)


def test_grade_reaches_its_average_and_stays_under_its_peak() -> None:
    torch.manual_seed(0)
    view = torch.rand(3, 40, 40) ** 3
    view *= 0.18 / log_average(view)
    grade = Grade(average_nits=12.0, peak_nits=1000.0)
    nits = grade(view)
    assert log_average(nits) == pytest.approx(12.0, rel=0.02)
    assert Grade(average_nits=400.0, peak_nits=600.0)(view).max() <= 600
    grey = Grade(average_nits=12.0, peak_nits=1000.0, saturation=0.0)(view)
    assert (grey.amax(0) - grey.amin(0)).max() < 1e-3


def test_roll_off_is_smooth_at_the_knee_and_bounded() -> None:
    nits = torch.linspace(0, 1e5, 200_001, dtype=torch.float64)
    bent = roll_off(nits, knee=200.0, peak=1000.0)
    assert torch.equal(bent[nits <= 200], nits[nits <= 200])
    assert bent.max() < 1000
    assert (bent.diff() > 0).all()


def test_pq_rounding_is_of_ten_bits() -> None:
    nits = torch.tensor([100.0])
    steps = torch.log2(quantize_pq(nits) / nits).abs()
    assert 0 < steps.item() < 0.02
    assert quantize_pq(pq_eotf(torch.tensor([512 / 1023]))) == pytest.approx(
        pq_eotf(torch.tensor([512 / 1023])).item(), rel=1e-5
    )


@pytest.mark.parametrize("encoding", [PLAYER, SRGB, Encoding(power=2.2)])
def test_encodings_run_from_black_to_white(encoding: Encoding) -> None:
    x = torch.linspace(0, 1, 101, dtype=torch.float64)
    y = encoding(x)
    assert y[0] == 0
    assert y[-1].item() == pytest.approx(1.0, abs=1e-9)
    assert (y.diff() > 0).all()


def test_limited_range_rounding_hits_the_codes() -> None:
    grey = torch.full((3, 4, 4), 100 / 219)
    assert torch.allclose(limited_8bit(grey, subsample=True), grey, atol=1e-6)
    torch.manual_seed(0)
    color = torch.rand(3, 16, 16)
    assert (limited_8bit(color, subsample=False) - color).abs().mean() < 2 / 255


def test_compression_stays_close() -> None:
    smooth = torch.linspace(0.2, 0.8, 64).expand(3, 48, 64).contiguous()
    assert (jpeg_round_trip(smooth, 90) - smooth).abs().mean() < 2 / 255
    heavy = Degradation(subsample=True, noise=1.0, h264=20, shrink=0.7)
    assert (heavy(smooth, np.random.default_rng(0)) - smooth).abs().mean() < 4 / 255


def test_true_gain_gives_back_the_hdr() -> None:
    torch.manual_seed(0)
    hdr = torch.rand(3, 32, 32) * 3 + 0.02
    narrow = convert_primaries(hdr, "bt2020", "bt709").clamp(min=0.02)
    scale = 0.25 + 0.75 * torch.rand(1, 32, 32)
    signal = (narrow * scale / 4).clamp(0, 1) ** (1 / 2.2)
    signal = (signal * 255).round() / 255
    wide = convert_primaries(narrow, "bt709", "bt2020")
    gain = true_log_gain(signal, wide, GainMapPreset(sdr_white=203, peak=32, min_log_gain=-5))
    rendered = SDR_EOTFS["gamma22"](signal) * torch.exp2(gain)
    # Luminance is exact; the rest is the rounding of one channel against another.
    assert torch.allclose(luminance(rendered, "bt709"), luminance(wide, "bt2020"), rtol=1e-4)
    assert (rendered - narrow).abs().mean() < 0.02


def test_display_clips_or_rolls_off() -> None:
    nits = torch.tensor([100.0, 1000.0, 4000.0]).expand(3, 1, 3)
    master = Master(nits=nits, peak_nits=4000.0)
    clipped = show(master, PRESET, rolled=False)[0, 0] * 203
    rolled = show(master, PRESET, rolled=True)[0, 0] * 203
    assert clipped.tolist() == pytest.approx([100, 1000, 1000], rel=1e-4)
    assert rolled[0].item() == pytest.approx(100, rel=1e-3)
    assert rolled[1] < 900
    assert rolled[2].item() == pytest.approx(1000, rel=1e-3)


def test_qmax_ignores_black_and_single_pixels() -> None:
    gain = torch.full((1, 40, 50), 0.5)
    signal = torch.full((3, 40, 50), 0.4)
    gain[0, 0, 0] = 2.0
    gain[0, 10:20], signal[:, 10:20] = 2.2, 0.01
    assert robust_qmax(gain, signal, PRESET) == pytest.approx(0.5 / PRESET.max_log_gain)
    assert robust_qmax(gain, torch.zeros_like(signal), PRESET) == 0


def test_items_are_a_function_of_seed_and_index(cache: Path) -> None:
    views = read_index(cache)
    one = PairDataset(views, PRESET, crop=48, seed=3, length=10)
    two = PairDataset(views, PRESET, crop=48, seed=3, length=99)
    for index in (0, 7):
        a, b = one[index], two[index]
        assert all(torch.equal(a[name], b[name]) for name in a)
    assert not torch.equal(one[0]["thumbnail"], one[1]["thumbnail"])
    item = one[0]
    assert item["sdr"].shape == item["hdr"].shape == (3, 48, 48)
    assert item["hdr"].max() <= PRESET.peak * (1 + 1e-6)
    assert item["thumbnail"].shape == (3, 256, 256)


def test_thumbnail_is_of_the_whole_picture() -> None:
    picture = torch.zeros(1, 3, 54, 96)
    picture[..., 48:] = 1.0
    thumbnail = make_thumbnail(picture)
    assert thumbnail[..., :100].max() < 0.05
    assert thumbnail[..., 156:].min() > 0.95


def test_an_item_says_where_its_title_is(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    views = read_index(cache)
    letters = torch.zeros(1, 64, 96)
    letters[:, 10:30, 20:60] = 1.0
    title = Title(letters=letters, signal=(1.0, 1.0, 1.0), card=False)
    monkeypatch.setattr(Degradation, "draw", lambda _: Degradation())
    monkeypatch.setattr("training.data.pairs.draw_fade", lambda _: 1.0)
    for drawn in (title, None):
        monkeypatch.setattr(Title, "draw", lambda *_, drawn=drawn: drawn)
        for crop in (0, 32):
            pairs = PairDataset(views, PRESET, crop=crop, seed=3, length=4)
            item = pairs[1]
            assert item["title"].shape == (1, *item["sdr"].shape[1:])
            if drawn is None:
                assert not item["title"].any()
                continue
            on = item["title"][0] == 1
            if not crop:
                assert int(on.sum()) == 20 * 40
            assert torch.allclose(item["sdr"][:, on], torch.tensor(1.0))
            assert torch.allclose(item["hdr"][:, on], torch.tensor(1.0), atol=1e-4)


def test_a_fade_is_one_of_signal_and_a_dim_scene_is_dark_before_its_grade(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    views = read_index(cache)

    def pair(*, dim: float = 1.0, fade: float = 1.0) -> tuple[torch.Tensor, torch.Tensor]:
        monkeypatch.setattr("training.data.pairs.draw_dim", lambda _: dim)
        monkeypatch.setattr("training.data.pairs.draw_fade", lambda _: fade)
        monkeypatch.setattr(Degradation, "draw", lambda _: Degradation())
        monkeypatch.setattr(Encoding, "draw", lambda _: PLAYER)
        rng = np.random.default_rng(2)
        sdr, hdr, *_ = make_pair(views[0], rng, PRESET, operator="clip", augment_with=views)
        return sdr, hdr

    whole, half, dark = pair(), pair(fade=0.5), pair(dim=0.25)
    assert torch.allclose(half[0], whole[0] / 2, atol=2.5 / 219)
    assert torch.allclose(half[1], whole[1] * 0.5**PLAYER.power)
    shadows = (whole[1] > 0.01) & (whole[1] < 0.2)
    assert float((dark[1] / whole[1])[shadows].median()) == pytest.approx(0.25, rel=0.1)


def test_a_view_with_an_sdr_picture_is_mostly_used_with_that(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    view = read_index(cache)[0]
    height, width = view.load().shape[-2:]
    cv2.imwrite(str(tmp_path / "own.png"), np.full((height, width, 3), 102, np.uint8))
    own = replace(view, sdr=tmp_path / "own.png", levels=Levels(view=0.18, scene=0.18))
    monkeypatch.setattr(Degradation, "draw", lambda _: Degradation())
    pairs = [make_pair(own, np.random.default_rng(n), PRESET) for n in range(20)]
    theirs = [pair for pair in pairs if pair.operator == "own"]
    assert 10 < len(theirs) < 20
    assert torch.allclose(theirs[0].sdr_signal, torch.tensor(0.4), atol=0.01)
    truth = view.load().clamp(max=PRESET.peak)
    assert any(torch.allclose(theirs[0].hdr, t, rtol=1e-3) for t in (truth, truth.flip(-1)))


def test_a_lattice_of_pixels_keeps_its_place(cache: Path) -> None:
    """GridNet predicts the same for every second pixel with the others and without."""
    views = read_index(cache)
    torch.manual_seed(0)
    model = GridNet(channels=8, hidden=16).eval().requires_grad_(False)
    torch.nn.init.normal_(model.places[-1].weight)  # type: ignore[arg-type]
    whole = PairDataset(views, PRESET, crop=0, seed=1, length=4, measured=True)[2]
    part = PairDataset(views, PRESET, crop=0, seed=1, length=4, every=2, measured=True)[2]
    assert part["sdr"].shape[-1] * 2 == whole["sdr"].shape[-1]
    made = [
        model(*(item[k][None] for k in ("sdr", "small", "statistics", "window")))[0]
        for item in (whole, part)
    ]
    taken = [made[0][..., top::2, left::2] for top in (0, 1) for left in (0, 1)]
    assert min(float((each - made[1]).abs().max()) for each in taken) < 1e-5

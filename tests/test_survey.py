"""The survey: what a film's other pictures say changes the judgement, and nothing else does."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
import torch
import vapoursynth as vs

from tests.clips import BT709, drawn, noise, planes
from vs_gainmap import predict, sdr_to_hdr10
from vs_gainmap.backends import RunOptions, open_backend
from vs_gainmap.gainmap import GainMapPreset
from vs_gainmap.models import GMNet, GridNet
from vs_gainmap.models.gridnet import PEAK_OF
from vs_gainmap.models.weights import save_weights

PRESET = GainMapPreset(sdr_white=203.0, peak=5.0, map_scale=2, min_log_gain=-2.0)
OPTIONS = RunOptions(device="cpu")


def opinionated() -> GridNet:
    """Return a drawn network that listens: its last layers are no longer nearly zero."""
    torch.manual_seed(5)
    model = GridNet(channels=32, hidden=32)
    for layer in (model.curves, model.judge[0]):
        assert isinstance(layer, torch.nn.Linear)
        torch.nn.init.normal_(layer.weight, std=0.5)
    return model.eval()


@pytest.fixture(scope="module")
def grid_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "grid.safetensors"
    save_weights(opinionated(), PRESET, path)
    return path


def film(length: int = 12) -> vs.VideoNode:
    """Return scenes that differ in level, tagged as BT.709."""
    blank = noise(64, 48, length, **BT709)
    return drawn(blank, lambda n, p, shape: np.full(shape, 128 if p else 40 + 13 * n))


def test_knowing_itself_alone_is_no_survey() -> None:
    model = opinionated()
    thumbnail = torch.rand(2, 3, 256, 256)
    alone = model.analyze(thumbnail)
    each = model.testify(thumbnail).split(1)
    for features in (
        model.analyze(thumbnail, torch.cat([model.gather(said) for said in each])),
        model.analyze(thumbnail, among=torch.eye(2)),
    ):
        for a, b in zip(alone, features, strict=True):
            torch.testing.assert_close(a, b)


def test_what_others_say_changes_the_judgement() -> None:
    model = opinionated()
    thumbnails = torch.rand(2, 3, 256, 256) * torch.tensor([1.0, 0.3]).view(2, 1, 1, 1)
    together = model.analyze(thumbnails, model.gather(model.testify(thumbnails)))
    among = model.analyze(thumbnails, among=torch.full((2, 2), 0.5))
    torch.testing.assert_close(together.grid, among.grid)
    assert float((together.grid - model.analyze(thumbnails).grid).abs().max()) > 0.01


def test_a_survey_is_the_mean_and_the_strongest_in_groups_spread_over_the_film() -> None:
    model = GridNet(8, hidden=16)
    said = torch.randn(3 * PEAK_OF, 16)
    heard = model.gather(said)
    assert heard.shape == (1, model.survey_size) == (1, 32)
    torch.testing.assert_close(heard[0, :16], said.mean(0))
    strongest = said.reshape(PEAK_OF, 3, 16).amax(0).mean(0)
    torch.testing.assert_close(heard[0, 16:], strongest)
    few = model.gather(said[: PEAK_OF + 3])
    torch.testing.assert_close(few[0, 16:], said[: PEAK_OF + 3].amax(0))


def test_pictures_of_no_weight_are_not_in_the_survey() -> None:
    model = opinionated()
    thumbnails = torch.rand(3, 3, 256, 256)
    among = torch.tensor([[0.5, 0.5, 0.0], [0.5, 0.5, 0.0], [0.0, 0.0, 1.0]])
    judged = model.analyze(thumbnails, among=among)
    pair = model.analyze(thumbnails[:2], model.gather(model.testify(thumbnails[:2])))
    torch.testing.assert_close(judged.grid[:2], pair.grid)
    torch.testing.assert_close(judged.grid[2:], model.analyze(thumbnails[2:]).grid)


def test_a_set_without_peaks_says_the_same_with_them() -> None:
    torch.manual_seed(5)
    old = GridNet(8, hidden=16, peaks=False).eval()
    for parameter in old.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    new = GridNet.from_state_dict(old.state_dict()).with_peaks().eval()
    assert new.peaks
    assert not old.peaks
    assert new.with_peaks() is new
    thumbnails = torch.rand(3, 3, 256, 256)
    before = old.analyze(thumbnails, old.gather(old.testify(thumbnails)))
    after = new.analyze(thumbnails, new.gather(new.testify(thumbnails)))
    for a, b in zip(before, after, strict=True):
        torch.testing.assert_close(a, b)


def test_the_survey_is_what_lit_pictures_say() -> None:
    model = opinionated()
    levels = [0.0, 0.2, 0.5, 0.8]
    blank = vs.core.std.BlankClip(format=vs.RGBS, width=256, height=256, length=4)
    clip = drawn(blank, lambda n, _, shape: np.full(shape, levels[n]))
    heard = open_backend("torch", model, OPTIONS).survey(clip, 16)
    assert heard is not None
    pictures = torch.stack([torch.full((3, 256, 256), level) for level in levels[1:]])
    expected = model.gather(model.testify(pictures))[0].detach().numpy()
    np.testing.assert_allclose(planes(heard)[0][0], expected, atol=1e-4)


def test_gmnet_has_no_survey() -> None:
    clip = vs.core.std.BlankClip(format=vs.RGBS, width=256, height=256, length=4)
    assert open_backend("torch", GMNet(8, blocks=1), OPTIONS).survey(clip, 16) is None


def test_every_frame_depends_on_the_film_and_on_no_order(grid_weights: Path) -> None:
    def make(survey: int) -> vs.VideoNode:
        return predict(film(), weights=grid_weights, survey=survey, radius=0)

    ordered = [planes(make(16), n)[0] for n in range(12)]
    order = list(range(12))
    random.Random(4).shuffle(order)
    clip = make(16)
    for n in order:
        np.testing.assert_array_equal(planes(clip, n)[0], ordered[n])
    alone = [planes(make(0), n)[0] for n in range(12)]
    assert max(np.abs(a - b).max() for a, b in zip(ordered, alone, strict=True)) > 1e-3
    cut = predict(film()[:1], weights=grid_weights, survey=16, radius=0)
    np.testing.assert_array_equal(planes(cut)[0], alone[0])


def test_an_impossible_survey_is_refused(grid_weights: Path) -> None:
    with pytest.raises(vs.Error, match="survey must be 0 to 256, got -1"):
        predict(film(), weights=grid_weights, survey=-1)


def test_model_and_weights_must_agree(grid_weights: Path) -> None:
    with pytest.raises(vs.Error, match='is for GridNet, not "gmnet"'):
        predict(film(), weights=grid_weights, model="gmnet")
    with pytest.raises(vs.Error, match='model must be gmnet or fast, got "best"'):
        predict(film(), model="best")


def test_the_fast_model_is_what_a_cpu_runs_by_default() -> None:
    clip = film(2)
    default = sdr_to_hdr10(clip, device="cpu")
    fast = sdr_to_hdr10(clip, device="cpu", model="fast")
    for a, b in zip(planes(default), planes(fast), strict=True):
        np.testing.assert_array_equal(a, b)


def log_gain(clip: vs.VideoNode, n: int) -> np.ndarray:
    """Return a gain map frame in stops."""
    with clip.get_frame(n) as frame:
        low, high = float(frame.props["GainMapMin"]), float(frame.props["GainMapMax"])
        return low + np.array(frame[0]) * (high - low)


def test_gmnet_is_told_what_its_teacher_hears() -> None:
    def make(model: str, survey: int) -> vs.VideoNode:
        return predict(film(), model=model, survey=survey, scale=2, radius=0, dtype="float32")

    for n in (0, 7):
        told, alone = (log_gain(make("gmnet", survey), n) for survey in (16, 0))
        heard, unheard = (log_gain(make("fast", survey), n) for survey in (16, 0))
        # GMNet with what the survey adds, and the one that heard it: half each.
        np.testing.assert_allclose(told, (alone + heard - unheard + heard) / 2, atol=2e-4)
        assert np.abs(told - heard).max() > 1e-3
        assert np.abs(heard).max() > 0.01

"""GridNet's compiled ends beside PyTorch's."""

from __future__ import annotations

from threading import Thread

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from vs_gainmap.models import GMNet, GridNet
from vs_gainmap.models.gridnet import BINS, CELLS, GridFeatures
from vs_gainmap.models.inference import Predictor
from vs_gainmap.models.kernels import CompiledGridNet
from vs_gainmap.models.statistics import statistics
from vs_gainmap.models.weights import load_weights

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def fast() -> GridNet:
    model = load_weights("fast").model
    assert isinstance(model, GridNet)
    return model.eval()


@pytest.fixture
def quick(fast: GridNet) -> GridNet:
    made = CompiledGridNet.of(fast)
    assert isinstance(made, CompiledGridNet)
    return made


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


PICTURES = {
    "noise": noise(2, 3, 256, 256),
    "dark": 0.05 * noise(1, 3, 256, 256, seed=1) ** 3,
    "black": torch.zeros(1, 3, 256, 256),
    "white": torch.ones(1, 3, 256, 256),
    "ramp": torch.linspace(0, 1, 256).expand(1, 3, 256, 256),
}


@pytest.mark.parametrize("name", PICTURES)
def test_statistics_are_pytorchs(quick: GridNet, name: str) -> None:
    small, measured = quick.measure(PICTURES[name])
    halved = functional.avg_pool2d(PICTURES[name], 2)
    torch.testing.assert_close(small, halved, atol=1e-6, rtol=0, check_stride=False)
    torch.testing.assert_close(measured, statistics(halved), atol=1e-6, rtol=0)


@pytest.mark.parametrize("size", [(2, 2), (1, 40), (37, 1), (61, 97), (270, 480)])
def test_slices_are_pytorchs(fast: GridNet, quick: GridNet, size: tuple[int, int]) -> None:
    picture = 1.2 * noise(2, 3, *size) - 0.1
    features = GridFeatures(
        noise(2, BINS, CELLS, CELLS, seed=2), noise(2, BINS, 1, 1, seed=3), torch.ones(2, 1, 1, 1)
    )
    want = fast.predict(picture.clamp(0, 1), features)
    torch.testing.assert_close(quick.predict(picture, features), want, atol=2e-5, rtol=0)


def test_a_window_is_sliced_by_pytorch(fast: GridNet, quick: GridNet) -> None:
    picture, window = noise(1, 3, 20, 30), torch.tensor([[0.1, 0.2, 0.6, 0.9]])
    with torch.inference_mode():
        features = fast.analyze(noise(1, 3, 256, 256))
        want = fast.predict(picture, features, window)
        torch.testing.assert_close(quick.predict(picture, features, window), want)


def test_features_are_pytorchs(fast: GridNet, quick: GridNet) -> None:
    thumbnail = noise(1, 3, 256, 256, seed=4)
    with torch.inference_mode():
        for want, got in zip(fast.analyze(thumbnail), quick.analyze(thumbnail), strict=True):
            torch.testing.assert_close(got, want, atol=1e-5, rtol=1e-5)


def test_what_is_no_number_stays_inside(quick: GridNet) -> None:
    picture = noise(1, 3, 256, 256)
    picture[..., 3, 5], picture[..., 100, :] = torch.nan, torch.inf
    with torch.inference_mode():
        features = quick.analyze(noise(1, 3, 256, 256))
        quick.measure(picture)
        got = quick.predict(picture, features)
    assert torch.isfinite(got[..., 4:90, :]).all()


def threads_inside(model: GMNet | GridNet) -> list[int]:
    """Return how many threads PyTorch has before, in, and after a turn of a new thread."""
    seen: list[int] = []
    predictor = Predictor(model, device=CPU, dtype=torch.float32)

    def look() -> None:
        seen.append(torch.get_num_threads())
        with predictor.turn():
            seen.append(torch.get_num_threads())
        seen.append(torch.get_num_threads())

    thread = Thread(target=look)
    thread.start()
    thread.join()
    return seen


def test_gridnet_has_one_thread_and_gmnet_all(fast: GridNet) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        assert threads_inside(fast) == [3, 1, 3]
        assert threads_inside(GMNet()) == [3, 3, 3]
        predictor = Predictor(GMNet(), device=CPU, dtype=torch.float32)
        torch.set_num_threads(1)
        with predictor.turn():
            assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)


def test_a_predictor_agrees_with_the_model(fast: GridNet) -> None:
    picture, thumbnail = noise(3, 40, 60, seed=6), noise(3, 256, 256, seed=7)
    got = Predictor(fast, device=CPU, dtype=torch.float32)(
        [np.asarray(plane) for plane in picture.numpy()],
        [np.asarray(plane) for plane in thumbnail.numpy()],
    )
    with torch.inference_mode():
        gain_map, qmax_norm = fast(picture[None], *fast.measure(thumbnail[None]))
    np.testing.assert_allclose(got.gain_map, gain_map[0, 0], atol=1e-5)
    assert got.qmax_norm == pytest.approx(qmax_norm.item(), abs=1e-5)

"""The predictor: tiles, strips, odd sizes, threads and precisions give one and the same map."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from vs_gainmap.errors import DeviceError
from vs_gainmap.models import GMNet
from vs_gainmap.models.gmnet import GlobalFeatures
from vs_gainmap.models.inference import (
    Plane,
    Predictor,
    choose_device,
    choose_dtype,
    has_native_bf16,
)

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def model() -> GMNet:
    torch.manual_seed(3)
    network = GMNet(16)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(6)  # a tenth of Kaiming lets the far taps drown in rounding
    return network.eval()


def pictures(seed: int, height: int = 180, width: int = 236) -> tuple[list[Plane], list[Plane]]:
    rng = np.random.default_rng(seed)
    sdr = [rng.random((height, width), dtype=np.float32) for _ in range(3)]
    return sdr, [rng.random((256, 256), dtype=np.float32) for _ in range(3)]


def test_agrees_with_the_plain_forward(model: GMNet) -> None:
    sdr, thumbnail = pictures(0)
    got = Predictor(model, device=CPU, dtype=torch.float32)(sdr, thumbnail)
    with torch.inference_mode():
        gain_map, qmax_norm = model(
            torch.from_numpy(np.stack(sdr))[None], torch.from_numpy(np.stack(thumbnail))[None]
        )
    np.testing.assert_allclose(got.gain_map, gain_map[0, 0].numpy(), atol=1e-5)
    assert got.qmax_norm == pytest.approx(qmax_norm.item(), abs=1e-6)


def test_tiles_give_the_whole_picture(model: GMNet) -> None:
    sdr, thumbnail = pictures(1)
    whole = Predictor(model, device=CPU, dtype=torch.float32, tile=0)(sdr, thumbnail)
    tiled = Predictor(model, device=CPU, dtype=torch.float32, tile=64)(sdr, thumbnail)
    np.testing.assert_allclose(tiled.gain_map, whole.gain_map, atol=1e-5)


def test_tiles_would_differ_without_a_halo(model: GMNet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vs_gainmap.models.tiling.HALO", 4)
    sdr, thumbnail = pictures(1)
    whole = Predictor(model, device=CPU, dtype=torch.float32, tile=0)(sdr, thumbnail)
    tiled = Predictor(model, device=CPU, dtype=torch.float32, tile=64)(sdr, thumbnail)
    assert np.abs(tiled.gain_map - whole.gain_map).max() > 1e-3


def test_odd_sizes_are_padded_by_their_own_edge(model: GMNet) -> None:
    sdr, thumbnail = pictures(2, 51, 77)
    got = Predictor(model, device=CPU, dtype=torch.float32)(sdr, thumbnail).gain_map
    padded = [np.pad(p, ((0, 1), (0, 1)), mode="edge") for p in sdr]
    even = Predictor(model, device=CPU, dtype=torch.float32)(padded, thumbnail).gain_map
    assert got.shape == (51, 77)
    np.testing.assert_allclose(got, even[:51, :77], atol=1e-6)


def test_threads_and_slots_give_the_same_bits(model: GMNet) -> None:
    inputs = [pictures(seed, 96, 128) for seed in range(6)]
    single = Predictor(model, device=CPU, dtype=torch.float32)
    expected = [single(*i) for i in inputs]
    several = Predictor(model, device=CPU, dtype=torch.float32, num_streams=3)
    with ThreadPoolExecutor(4) as pool:
        for got, want in zip(
            pool.map(lambda i: several(*i), inputs * 2), expected * 2, strict=True
        ):
            assert np.array_equal(got.gain_map, want.gain_map)
            assert got.qmax_norm == want.qmax_norm


def test_input_is_clamped(model: GMNet) -> None:
    sdr, thumbnail = pictures(4, 32, 32)
    wild = [p * 3 - 1 for p in sdr]
    tame = [np.clip(p, 0, 1) for p in wild]
    predictor = Predictor(model, device=CPU, dtype=torch.float32)
    assert np.array_equal(predictor(wild, thumbnail).gain_map, predictor(tame, thumbnail).gain_map)


def test_bfloat16_is_close_and_keeps_qmax_exact(model: GMNet) -> None:
    sdr, thumbnail = pictures(5)
    exact = Predictor(model, device=CPU, dtype=torch.float32)(sdr, thumbnail)
    rough = Predictor(model, device=CPU, dtype=torch.bfloat16)(sdr, thumbnail)
    assert rough.qmax_norm == exact.qmax_norm
    spread = exact.gain_map.std()
    assert 0 < np.abs(rough.gain_map - exact.gain_map).mean() < 0.05 * spread
    # The last convolution is float32: more levels than bfloat16's own.
    assert len(np.unique(rough.gain_map)) > 10_000


def test_large_pictures_are_tiled_by_themselves(
    model: GMNet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vs_gainmap.models.tiling.WHOLE_PIXELS", 1000)
    monkeypatch.setattr("vs_gainmap.models.tiling.DEFAULT_TILE", 64)
    calls = []
    predictor = Predictor(model, device=CPU, dtype=torch.float32)
    encode = predictor._local.encode

    def counting(x: torch.Tensor, features: GlobalFeatures) -> torch.Tensor:
        calls.append(tuple(x.shape))
        return encode(x, features)

    monkeypatch.setattr(predictor._local, "encode", counting)
    predictor(*pictures(6))
    assert len(calls) == 12


def test_choices_of_device_and_dtype() -> None:
    assert choose_device("cpu").type == "cpu"
    with pytest.raises(DeviceError, match="must be"):
        choose_device("gpu")
    if not torch.cuda.is_available():
        assert choose_device().type in ("cpu", "mps")
        with pytest.raises(DeviceError, match="is not here"):
            choose_device("cuda")
    expected = torch.bfloat16 if has_native_bf16() else torch.float32
    assert choose_dtype(CPU) == expected
    assert choose_dtype(torch.device("cuda")) == torch.float16
    with pytest.raises(DeviceError, match="needs a GPU"):
        choose_dtype(CPU, "float16")
    with pytest.raises(DeviceError, match="must be one of"):
        choose_dtype(CPU, "int8")

"""CUDA graphs without a GPU: a stand-in records and replays as CUDA does."""

from __future__ import annotations

import logging
import math
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import vapoursynth as vs
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from tests.clips import BT709, noise, planes
from tests.tape import Tape, blend, frame
from vs_gainmap import sdr_to_hdr10
from vs_gainmap.backends.pytorch import SWITCH
from vs_gainmap.cuda_graphs import KEPT, Graphs, Recording
from vs_gainmap.models import GMNet, GridNet, Model
from vs_gainmap.models.inference import Plane, Predictor, Slot

CPU, META = torch.device("cpu"), torch.device("meta")


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [r.message for r in caplog.records if r.levelno >= logging.WARNING]


def test_replays_follow_their_input() -> None:
    tape = Tape()
    graphs, slot = Graphs(tape), Slot(CPU)
    for n in range(5):
        assert torch.equal(graphs.run(slot, blend, *frame(n)), blend(*frame(n)))
    assert (tape.recorded, tape.replayed) == (1, 5)


def test_a_result_outlives_the_next_frame() -> None:
    graphs, slot = Graphs(Tape()), Slot(CPU)
    kept = [graphs.run(slot, blend, *frame(n)) for n in range(3)]
    for n, out in enumerate(kept):
        assert torch.equal(out, blend(*frame(n)))


def test_each_kind_of_input_has_a_graph() -> None:
    tape = Tape()
    graphs, slot = Graphs(tape), Slot(CPU)
    picture, factor = frame(0)
    last = picture.contiguous(memory_format=torch.channels_last)
    for x in (picture, picture[..., :4], picture.double(), last):
        out = graphs.run(slot, blend, x, factor)
        assert out.dtype == x.dtype
        assert torch.equal(out, blend(x, factor))
    assert tape.recorded == 4


def test_the_least_used_graphs_go() -> None:
    tape = Tape()
    graphs, slot = Graphs(tape), Slot(CPU)
    assert KEPT == 2
    for width, recorded in ((8, 1), (10, 2), (8, 2), (12, 3), (8, 3), (10, 4), (12, 5)):
        assert torch.equal(
            graphs.run(slot, blend, *frame(width, 6, width)), blend(*frame(width, 6, width))
        )
        assert tape.recorded == recorded
        assert tape.alive <= KEPT


def test_slots_have_graphs_of_their_own_and_take_them_along() -> None:
    tape = Tape()
    graphs, slots = Graphs(tape), [Slot(CPU), Slot(CPU)]
    for slot in slots * 2:
        graphs.run(slot, blend, *frame(0))
    assert tape.recorded == tape.alive == 2
    del slot, slots[0]
    assert tape.alive == 1


@pytest.mark.parametrize("error", [RuntimeError, torch.OutOfMemoryError])
def test_what_can_not_be_recorded_runs_as_before(
    error: type[RuntimeError], caplog: pytest.LogCaptureFixture
) -> None:
    tried, inside = [], []

    class Broken(Tape):
        def record(self, function: Callable[[], Tensor]) -> Recording:
            tried.append(function())
            raise error("not permitted when stream is capturing\nCompile with ...")

    def watched(*inputs: Tensor) -> Tensor:
        inside.append(sys.exception())
        return blend(*inputs)

    graphs, slots = Graphs(Broken()), [Slot(CPU), Slot(CPU)]
    for n in range(4):
        assert torch.equal(graphs.run(slots[n % 2], watched, *frame(n)), blend(*frame(n)))
    assert len(tried) == 1
    (line,) = warnings(caplog)
    assert line.endswith("not permitted when stream is capturing")
    # An exception at hand would hold the memory that the attempt took.
    assert inside == [None] * len(inside)


class Off(Tape):
    def __init__(self, by: float) -> None:
        super().__init__()
        self.by = by

    def write(self, output: Tensor, function: Callable[[], Tensor]) -> None:
        output.copy_(function() + self.by)


class Frozen(Tape):
    """Keeps what the function made of the buffers as they were."""

    def record(self, function: Callable[[], Tensor]) -> Recording:
        made = function()
        return Recording(lambda: None, made)


@pytest.mark.parametrize("tape", [Off(0.01), Off(math.nan), Frozen()])
def test_wrong_replays_are_noticed(tape: Tape, caplog: pytest.LogCaptureFixture) -> None:
    graphs, slot = Graphs(tape), Slot(CPU)
    for n in range(3):
        assert torch.equal(graphs.run(slot, blend, *frame(n)), blend(*frame(n)))
    (line,) = warnings(caplog)
    assert "first replay is off by" in line
    assert tape.alive == 0


def test_rounding_is_not_wrong(caplog: pytest.LogCaptureFixture) -> None:
    tape = Off(0.0005)
    Graphs(tape).run(Slot(CPU), blend, *frame(0))
    assert tape.replayed == 1
    assert not warnings(caplog)


def test_what_is_not_a_number_stays_so(caplog: pytest.LogCaptureFixture) -> None:
    picture, factor = frame(0)
    picture[0, 0, 0, 0] = math.nan
    out = Graphs(Tape()).run(Slot(CPU), blend, picture, factor)
    assert torch.equal(out.isnan(), blend(picture, factor).isnan())
    assert not warnings(caplog)


def test_a_later_failure_leaves_graphs_too(caplog: pytest.LogCaptureFixture) -> None:
    class Tired(Tape):
        def write(self, output: Tensor, function: Callable[[], Tensor]) -> None:
            if self.replayed == 3:
                raise RuntimeError("launch failed")
            super().write(output, function)

    tape = Tired()
    graphs, slots = Graphs(tape), [Slot(CPU), Slot(CPU)]
    for n in range(6):
        assert torch.equal(graphs.run(slots[n % 2], blend, *frame(n)), blend(*frame(n)))
    assert tape.replayed == 3
    assert tape.alive == 0
    assert len(warnings(caplog)) == 1


def test_who_waited_for_a_recording_that_failed_does_not_try() -> None:
    tried = []

    class Broken(Tape):
        def record(self, function: Callable[[], Tensor]) -> Recording:
            tried.append(function())
            time.sleep(0.5)
            raise RuntimeError("not here")

    graphs = Graphs(Broken())
    with ThreadPoolExecutor(2) as pool:
        for out in pool.map(
            lambda slot: graphs.run(slot, blend, *frame(0)), [Slot(CPU), Slot(CPU)]
        ):
            assert torch.equal(out, blend(*frame(0)))
    assert len(tried) == 1


def replay_at_once(tape: Tape) -> None:
    """Replay in two slots, each of which waits for the other."""
    graphs, slots = Graphs(tape), [Slot(CPU), Slot(CPU)]
    for slot in slots:
        graphs.run(slot, blend, *frame(0))
    tape.meet = threading.Barrier(2)
    with ThreadPoolExecutor(2) as pool:
        outs = list(pool.map(lambda n: graphs.run(slots[n], blend, *frame(n)), range(2)))
    for n, out in enumerate(outs):
        assert torch.equal(out, blend(*frame(n)))


def test_two_that_fail_at_once_say_it_once(caplog: pytest.LogCaptureFixture) -> None:
    class Tired(Tape):
        def write(self, output: Tensor, function: Callable[[], Tensor]) -> None:
            if self.replayed > 2:
                raise RuntimeError("launch failed")
            super().write(output, function)

    tape = Tired()
    replay_at_once(tape)
    assert tape.replayed == 4
    assert len(warnings(caplog)) == 1


def test_slots_replay_at_the_same_time(caplog: pytest.LogCaptureFixture) -> None:
    tape = Tape()
    replay_at_once(tape)
    assert not warnings(caplog)


def gmnet() -> GMNet:
    torch.manual_seed(3)
    network = GMNet(16, blocks=2)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(6)
    return network.eval()


def grid() -> GridNet:
    torch.manual_seed(3)
    network = GridNet()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.05)
    return network.eval()


def pictures(seed: int, height: int = 51, width: int = 77) -> tuple[list[Plane], Plane]:
    rng = np.random.default_rng(seed)
    sdr = [rng.random((height, width), dtype=np.float32) for _ in range(3)]
    return sdr, rng.random(1, dtype=np.float32)


def with_graphs(model: Model, tape: Tape, **how: Any) -> Predictor:
    predictor = Predictor(model, device=CPU, cuda_graphs=True, **how)
    # There are none on the CPU.
    assert predictor._graphs is None
    predictor._graphs = Graphs(tape)
    return predictor


def vector(predictor: Predictor, seed: int) -> Plane:
    return predictor.analyze([*np.random.default_rng(seed).random((3, 256, 256), np.float32)])


@pytest.mark.parametrize(
    ("make", "how"),
    [
        (gmnet, {"dtype": torch.float32}),
        (gmnet, {"dtype": torch.bfloat16}),
        (gmnet, {"dtype": torch.float32, "tile": 32}),
        (grid, {"dtype": torch.float32}),
    ],
)
def test_maps_are_the_same(make: Callable[[], Model], how: dict[str, Any]) -> None:
    tape = Tape()
    usual, ours = Predictor(make(), device=CPU, **how), with_graphs(make(), tape, **how)
    for n in range(3):
        sdr, judged = pictures(n)[0], vector(usual, n)
        got = ours.local(sdr, judged)
        assert got.std() > 0
        assert np.array_equal(got, usual.local(sdr, judged))
    assert (tape.recorded, tape.replayed) == (1, 3)


def test_threads_get_their_own_frames() -> None:
    tape = Tape()
    usual = Predictor(grid(), device=CPU, dtype=torch.float32)
    ours = with_graphs(grid(), tape, dtype=torch.float32, streams=3)
    frames = [
        (pictures(n, *((48, 64), (36, 80))[n % 2])[0], vector(usual, n)) for n in range(12)
    ] * 3
    expected = [usual.local(*each) for each in frames]
    with ThreadPoolExecutor(6) as pool:
        got = list(pool.map(lambda each: ours.local(*each), frames))
    assert all(map(np.array_equal, got, expected))
    assert 2 <= tape.recorded <= 6
    assert tape.replayed == len(frames)


@pytest.mark.parametrize(("weights", "networks"), [("tiny", 1), ("video", 2)])
def test_the_switch(
    weights: str,
    networks: int,
    tiny_weights: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The set for video has a surveyor: two networks in one slot, on the device."""
    tapes: list[Tape] = []

    def opened(_: torch.device) -> Graphs:
        tapes.append(Tape())
        return Graphs(tapes[-1])

    monkeypatch.setattr("vs_gainmap.models.inference.open_graphs", opened)
    clip = noise(64, 48, 2, vs.YUV420P8, **BT709, _ChromaLocation=0)

    def made() -> vs.VideoNode:
        return sdr_to_hdr10(
            clip,
            weights=tiny_weights if weights == "tiny" else weights,
            on_device=networks == 2,
            **{"survey": 2, "radius": 0, "dtype": "float32", "format": vs.YUV420P12},
        )

    monkeypatch.delenv(SWITCH, raising=False)
    usual = made()
    monkeypatch.setenv(SWITCH, "0")
    made()
    assert not tapes
    monkeypatch.setenv(SWITCH, "1")
    ours = made()
    for n in range(2):
        assert all(map(np.array_equal, planes(ours, n), planes(usual, n)))
    assert sum(tape.replayed > 0 for tape in tapes) == networks
    assert not warnings(caplog)


class NoData(TorchFunctionMode):
    """Refuses tensors made of Python's numbers, which are copied from the CPU."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        assert func not in (torch.tensor, torch.as_tensor, Tensor.new_tensor, Tensor.item)
        return func(*args, **(kwargs or {}))


class NoHost(TorchDispatchMode):
    """Refuses tensors on the CPU."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        for x in tree_leaves((args, kwargs, out)):
            assert not isinstance(x, Tensor) or x.device == META
        return out


@pytest.mark.parametrize("tile", [None, 64])
@pytest.mark.parametrize("make", [gmnet, grid])
def test_nothing_comes_from_the_cpu(make: Callable[[], Model], tile: int | None) -> None:
    """Else it could not be recorded."""
    predictor = Predictor(make(), device=META, dtype=torch.float16, tile=tile)
    features = predictor.unpack(torch.empty(predictor.features_size, device=META))
    picture = torch.empty(1, 3, 181, 235, device=META)
    with torch.inference_mode(), NoData(), NoHost():
        out = predictor.predict(picture, features, Slot(META))
    assert out.shape == (1, 1, 181, 235)
    assert out.dtype == torch.float32

"""How CUDA graphs are recorded: the order of calls, and what a failure leaves, without a GPU."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from vs_gainmap import cuda_graphs
from vs_gainmap.cuda_graphs import CudaRecorder


class Cuda:
    """`torch.cuda`, as far as a recording needs it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.did: list[str] = []
        self.fails = False
        self.current = self.slot = self.Stream("slot")
        signature = inspect.signature(torch.cuda.graph)

        @contextmanager
        def stream(chosen: Any) -> Iterator[None]:
            before, self.current = self.current, chosen
            try:
                yield
            finally:
                self.current = before

        @contextmanager
        def graph(*args: Any, **kwargs: Any) -> Iterator[None]:
            given = signature.bind(*args, **kwargs).arguments
            assert given["capture_error_mode"] == "thread_local"
            self.current = given["stream"]
            self.did.append("begin")
            yield
            if self.fails:
                # PyTorch doesn't bring the stream back here.
                raise RuntimeError("capture was invalidated")
            self.did.append("end")

        replay = lambda: self.did.append(f"replay on {self.current.name}")  # noqa: E731
        monkeypatch.setattr(torch.cuda, "Stream", lambda _, priority: self.Stream("own", priority))
        monkeypatch.setattr(torch.cuda, "stream", stream)
        monkeypatch.setattr(torch.cuda, "graph", graph)
        monkeypatch.setattr(torch.cuda, "current_stream", lambda _: self.current)
        monkeypatch.setattr(torch.cuda, "CUDAGraph", lambda: SimpleNamespace(replay=replay))
        monkeypatch.setattr(CudaRecorder, "_is_spoiled", False)

    def Stream(self, name: str, priority: int = 0) -> SimpleNamespace:  # noqa: N802
        def wait_stream(other: SimpleNamespace) -> None:
            self.did.append(f"{name} waits for {other.name}")

        return SimpleNamespace(
            name=name, priority=priority, device=torch.device("cuda:0"), wait_stream=wait_stream
        )

    def work(self) -> Tensor:
        self.did.append(f"work on {self.current.name}")
        return torch.ones(1)


def test_cuda_records_after_a_warm_up_beside_the_slot(monkeypatch: pytest.MonkeyPatch) -> None:
    cuda = Cuda(monkeypatch)
    recorder = CudaRecorder(torch.device("cuda"))
    recorded = recorder.record(cuda.work)
    assert recorder._stream.priority != cuda.slot.priority
    recorded.replay()
    assert cuda.did == [
        "own waits for slot",
        *["work on own"] * cuda_graphs.WARM_UPS,
        *["begin", "work on own", "end"],
        "slot waits for own",
        "replay on slot",
    ]
    cuda.did.clear()
    recorder.record(cuda.work)
    assert "end" in cuda.did


def test_a_failed_recording_is_the_last(monkeypatch: pytest.MonkeyPatch) -> None:
    cuda = Cuda(monkeypatch)
    cuda.fails = True
    with pytest.raises(RuntimeError, match="invalidated"):
        CudaRecorder(torch.device("cuda")).record(cuda.work)
    assert cuda.current is cuda.slot
    cuda.fails = False
    cuda.did.clear()
    with pytest.raises(RuntimeError, match="an earlier recording failed"):
        CudaRecorder(torch.device("cuda")).record(cuda.work)
    assert not cuda.did


def test_a_warm_up_that_fails_spoils_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    cuda = Cuda(monkeypatch)

    def fails() -> Tensor:
        raise torch.OutOfMemoryError("too large")

    with pytest.raises(torch.OutOfMemoryError):
        CudaRecorder(torch.device("cuda")).record(fails)
    assert cuda.current is cuda.slot
    CudaRecorder(torch.device("cuda")).record(cuda.work)

"""A stand-in for CUDA's graphs: it records and replays on the CPU as CUDA does on a GPU."""

from __future__ import annotations

import math
import threading
import time
import weakref
from collections.abc import Callable

import torch
from torch import Tensor

from vs_gainmap.cuda_graphs import Recording


class Tape:
    """A recorder for the CPU: `replay` runs the function again, on what it was recorded with.

    As with CUDA nothing is computed while it records, and only `replay` writes the result.
    """

    def __init__(self) -> None:
        self.recorded = self.replayed = 0
        self.outputs: list[weakref.ref[Tensor]] = []
        self.meet: threading.Barrier | None = None
        self.is_recording = False

    def record(self, function: Callable[[], Tensor]) -> Recording:
        assert not self.is_recording
        self.is_recording = True
        self.recorded += 1
        output = torch.full_like(function(), math.nan)
        time.sleep(0.01)
        self.is_recording = False
        self.outputs.append(weakref.ref(output))

        def replay() -> None:
            self.replayed += 1
            if self.meet is not None:
                self.meet.wait(20)
            self.write(output, function)

        return Recording(replay, output)

    def write(self, output: Tensor, function: Callable[[], Tensor]) -> None:
        output.copy_(function())

    @property
    def alive(self) -> int:
        return sum(output() is not None for output in self.outputs)


def blend(picture: Tensor, factor: Tensor) -> Tensor:
    return (picture * factor).flip(-1) + 0.25


def frame(n: int, height: int = 6, width: int = 8) -> tuple[Tensor, Tensor]:
    made = torch.Generator().manual_seed(n)
    return torch.rand(1, 3, height, width, generator=made), torch.rand(3, 1, 1, generator=made)

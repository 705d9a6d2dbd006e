"""Batches that are used again: how often, which, and the same whoever asks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path

import pytest
import torch

from tests.training.small import seen, tiny
from training.checkpoint import CHECKPOINT, load_checkpoint
from training.config import ConfigError, DataConfig
from training.replay import replayed
from training.train import train


def batches(first: int) -> Iterator[dict[str, torch.Tensor]]:
    """Yield endless batches that say their number."""
    while True:
        yield {"sdr": torch.tensor([first, 1 / 3]), "window": torch.tensor([1 / 3])}
        first += 1


def drawn(data: DataConfig, start: int, count: int) -> list[int]:
    steps = replayed(batches, data, start=start, seed=5)
    return [int(batch["sdr"][0]) for batch in islice(steps, count)]


def test_a_batch_is_used_so_often_and_not_long_after() -> None:
    numbers = drawn(DataConfig(replay=4, keep=8), 0, 4000)
    assert numbers[::4] == list(range(1000))
    uses = Counter(numbers)
    assert sum(uses[n] for n in range(50, 950)) / 900 == pytest.approx(4, abs=0.1)
    ages = {step // 4 - number for step, number in enumerate(numbers)}
    assert ages == set(range(8))


def test_without_it_every_step_has_its_own() -> None:
    assert drawn(DataConfig(), 7, 5) == [7, 8, 9, 10, 11]


@pytest.mark.parametrize("keep", [1, 3, 50])
def test_steps_get_the_same_wherever_a_run_begins(keep: int) -> None:
    data = DataConfig(replay=3, keep=keep)
    whole = drawn(data, 0, 60)
    for start in range(30):
        assert drawn(data, start, 25) == whole[start : start + 25]


def test_places_are_not_rounded() -> None:
    steps = list(islice(replayed(batches, DataConfig(replay=2), start=0, seed=5), 2))
    assert steps[1]["sdr"].dtype == torch.float32
    assert steps[1]["sdr"][1] == torch.tensor(1 / 3).half().float() != torch.tensor(1 / 3)
    assert steps[1]["window"] == torch.tensor(1 / 3)


def test_a_run_with_replay_goes_on_as_if_it_had_not_stopped(
    layout: Path, views: Path, tmp_path: Path
) -> None:
    config = tiny(layout, steps=7, save_every=7, validation_views=1)
    data = replace(config.data, **seen(views), workers=1, replay=3, keep=2)
    config = replace(config, model=replace(config.model, kind="grid"), data=data)
    whole = train(config, tmp_path / "whole")
    train(config, tmp_path / "parts", stop_at=5)
    assert load_checkpoint(tmp_path / "parts" / CHECKPOINT)["step"] == 5
    resumed = train(config, tmp_path / "parts")
    for name, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name])


def test_nothing_can_be_used_less_than_once() -> None:
    with pytest.raises(ConfigError, match=r"data\.replay must be"):
        DataConfig(replay=0)

"""Pairs that are made once: stored, read, and damaged."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from training.data.store import PairStore, fill
from vs_gainmap.errors import MediaError

WHITE = 203.0


def items(count: int) -> Iterator[dict[str, torch.Tensor]]:
    rng = np.random.default_rng(4)
    for number in range(count):
        sdr = torch.from_numpy(rng.integers(0, 256, (3, 4, 6)).astype(np.float32)) / 255
        yield {"sdr": sdr, "hdr": 4 * sdr**2, "qmax": torch.full((1, 1, 1), number / 8)}


def test_pairs_come_back_each_once_an_epoch(tmp_path: Path) -> None:
    made = list(items(6))
    fill(tmp_path, iter(made), 6, sdr_white=WHITE)
    # They are there: nothing is made again.
    fill(tmp_path, iter(()), 6, sdr_white=WHITE)
    store = PairStore(tmp_path, sdr_white=WHITE)
    whole = store.batch(np.arange(6))
    for number, item in enumerate(made):
        assert torch.equal(whole["sdr"][number], item["sdr"])
        assert torch.equal(whole["qmax"][number], item["qmax"])
        torch.testing.assert_close(whole["hdr"][number], item["hdr"], rtol=2e-3, atol=1e-5)
    batches = store.batches(2, seed=1, start=0)
    epoch = [float(q) for _ in range(3) for q in next(batches)["qmax"].flatten()]
    assert sorted(epoch) == [number / 8 for number in range(6)]
    later = store.batches(2, seed=1, start=2)
    assert [float(q) for q in next(later)["qmax"].flatten()] == epoch[4:]


def shorten(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-40])


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("pairs.json", lambda path: path.write_text("{")),
        ("pairs.json", lambda path: path.write_text("[]")),
        ("pairs.json", lambda path: path.write_text('{"count": "6", "names": 3}')),
        ("pairs.json", lambda path: path.write_text('{"count": 5, "names": ["sdr"]}')),
        ("sdr.npy", lambda path: path.unlink()),
        ("sdr.npy", lambda path: path.write_bytes(b"")),
        ("hdr.npy", shorten),
    ],
)
def test_damaged_pairs_are_one_line(
    tmp_path: Path, name: str, damage: Callable[[Path], object]
) -> None:
    fill(tmp_path, items(6), 6, sdr_white=WHITE)
    damage(tmp_path / name)
    with pytest.raises(MediaError, match="are damaged; delete it") as caught:
        fill(tmp_path, items(6), 6, sdr_white=WHITE)
    assert str(tmp_path) in str(caught.value)
    assert "\n" not in str(caught.value)

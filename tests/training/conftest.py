"""Threads for the tests of training, and the data that several of them share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from tests.training.small import PRESET, make_pair, make_views
from training.data.splits import HELD_OUT_SCENES
from training.paper.layout import write_pair


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Keep tiny networks from waiting for OpenMP threads on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def layout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a data set in the paper's layout: two pictures to train on, one to test with."""
    folder = tmp_path_factory.mktemp("layout")
    for split, seeds in (("train", (1, 2)), ("test", (3,))):
        for seed in seeds:
            write_pair(make_pair(seed), f"{seed:07d}", folder / split, PRESET)
    return folder


@pytest.fixture(scope="session")
def views(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a cache of small views; one scene is held out."""
    return make_views(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="session")
def panoramas(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of two small panoramas whose scenes are held out, and one that isn't."""
    folder = tmp_path_factory.mktemp("panoramas")
    rng = np.random.default_rng(5)
    for name in [*sorted(HELD_OUT_SCENES)[:2], "somewhere_else"]:
        light = np.exp(cv2.resize(rng.normal(0, 1.5, (8, 16, 3)), (128, 64))).astype(np.float32)
        cv2.imwrite(str(folder / f"{name}.hdr"), light)
    return folder

"""How views are loaded: whole from the file, shrunk from memory where there is room."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from training.data.views import View
from vs_gainmap.errors import MediaError


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "view.npy"
    np.save(path, np.random.default_rng(0).random((3, 8, 12)).astype(np.float16))
    return path


def test_a_shrunk_view_is_the_mean_of_squares(file: Path) -> None:
    whole = View(path=file, scene="one", graded=False).load()
    small = View(path=file, scene="one", graded=False, shrink=2).load()
    assert small.dtype == torch.float32
    expected = whole.reshape(3, 4, 2, 6, 2).mean(dim=(2, 4))
    torch.testing.assert_close(small, expected, atol=5e-4, rtol=0)


def test_a_shrunk_view_is_read_once_and_changes_stay_outside(file: Path) -> None:
    view = View(path=file, scene="one", graded=False, shrink=4)
    first = view.load()
    before = first.clone()
    first.mul_(2)
    file.unlink()
    assert torch.equal(view.load(), before)
    with pytest.raises(MediaError, match=r"view\.npy"):
        View(path=file, scene="one", graded=False).load()

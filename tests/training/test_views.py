"""How views are loaded: whole from the file, shrunk from memory where there is room."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from training.data import views
from training.data.views import View, _Shrunk
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


def test_a_shrunk_view_is_read_once_and_what_is_done_to_it_stays_outside(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(views, "_SHRUNK", _Shrunk())
    view = View(path=file, scene="one", graded=False, shrink=4)
    first = view.load()
    before = first.clone()
    first.mul_(2)
    file.unlink()
    assert torch.equal(view.load(), before)


def test_no_more_is_kept_than_there_is_room_for(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(views, "KEPT_BYTES", 3 * 2 * 3 * 2)
    kept = _Shrunk()
    quarter, half = kept.load(file, 4), kept.load(file, 2)
    assert quarter.nbytes == 36
    assert kept.room == 0
    file.unlink()
    assert kept.load(file, 4) is quarter
    with pytest.raises(MediaError, match=r"view\.npy"):
        kept.load(file, 2)
    assert half.shape == (3, 4, 6)

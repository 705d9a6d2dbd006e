"""Baselines against their sources."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from training.data.operators import Light
from training.data.operators.itu import Bt2446C
from training.evaluation.baselines import (
    baselines,
    bt2446a_inverse,
    bt2446c_inverse,
    libplacebo_ffmpeg,
    libplacebo_inverse,
    scaling,
)
from vs_gainmap.errors import MediaError


def test_scaling_puts_white_where_it_says() -> None:
    white = torch.ones(3, 1, 1)
    assert scaling(white, white_nits=203.0).flatten().tolist() == pytest.approx([203] * 3)


def test_bt2446_a_inverse_reaches_1000_and_lifts_mid_tones() -> None:
    levels = torch.tensor([0.0, 0.5, 1.0]).expand(3, 1, 3)
    nits = bt2446a_inverse(levels)[1, 0]
    # Table 4: Y'' = 127.5 gives E = 1.20367, so Y' = 342.1 / 1000, and 76 cd/m2.
    assert nits.tolist() == pytest.approx([0.0, 76.2, 1000.0], rel=5e-3, abs=1e-3)


def test_bt2446_c_inverse_undoes_the_forward_direction() -> None:
    nits = torch.tensor([5.0, 60.0, 150.0, 300.0]).expand(3, 1, 4)
    sdr = Bt2446C(crosstalk=0.0)(Light(rgb=nits, peak_nits=1000.0))
    back = bt2446c_inverse(sdr ** (1 / 2.4))[1, 0]
    assert back.tolist() == pytest.approx([5, 60, 150, 300], rel=2e-3)


def test_libplacebo_expands_to_a_display_of_1000_nits(in_ci: bool) -> None:
    if libplacebo_ffmpeg() is None:
        if in_ci:
            pytest.fail("libplacebo must run in CI: install ffmpeg and mesa-vulkan-drivers")
        pytest.skip("no ffmpeg with libplacebo and Vulkan here")
    levels = torch.tensor([0.0, 0.25, 0.5, 0.75, 1.0])
    nits = libplacebo_inverse(levels.repeat_interleave(16).expand(3, 32, -1).contiguous())
    black, dark, grey, bright, white = nits[1, 16, 8::16].tolist()
    assert black < 0.01
    assert white == pytest.approx(1000, rel=0.01)
    # Plain scaling to 203 cd/m2 gives 7, 38 and 102; to 1000 it gives 36, 189 and 501.
    assert 7 < dark < 20
    assert 50 < grey < 130
    assert 200 < bright < 500
    assert (nits[:, 16, 8::16].amax(0) - nits[:, 16, 8::16].amin(0)).max() < 1  # grey is grey
    assert "libplacebo" in baselines()


def test_libplacebo_that_fails_or_hangs_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "ffmpeg"
    program.write_text("#!/bin/sh\necho 'Device creation failed: no Vulkan' >&2\nexit 1\n")
    program.chmod(0o755)
    monkeypatch.setattr("training.evaluation.baselines.libplacebo_ffmpeg", lambda: str(program))
    grey = torch.full((3, 8, 8), 0.5)
    with pytest.raises(MediaError, match="libplacebo failed: Device creation failed") as told:
        libplacebo_inverse(grey)
    assert "\n" not in str(told.value)
    program.write_text("#!/bin/sh\nexec sleep 20\n")
    monkeypatch.setattr("training.evaluation.baselines.FFMPEG_TIMEOUT", 0.3)
    with pytest.raises(MediaError, match=r"more than 0\.3 s .* try --no-libplacebo"):
        libplacebo_inverse(grey)
    monkeypatch.setattr("training.evaluation.baselines.libplacebo_ffmpeg", lambda: None)
    with pytest.raises(MediaError, match="no ffmpeg with a working libplacebo"):
        libplacebo_inverse(grey)

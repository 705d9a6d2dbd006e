"""Real pairs: reading, figures and the sheet."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from training.data.mix import gain_by_luma, gain_table
from training.evaluation.items import Item
from training.evaluation.methods import Output
from training.evaluation.real import measure_real, real_pairs, real_table, write_sheet
from vs_gainmap.color.primaries import convert_primaries
from vs_gainmap.color.transfer import gamma22_eotf, pq_inverse_eotf
from vs_gainmap.errors import MediaError
from vs_gainmap.gainmap import GainMapPreset

PRESET = GainMapPreset(sdr_white=203.0, peak=1000 / 203)


def write(folder: Path) -> torch.Tensor:
    """Write a pair whose truth is SDR at 203 cd/m2, one stop up."""
    signal = torch.linspace(0.2, 0.6, 48).expand(3, 32, 48)
    eight = (signal * 255).round()
    cv2.imwrite(str(folder / "clip_a.spline.sdr.png"), eight.permute(1, 2, 0).byte().numpy())
    nits = convert_primaries(gamma22_eotf(eight / 255), "bt709", "bt2020") * 406.0
    pq = (pq_inverse_eotf(nits) * 65535).round().permute(1, 2, 0).numpy().astype(np.uint16)
    cv2.imwrite(str(folder / "clip_a.hdr.png"), np.ascontiguousarray(pq[..., ::-1]))
    return nits


def test_figures_of_a_picture_that_is_a_stop_too_dark(tmp_path: Path) -> None:
    nits = write(tmp_path)
    (item,) = real_pairs(tmp_path)
    assert (item.name, item.operator) == ("clip_a", "spline")
    torch.testing.assert_close(item.truth, nits, rtol=2e-3, atol=0.01)

    def half(each: Item) -> Output:
        return Output(nits=each.truth / 2)

    row = measure_real(item, half, 1000.0)
    assert row.level == pytest.approx(-1.0, abs=0.02)
    assert row.pq_psnr < 25
    assert row.right > 55
    assert "clip     spline" in real_table([row])
    write_sheet([row], tmp_path / "sheet.png")
    sheet = cv2.imread(str(tmp_path / "sheet.png"))
    assert sheet is not None
    thirds = np.array_split(sheet[20:200], 3, axis=1)
    assert thirds[2].mean() > 1.2 * thirds[1].mean()  # the truth is lighter than the result

    gains = gain_by_luma(item.sdr_signal, item.truth / 203, PRESET)
    assert gains[0] == pytest.approx(1.0, abs=0.02)
    assert np.isnan(gains[8])
    assert "1.00 ±0.00" in gain_table([("spline", gains)])


def test_a_folder_without_pairs_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match=r"no NAME\.OPERATOR\.sdr\.png"):
        list(real_pairs(tmp_path))
    write(tmp_path)
    (tmp_path / "clip_a.hdr.png").unlink()
    with pytest.raises(MediaError, match=r"clip_a\.hdr\.png"):
        list(real_pairs(tmp_path))

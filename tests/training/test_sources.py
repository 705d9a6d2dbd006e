"""HDR pictures: primaries of EXR, and files that are broken."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from training.__main__ import main
from training.data.scenes import INDEX, render_views
from training.data.sources import read_still
from vs_gainmap.color.primaries import convert_primaries
from vs_gainmap.errors import MediaError

# ACES 2065-1 (SMPTE ST 2065-1, table 1).
AP0 = (0.7347, 0.2653, 0.0, 1.0, 0.0001, -0.077, 0.32168, 0.33767)
WIDE = (0.708, 0.292, 0.170, 0.797, 0.131, 0.046, 0.3127, 0.3290)


def write_exr(path: Path, rgb: tuple[float, float, float], primaries: object = None) -> Path:
    """Write a flat picture, with a `chromaticities` header where given."""
    open_exr = pytest.importorskip("OpenEXR")
    header = {"compression": open_exr.ZIP_COMPRESSION, "type": open_exr.scanlineimage}
    if primaries is not None:
        header["chromaticities"] = primaries
    pixels = np.tile(np.float32(rgb), (8, 12, 1))
    open_exr.File(header, {"RGB": pixels}).write(str(path))
    return path


def test_exr_of_bt2020_stays_as_it_is(tmp_path: Path) -> None:
    rgb = (0.7, 0.2, 0.05)
    wide = read_still(write_exr(tmp_path / "a.exr", rgb, WIDE))
    assert wide.linear[:, 0, 0].tolist() == pytest.approx(rgb, rel=1e-4)
    # Without a header it is BT.709, as OpenEXR says.
    plain = read_still(write_exr(tmp_path / "b.exr", rgb))
    expected = convert_primaries(torch.tensor(rgb).view(3, 1, 1), "bt709", "bt2020")
    assert torch.allclose(plain.linear[:, :1, :1], expected)


def test_exr_of_aces_keeps_grey_grey_and_takes_color_over(tmp_path: Path) -> None:
    grey = read_still(write_exr(tmp_path / "grey.exr", (0.18, 0.18, 0.18), AP0))
    assert grey.linear[:, 0, 0].tolist() == pytest.approx([0.18] * 3, rel=1e-3)
    # ACES2065-1 of BT.709's red, 1 0 0 (Bradford): the first column of the usual matrix.
    red = read_still(write_exr(tmp_path / "red.exr", (0.439643, 0.089794, 0.017544), AP0))
    expected = convert_primaries(torch.tensor([1.0, 0, 0]).view(3, 1, 1), "bt709", "bt2020")
    assert red.linear[:, 0, 0].tolist() == pytest.approx(expected.flatten().tolist(), abs=1e-3)


def test_exr_of_nonsense_primaries_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match=r"a\.exr has primaries that are none"):
        read_still(write_exr(tmp_path / "a.exr", (1, 1, 1), (0.3,) * 8))


def test_what_is_broken_is_left_out_and_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "hdr"
    folder.mkdir()
    rng = np.random.default_rng(0)
    cv2.imwrite(str(folder / "good.hdr"), rng.random((32, 64, 3), dtype=np.float32))
    write_exr(folder / "half.exr", (1, 1, 1))
    (folder / "half.exr").write_bytes((folder / "half.exr").read_bytes()[:200])
    (folder / "nonsense.exr").write_bytes(b"nonsense")
    (folder / "cut.mkv").write_bytes(b"nonsense")
    cv2.imwrite(str(folder / "lone.ldr.webp"), np.zeros((8, 8, 3), np.uint8))
    cv2.imwrite(str(folder / "odd.ldr.webp"), np.zeros((8, 8, 3), np.uint8))
    (folder / "odd.metadata.json").write_text('{"gainMapMin": 3}')
    cv2.imwrite(str(folder / "sdr.jpg"), np.zeros((8, 8, 3), np.uint8))
    out = tmp_path / "out"
    assert main(["render", str(folder), "--out", str(out), "--views", "2",
                 "--size", "32", "16"]) == 1  # fmt: skip
    printed = capsys.readouterr()
    assert len(json.loads((out / INDEX).read_text())) == 2
    for name in ("half.exr", "nonsense.exr", "cut.mkv", "lone.ldr.webp", "odd.ldr.webp"):
        assert f"{folder / name}: " in printed.out
        assert name in printed.err
    # A photograph without gain map is left out, too, but nothing is wrong with it.
    assert "sdr.jpg" in printed.out
    assert "sdr.jpg" not in printed.err
    assert "Traceback" not in printed.err

    with pytest.raises(MediaError, match="1 or more"):
        render_views([folder], out, views=0, width=32, height=16)

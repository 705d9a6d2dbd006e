"""Linear light in EXR, Radiance and TIFF, as others read it."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import OpenEXR
import pytest
import tifffile

from tests.photo_samples import ramp
from vs_gainmap.errors import MediaError
from vs_gainmap.photo.linear import read_linear, write_linear


@pytest.mark.parametrize("suffix", [".exr", ".hdr", ".tif"])
def test_linear_round_trip(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    write_linear(path, ramp(), "p3d65", 203.0)
    back, primaries = read_linear(path)
    assert primaries == (None if suffix == ".hdr" else "p3d65")
    # Radiance shares one exponent of 8 bits' mantissa between channels; EXR has half floats.
    tolerance = {".exr": 1e-3, ".hdr": 2e-2, ".tif": 0}[suffix]
    np.testing.assert_allclose(back, ramp(), rtol=tolerance, atol=1e-7)


def test_exr_says_primaries_and_white(tmp_path: Path) -> None:
    path = tmp_path / "a.exr"
    write_linear(path, ramp(), "bt2020", 100.0)
    header = OpenEXR.File(str(path)).parts[0].header
    assert header["whiteLuminance"] == 100.0
    assert np.allclose(
        header["chromaticities"], (0.708, 0.292, 0.17, 0.797, 0.131, 0.046, 0.3127, 0.329)
    )


def test_hdr_opens_in_opencv(tmp_path: Path) -> None:
    path = tmp_path / "a.hdr"
    write_linear(path, ramp(), "bt709", 203.0)
    pixels = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)[..., ::-1]
    np.testing.assert_allclose(pixels, ramp(), rtol=2e-2)


def test_tiff_of_one_plane_a_channel(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    planes = np.moveaxis(ramp(), -1, 0).astype(np.float32)
    tifffile.imwrite(path, planes, photometric="rgb", planarconfig="separate")
    np.testing.assert_array_equal(read_linear(path)[0], ramp())


def test_radiance_in_xyz_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.hdr"
    write_linear(path, ramp(), "bt709", 203.0)
    path.write_bytes(path.read_bytes().replace(b"32-bit_rle_rgbe", b"32-bit_rle_xyze"))
    with pytest.raises(MediaError, match=r"a\.hdr: Radiance picture in XYZ"):
        read_linear(path)

"""Color of pictures, by their ICC profiles."""

from __future__ import annotations

import imagecodecs
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import ImageCms

from tests.photo_samples import (
    scene,
)
from vs_gainmap.errors import MediaError
from vs_gainmap.photo.profile import SRGB, make_icc, profile_from_icc

Pixels = NDArray[np.float32]


def test_adobe_rgb_profile_agrees_with_lcms() -> None:
    icc = imagecodecs.cms_profile("adobergb")
    profile = profile_from_icc(icc)
    assert profile.curve == "table"
    linear = profile.to_linear(scene()).movedim(0, -1).numpy()
    expected = imagecodecs.cms_transform(
        scene(), icc, imagecodecs.cms_profile("xyz"), outdtype="float64", outcolorspace="xyz"
    )
    # Row Y of Adobe RGB (1998) to the XYZ of D50, its annex B.
    luminance = linear @ np.array([0.31111, 0.62567, 0.06322])
    np.testing.assert_allclose(luminance, expected[..., 1], atol=2e-3)


@pytest.mark.parametrize("icc", [None, make_icc("bt709")])
def test_srgb_is_srgb(icc: bytes | None) -> None:
    profile = profile_from_icc(icc)
    assert (profile.primaries, profile.curve) == (SRGB.primaries, SRGB.curve)


def test_lab_profile_is_refused() -> None:
    icc = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    with pytest.raises(MediaError, match="only RGB"):
        profile_from_icc(icc)

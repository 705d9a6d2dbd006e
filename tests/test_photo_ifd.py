"""TIFF directories: the orientation in EXIF."""

from __future__ import annotations

from tests.photo_samples import (
    exif_orientation,
)
from vs_gainmap.photo.ifd import read_orientation, reset_orientation


def test_orientation_is_read_and_reset() -> None:
    exif = exif_orientation(6)
    assert read_orientation(exif) == 6
    assert read_orientation(reset_orientation(exif)) == 1
    assert read_orientation(b"junk") == read_orientation(None) == 1

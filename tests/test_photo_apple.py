"""Apple's gain maps: strength and effect."""

from __future__ import annotations

import numpy as np
import pytest

from tests.photo_samples import (
    APPLE_XMP,
    apple_maker_note,
    exif_orientation,
)
from vs_gainmap.errors import MetadataError
from vs_gainmap.photo import apple


@pytest.mark.parametrize(
    ("headroom", "gain", "stops"),
    # "Applying Apple HDR effect to your photos": the four cases of its listing.
    [
        (0.5, 0.005, -20 * 0.005 + 1.8),
        (0.5, 0.5, -0.101 * 0.5 + 1.601),
        (1.2, 0.005, -70 * 0.005 + 3.0),
        (1.2, 0.5, -0.303 * 0.5 + 2.303),
    ],
)
def test_apple_maker_notes(headroom: float, gain: float, stops: float) -> None:
    exif = exif_orientation(1, apple_maker_note(headroom, gain))
    assert apple.headroom_from_maker_notes(exif) == pytest.approx(2**stops, rel=1e-3)


def test_apple_xmp_outranks_maker_notes() -> None:
    packet = APPLE_XMP.format("<HDRGainMap:HDRGainMapHeadroom>4.5</HDRGainMap:HDRGainMapHeadroom>")
    exif = exif_orientation(1, apple_maker_note(0.5, 0.5))
    assert apple.is_gain_map(packet.encode())
    assert apple.find_headroom(exif, [packet.encode()]) == 4.5
    assert apple.find_headroom(exif, []) == pytest.approx(2**1.5505, rel=1e-3)


@pytest.mark.parametrize("text", ["0.5", "1e9", "nan", "bright"])
def test_apple_headroom_out_of_range(text: str) -> None:
    packet = APPLE_XMP.format(
        f"<HDRGainMap:HDRGainMapHeadroom>{text}</HDRGainMap:HDRGainMapHeadroom>"
    )
    with pytest.raises(MetadataError, match="headroom"):
        apple.find_headroom(None, [packet.encode()])


def test_apple_map_has_the_documented_effect() -> None:
    stored = np.linspace(0, 1, 256, dtype=np.float32)
    gain_map, metadata = apple.as_iso(stored, 4.0)
    gain = 2.0 ** (gain_map * metadata.gain_map_max[0])
    # ITU-R BT.709-6, item 1.2, inverted.
    linear = np.where(stored < 0.081, stored / 4.5, ((stored + 0.099) / 1.099) ** (1 / 0.45))
    np.testing.assert_allclose(gain, 1 + 3 * linear, rtol=1e-5)

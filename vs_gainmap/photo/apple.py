"""Apple's gain map: an auxiliary image whose strength is in XMP or in the maker notes.

After "Applying Apple HDR effect to your photos" (Apple's developer documentation):

    hdr = sdr * (1 + (headroom - 1) * linear(map)),

with the map coded as ITU-R BT.709 has it. `as_iso` brings that into the form of ISO 21496-1.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray

from vs_gainmap.color.transfer import bt709_inverse_oetf
from vs_gainmap.errors import MetadataError
from vs_gainmap.gainmap import GainMapMetadata
from vs_gainmap.photo.ifd import EXIF_IFD, MAKER_NOTE, read_header, read_ifd
from vs_gainmap.photo.xmp import read_properties, read_real

AUXILIARY_TYPE = "urn:com:apple:photo:2020:aux:hdrgainmap"
PIXEL_DATA_INFO = "http://ns.apple.com/pixeldatainfo/1.0/"
HDR_GAIN_MAP = "http://ns.apple.com/HDRGainMap/1.0/"
# Maker notes: a signature and a byte order, then a directory whose offsets count from the start.
SIGNATURE = b"Apple iOS\0"
HDR_HEADROOM, HDR_GAIN = 0x0021, 0x0030
MAX_HEADROOM = 64.0


def is_gain_map(packet: bytes) -> bool:
    """Return whether an image's XMP packet calls it Apple's gain map."""
    if b"hdrgainmap" not in packet.lower():
        return False
    types = read_properties(packet, PIXEL_DATA_INFO).get("AuxiliaryImageType", [])
    return AUXILIARY_TYPE in types


def headroom_from_maker_notes(exif: bytes) -> float | None:
    """Compute the headroom from maker notes 33 and 48; None where they are missing.

    Args:
        exif: EXIF of the base picture, as TIFF data.

    Returns:
        Linear ratio of HDR over SDR white, 1 or more.
    """
    header = read_header(exif)
    if header is None:
        return None
    pointer = read_ifd(exif, header[1], header[0]).get(EXIF_IFD)
    offsets = pointer.integers() if pointer else []
    note = read_ifd(exif, offsets[0], header[0]).get(MAKER_NOTE) if offsets else None
    if note is None or not note.value.startswith(SIGNATURE):
        return None
    # "MM" at 12 stands for the byte order; the directory follows at 14.
    fields = read_ifd(note.value, 14, "<" if note.value[12:14] == b"II" else ">")
    if HDR_HEADROOM not in fields or HDR_GAIN not in fields:
        return None
    headroom, gain = fields[HDR_HEADROOM].rationals(), fields[HDR_GAIN].rationals()
    if not headroom or not gain:
        return None
    # Bounded, so that nonsense becomes a headroom that `find_headroom` refuses.
    return math.exp2(min(max(_stops(headroom[0], gain[0]), 0.0), 64.0))


def _stops(headroom: float, gain: float) -> float:
    """Return the stops of maker notes 33 and 48, as the documentation's table has them."""
    if headroom < 1.0:
        return -20.0 * gain + 1.8 if gain <= 0.01 else -0.101 * gain + 1.601
    return -70.0 * gain + 3.0 if gain <= 0.01 else -0.303 * gain + 2.303


def find_headroom(exif: bytes | None, packets: list[bytes]) -> float:
    """Return the headroom of an Apple photo, from its XMP or else its maker notes.

    Raises:
        MetadataError: neither does, or the value is out of range.
    """
    headroom: float | None = None
    for packet in packets:
        texts = read_properties(packet, HDR_GAIN_MAP).get("HDRGainMapHeadroom", [])
        headroom = read_real(texts[0], "Apple's headroom") if texts else headroom
    if headroom is None and exif is not None:
        headroom = headroom_from_maker_notes(exif)
    if headroom is None:
        raise MetadataError("Apple: neither XMP nor maker notes hold the strength of the gain map")
    if not 1.0 <= headroom <= MAX_HEADROOM:
        raise MetadataError(f"Apple: headroom {headroom} is not within 1..{MAX_HEADROOM}")
    return headroom


def as_iso(
    gain_map: NDArray[np.float32], headroom: float
) -> tuple[NDArray[np.float32], GainMapMetadata]:
    """Turn Apple's map into one of ISO 21496-1 with the same result.

    Args:
        gain_map: any shape, 0..1, as stored.
        headroom: linear ratio, 1 or more.

    Returns:
        The map in log2, 0..1, and its metadata.
    """
    stops = math.log2(headroom)
    metadata = GainMapMetadata(gain_map_max=(stops, stops, stops), alternate_headroom=stops)
    if stops == 0:
        return np.zeros_like(gain_map), metadata
    linear = bt709_inverse_oetf(torch.from_numpy(gain_map))
    return (torch.log2(1 + (headroom - 1) * linear) / stops).numpy(), metadata

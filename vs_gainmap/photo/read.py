"""Read gain map photos of every common kind into one form."""

from __future__ import annotations

import io
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vs_gainmap.color.h273 import UNSPECIFIED
from vs_gainmap.color.primaries import Primaries, PrimariesName
from vs_gainmap.errors import MediaError, MetadataError, NoGainMapError
from vs_gainmap.extras import load
from vs_gainmap.files import read_bytes
from vs_gainmap.gainmap import GainMapMetadata
from vs_gainmap.photo import apple
from vs_gainmap.photo.bmff import (
    Items,
    decode_bmff,
    find_tone_map,
    is_avif,
    is_bmff,
    read_items,
    with_primary,
)
from vs_gainmap.photo.input import DEFAULTS, MAX_FILE_BYTES, check_size, decoding
from vs_gainmap.photo.iso21496 import read_iso
from vs_gainmap.photo.jpeg import JpegImage, appended_images, decode_jpeg, parse_jpeg
from vs_gainmap.photo.options import ReadOptions, Sampling
from vs_gainmap.photo.picture import Picture, read_bmff, read_picture
from vs_gainmap.photo.profile import primaries_from_h273, profile_from_icc
from vs_gainmap.photo.xmp import read_hdrgm

MAX_PACKETS = 8
MapSource = Literal["iso21496", "hdrgm", "apple"]
# A map's sides are rounded to whole pixels, and libultrahdr's own limit is one percent.
ASPECT_TOLERANCE = 0.01


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class GainMapPhoto:
    """A photo with its gain map, both as stored: `picture.orientation` is not applied yet."""

    picture: Picture
    """The base, SDR or HDR by `metadata.base_is_hdr`."""
    gain_map: NDArray[np.float32]
    """(h, w, 1 or 3), 0..1, in the form that `metadata` describes."""
    metadata: GainMapMetadata
    source: MapSource
    map_primaries: PrimariesName | Primaries | None = None
    """The primaries that the map applies in, where they are not the base's."""
    sampling: Sampling = "libultrahdr"
    """How the base's chroma was read, and how `render_photo` reads a smaller map."""


class JpegGainMap(NamedTuple):
    """A gain map that was found in a JPEG file, not decoded yet."""

    image: JpegImage
    metadata: GainMapMetadata | None
    """None for Apple's, which has `headroom` alone."""
    source: MapSource
    use_base_color: bool
    headroom: float


def read_photo(path: Path, options: ReadOptions = DEFAULTS) -> GainMapPhoto:
    """Read a gain map photo.

    Args:
        path: JPEG (Ultra HDR, ISO 21496-1, Adobe's, Apple's), AVIF or HEIC.
        options: how samples are read that are stored at less than the picture's size, and the
            largest size.

    Raises:
        NoGainMapError: a sound picture without gain map.
        MediaError: can't be read, damaged, too large, or a map of another shape.
        MetadataError: the gain map's metadata are malformed.
    """
    data = read_bytes(path, MAX_FILE_BYTES)
    with decoding(path):
        if data[:3] == b"\xff\xd8\xff":
            return _read_jpeg(path, data, options)
        if is_bmff(data):
            return replace(_read_bmff(data, options), sampling=options.sampling)
        read_picture(path, options, data=data)
        raise NoGainMapError("this kind of file carries no gain map")


def has_gain_map(data: bytes) -> bool:
    """Return whether a file's content carries a gain map, sound or not."""
    try:
        if data[:3] == b"\xff\xd8\xff":
            return find_gain_map(parse_jpeg(data)) is not None
        if not is_bmff(data):
            return False
        if find_tone_map(read_items(data)) is not None:
            return True
        return apple.AUXILIARY_TYPE.encode() in data
    except MetadataError:
        return True


def find_gain_map(first: JpegImage) -> JpegGainMap | None:
    """Find the gain map among the images behind the first one of a JPEG file.

    ISO 21496-1 metadata outrank Adobe's XMP, and that Apple's.

    Raises:
        MetadataError: an image calls itself a gain map, but its metadata are malformed.
    """
    for image in appended_images(first):
        iso = image.iso_metadata
        parsed = read_iso(iso) if iso is not None else None
        if parsed is not None:
            return JpegGainMap(image, parsed.metadata, "iso21496", parsed.use_base_color, 1.0)
        packet = image.xmp
        if packet is None:
            continue
        metadata = read_hdrgm(packet)
        if metadata is not None:
            return JpegGainMap(image, metadata, "hdrgm", True, 1.0)
        if apple.is_gain_map(packet):
            headroom = apple.find_headroom(first.exif, [packet])
            return JpegGainMap(image, None, "apple", True, headroom)
    return None


def check_aspect(width: int, height: int, map_width: int, map_height: int) -> None:
    """Refuse a map that can't belong to the picture.

    Raises:
        MediaError: another aspect ratio, beyond the rounding of the map's sides.
    """
    tolerance = max(ASPECT_TOLERANCE, 1 / map_width + 1 / map_height)
    if abs(map_width * height / (map_height * width) - 1) > tolerance:
        raise MediaError(
            f"the gain map of {map_width}x{map_height} does not fit "
            f"the picture of {width}x{height}: another aspect ratio"
        )


def _read_jpeg(path: Path, data: bytes, options: ReadOptions) -> GainMapPhoto:
    first = parse_jpeg(data)
    check_size(first.width, first.height, first.end - first.start, options)
    found = find_gain_map(first)
    if found is None:
        raise NoGainMapError("this JPEG has no gain map")
    image = found.image
    check_aspect(first.width, first.height, image.width, image.height)
    codes = decode_jpeg(image, replace(options, sampling="smooth"))
    gain_map = codes.astype(np.float32) / np.float32(255)
    # A map without a profile has the base's primaries.
    own_color = None if found.use_base_color or image.icc is None else profile_from_icc(image.icc)
    metadata = found.metadata
    if metadata is None:
        gain_map, metadata = apple.as_iso(gain_map[..., :1], found.headroom)
    return GainMapPhoto(
        picture=read_picture(path, options, data=data),
        gain_map=gain_map,
        metadata=metadata,
        source=found.source,
        map_primaries=None if own_color is None else own_color.primaries,
        sampling=options.sampling,
    )


def _read_bmff(data: bytes, options: ReadOptions) -> GainMapPhoto:
    items = read_items(data)
    tone_map = find_tone_map(items)
    if tone_map is None:
        return _read_apple_heic(items, options)
    parsed = read_iso(tone_map.metadata)
    if parsed is None:
        raise MetadataError("ISO 21496-1: the metadata are cut short")
    pixels, _ = decode_bmff(with_primary(items, tone_map.gain_map), options)
    picture = read_bmff(data, options)
    gain_map = pixels.astype(np.float32) / np.float32(np.iinfo(pixels.dtype).max)
    check_aspect(*picture.signal.shape[1::-1], *gain_map.shape[1::-1])
    # The alternate's transfer is of no consequence: the map leads to linear light.
    color = None if parsed.use_base_color else items.color_of(tone_map.item)
    color = None if color is not None and color[0] == UNSPECIFIED else color
    return GainMapPhoto(
        picture=picture,
        gain_map=gain_map,
        metadata=parsed.metadata,
        source="iso21496",
        map_primaries=primaries_from_h273(color[0]) if color else None,
    )


def _read_apple_heic(items: Items, options: ReadOptions) -> GainMapPhoto:
    if is_avif(items.data):
        raise NoGainMapError("this AVIF has no gain map")
    heif = load("pillow_heif", "pillow-heif")
    file: Any = heif.open_heif(io.BytesIO(items.data), convert_hdr_to_8bit=False)
    identities = (file.info.get("aux") or {}).get(apple.AUXILIARY_TYPE, [])
    if not identities:
        raise NoGainMapError("this HEIC has no gain map")
    auxiliary = file.get_aux_image(identities[0])
    width, height = auxiliary.size
    check_size(width, height, len(items.data), options)
    pixels = np.atleast_3d(np.asarray(auxiliary))[..., :1]
    picture = read_bmff(items.data, options)
    check_aspect(*picture.signal.shape[1::-1], *pixels.shape[1::-1])
    gain_map, metadata = apple.as_iso(
        pixels.astype(np.float32) / np.float32(np.iinfo(pixels.dtype).max),
        apple.find_headroom(picture.exif, _packets(items)),
    )
    return GainMapPhoto(picture=picture, gain_map=gain_map, metadata=metadata, source="apple")


def _packets(items: Items) -> list[bytes]:
    """Return the XMP packets with a headroom: the map's own, which no library hands out."""
    mime = (item for item, kind in items.kinds.items() if kind == b"mime")
    contents = (items.content(item) for item in islice(mime, MAX_PACKETS))
    return [packet for packet in contents if packet and b"HDRGainMapHeadroom" in packet]

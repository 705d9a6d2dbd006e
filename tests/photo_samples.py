"""Small photos of every kind, made on the spot: nothing here comes from a real camera."""

from __future__ import annotations

import io
import math
import struct
from dataclasses import replace
from pathlib import Path

import imagecodecs
import numpy as np
import pillow_heif
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from vs_gainmap.color.transfer import Eotf
from vs_gainmap.gainmap import PRESETS, GainMapMetadata
from vs_gainmap.models import GMNet
from vs_gainmap.models.weights import save_weights
from vs_gainmap.photo.bmff import read_boxes, read_items
from vs_gainmap.photo.input import Signal
from vs_gainmap.photo.jpeg import parse_jpeg
from vs_gainmap.photo.options import ReadOptions, Sampling
from vs_gainmap.photo.read import GainMapPhoto, read_photo
from vs_gainmap.photo.write import assemble, encode_jpeg

METADATA = GainMapMetadata(
    gain_map_min=(-0.25, -0.25, -0.25),
    gain_map_max=(2.0, 2.0, 2.0),
    gamma=(1.5, 1.5, 1.5),
    base_offset=(1 / 64, 1 / 64, 1 / 64),
    alternate_offset=(1 / 32, 1 / 32, 1 / 32),
    alternate_headroom=2.0,
)


def scene(width: int = 96, height: int = 64) -> NDArray[np.uint8]:
    """Return a smooth, colorful picture with a bright spot, (H, W, 3)."""
    y, x = np.mgrid[0:height, 0:width] / max(width, height)
    spot = np.exp(-((x - 0.7) ** 2 + (y - 0.3) ** 2) * 40)
    planes = [0.2 + 0.5 * x + 0.3 * spot, 0.15 + 0.5 * y + 0.4 * spot, 0.5 - 0.4 * x + 0.5 * spot]
    return (np.stack(planes, -1).clip(0, 1) * 255).round().astype(np.uint8)


def textured_scene(width: int = 256, height: int = 192) -> NDArray[np.uint8]:
    """Return `scene` with grain, hard edges and saturated colors: what is hard to code."""
    rng = np.random.default_rng(4)
    pixels = scene(width, height).astype(float) + rng.normal(0, 5, (height, width, 1))
    for color in ((230, 25, 30), (20, 60, 220), (250, 230, 40), (8, 8, 8), (255, 255, 255)):
        for _ in range(12):
            y, x = rng.integers(0, height - 20), rng.integers(0, width - 20)
            pixels[y : y + rng.integers(3, 20), x : x + rng.integers(3, 20)] = color
    return pixels.clip(0, 255).round().astype(np.uint8)


def chroma_at_half_size(pixels: NDArray[np.uint8]) -> bytes:
    """Return a JPEG as cameras write it, 4:2:0."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=95, subsampling=2)
    return buffer.getvalue()


def smooth_map(width: int = 48, height: int = 32, channels: int = 1) -> NDArray[np.uint8]:
    """Return a smooth gain map, (h, w, channels)."""
    y, x = np.mgrid[0:height, 0:width] / max(width, height)
    planes = [0.5 + 0.4 * np.sin(3 * x + 2 * y + c) for c in range(channels)]
    return (np.stack(planes, -1) * 255).round().astype(np.uint8)


def gray_scene() -> NDArray[np.uint8]:
    """Return `scene` without color: its JPEG's conversion to RGB has nothing to round."""
    return np.repeat(scene()[..., :1], 3, axis=2)


def ultrahdr(
    *,
    picture: NDArray[np.uint8] | None = None,
    gain_map: NDArray[np.uint8] | None = None,
    metadata: GainMapMetadata = METADATA,
    icc: bytes | None = None,
    exif: bytes | None = None,
) -> bytes:
    """Return a small Ultra HDR JPEG."""
    base = parse_jpeg(encode_jpeg(scene() if picture is None else picture, icc=icc, exif=exif))
    return assemble(base, smooth_map() if gain_map is None else gain_map, metadata)


def exif_orientation(orientation: int, maker_note: bytes = b"") -> bytes:
    """Return EXIF with an orientation, and a maker note if given; as TIFF data."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    if maker_note:
        exif.get_ifd(0x8769)[0x927C] = maker_note
    return exif.tobytes().removeprefix(b"Exif\0\0")


def apple_maker_note(headroom: float, gain: float) -> bytes:
    """Return Apple's maker note with tags 33 and 48 as signed rationals."""
    entries = (0x0021, headroom), (0x0030, gain)
    values_at = 14 + 2 + 12 * len(entries) + 4
    directory = struct.pack(">H", len(entries))
    values = b""
    for tag, value in entries:
        directory += struct.pack(">HHII", tag, 10, 1, values_at + len(values))
        values += struct.pack(">ii", round(value * 10000), 10000)
    return b"Apple iOS\0\0\1MM" + directory + struct.pack(">I", 0) + values


APPLE_XMP = (
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf='
    '"http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about=""'
    ' xmlns:apdi="http://ns.apple.com/pixeldatainfo/1.0/"'
    ' xmlns:HDRGainMap="http://ns.apple.com/HDRGainMap/1.0/">'
    "<apdi:AuxiliaryImageType>urn:com:apple:photo:2020:aux:hdrgainmap"
    "</apdi:AuxiliaryImageType>{}</rdf:Description></rdf:RDF></x:xmpmeta>"
)


# A motion photo's directory, with room for an entry before the clip's, and for its length.
MOTION_XMP = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/'
    b'22-rdf-syntax-ns#"><rdf:Description rdf:about="" xmlns:G="http://ns.google.com/photos/1.0/'
    b'camera/" xmlns:C="http://ns.google.com/photos/1.0/container/" xmlns:I="http://ns.google.com/'
    b'photos/1.0/container/item/" G:MotionPhoto="1"><C:Directory><rdf:Seq>'
    b'<rdf:li rdf:parseType="Resource"><C:Item I:Mime="image/jpeg" I:Semantic="Primary"/></rdf:li>'
    b'%b<rdf:li rdf:parseType="Resource"><C:Item I:Mime="video/mp4" I:Semantic="MotionPhoto"'
    b' I:Length="%d"/></rdf:li></rdf:Seq></C:Directory></rdf:Description></rdf:RDF></x:xmpmeta>'
)


def write_weights(path: Path, *, preset: str = "real-world", eotf: Eotf = "gamma22") -> Path:
    """Write a small random network whose map varies smoothly and lies well within 0..1."""
    torch.manual_seed(5)
    model = GMNet(8, 1, 1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(6)
        model.sq_qmax.conv[-1].bias.fill_(0.7)
        model.conv_last.bias.fill_(0.5)
    save_weights(model, replace(PRESETS[preset], eotf=eotf), path)
    return path


def picture_bytes(kind: str, pixels: NDArray[np.uint8]) -> bytes:
    """Encode a picture as "avif" or "heic", losslessly enough."""
    if kind == "avif":
        data: bytes = imagecodecs.avif_encode(pixels, level=100, pixelformat="YUV444", speed=8)
        return data
    buffer = io.BytesIO()
    file = pillow_heif.from_pillow(Image.fromarray(pixels))
    file.save(buffer, quality=95, chroma=444)
    return buffer.getvalue()


def _box(kind: bytes, *parts: bytes) -> bytes:
    content = b"".join(parts)
    return struct.pack(">I4s", len(content) + 8, kind) + content


def _full(kind: bytes, *parts: bytes) -> bytes:
    return _box(kind, bytes(4), *parts)


def with_gain_map(
    base: bytes,
    gain_map: bytes,
    *,
    iso: bytes | None = None,
    auxiliary: bytes | None = None,
    hidden: bool = False,
    color: tuple[int, int] | None = None,
    exif: bytes | None = None,
    xmp: bytes | None = None,
) -> bytes:
    """Join two AVIF or HEIC files: base and map, which is an item of a ``tmap`` or an auxiliary.

    Args:
        base: file of the base.
        gain_map: file of the map.
        iso: metadata of the ``tmap`` item; None for no such item.
        auxiliary: type of the auxiliary image that the map is; None for none.
        hidden: whether the map's item is hidden.
        color: of the ``tmap`` item, primaries and transfer after H.273.
        exif: TIFF data of the base.
        xmp: packet of the map.
    """
    items, properties, associations, references = [], [], [], []
    for n, data in enumerate((base, gain_map)):
        found = read_items(data)
        shift = len(properties)
        properties += [data[box.start - 8 : box.end] for box in found.boxes]
        associations.append([i + shift for i in found.properties[found.primary]])
        items.append(
            (found.kinds[found.primary], b"", n == 1 and hidden, found.content(found.primary))
        )
    if iso is not None:
        items.append((b"tmap", b"", False, b"\0" + iso))
        associations.append(associations[0][:1])
        if color is not None:
            properties.append(_box(b"colr", b"nclx", struct.pack(">HHHB", *color, 2, 128)))
            associations[2].append(len(properties))
        references.append(_box(b"dimg", struct.pack(">HHHH", 3, 2, 1, 2)))
    if auxiliary is not None:
        properties.append(_full(b"auxC", auxiliary + b"\0"))
        associations[1].append(len(properties))
        references.append(_box(b"auxl", struct.pack(">HHH", 2, 1, 1)))
    if exif is not None:
        items.append((b"Exif", b"", True, bytes(4) + exif))
        references.append(_box(b"cdsc", struct.pack(">HHH", len(items), 1, 1)))
    if xmp is not None:
        items.append((b"mime", b"application/rdf+xml\0", True, xmp))
        references.append(_box(b"cdsc", struct.pack(">HHH", len(items), 1, 2)))

    entries = b"".join(
        _box(b"infe", bytes([2, 0, 0, hide]), struct.pack(">HH4s", n, 0, kind), b"\0", content_type)
        for n, (kind, content_type, hide, _) in enumerate(items, 1)
    )
    associated = b"".join(
        struct.pack(f">HB{len(a)}B", n, len(a), *a) for n, a in enumerate(associations, 1)
    )
    ftyp_end = next(b for b in read_boxes(base, 0, len(base)) if b.kind == b"ftyp").end
    payloads = [payload for *_, payload in items]

    def meta(first: int) -> bytes:
        at, extents = first, b""
        for n, payload in enumerate(payloads, 1):
            extents += struct.pack(">HHHII", n, 0, 1, at, len(payload))
            at += len(payload)
        return _full(
            b"meta",
            _full(b"hdlr", bytes(4), b"pict", bytes(13)),
            _full(b"pitm", struct.pack(">H", 1)),
            _full(b"iloc", struct.pack(">BBH", 0x44, 0, len(payloads)), extents),
            _full(b"iinf", struct.pack(">H", len(items)), entries),
            _full(b"iref", *references),
            _box(
                b"iprp",
                _box(b"ipco", *properties),
                _full(b"ipma", struct.pack(">I", len(associations)), associated),
            ),
        )

    first = ftyp_end + len(meta(0)) + 8
    return base[:ftyp_end] + meta(first) + _box(b"mdat", *payloads)


def read_bytes(
    tmp_path: Path, data: bytes, name: str = "photo.jpg", *, sampling: Sampling = "libultrahdr"
) -> GainMapPhoto:
    """Write a photo to a folder and read it from there."""
    path = tmp_path / name
    path.write_bytes(data)
    return read_photo(path, ReadOptions(sampling=sampling))


def relative(
    ours: NDArray[np.float32], theirs: NDArray[np.float32], floor: float = 0.02
) -> NDArray[np.float32]:
    """Return the relative difference, against a floor that keeps near-black from dominating."""
    return np.abs(ours - theirs) / np.maximum(theirs, floor)


def stops(ratio: float) -> float:
    """Return log2 of a ratio."""
    return math.log2(ratio)


PER_CHANNEL = GainMapMetadata(
    gain_map_min=(-0.256907, -0.261365, -0.280284),
    gain_map_max=(1.277177, 1.277203, 1.277969),
    gamma=(0.953784, 0.941095, 0.919422),
    base_offset=(1 / 64, 1 / 64, 1 / 64),
    alternate_offset=(1 / 64, 1 / 64, 1 / 64),
    alternate_headroom=1.3,
)


HDR_BASE = GainMapMetadata(
    gain_map_max=(3.0, 3.0, 3.0),
    base_offset=(1 / 32, 1 / 32, 1 / 32),
    base_headroom=3.0,
    alternate_headroom=0.0,
    base_is_hdr=True,
)


KINDS = pytest.mark.parametrize("metadata", [METADATA, PER_CHANNEL, HDR_BASE])


def assert_close(found: GainMapMetadata, wanted: GainMapMetadata) -> None:
    assert found.base_is_hdr == wanted.base_is_hdr
    for name in ("gain_map_min", "gain_map_max", "gamma", "base_offset", "alternate_offset"):
        assert getattr(found, name) == pytest.approx(getattr(wanted, name), abs=2e-6)
    assert found.base_headroom == pytest.approx(wanted.base_headroom, abs=2e-6)
    assert found.alternate_headroom == pytest.approx(wanted.alternate_headroom, abs=2e-6)


def srgb(signal: Signal) -> NDArray[np.float64]:
    value = signal / np.iinfo(signal.dtype).max
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)


def ramp() -> np.ndarray:
    """Return linear light from far below to far above SDR white, (8, 64, 3)."""
    light = np.geomspace(1e-4, 20, 64)
    return np.repeat(np.stack([light, light * 0.8, light * 0.6], -1)[None], 8, 0).astype(np.float32)

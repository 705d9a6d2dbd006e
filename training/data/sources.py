"""Read HDR pictures and videos as linear light in BT.2020.

Panoramas and photographs are relative scene light; graded material (PQ, HLG) is in cd/m2.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from training.data.exr import read_exr
from training.data.images import read_image
from training.data.video import VIDEO_SUFFIXES, spread_frames
from vs_gainmap.color.primaries import Primaries, PrimariesName, convert_primaries
from vs_gainmap.color.transfer import pq_eotf, srgb_eotf
from vs_gainmap.errors import MediaError, MetadataError
from vs_gainmap.gainmap import GainMapMetadata, Triple, apply_gain_map
from vs_gainmap.photo.extract import as_sdr_base
from vs_gainmap.photo.options import ReadOptions
from vs_gainmap.photo.predict import network_signal
from vs_gainmap.photo.read import read_photo
from vs_gainmap.photo.render import render_photo
from vs_gainmap.untrusted import read_json

PHOTO_SUFFIXES = {".jpg", ".jpeg", ".avif", ".heic"}
STILL_SUFFIXES = {".hdr", ".exr", ".png", *PHOTO_SUFFIXES}


@dataclass(frozen=True, slots=True, kw_only=True)
class Still:
    """A linear HDR picture.

    Attributes:
        name: of the scene.
        linear: (3, H, W), float32, BT.2020, at least 0; in cd/m2 when `graded`, else relative.
        graded: whether it is a finished picture for a display.
        panorama: whether it is equirectangular.
        sdr: the SDR picture that a camera made of it, (3, H, W), 0..1, sRGB signal, whose white is
            1.0 of `linear`; None where there is none.
    """

    name: str
    linear: Tensor
    graded: bool
    panorama: bool
    sdr: Tensor | None = None


def _to_tensor(rgb: np.ndarray) -> Tensor:
    """Turn (H, W, 3) of any float type into (3, H, W) float32."""
    return torch.from_numpy(np.ascontiguousarray(rgb.astype(np.float32).transpose(2, 0, 1)))


def read_radiance(path: Path) -> np.ndarray:
    """Read a Radiance .hdr picture as (H, W, 3) RGB, relative linear light."""
    bgr = read_image(path, cv2.IMREAD_UNCHANGED)
    if bgr.ndim != 3:
        raise MediaError(f"training: {path.name} can't be read as Radiance HDR")
    return bgr[..., ::-1]


def read_gain_map_folder(base_path: Path) -> np.ndarray:
    """Read `<name>.ldr.webp` + `.gainmap.webp` + `.metadata.json` (gainmap-js) as linear light."""
    stem = base_path.name.removesuffix(".ldr.webp")
    try:
        metadata = _gainmap_js(read_json(base_path.with_name(f"{stem}.metadata.json")))
    except (MetadataError, ValueError, KeyError, TypeError) as error:
        raise MediaError(
            f"training: {base_path.name} needs {stem}.metadata.json from gainmap-js: {error!r}"
        ) from error
    base = read_image(base_path, cv2.IMREAD_COLOR)
    gain = read_image(base_path.with_name(f"{stem}.gainmap.webp"), cv2.IMREAD_COLOR)
    if gain.shape != base.shape:
        gain = cv2.resize(gain, base.shape[1::-1], interpolation=cv2.INTER_LINEAR)
    linear = srgb_eotf(_to_tensor(base[..., ::-1]) / 255)
    hdr = apply_gain_map(linear, _to_tensor(gain[..., ::-1]) / 255, metadata)
    return hdr.numpy().transpose(1, 2, 0)


def _gainmap_js(fields: dict[str, list[float]]) -> GainMapMetadata:
    def triple(key: str) -> Triple:
        red, green, blue = fields[key]
        return float(red), float(green), float(blue)

    return GainMapMetadata(
        gain_map_min=triple("gainMapMin"),
        gain_map_max=triple("gainMapMax"),
        gamma=triple("gamma"),
        base_offset=triple("offsetSdr"),
        alternate_offset=triple("offsetHdr"),
    )


def read_gain_map_photo(path: Path) -> tuple[np.ndarray, Tensor]:
    """Read a gain map photo (Ultra HDR, ISO 21496-1, Adobe, Apple): light in BT.709, and SDR."""
    photo = as_sdr_base(read_photo(path, ReadOptions(sampling="smooth")))
    light = render_photo(photo, primaries="bt709", turn=False)
    return light, network_signal(photo.picture)


def read_pq_png(path: Path) -> np.ndarray:
    """Read a 16-bit PNG that is PQ-coded, full range, as (H, W, 3) in cd/m2."""
    bgr = read_image(path, cv2.IMREAD_UNCHANGED)
    if bgr.dtype != np.uint16 or bgr.ndim != 3:
        raise MediaError(f"training: {path.name} must be a 16-bit RGB PNG in PQ")
    signal = torch.from_numpy(bgr[..., 2::-1].astype(np.float32) / 65535)
    return pq_eotf(signal).numpy()


def scene_name(path: Path) -> str:
    """Return the name of a file's scene, by which `splits` holds it out."""
    return path.stem if path.suffix.lower() in VIDEO_SUFFIXES else path.name.split(".")[0]


def read_still(path: Path) -> Still:
    """Read one HDR picture.

    Args:
        path: .hdr, .exr, gain map folder base (``.ldr.webp``), gain map photo, PQ .png. An EXR
            is in the primaries of its header, PQ in BT.2020, all else in BT.709.

    Returns:
        The picture in BT.2020.

    Raises:
        MediaError: the file can't be read, or its kind is unknown.
        MetadataError: its gain map's metadata are invalid.
    """
    suffix = path.suffix.lower()
    graded = suffix == ".png"
    source: PrimariesName | Primaries = "bt2020" if graded else "bt709"
    sdr: Tensor | None = None
    if suffix == ".hdr":
        rgb = read_radiance(path)
    elif suffix == ".exr":
        rgb, source = read_exr(path)
    elif path.name.endswith(".ldr.webp"):
        rgb = read_gain_map_folder(path)
    elif suffix in PHOTO_SUFFIXES:
        rgb, sdr = read_gain_map_photo(path)
    elif graded:
        rgb = read_pq_png(path)
    else:
        raise MediaError(f"training: {path.name} is of no kind that can be read as HDR")
    # Half floats overflow at the sun.
    finite = np.nan_to_num(rgb.astype(np.float32), nan=0.0, posinf=65504.0, neginf=0.0)
    linear = convert_primaries(_to_tensor(finite), source, "bt2020").clamp(min=0.0)
    height, width = linear.shape[-2:]
    return Still(
        name=scene_name(path),
        linear=linear,
        graded=graded,
        panorama=not graded and abs(width / height - 2) < 0.02,
        sdr=sdr,
    )


def read_source(path: Path, *, video_frames: int = 16) -> Iterator[Still]:
    """Yield a picture, or frames spread over an HDR10 or HLG video.

    Raises:
        MediaError: the file can't be read, or is not HDR.
        MetadataError: a gain map's metadata are invalid.
    """
    if path.suffix.lower() not in VIDEO_SUFFIXES:
        yield read_still(path)
        return
    for nits in spread_frames(path, count=video_frames):
        yield Still(name=scene_name(path), linear=nits, graded=True, panorama=False)


def find_sources(folder: Path) -> list[Path]:
    """List the HDR pictures and videos under a folder, in a stable order."""
    suffixes = STILL_SUFFIXES | VIDEO_SUFFIXES
    return sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in suffixes or path.name.endswith(".ldr.webp")
    )

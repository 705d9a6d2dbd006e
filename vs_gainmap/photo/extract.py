"""Take a gain map photo apart into the paper's files, and put such files together again.

`sdr.png gainmap.png metadata.json qmax.npy`: the last is what the published scripts read
(one number, stops), the third is everything. Pixels are upright.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray

from vs_gainmap.color.primaries import PRIMARIES, Primaries, PrimariesName
from vs_gainmap.color.transfer import SDR_EOTFS, Eotf, srgb_inverse_eotf
from vs_gainmap.errors import MediaError, MetadataError
from vs_gainmap.files import write_bytes
from vs_gainmap.gainmap import GainMapMetadata
from vs_gainmap.photo.input import Sampling, as_bytes
from vs_gainmap.photo.optional import load
from vs_gainmap.photo.picture import read_picture
from vs_gainmap.photo.profile import ColorProfile
from vs_gainmap.photo.read import GainMapPhoto, check_aspect
from vs_gainmap.photo.render import render_photo, upright

MAX_SMALL_FILE = 1 << 20
SDR, GAIN_MAP, METADATA, QMAX = "sdr.png", "gainmap.png", "metadata.json", "qmax.npy"
PARTS = (SDR, GAIN_MAP, METADATA, QMAX)


def as_sdr_base(photo: GainMapPhoto) -> GainMapPhoto:
    """Return the photo with its SDR picture, 8 bits with the sRGB curve, as the base.

    An SDR base with that curve stays as it is. The log gain always leads from SDR to HDR, so
    for an HDR base only the two pictures' parts in the metadata change places.
    """
    metadata, picture = photo.metadata, photo.picture
    if not metadata.base_is_hdr and picture.profile.curve == "srgb":
        return photo
    if metadata.base_is_hdr:
        metadata = replace(
            metadata,
            base_is_hdr=False,
            base_offset=metadata.alternate_offset,
            alternate_offset=metadata.base_offset,
            base_headroom=metadata.alternate_headroom,
            alternate_headroom=metadata.base_headroom,
        )
    linear = render_photo(photo, display_boost=1.0, turn=False)
    signal = srgb_inverse_eotf(torch.from_numpy(linear)).clamp(0.0, 1.0)
    return replace(
        photo,
        metadata=metadata,
        picture=replace(
            picture,
            signal=(signal * 255).round().byte().numpy(),
            profile=ColorProfile(primaries=picture.profile.primaries),
        ),
    )


def extract_photo(photo: GainMapPhoto, folder: Path) -> list[Path]:
    """Write the four files.

    Args:
        photo: what `read_photo` returned.
        folder: where to; made where it does not exist.

    Returns:
        What was written.

    Raises:
        MediaError: the folder can't be written.
    """
    photo = as_sdr_base(photo)
    orientation = photo.picture.orientation
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise MediaError(f"{folder}: {error.strerror or error}") from error
    # Apple's map is no longer the stored one: 16 bits keep it.
    depth = 65535 if photo.source == "apple" else 255
    coded = np.rint(upright(photo.gain_map, orientation) * depth)
    codes = coded.astype(np.uint16 if depth > 255 else np.uint8)
    fields = {
        **asdict(photo.metadata),
        "source": photo.source,
        "primaries": _primaries_field(photo.picture.profile.primaries),
        "map_primaries": photo.map_primaries and _primaries_field(photo.map_primaries),
        "eotf": "srgb",
    }
    contents = {
        SDR: _png(upright(as_bytes(photo.picture.signal), orientation)),
        GAIN_MAP: _png(codes[..., 0] if codes.shape[2] == 1 else codes),
        METADATA: (json.dumps(fields, indent=1) + "\n").encode(),
    }
    for name, content in contents.items():
        write_bytes(folder / name, content)
    np.save(folder / QMAX, np.float32(max(photo.metadata.gain_map_max)))
    return [folder / name for name in PARTS]


def _png(pixels: NDArray[Any]) -> bytes:
    data: bytes = load("imagecodecs", "imagecodecs").png_encode(np.ascontiguousarray(pixels))
    return data


def _primaries_field(primaries: PrimariesName | Primaries) -> str | dict[str, Any]:
    return primaries if isinstance(primaries, str) else asdict(primaries)


def read_extracted(
    sdr: Path,
    gain_map: Path,
    *,
    metadata: Path | None = None,
    qmax: Path | None = None,
    sampling: Sampling = "libultrahdr",
) -> tuple[GainMapPhoto, Eotf]:
    """Put a photo together from files.

    Args:
        sdr: SDR picture.
        gain_map: map of the same aspect.
        metadata: as `extract_photo` writes it.
        qmax: stops in .npy, as the published scripts write it: the map then starts at zero,
            without offsets, and SDR has gamma 2.2. Not used beside `metadata`.
        sampling: how a JPEG's chroma and a smaller map are read.

    Returns:
        The photo, and the EOTF that it is to be rendered with.

    Raises:
        MediaError: a file can't be read, or does not fit.
        MetadataError: the metadata are malformed.
    """
    picture = read_picture(sdr, sampling=sampling)
    map_picture = read_picture(gain_map, sampling="smooth")
    height, width = picture.signal.shape[:2]
    check_aspect(width, height, *map_picture.signal.shape[1::-1])
    if metadata is not None:
        fields = _read_fields(metadata)
        parsed, eotf = _metadata_of(fields), cast("Eotf", fields.get("eotf", "srgb"))
        primaries = _read_primaries(fields.get("primaries"))
        map_primaries = _read_primaries(fields.get("map_primaries"))
        picture = replace(picture, profile=ColorProfile(primaries=primaries or "bt709"))
    elif qmax is not None:
        parsed, eotf, map_primaries = _metadata_of_qmax(qmax), "gamma22", None
    else:
        raise MediaError(f"{sdr.parent}: neither {METADATA} nor {QMAX}")
    if eotf not in SDR_EOTFS:
        raise MetadataError(f"{METADATA}: eotf must be one of {', '.join(SDR_EOTFS)}, got {eotf}")
    codes = map_picture.signal
    if np.array_equal(codes[..., 0], codes[..., 1]) and np.array_equal(
        codes[..., 0], codes[..., 2]
    ):
        codes = codes[..., :1]
    photo = GainMapPhoto(
        picture=picture,
        gain_map=codes.astype(np.float32) / np.float32(np.iinfo(codes.dtype).max),
        metadata=parsed,
        source="iso21496",
        map_primaries=map_primaries,
        sampling=sampling,
    )
    return photo, eotf


def read_extracted_folder(
    folder: Path, *, sampling: Sampling = "libultrahdr"
) -> tuple[GainMapPhoto, Eotf]:
    """Put a photo together from a folder that `extract_photo` or the published script wrote."""
    metadata, qmax = folder / METADATA, folder / QMAX
    return read_extracted(
        folder / SDR,
        folder / GAIN_MAP,
        metadata=metadata if metadata.is_file() else None,
        qmax=qmax if qmax.is_file() else None,
        sampling=sampling,
    )


def _read_fields(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > MAX_SMALL_FILE:
            raise MetadataError(f"{path}: larger than any such file is")
        fields = json.loads(path.read_text())
    except (OSError, ValueError, RecursionError) as error:
        raise MetadataError(f"{path}: {str(error)[:100]}") from error
    if not isinstance(fields, dict):
        raise MetadataError(f"{path}: not an object")
    return fields


def _metadata_of(fields: dict[str, Any]) -> GainMapMetadata:
    known = {name: fields[name] for name in GainMapMetadata.__dataclass_fields__ if name in fields}
    try:
        values: dict[str, Any] = {
            name: tuple(float(v) for v in value) if isinstance(value, list) else value
            for name, value in known.items()
        }
        return GainMapMetadata(**values)
    except (TypeError, ValueError) as error:
        raise MetadataError(f"{METADATA}: {str(error)[:100]}") from error


def _metadata_of_qmax(path: Path) -> GainMapMetadata:
    try:
        if path.stat().st_size > MAX_SMALL_FILE:
            raise MetadataError(f"{path}: larger than any such file is")
        # Mapped: a header that promises more than the file has is an error, not an allocation.
        stops = float(np.load(path, mmap_mode="r", allow_pickle=False).reshape(-1)[0])
    except (OSError, ValueError, IndexError, EOFError, OverflowError) as error:
        raise MetadataError(f"{path}: {str(error)[:100]}") from error
    if not (math.isfinite(stops) and 0 <= stops <= 32):
        raise MetadataError(f"{path}: Qmax must be within 0..32 stops, got {stops}")
    return GainMapMetadata(gain_map_max=(stops, stops, stops), alternate_headroom=stops)


def _read_primaries(value: object) -> PrimariesName | Primaries | None:
    if value is None:
        return None
    if isinstance(value, str) and value in PRIMARIES:
        return value
    if isinstance(value, dict):
        try:
            points = {name: (float(xy[0]), float(xy[1])) for name, xy in value.items()}
            return Primaries(**points)
        except (TypeError, ValueError, IndexError) as error:
            raise MetadataError(f"{METADATA}: primaries: {str(error)[:100]}") from error
    raise MetadataError(f"{METADATA}: unknown primaries {value!r}")

"""Take a gain map photo apart into the paper's files, and put such files together again.

`sdr.png gainmap.png metadata.json qmax.npy`: the last is what the published scripts read
(one number, stops), the third is everything. Pixels are upright.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from vs_gainmap.color.primaries import PRIMARIES, Primaries, PrimariesName
from vs_gainmap.color.transfer import SDR_EOTFS, Eotf, srgb_inverse_eotf
from vs_gainmap.errors import MediaError, MetadataError
from vs_gainmap.files import check_output, write_bytes
from vs_gainmap.gainmap import MAX_GAMMA, MAX_STOPS, GainMapMetadata
from vs_gainmap.photo.input import DEFAULTS, as_bytes, naming
from vs_gainmap.photo.options import ReadOptions
from vs_gainmap.photo.picture import read_picture
from vs_gainmap.photo.profile import ColorProfile, name_primaries
from vs_gainmap.photo.read import GainMapPhoto, check_aspect
from vs_gainmap.photo.render import render_photo, upright
from vs_gainmap.photo.write import npy_bytes, png_bytes
from vs_gainmap.untrusted import as_choice, as_number, read_json, read_npy_number

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


def extract_photo(
    photo: GainMapPhoto, folder: Path, *, source: Path | None = None, overwrite: bool = False
) -> list[Path]:
    """Write the four files.

    Args:
        photo: what `read_photo` returned.
        folder: where to; made where it does not exist.
        source: the photo's file, which is never replaced.
        overwrite: replace files of these names.

    Returns:
        What was written.

    Raises:
        MediaError: the folder can't be written, or holds one of the files without `overwrite`.
    """
    photo = as_sdr_base(photo)
    orientation = photo.picture.orientation
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise MediaError(f"{folder}: {error.strerror or error}") from error
    paths = [folder / name for name in PARTS]
    for path in paths:
        check_output(path, [source], overwrite=overwrite)
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
        SDR: png_bytes(upright(as_bytes(photo.picture.signal), orientation)),
        GAIN_MAP: png_bytes(codes[..., 0] if codes.shape[2] == 1 else codes),
        METADATA: (json.dumps(fields, indent=1) + "\n").encode(),
        QMAX: npy_bytes(max(photo.metadata.gain_map_max)),
    }
    for name, content in contents.items():
        write_bytes(folder / name, content, overwrite=overwrite)
    return paths


def _primaries_field(primaries: PrimariesName | Primaries) -> str | dict[str, Any]:
    return primaries if isinstance(primaries, str) else asdict(primaries)


def read_extracted(
    sdr: Path,
    gain_map: Path,
    *,
    metadata: Path | None = None,
    qmax: Path | None = None,
    options: ReadOptions = DEFAULTS,
) -> tuple[GainMapPhoto, Eotf]:
    """Put a photo together from files.

    Args:
        sdr: SDR picture.
        gain_map: map of the same aspect.
        metadata: as `extract_photo` writes it.
        qmax: stops in .npy, as the published scripts write it: the map then starts at zero,
            without offsets, and SDR has gamma 2.2. Both are read smoothly, as OpenCV reads them
            there. Not used beside `metadata`.
        options: how a JPEG's chroma and a smaller map are read, and the largest size.

    Returns:
        The photo, and the EOTF that it is to be rendered with.

    Raises:
        MediaError: a file can't be read, or does not fit.
        MetadataError: the metadata are malformed.
    """
    if metadata is None:
        options = replace(options, sampling="smooth")
    picture = read_picture(sdr, options)
    map_picture = read_picture(gain_map, replace(options, sampling="smooth"))
    height, width = picture.signal.shape[:2]
    check_aspect(width, height, *map_picture.signal.shape[1::-1])
    eotf: Eotf = "gamma22"
    map_primaries: PrimariesName | Primaries | None = None
    if metadata is not None:
        parsed, eotf, primaries, map_primaries = _read_description(metadata)
        picture = replace(picture, profile=ColorProfile(primaries=primaries))
    elif qmax is not None:
        parsed = _metadata_of_qmax(qmax)
    else:
        raise MediaError(f"{sdr.parent}: neither {METADATA} nor {QMAX}")
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
        sampling=options.sampling,
    )
    return photo, eotf


def read_extracted_folder(
    folder: Path, options: ReadOptions = DEFAULTS
) -> tuple[GainMapPhoto, Eotf]:
    """Put a photo together from a folder that `extract_photo` or the published script wrote."""
    metadata, qmax = folder / METADATA, folder / QMAX
    return read_extracted(
        folder / SDR,
        folder / GAIN_MAP,
        metadata=metadata if metadata.is_file() else None,
        qmax=qmax if qmax.is_file() else None,
        options=options,
    )


class _Description(NamedTuple):
    """The content of metadata.json."""

    metadata: GainMapMetadata
    eotf: Eotf
    primaries: PrimariesName | Primaries
    map_primaries: PrimariesName | Primaries | None


def _read_description(path: Path) -> _Description:
    """Decode metadata.json; what it leaves out has `GainMapMetadata`'s defaults.

    Raises:
        MetadataError: it can't be read, or a value is out of range.
    """
    fields = read_json(path)
    with naming(path):
        values: dict[str, Any] = {}
        for field in dataclasses.fields(GainMapMetadata):
            if field.name in fields:
                values[field.name] = _metadata_value(fields[field.name], field)
        primaries = _read_primaries(fields.get("primaries"))
        return _Description(
            metadata=GainMapMetadata(**values),
            eotf=as_choice(fields.get("eotf", "srgb"), "eotf", SDR_EOTFS),
            primaries="bt709" if primaries is None else primaries,
            map_primaries=_read_primaries(fields.get("map_primaries")),
        )


def _metadata_value(value: object, field: dataclasses.Field[Any]) -> object:
    if isinstance(field.default, bool):
        if not isinstance(value, bool):
            raise MetadataError(f"{field.name} must be true or false, got {value!r}"[:100])
        return value
    if isinstance(field.default, float):
        return as_number(value, field.name, -MAX_STOPS, MAX_STOPS)
    if not isinstance(value, list) or len(value) != 3:
        raise MetadataError(f"{field.name} must be three numbers, got {value!r}"[:100])
    return tuple(as_number(one, field.name, -MAX_GAMMA, MAX_GAMMA) for one in value)


def _metadata_of_qmax(path: Path) -> GainMapMetadata:
    stops = read_npy_number(path, 0, MAX_STOPS)
    return GainMapMetadata(gain_map_max=(stops, stops, stops), alternate_headroom=stops)


def _read_primaries(value: object) -> PrimariesName | Primaries | None:
    if value is None:
        return None
    if not isinstance(value, dict):
        return as_choice(value, "primaries", PRIMARIES)
    points: dict[str, tuple[float, float]] = {}
    for name in ("red", "green", "blue", "white"):
        xy = value.get(name)
        if not isinstance(xy, list) or len(xy) != 2:
            raise MetadataError(f"primaries: {name} must be x and y, got {xy!r}"[:100])
        points[name] = (as_number(xy[0], name, -1, 2), as_number(xy[1], name, -1, 2))
    return name_primaries(Primaries(**points))

"""Linear light in files: OpenEXR, Radiance .hdr and float TIFF, both ways."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vs_gainmap.color.primaries import PRIMARIES, Primaries, PrimariesName
from vs_gainmap.errors import MediaError
from vs_gainmap.extras import load
from vs_gainmap.files import read_bytes, write_bytes
from vs_gainmap.photo.input import DEFAULTS, MAX_FILE_BYTES, check_size, decoding, open_tiff
from vs_gainmap.photo.options import LINEAR_SUFFIXES, ReadOptions
from vs_gainmap.photo.profile import make_icc, name_primaries, profile_from_icc

MAX_CHANNELS = 16
HALF_MAX = 65504.0

Linear = tuple[NDArray[Any], PrimariesName | Primaries | None]


def write_linear(
    path: Path,
    hdr: NDArray[np.float32],
    primaries: PrimariesName,
    sdr_white: float,
    *,
    overwrite: bool = True,
) -> None:
    """Write linear light, by the file's suffix.

    EXR has primaries and white in its header, TIFF the primaries in a linear ICC profile; .hdr
    has neither, and no negative values.

    Args:
        path: .exr, .hdr, .tif or .tiff.
        hdr: (H, W, 3), linear light, 1.0 = SDR white.
        primaries: of `hdr`.
        sdr_white: cd/m2 of 1.0.
        overwrite: whether a file that is there by then is replaced.

    Raises:
        MediaError: another suffix, or the file can't be written.
    """
    suffix = path.suffix.lower()
    if suffix not in LINEAR_SUFFIXES:
        raise MediaError(f"{path.name}: linear light goes into {', '.join(LINEAR_SUFFIXES)}")
    file = io.BytesIO()
    if suffix == ".exr":
        _write_exr(file, hdr, primaries, sdr_white)
    elif suffix == ".hdr":
        codecs = load("imagecodecs", "imagecodecs")
        file.write(codecs.rgbe_encode(np.maximum(hdr, np.float32(0))))
    else:
        load("tifffile", "tifffile").imwrite(
            file,
            hdr,
            photometric="rgb",
            compression="zlib",
            predictor=3,
            iccprofile=make_icc(primaries, linear=True),
        )
    write_bytes(path, file.getvalue(), overwrite=overwrite)


def _write_exr(
    file: io.BytesIO, hdr: NDArray[np.float32], primaries: PrimariesName, sdr_white: float
) -> None:
    openexr = load("OpenEXR", "OpenEXR")
    p = PRIMARIES[primaries]
    fits = float(np.abs(hdr).max()) <= HALF_MAX
    header = {
        "compression": openexr.ZIP_COMPRESSION,
        "type": openexr.scanlineimage,
        "chromaticities": (*p.red, *p.green, *p.blue, *p.white),
        "whiteLuminance": float(sdr_white),
    }
    pixels = np.ascontiguousarray(hdr.astype(np.float16) if fits else hdr)
    openexr.File(header, {"RGB": pixels}).write(file)


def read_linear(
    path: Path, options: ReadOptions = DEFAULTS
) -> tuple[NDArray[np.float32], PrimariesName | Primaries | None]:
    """Read linear light.

    Args:
        path: .exr, .hdr, .tif or .tiff.
        options: the largest size.

    Returns:
        (H, W, 3), float32, and the primaries where the file has them.

    Raises:
        MediaError: can't be read, damaged, too large, or not linear light in RGB.
    """
    suffix = path.suffix.lower()
    if suffix not in LINEAR_SUFFIXES:
        raise MediaError(f"{path.name}: linear light comes in {', '.join(LINEAR_SUFFIXES)}")
    data = read_bytes(path, MAX_FILE_BYTES)
    reader = {".exr": _read_exr, ".hdr": _read_hdr}.get(suffix, _read_tiff)
    with decoding(path):
        hdr, primaries = reader(data, options)
    if hdr.ndim != 3 or hdr.shape[2] < 3:
        raise MediaError(f"{path.name}: not RGB, its shape is {hdr.shape}")
    hdr = np.ascontiguousarray(hdr[..., :3], dtype=np.float32)
    if not np.isfinite(hdr).all():
        raise MediaError(f"{path.name}: some pixels are not finite")
    return hdr, primaries


def _read_exr(data: bytes, options: ReadOptions) -> Linear:
    openexr = load("OpenEXR", "OpenEXR")
    parts = openexr.File(io.BytesIO(data), header_only=True).parts
    header = parts[0].header
    names = [channel.name for channel in header["channels"]]
    if len(parts) > 1 or len(names) > MAX_CHANNELS:
        raise MediaError(f"EXR of more than one part or {MAX_CHANNELS} channels")
    if not {"R", "G", "B"} <= set(names):
        raise MediaError(f"EXR with channels {', '.join(names)} instead of R, G, B")
    low, high = header["dataWindow"]
    width, height = (int(b) - int(a) + 1 for a, b in zip(low, high, strict=True))
    check_size(width, height, len(data), options)
    # OpenEXR's own reader prints what is damaged, and goes on.
    pixels = load("imagecodecs", "imagecodecs").exr_decode(data)
    if set(names) - {"A"} != {"R", "G", "B"}:
        # In the file's order, then; else in that of RGBA.
        pixels = pixels[..., [names.index(name) for name in ("R", "G", "B")]]
    points = header.get("chromaticities")
    if points is None:
        return pixels, None
    red, green, blue, white = zip(*[map(float, points)] * 2, strict=True)
    return pixels, name_primaries(Primaries(red=red, green=green, blue=blue, white=white))


def _read_hdr(data: bytes, options: ReadOptions) -> Linear:
    size = re.search(rb"\n-Y (\d{1,9}) \+X (\d{1,9})\n", data[:65536])
    if not data.startswith(b"#?") or size is None:
        raise MediaError("not a Radiance picture that can be read here")
    if re.search(rb"^FORMAT=.*xyze", data[: size.start()], re.MULTILINE):
        raise MediaError("Radiance picture in XYZ: linear light is RGB")
    check_size(int(size[2]), int(size[1]), len(data), options)
    pixels = load("imagecodecs", "imagecodecs").rgbe_decode(data)
    return pixels, None


def _read_tiff(data: bytes, options: ReadOptions) -> Linear:
    with open_tiff(data, options) as page:
        if page.dtype not in (np.float16, np.float32, np.float64):
            raise MediaError(f"TIFF of {page.dtype}: linear light is float")
        icc = page.tags.valueof(34675)
        pixels = page.asarray()
        if pixels.ndim == 3 and page.planarconfig == 2:
            pixels = np.moveaxis(pixels, 0, -1)
    return pixels, profile_from_icc(bytes(icc)).primaries if icc else None

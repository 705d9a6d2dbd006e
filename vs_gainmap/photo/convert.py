"""Convert ordinary SDR photos to HDR ones, one at a time or whole folders."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

import torch

from vs_gainmap.color.primaries import convert_primaries
from vs_gainmap.errors import AlreadyHdrError, GainMapError, MediaError
from vs_gainmap.files import read_bytes, write_bytes
from vs_gainmap.photo.ifd import reset_orientation
from vs_gainmap.photo.input import MAX_FILE_BYTES, as_bytes, decoding, naming
from vs_gainmap.photo.jpeg import decode_jpeg, parse_jpeg, with_coded_data
from vs_gainmap.photo.linear import write_linear
from vs_gainmap.photo.options import (
    AVIF_QUALITY,
    BASE_QUALITY,
    JPEG_SUFFIXES,
    LINEAR_SUFFIXES,
    PQ_SUFFIXES,
    ConvertOptions,
)
from vs_gainmap.photo.picture import Picture, read_picture
from vs_gainmap.photo.predict import PhotoPredictor, PredictedPhoto, make_gain_map
from vs_gainmap.photo.profile import make_icc, profile_from_icc
from vs_gainmap.photo.read import has_gain_map
from vs_gainmap.photo.render import upright
from vs_gainmap.photo.write import BASE_LAYOUTS, assemble, check_base, encode_jpeg, write_pq

_log = logging.getLogger(__name__)

INPUT_SUFFIXES = (
    *(".jpg", ".jpeg", ".jpe", ".png", ".tif", ".tiff", ".webp", ".heic", ".heif", ".avif"),
)
OUTPUT_SUFFIXES = (*JPEG_SUFFIXES, *PQ_SUFFIXES, *LINEAR_SUFFIXES)


def check_target(target: Path) -> None:
    """Refuse a suffix that nothing here writes.

    Raises:
        MediaError: it is one.
    """
    if target.suffix.lower() not in OUTPUT_SUFFIXES:
        raise MediaError(f"{target.name}: the output must end in {', '.join(OUTPUT_SUFFIXES)}")


def convert_photo(
    source: Path,
    target: Path,
    predictor: PhotoPredictor,
    options: ConvertOptions,
    *,
    overwrite: bool = True,
) -> None:
    """Convert one SDR photo, by the suffix of its target.

    Args:
        source: JPEG, PNG, TIFF, WebP, HEIC or AVIF.
        target: .jpg for Ultra HDR; .png or .avif for PQ; .exr, .hdr or .tif for linear light.
        predictor: the network.
        options: how.
        overwrite: whether a target that is there by then is replaced.

    Raises:
        AlreadyHdrError: the source has a gain map, or is PQ or HLG.
        MediaError: the source can't be read, or the target can't be written.
    """
    check_target(target)
    data = read_bytes(source, MAX_FILE_BYTES)
    with decoding(source):
        if has_gain_map(data):
            raise AlreadyHdrError("it has a gain map already; use photo render or photo pq")
    picture = read_picture(source, options, data=data)
    layout = picture.jpeg.layout if picture.jpeg is not None else BASE_LAYOUTS[0]
    if target.suffix.lower() in JPEG_SUFFIXES and layout not in BASE_LAYOUTS:
        _log.warning(
            "%s: the base was coded anew, at quality %d: HDR viewers read no JPEG in %s",
            source.name,
            options.quality or BASE_QUALITY,
            layout,
        )
    with naming(source):
        write_hdr_picture(picture, target, predictor, options, overwrite=overwrite)


def write_hdr_picture(
    picture: Picture,
    target: Path,
    predictor: PhotoPredictor,
    options: ConvertOptions,
    *,
    overwrite: bool = True,
) -> None:
    """Predict HDR for a picture in memory and write it; see `convert_photo`."""
    check_target(target)
    suffix = target.suffix.lower()
    if suffix in JPEG_SUFFIXES:
        height, width = picture.signal.shape[:2]
        check_base(width, height, picture.jpeg)
    predicted = predictor(picture, strength=options.strength)
    if suffix in JPEG_SUFFIXES:
        write_bytes(target, make_ultrahdr(predicted, options), overwrite=overwrite)
        return
    primaries = picture.profile.primaries
    hdr = upright(predicted.render(), picture.orientation)
    white = options.sdr_white or predicted.preset.sdr_white
    if suffix in PQ_SUFFIXES:
        write_pq(
            target,
            hdr,
            primaries,
            white,
            quality=options.quality or AVIF_QUALITY,
            exif=reset_orientation(picture.exif),
            overwrite=overwrite,
        )
    else:
        linear = convert_primaries(torch.from_numpy(hdr), primaries, options.primaries, dim=-1)
        write_linear(target, linear.numpy(), options.primaries, white, overwrite=overwrite)


def make_ultrahdr(predicted: PredictedPhoto, options: ConvertOptions) -> bytes:
    """Return an Ultra HDR JPEG; a JPEG's own coded data become the base as they are.

    A JPEG that libultrahdr does not decode is coded anew.
    """
    picture = predicted.picture
    base, signal, profile = picture.jpeg, picture.signal, picture.profile
    if base is None or base.layout not in BASE_LAYOUTS:
        pixels, quality = as_bytes(signal), options.quality or BASE_QUALITY
        if base is not None:
            base = with_coded_data(base, encode_jpeg(pixels, quality=quality))
        else:
            icc = picture.icc
            if icc is None and profile.primaries != "bt709":
                icc = make_icc(profile.primaries)
            base = parse_jpeg(encode_jpeg(pixels, quality=quality, icc=icc, exif=picture.exif))
        # What the base lost is given back by the map: it is made against the decoded base.
        signal, profile = decode_jpeg(base, options), profile_from_icc(base.icc)
    gain_map, metadata = make_gain_map(predicted, signal, profile, scale=options.map_scale)
    return assemble(base, gain_map, metadata, quality=options.map_quality)


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One photo of a folder, and where it goes."""

    source: Path
    target: Path

    @property
    def is_done(self) -> bool:
        """Return whether the target is there and no older than its source."""
        if not self.target.is_file():
            return False
        return self.target.stat().st_mtime >= self.source.stat().st_mtime


def plan_folder(source: Path, out: Path, suffix: str) -> list[Job]:
    """List what a folder conversion has to do, subfolders included.

    Two photos that differ in their suffix alone keep it in their targets' names.

    Raises:
        MediaError: no photos, or `out` is within `source`.
    """
    if out.resolve().is_relative_to(source.resolve()):
        raise MediaError(f"{out}: the output folder must not be within {source}")
    sources = sorted(p for p in source.rglob("*") if p.suffix.lower() in INPUT_SUFFIXES)
    if not sources:
        raise MediaError(f"{source}: no photos in it")
    jobs: dict[Path, Job] = {}
    for path in sources:
        target = out / path.relative_to(source).with_suffix(suffix)
        if target in jobs:
            target = target.with_name(path.name + suffix)
        jobs[target] = Job(source=path, target=target)
    return list(jobs.values())


def convert_folder(
    jobs: Iterable[Job],
    predictor: PhotoPredictor,
    options: ConvertOptions,
    *,
    workers: int = 2,
    convert: Callable[[Path, Path, PhotoPredictor, ConvertOptions], None] = convert_photo,
) -> Iterator[tuple[Job, GainMapError | None]]:
    """Convert several photos at a time; an error in one does not stop the others.

    Args:
        jobs: what to do.
        predictor: the network, with as many streams as workers at best.
        options: how.
        workers: photos at a time.
        convert: does one of them.

    Yields:
        Each job when it is finished, and its error; None for success.
    """
    with ThreadPoolExecutor(workers) as pool:
        running: dict[Future[None], Job] = {}
        try:
            for job in jobs:
                job.target.parent.mkdir(parents=True, exist_ok=True)
                running[pool.submit(convert, job.source, job.target, predictor, options)] = job
            for future in as_completed(running):
                error = future.exception()
                if error is not None and not isinstance(error, GainMapError):
                    raise error
                yield running[future], error
        finally:
            for future in running:
                future.cancel()

"""Mutate photos and their small files: `python -m tests.fuzz_photo --count 20000 --seed 1`.

Every file must be read, or give one of our own errors in one line, within a second or so. All
gain map photos go through structure and metadata; every `DECODE_EVERY`-th one is decoded and
rendered. All other files are read whole.
"""

from __future__ import annotations

import json
import random
import re
import struct
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import imagecodecs
import numpy as np
from PIL import Image

from tests.fuzzing import attempt, run_command
from tests.photo_samples import (
    APPLE_XMP,
    METADATA,
    MOTION_XMP,
    apple_maker_note,
    exif_orientation,
    picture_bytes,
    scene,
    smooth_map,
    ultrahdr,
    with_gain_map,
)
from vs_gainmap.photo.apple import AUXILIARY_TYPE
from vs_gainmap.photo.bmff import find_tone_map, is_bmff, read_items, with_primary
from vs_gainmap.photo.extract import read_extracted
from vs_gainmap.photo.iso21496 import read_iso, write_iso
from vs_gainmap.photo.jpeg import APP1, XMP, appended_images, parse_jpeg, segment
from vs_gainmap.photo.linear import read_linear, write_linear
from vs_gainmap.photo.picture import read_picture
from vs_gainmap.photo.profile import make_icc, profile_from_icc
from vs_gainmap.photo.read import find_gain_map, read_photo
from vs_gainmap.photo.render import render_photo
from vs_gainmap.photo.write import assemble, encode_jpeg, encode_pq, npy_bytes, png_bytes
from vs_gainmap.preview.stats import FrameStats, read_stats, write_stats
from vs_gainmap.untrusted import read_toml

DECODE_EVERY = 10
SLOW_SECONDS = 5.0
MARKER = re.compile(rb"\xff[^\x00\xff]")
TOKENS = (
    *(b"\xff\xd8\xff", b"\xff\xd9", b"\xff\xda", b"\xff\xe1\xff\xff", b"\xff\xc0\x00\x11\x08"),
    *(b"MPF\0MM\0*", b"Exif\0\0II*\0", b"<!DOCTYPE a [", b"<!ENTITY", b"</rdf:RDF>", b"&a;"),
    *(b"1e308", b"nan", b"-inf", b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff"),
    *(b"tmap", b"iloc", b"pitm", b"meta", b"\0\0\0\1", b"urn:iso:std:iso:ts:21496:-1\0"),
    *(
        b"auxl",
        b"iref",
        b"pixi",
        b"av1C",
        b"NaN",
        b"1e999",
        b"null",
        b"true",
        b'"x"',
        b"[[[",
        b"{}",
    ),
    *(b"|O", b"<U9", b"(1,)", b"chromaticities", b"\xff" * 300),
)


def photos() -> dict[str, bytes]:
    """Return the gain map photos that mutations start from, by file name."""
    apple = encode_jpeg(scene(), exif=exif_orientation(6, apple_maker_note(1.2, 0.5)))
    gain_map = encode_jpeg(smooth_map())
    apple += gain_map[:2] + segment(APP1, XMP + APPLE_XMP.format("").encode()) + gain_map[2:]
    iso = write_iso(METADATA)
    moving = encode_jpeg(scene()) + encode_jpeg(smooth_map()) + bytes(400)
    heic, heic_map = picture_bytes("heic", scene()), picture_bytes("heic", smooth_map(48, 32, 3))
    avif, avif_map = picture_bytes("avif", scene()), picture_bytes("avif", smooth_map(48, 32, 3))
    kind = AUXILIARY_TYPE.encode()
    return {
        "ultrahdr.jpg": ultrahdr(icc=make_icc("p3d65"), exif=exif_orientation(8)),
        "three.jpg": ultrahdr(gain_map=smooth_map(96, 64, 3)),
        "apple.jpg": apple,
        "motion.jpg": moving[:2] + segment(APP1, XMP + MOTION_XMP % (b"", 400)) + moving[2:],
        "tmap.avif": with_gain_map(avif, avif_map, iso=iso),
        "hidden.heic": with_gain_map(heic, heic_map, iso=iso, hidden=True, auxiliary=kind),
        "apple.heic": with_gain_map(
            heic, heic_map, auxiliary=kind, exif=exif_orientation(1, apple_maker_note(1.2, 0.5))
        ),
    }


def others(folder: Path) -> dict[str, bytes]:
    """Return pictures, linear light, and the small files beside photos and videos."""
    light = np.geomspace(0.01, 9, 16 * 16 * 3, dtype=np.float32).reshape(16, 16, 3)
    for name in ("linear.exr", "linear.hdr", "linear.tif"):
        write_linear(folder / name, light, "p3d65", 203.0)
    write_stats(folder / "stats.json", [FrameStats(seconds=0, max_nits=900, average_nits=9)] * 2)
    Image.fromarray(scene(16, 16)).save(folder / "picture.webp", exif=exif_orientation(3))
    Image.fromarray(scene(16, 16)).save(folder / "picture.tif", icc_profile=make_icc("p3d65"))
    names = ("linear.exr", "linear.hdr", "linear.tif", "stats.json", "picture.webp", "picture.tif")
    fields = {**asdict(METADATA), "primaries": "p3d65", "map_primaries": None, "eotf": "srgb"}
    pq = imagecodecs.png_encode(encode_pq(light, "bt2020", 203.0, 16), primaries=9, transfer=16)
    return {
        **{name: (folder / name).read_bytes() for name in names},
        "metadata.json": json.dumps(fields).encode(),
        "qmax.npy": npy_bytes(2.0),
        "profile.toml": b"strength = 0.8\nradius = 0x1f\n[convert]\ncrf = 16\npreset = 'slow'\n",
        "picture.png": pq,
    }


def interesting(data: bytes, rng: random.Random) -> int:
    """Return a place to change: mostly in headers, where structure is."""
    if rng.random() < 0.3:
        return rng.randrange(len(data))
    marks = [match.start() for match in MARKER.finditer(data)]
    begin = rng.choice(marks) if marks and data[0] == 0xFF else 0
    return min(begin + rng.randrange(400), len(data) - 1)


def mutate(data: bytes, rng: random.Random) -> bytes:
    """Return the data with one to six changes, half of the time one."""
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 4, 6))):
        at = interesting(bytes(changed), rng) if len(changed) > 4 else 0
        kind = rng.randrange(8)
        if kind == 0:
            changed[at : at + 1] = bytes([rng.randrange(256)])
        elif kind == 1:
            changed[at : at + 4] = struct.pack(">I", rng.choice((0, 1, 2**31, 2**32 - 1, at)))
        elif kind == 2:
            changed[at : at + 2] = struct.pack(
                ">H", rng.choice((0, 1, 2, 0xFFFF, rng.randrange(65536)))
            )
        elif kind == 3:
            del changed[at : at + rng.choice((1, 2, 17, 400, len(changed)))]
        elif kind == 4:
            changed[at:at] = rng.choice(TOKENS)
        elif kind == 5:
            size = rng.randrange(1, 600)
            other = rng.randrange(max(len(changed), 1))
            changed[at:at] = changed[other : other + size]
        elif kind == 6:
            token = rng.choice(TOKENS)
            changed[at : at + len(token)] = token
        else:
            for _ in range(rng.randrange(1, 20)):
                if changed:
                    changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
        if not changed:
            return b""
    return bytes(changed)


def parse(data: bytes) -> None:
    """Read structure and metadata, and make another photo of them, without decoding pixels."""
    if is_bmff(data):
        items = read_items(data)
        tone_map = find_tone_map(items)
        if tone_map is not None:
            read_iso(tone_map.metadata)
            with_primary(items, tone_map.gain_map)
        return
    first = parse_jpeg(data)
    find_gain_map(first)
    for image in (first, *appended_images(first)):
        profile_from_icc(image.icc)
    # The way out starts from a photo's structure as well.
    parse_jpeg(assemble(first, smooth_map(8, 8), METADATA))


def _readers(folder: Path) -> dict[str, Callable[[Path], object]]:
    """Return what reads each of `others`."""
    sdr, gain_map = folder / "sdr.png", folder / "gainmap.png"
    sdr.write_bytes(png_bytes(scene(8, 8)))
    gain_map.write_bytes(png_bytes(smooth_map(8, 8)[..., 0]))

    def render(**parts: Path) -> None:
        photo, eotf = read_extracted(sdr, gain_map, **parts)
        assert np.isfinite(render_photo(photo, eotf=eotf)).all()

    return {
        "linear": read_linear,
        "picture": read_picture,
        "stats": read_stats,
        "profile": read_toml,
        "metadata": lambda path: render(metadata=path),
        "qmax": lambda path: render(qmax=path),
    }


def fuzz(count: int, seed: int) -> Counter[str]:
    """Run so many mutations; return how often each outcome came.

    Raises:
        AssertionError: an error that is not ours, of more than a line, or a file too slow.
    """
    outcomes: Counter[str] = Counter()
    rng = random.Random(seed)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        gain_map_photos = photos()
        readers = _readers(folder)
        files = [*gain_map_photos.items(), *others(folder).items()]
        for number in range(count):
            name, data = files[number % len(files)]
            changed = mutate(data, rng)
            whole = name not in gain_map_photos or (number // len(files)) % DECODE_EVERY == 0
            stem = Path(name).stem if name not in gain_map_photos else "photo"

            def read(
                name: str = name, stem: str = stem, changed: bytes = changed, whole: bool = whole
            ) -> str:
                if whole:
                    (folder / name).write_bytes(changed)
                if stem in readers:
                    readers[stem](folder / name)
                elif whole:
                    render_photo(read_photo(folder / name))
                else:
                    parse(changed)
                return "read"

            where = f"seed {seed}, mutation {number} of {name}"
            outcome = attempt(where, read, SLOW_SECONDS)
            outcomes[f"{stem} {'decode' if whole else 'parse'} {outcome}"] += 1
    return outcomes


if __name__ == "__main__":
    sys.exit(run_command(fuzz, __doc__, 20000))

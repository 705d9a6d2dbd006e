"""Mutate gain map photos and read them: `python -m tests.fuzz_photo --count 20000 --seed 1`.

Every file must give a photo, or one of our own errors in one line, within a second or so. All
files go through structure and metadata; every `DECODE_EVERY`-th one is decoded and rendered.
"""

from __future__ import annotations

import argparse
import random
import re
import struct
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

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
from vs_gainmap.errors import GainMapError
from vs_gainmap.photo.bmff import find_tone_map, is_bmff, read_items
from vs_gainmap.photo.iso21496 import read_iso, write_iso
from vs_gainmap.photo.jpeg import APP1, XMP, appended_images, parse_jpeg, segment
from vs_gainmap.photo.profile import make_icc, profile_from_icc
from vs_gainmap.photo.read import find_gain_map, read_photo
from vs_gainmap.photo.render import render_photo
from vs_gainmap.photo.write import assemble, encode_jpeg

DECODE_EVERY = 10
SLOW_SECONDS = 5.0
MARKER = re.compile(rb"\xff[^\x00\xff]")
TOKENS = (
    *(b"\xff\xd8\xff", b"\xff\xd9", b"\xff\xda", b"\xff\xe1\xff\xff", b"\xff\xc0\x00\x11\x08"),
    *(b"MPF\0MM\0*", b"Exif\0\0II*\0", b"<!DOCTYPE a [", b"<!ENTITY", b"</rdf:RDF>", b"&a;"),
    *(b"1e308", b"nan", b"-inf", b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff"),
    *(b"tmap", b"iloc", b"pitm", b"meta", b"\0\0\0\1", b"urn:iso:std:iso:ts:21496:-1\0"),
)


def seeds() -> dict[str, bytes]:
    """Return the photos that mutations start from, by suffix and name."""
    apple = encode_jpeg(scene(), exif=exif_orientation(6, apple_maker_note(1.2, 0.5)))
    gain_map = encode_jpeg(smooth_map())
    apple += gain_map[:2] + segment(APP1, XMP + APPLE_XMP.format("").encode()) + gain_map[2:]
    iso = write_iso(METADATA)
    moving = encode_jpeg(scene()) + encode_jpeg(smooth_map()) + bytes(400)
    return {
        "ultrahdr.jpg": ultrahdr(icc=make_icc("p3d65"), exif=exif_orientation(8)),
        "three.jpg": ultrahdr(gain_map=smooth_map(96, 64, 3)),
        "apple.jpg": apple,
        "motion.jpg": moving[:2] + segment(APP1, XMP + MOTION_XMP % (b"", 400)) + moving[2:],
        "tmap.avif": with_gain_map(
            picture_bytes("avif", scene()), picture_bytes("avif", smooth_map(48, 32, 3)), iso=iso
        ),
        "tmap.heic": with_gain_map(
            picture_bytes("heic", scene()), picture_bytes("heic", smooth_map(48, 32, 3)), iso=iso
        ),
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
        return
    first = parse_jpeg(data)
    find_gain_map(first)
    for image in (first, *appended_images(first)):
        profile_from_icc(image.icc)
    # The way out starts from a photo's structure as well.
    parse_jpeg(assemble(first, smooth_map(8, 8), METADATA))


def decode(data: bytes, path: Path) -> None:
    """Read and render the whole photo."""
    path.write_bytes(data)
    render_photo(read_photo(path))


def fuzz(count: int, seed: int) -> Counter[str]:
    """Run so many mutations; return how often each outcome came.

    Raises:
        AssertionError: an error that is not ours, of more than a line, or a file too slow.
    """
    outcomes: Counter[str] = Counter()
    rng = random.Random(seed)
    files = list(seeds().items())
    with tempfile.TemporaryDirectory() as folder:
        for number in range(count):
            name, data = files[number % len(files)]
            changed = mutate(data, rng)
            whole = (number // len(files)) % DECODE_EVERY == 0
            begin = time.monotonic()
            try:
                if whole:
                    decode(changed, Path(folder) / name)
                else:
                    parse(changed)
                outcome = "read"
            except GainMapError as error:
                if "\n" in str(error):
                    raise AssertionError(f"seed {seed}, mutation {number}: {error!r}") from error
                outcome = type(error).__name__
            except Exception as error:
                raise AssertionError(f"seed {seed}, mutation {number} of {name}") from error
            taken = time.monotonic() - begin
            assert taken < SLOW_SECONDS, f"seed {seed}, mutation {number} took {taken:.1f} s"
            outcomes[f"{'decode' if whole else 'parse'} {outcome}"] += 1
    return outcomes


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=20000)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    begin = time.monotonic()
    outcomes = fuzz(args.count, args.seed)
    for outcome, number in sorted(outcomes.items()):
        print(f"{number:7d} {outcome}")
    print(f"{sum(outcomes.values()):7d} files in {time.monotonic() - begin:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())

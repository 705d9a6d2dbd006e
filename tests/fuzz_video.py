"""Mutate videos: `python -m tests.fuzz_video --count 5000 --seed 1`.

Every file must be read, or give one of our own errors in one line, within a few seconds. All
are indexed, decoded in part, and their streams planned; every `CONVERT_EVERY`-th is converted.
"""

from __future__ import annotations

import logging
import random
import sys
import tempfile
from collections import Counter
from contextlib import suppress
from pathlib import Path

import vapoursynth as vs

from tests.fuzzing import attempt, run_command
from tests.media import X264, Media, ffmpeg
from vs_gainmap.video import convert, source
from vs_gainmap.video.containers import CONTAINERS
from vs_gainmap.video.encoders import ENCODERS
from vs_gainmap.video.index import open_indexed, scan
from vs_gainmap.video.source import VideoReader
from vs_gainmap.video.streams import plan_streams

CONVERT_EVERY = 10
SLOW_SECONDS = 10.0
DATA = Path(__file__).parent / "data"


def samples(folder: Path) -> list[Path]:
    """Return small videos of many containers and codecs."""
    media = Media(folder)
    found = [
        media.plain, media.rich, media.half, media.edited, media.cover, media.variable,
        *(DATA / name for name in (
            "mpeg4_packed_b_frames.avi", "captions_a53.mkv", "container_crop.mkv",
            "dolby_vision_profile5.mp4",
        )),
    ]  # fmt: skip
    source = ("-f", "lavfi", "-i", "testsrc2=s=96x64:r=25:d=0.3")
    for name, flags in {
        "palette.avi": ("-pix_fmt", "pal8", "-c:v", "rawvideo"),
        "raw.h264": X264,
        "alpha.webm": ("-pix_fmt", "yuva420p", "-c:v", "libvpx", "-auto-alt-ref", "0"),
        "old.mpg": ("-c:v", "mpeg2video"),
        "old.flv": X264,
        "small.mxf": ("-c:v", "mpeg2video", "-pix_fmt", "yuv422p"),
        "moving.gif": (),
    }.items():
        ffmpeg(*source, *flags, folder / name)
        found.append(folder / name)
    return found


def mutate(data: bytes, rng: random.Random) -> bytes:
    """Return damaged data: changed bytes, most of them in the header, a cut, a copy or a hole."""
    out = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 4, 16, 64))):
        reach = rng.choice((64, 1024, len(out), len(out)))
        at = rng.randrange(min(reach, len(out)))
        kind = rng.randrange(7)
        if kind <= 2:
            out[at] = rng.randrange(256)
        elif kind == 3:
            out[at : at + 4] = rng.choice((b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff"))
        elif kind == 4:
            del out[at : at + rng.randrange(1, 200)]
        elif kind == 5:
            begin = rng.randrange(len(out))
            out[at:at] = out[begin : begin + rng.randrange(1, 200)]
        else:
            del out[max(at, 32) :]
        if not out:
            break
    return bytes(out) or b"\0"


def use(path: Path, rng: random.Random, *, whole: bool) -> None:
    """Index a video, decode some frames, plan its streams; convert it if `whole`."""
    index = scan(path)
    with VideoReader(path, index=index, assume_progressive=True) as reader, reader.own_errors():
        for n in (0, len(index) - 1, rng.randrange(len(index))):
            reader.clip.get_frame(n).close()
    container = CONTAINERS[rng.choice(("mkv", "mp4"))]
    with open_indexed(index) as opened:
        plan_streams(opened, path, container, encoder=ENCODERS["x265"], audio_codec="copy")
    if whole:
        convert(
            path, path.with_name("out.mkv"), _as_pq, encoder="ffv1", overwrite=True,
            assume_progressive=True, audio_codec=rng.choice(("copy", "flac")),
        )  # fmt: skip


def _as_pq(clip: vs.VideoNode) -> vs.VideoNode:
    tags = {"_Matrix": 1, "_Transfer": 1, "_Primaries": 1, "_Range": 0, "_ChromaLocation": 0}
    if clip.format.color_family == vs.RGB:
        tags["_Matrix"] = 0
    tagged = clip.std.SetFrameProps(**tags)
    return tagged.resize.Bicubic(format=vs.YUV444P10, matrix=9, transfer=16, primaries=9)


def fuzz(count: int, seed: int) -> Counter[str]:
    """Run so many mutations; return how often each outcome came.

    Raises:
        AssertionError: an error that is not ours, of more than a line, or a file too slow.
    """
    outcomes: Counter[str] = Counter()
    rng = random.Random(seed)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        files = [(path.suffix, path.read_bytes()) for path in samples(folder)]
        for number in range(count):
            suffix, data = files[number % len(files)]
            path = folder / f"mutated{suffix}"
            path.write_bytes(mutate(data, rng))
            whole = (number // len(files)) % CONVERT_EVERY == 0
            where = f"seed {seed}, mutation {number} of {suffix}"

            def convert_or_read(path: Path = path, whole: bool = whole) -> str:
                use(path, rng, whole=whole)
                return "converted" if whole else "read"

            try:
                outcome = attempt(where, convert_or_read, SLOW_SECONDS)
            except AssertionError:
                with suppress(OSError):
                    path.replace(Path(tempfile.gettempdir()) / f"fuzz_video{suffix}")
                raise
            outcomes[f"{suffix} {outcome}"] += 1
    return outcomes


if __name__ == "__main__":
    logging.getLogger("vs_gainmap").setLevel(logging.ERROR)
    # So that a decoder that hangs for ever is no slow file.
    source._HANGS_AFTER = 3
    sys.exit(run_command(fuzz, __doc__, 5000))

"""What cutting a film into chunks costs: `python -m tests.cutting --seconds 60`.

A film of slow pans over the demo's pictures, with grain, is made whole and in chunks by the fast
network: without loss, where every frame must be the same, and by x265, where size and PQ-PSNR are
compared.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import vapoursynth as vs

import vs_gainmap
from tests.media import FFMPEG, decode, ffmpeg
from vs_gainmap.video import convert

DEMO = Path(__file__).parents[1] / "examples" / "demo" / "demo_sdr.mp4"
# Longer than any film.
_WHOLE = 1e6
# Every so many frames of the demo one is panned over, for so many seconds.
_STEP, _SHOT_SECONDS = 18, 7


class Made(NamedTuple):
    """A file, and CPU seconds of each of its chunks."""

    path: Path
    chunks: list[float]


def make_film(path: Path, seconds: int, size: str) -> None:
    """Write pans that begin and end softly, and cuts between them."""
    width, height = size.split("x")
    pan = (
        f"framestep={_STEP},setpts=N*{_SHOT_SECONDS}/TB,fps=24,scale=iw*1.5:-2,"
        f"crop={width}:{height}:(iw-ow)*(0.5-0.5*cos(t/3)):(ih-oh)*(0.5-0.5*cos(t/4)),"
        "noise=alls=5:allf=t"
    )
    ffmpeg(
        "-stream_loop", "-1", "-i", DEMO, "-vf", pan, "-t", str(seconds), "-an",
        "-c:v", "libx264", "-crf", "12", "-preset", "veryfast", path,
    )  # fmt: skip


def make(source: Path, target: Path, length: float, encoder: str, preset: str | None) -> Made:
    """Convert in chunks of a length, and time them."""
    times = [time.process_time()]

    def graph(clip: vs.VideoNode) -> vs.VideoNode:
        return vs_gainmap.sdr_to_hdr10(clip, model="fast", device="cpu", measure=True)

    def progress(done: int, total: int, size: int) -> None:  # noqa: ARG001
        chunks = sum(1 for _ in target.parent.glob(f".{target.name}.*/*.chunk"))
        if chunks == len(times):
            times.append(time.process_time())

    convert(
        source, target, graph, chunk_seconds=length, encoder=encoder, preset=preset,
        progress=progress,
    )  # fmt: skip
    times.append(time.process_time())
    return Made(target, [after - before for before, after in pairwise(times)])


def pq_psnr(path: Path, reference: Path) -> float:
    """Return that of all three planes of PQ samples, in dB."""
    command = [FFMPEG, "-hide_banner", "-i", path, "-i", reference, "-lavfi", "psnr", "-f", "null"]
    said = subprocess.run([*command, "-"], check=True, capture_output=True, text=True).stderr
    return float(re.findall(r"PSNR .*average:([\d.]+)", said)[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--size", default="640x360")
    parser.add_argument("--preset", help="x265's; its default without")
    parser.add_argument("--lengths", type=float, nargs="+", default=[15.0], help="of chunks")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        film = folder / "film.mkv"
        make_film(film, args.seconds, args.size)
        reference = make(film, folder / "whole.mkv", _WHOLE, "ffv1", None).path
        pictures = decode(reference)
        whole = make(film, folder / "whole265.mkv", _WHOLE, "x265", args.preset).path
        size, psnr = whole.stat().st_size, pq_psnr(whole, reference)
        print(f"whole: {size} bytes, {psnr:.3f} dB", flush=True)
        for length in args.lengths:
            lossless = make(film, folder / "cut.mkv", length, "ffv1", None).path
            same = "the same" if decode(lossless) == pictures else "OTHER"
            cut = make(film, folder / f"cut{length:g}.mkv", length, "x265", args.preset)
            print(
                f"{length:g} s, {len(cut.chunks)} chunks: {same} pictures without loss; x265: "
                f"{100 * cut.path.stat().st_size / size - 100:+.2f} % bytes, "
                f"{pq_psnr(cut.path, reference) - psnr:+.3f} dB; CPU seconds of the chunks: "
                f"{', '.join(f'{seconds:.1f}' for seconds in cut.chunks)}",
                flush=True,
            )
            lossless.unlink()


if __name__ == "__main__":
    main()

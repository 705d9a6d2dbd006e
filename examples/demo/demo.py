"""Convert the bundled SDR clip to HDR10, and print how near the result is to the true HDR.

    python examples/demo/demo.py [--out FOLDER] [--picture PATH] [--weights PATH]

`make demo` runs this. It writes into demo-output/: the HDR10 file; a picture for any screen
that compares SDR, gain map and HDR; and a preview page, which a browser on an HDR screen shows
in HDR.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import cv2
import numpy as np
import torch
import vapoursynth as vs
from torch import Tensor

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(ROOT))  # `training` is not installed; its metrics are used here

from training.evaluation.metrics import delta_e_itp, pq_psnr  # noqa: E402
from vs_gainmap import apply, gainmap_overlay, open_clip, predict  # noqa: E402
from vs_gainmap.color.transfer import pq_eotf, pq_inverse_eotf  # noqa: E402
from vs_gainmap.filters.false_color import Rgb, StopsScale  # noqa: E402
from vs_gainmap.preview.pictures import legend  # noqa: E402

SDR, TRUTH = HERE / "demo_sdr.mp4", HERE / "demo_truth.mkv"
FRAMES = (18, 54)
WIDTH, HEIGHT = 400, 225
WHITE_NITS = 203
SCOPE_TOP, SCOPE_MARGIN = 0.8, 34  # PQ signal of 1500 cd/m2; pixels
FONT = cv2.FONT_HERSHEY_SIMPLEX


def command_line(*arguments: str | Path) -> None:
    """Run vs-gainmap as a user would."""
    subprocess.run([sys.executable, "-m", "vs_gainmap.cli", *map(str, arguments)], check=True)


def nits(clip: vs.VideoNode) -> Iterator[Tensor]:
    """Yield the frames of a PQ clip as BT.2020 light (3, H, W) in cd/m2."""
    for frame in clip.resize.Bicubic(format=vs.RGBS).frames(close=True):
        yield pq_eotf(torch.from_numpy(np.stack([np.asarray(plane) for plane in frame])))


def distance(test: Iterable[Tensor], truth: Iterable[Tensor]) -> tuple[float, float]:
    """Return PQ-PSNR in dB and delta E ITP, each the mean over all frames (3, H, W) in cd/m2."""
    pairs = zip(test, truth, strict=True)
    scores = [(pq_psnr(a, b), float(delta_e_itp(a, b).mean())) for a, b in pairs]
    psnr, delta = np.mean(scores, axis=0)
    return float(psnr), float(delta)


def darker(pq: vs.VideoNode) -> vs.VideoNode:
    """Show a PQ clip two stops darker on an SDR screen, which clips above 4 times SDR white."""
    light = pq.resize.Bicubic(
        format=vs.RGBS, transfer_s="linear", primaries_s="709", nominal_luminance=WHITE_NITS
    )
    # 0 to any power is no number in Expr.
    return light.akarin.Expr(f"x 4 / 1e-9 1 clamp {1 / 2.4} pow 255 *", vs.RGB24)


def waveform(pq: vs.VideoNode, n: int) -> Rgb:
    """Draw the light of a frame from left to right, max(R, G, B) on a PQ scale."""
    with pq.resize.Bicubic(format=vs.RGBS).get_frame(n) as frame:
        level = np.max([np.asarray(plane) for plane in frame], axis=0)
    columns = np.broadcast_to(np.arange(level.shape[1]), level.shape)
    span, bins = ((0, level.shape[1]), (0, SCOPE_TOP)), (WIDTH - SCOPE_MARGIN, HEIGHT)
    counts, _, _ = np.histogram2d(columns.ravel(), level.ravel(), bins, span)
    counts = np.pad(counts, ((SCOPE_MARGIN, 0), (0, 0)))
    glow = np.minimum(np.log1p(counts.T[::-1]) / np.log(60), 1)[..., None]
    scope = np.ascontiguousarray(16 + glow * (150, 220, 150), dtype=np.uint8)
    for level_nits in (1, 10, 100, WHITE_NITS, 1000):
        signal = float(pq_inverse_eotf(torch.tensor(float(level_nits))))
        y = round(HEIGHT * (1 - signal / SCOPE_TOP))
        color = (255, 170, 60) if level_nits == WHITE_NITS else (110, 110, 110)
        cv2.line(scope, (SCOPE_MARGIN, y), (WIDTH, y), color, 1)
        cv2.putText(scope, str(level_nits), (2, y + 4), FONT, 0.35, color, 1, cv2.LINE_AA)
    return scope


def picture(clip: vs.VideoNode, n: int) -> Rgb:
    """Return a frame of an RGB24 clip at the size of a panel."""
    with clip.get_frame(n) as frame:
        pixels = np.stack([np.asarray(plane) for plane in frame], axis=-1)
    return cv2.resize(pixels, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)


def draw(sdr: vs.VideoNode, hdr: vs.VideoNode, gain_map: vs.VideoNode) -> Rgb:
    """Draw some frames every way: two rows each, a caption above every panel."""
    shown = apply(sdr, gain_map, strength=0)
    stops = gainmap_overlay(sdr, gain_map)
    rgb, dark_sdr, dark_hdr = sdr.resize.Bicubic(format=vs.RGB24), darker(shown), darker(hdr)
    with gain_map.get_frame(0) as frame:
        low, high = frame.props["GainMapMin"], frame.props["GainMapAlternateHeadroom"]
    scale = StopsScale(min(float(low), 0.0), float(high))
    lines = []
    for n in FRAMES:
        mapped = picture(stops, n)
        strip = legend(scale, WIDTH)
        mapped[-len(strip) :] = strip
        lines += [
            ("SDR", picture(rgb, n)),
            ("SDR, two stops darker", picture(dark_sdr, n)),
            ("SDR, waveform in cd/m2 (white: 203)", waveform(shown, n)),
            ("predicted gain map, stops", mapped),
            ("HDR, two stops darker", picture(dark_hdr, n)),
            ("HDR, waveform in cd/m2", waveform(hdr, n)),
        ]
    panels = []
    for caption, panel in lines:
        strip = np.full((24, WIDTH, 3), 24, np.uint8)
        cv2.putText(strip, caption, (8, 16), FONT, 0.5, (255,) * 3, 1, cv2.LINE_AA)
        panels.append(np.concatenate([strip, panel]))
    rows = [np.concatenate(panels[i : i + 3], axis=1) for i in range(0, len(panels), 3)]
    return np.concatenate(rows)


def main() -> None:
    """Convert, draw, measure, and print where everything is."""
    parser = argparse.ArgumentParser(description="convert the bundled clip to HDR10")
    parser.add_argument("--out", type=Path, default=ROOT / "demo-output", help="folder to write to")
    parser.add_argument("--picture", type=Path, help="where the comparison goes instead")
    parser.add_argument("--weights", help="bundled name, or a file")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    target, page = args.out / "demo_hdr10.mkv", args.out / "demo_preview.html"
    drawing = args.picture or args.out / "demo.png"
    weights = {"weights": args.weights} if args.weights else {}
    options = ["--overwrite", *(["--weights", args.weights] if args.weights else [])]

    started = time.perf_counter()
    command_line("convert", SDR, target, *options)
    seconds = time.perf_counter() - started
    times = [f"--at={n / 24:.3f}" for n in FRAMES]
    command_line("preview", SDR, *times, "--page", page, *options)

    sdr, hdr, truth = open_clip(SDR), open_clip(target), open_clip(TRUTH)
    gain_map = predict(sdr, **weights)
    cv2.imwrite(str(drawing), draw(sdr, hdr, gain_map)[..., ::-1])

    shown = apply(sdr, gain_map, strength=0)
    print("\nHow near to the true HDR      PQ-PSNR    delta E ITP")
    for name, clip in (("converted", hdr), ("SDR, white at 203 cd/m2", shown)):
        psnr, delta = distance(nits(clip[::4]), nits(truth[::4]))
        print(f"  {name:26} {psnr:6.2f} dB {delta:11.1f}")
    print(f"\n{target}  ({hdr.num_frames} frames in {seconds:.0f} s)")
    print(f"{drawing}  (SDR, gain map and HDR, for any screen)")
    print(f"{page}  (open it in a browser)")


if __name__ == "__main__":
    main()

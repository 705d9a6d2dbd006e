"""Convert the bundled SDR clip to HDR10, and say how far the result is from the true HDR.

    python examples/demo/demo.py [--picture PATH] [--weights PATH]

`make demo` runs this. It writes into demo-output/: the HDR10 file, a picture that compares
SDR, gain map and HDR on an ordinary screen, a PQ still that HDR screens show as HDR, and two
pages: a preview of a few frames, and light and Qmax over time.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path

import torch
from frames import signals
from pictures import compare, write_picture
from torch import Tensor

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
# `training` stays out of the installed package; its metrics are used from the checkout.
sys.path.insert(0, str(ROOT))

from training.evaluation.metrics import delta_e_itp, pq_psnr  # noqa: E402
from vs_gainmap.color.primaries import convert_primaries  # noqa: E402
from vs_gainmap.color.transfer import REFERENCE_WHITE_NITS, bt1886_eotf, pq_eotf  # noqa: E402
from vs_gainmap.models.weights import DEFAULT_WEIGHTS  # noqa: E402
from vs_gainmap.photo.write import write_pq  # noqa: E402
from vs_gainmap.preview.frames import Previewer  # noqa: E402
from vs_gainmap.video import open_clip  # noqa: E402

SDR, TRUTH = HERE / "demo_sdr.mp4", HERE / "demo_truth.mkv"
SHOWN = (14, 45)


def vs_gainmap(*arguments: str | Path) -> None:
    """Run the command line, as a user would."""
    program = shutil.which("vs-gainmap", path=str(Path(sys.executable).parent))
    if program is None:
        sys.exit("demo: no vs-gainmap beside this Python; install it with pip install -e .")
    subprocess.run([program, *map(str, arguments)], check=True)


def scale_up(signal: Tensor) -> Tensor:
    """Show an SDR signal, BT.709, at 203 cd/m2 as it is: BT.2020, cd/m2."""
    light = bt1886_eotf(signal) * REFERENCE_WHITE_NITS
    return convert_primaries(light, "bt709", "bt2020").clamp(min=0.0)


def distance(test: Iterable[Tensor], truth: Iterable[Tensor]) -> tuple[float, float]:
    """Return PQ-PSNR in dB and delta E ITP, each the mean over all frames of (3, H, W) nits."""
    pairs = zip(test, truth, strict=True)
    scores = [(pq_psnr(a, b), float(delta_e_itp(a, b).mean())) for a, b in pairs]
    psnr, delta = torch.tensor(scores).mean(dim=0).tolist()
    return psnr, delta


def print_metadata(path: Path) -> None:
    """Print what MediaInfo says of the file's HDR, where it is installed."""
    try:
        from pymediainfo import MediaInfo
    except ImportError:
        print("  (pip install pymediainfo to see the file's HDR10 metadata here)")
        return
    track = MediaInfo.parse(path).video_tracks[0]
    names = (
        "hdr_format", "hdr_format_compatibility", "color_primaries", "transfer_characteristics",
        "matrix_coefficients", "mastering_display_color_primaries",
        "mastering_display_luminance", "maximum_content_light_level",
        "maximum_frameaverage_light_level",
    )  # fmt: skip
    for name in names:
        print(f"  {name.replace('_', ' '):36} {getattr(track, name) or 'not there'}")


def main() -> None:
    """Convert, measure, draw, and say where everything is."""
    parser = argparse.ArgumentParser(description="convert the bundled clip to HDR10")
    parser.add_argument("--out", type=Path, default=ROOT / "demo-output", help="folder to write to")
    parser.add_argument("--picture", type=Path, help="where the comparison goes instead")
    parser.add_argument("--weights", default=DEFAULT_WEIGHTS, help="bundled name, or a file")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    target, stats = args.out / "demo_hdr10.mkv", args.out / "demo_stats.json"
    page, report = args.out / "demo_preview.html", args.out / "demo_report.html"

    started = time.perf_counter()
    network = ("--weights", args.weights)
    vs_gainmap("convert", SDR, target, "--overwrite", "--stats", stats, *network)
    seconds = time.perf_counter() - started

    sdr, hdr, truth = open_clip(SDR), open_clip(target), open_clip(TRUTH)
    true_nits = [pq_eotf(pq) for pq in signals(truth)]
    scores = {
        f"weights {Path(args.weights).stem}": distance(
            (pq_eotf(pq) for pq in signals(hdr)), true_nits
        ),
        "SDR scaled to 203 nits": distance((scale_up(s) for s in signals(sdr)), true_nits),
    }

    previewer = Previewer(sdr, {"weights": args.weights}, {})
    rows = [compare(previewer.frame(n), pq_eotf(next(signals(hdr[n])))) for n in SHOWN]
    picture = args.picture or args.out / "demo.png"
    write_picture(picture, rows)
    still = args.out / "demo_hdr_still.png"
    light = pq_eotf(next(signals(hdr[SHOWN[0]]))) / REFERENCE_WHITE_NITS
    write_pq(still, light.movedim(0, -1).contiguous().numpy(), "bt2020", REFERENCE_WHITE_NITS)

    times = [f"--at={n / 24:.3f}" for n in SHOWN]
    vs_gainmap("preview", SDR, *times, "--page", page, "--overwrite", *network)
    vs_gainmap("report", target, "--stats", stats, "--page", report, "--overwrite")

    print(f"\n{target}  ({hdr.num_frames} frames in {seconds:.0f} s)")
    print_metadata(target)
    print(f"{picture}  (SDR, gain map and HDR side by side, for any screen)")
    print(f"{still}  (PQ, for an HDR screen)")
    print(f"{page}  (a few frames every way; opens in a browser)")
    print(f"{report}  (light, Qmax and cuts over time)")
    print("\nHow far from the true HDR     PQ-PSNR    delta E ITP")
    for name, (psnr, delta) in scores.items():
        print(f"  {name:26} {psnr:7.2f} dB {delta:11.1f}")


if __name__ == "__main__":
    main()

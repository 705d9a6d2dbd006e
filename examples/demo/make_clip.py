"""Make the demo's clip: SDR, as a real tone mapper makes it, and the HDR master it comes from.

    python examples/demo/make_clip.py FOLDER

FOLDER holds two panoramas, CC0 1.0: the 4k gain map JPEG of "Spruit Sunrise" by Greg Zaal
(https://polyhaven.com/a/spruit_sunrise) and the 1k Radiance picture of "Shanghai Bund"
(https://polyhaven.com/a/shanghai_bund). Two slow pans are rendered from them, graded to a master
of 1000 cd/m2, tone mapped as mpv and libplacebo do it by default (SDR white 203 cd/m2, BT.1886
with a black level) and encoded with sound. Needs the extras "train", "photo" and "test".
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import imageio_ffmpeg
import numpy as np
import torch
from torch import Tensor

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1]))  # `training` is not installed

from training.data.encodings import PLAYER  # noqa: E402
from training.data.grade import roll_off  # noqa: E402
from training.data.operators import Libplacebo, Light  # noqa: E402
from training.data.sources import read_still  # noqa: E402
from vs_gainmap.color.primaries import convert_primaries, luminance  # noqa: E402
from vs_gainmap.color.transfer import pq_eotf, pq_inverse_eotf  # noqa: E402

WIDTH, HEIGHT, FPS, FRAMES_A_SHOT = 960, 540, 24, 36
PEAK_NITS, KNEE_NITS = 1000.0, 300.0
MASTERING = "G(8500,39850)B(6550,2300)R(35400,14600)WP(15635,16450)L(10000000,1)"
# Quiet noise: wind, then a city, with a cut where the picture has one.
SOUND = (
    "anoisesrc=color=pink:seed=1:a=0.05:r=48000:d=1.5,highpass=f=900,lowpass=f=2500[day];"
    "anoisesrc=color=brown:seed=2:a=0.12:r=48000:d=1.5,lowpass=f=500[night];"
    "[day][night]concat=n=2:v=0:a=1,afade=d=0.1,afade=t=out:st=2.9:d=0.1,aformat=cl=stereo"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shot:
    """A pan in a panorama: angles in degrees, `nits` of the file's 1.0, contrast at 50 cd/m2."""

    pattern: str
    yaw: tuple[float, float]
    pitch: float
    fov: float
    nits: float
    contrast: float = 1.0
    saturation: float = 1.0
    sharpen: float = 0.0

    def master(self, folder: Path) -> list[Tensor]:
        """Render and grade the frames: (3, H, W), BT.2020, 0..1000 cd/m2."""
        (path,) = folder.rglob(self.pattern)
        light = read_still(path).linear * self.nits
        y = luminance(light, "bt2020").clamp(min=1e-4)
        light = (y + self.saturation * (light - y)).clamp(min=0.0) * (y / 50) ** (self.contrast - 1)
        graded = pq_inverse_eotf(roll_off(light, knee=KNEE_NITS, peak=PEAK_NITS))
        signal = np.pad(graded.movedim(0, -1).numpy(), ((0, 0), (8, 8), (0, 0)), mode="wrap")
        yaws = np.linspace(*self.yaw, FRAMES_A_SHOT)
        return [self.view(signal, float(yaw)) for yaw in yaws]

    def view(self, signal: np.ndarray, yaw: float) -> Tensor:
        """Project, bicubic in PQ at twice the size, then average light over 2x2: no shimmer."""
        ahead = WIDTH / np.tan(np.radians(self.fov) / 2)
        x, y = np.meshgrid(np.arange(2 * WIDTH) - WIDTH + 0.5, np.arange(2 * HEIGHT) - HEIGHT + 0.5)
        pitch, (height, width) = np.radians(self.pitch), (signal.shape[0], signal.shape[1] - 16)
        down = y * np.cos(pitch) - ahead * np.sin(pitch)
        forward = y * np.sin(pitch) + ahead * np.cos(pitch)
        u = (np.arctan2(x, forward) / (2 * np.pi) + 0.5 + yaw / 360) % 1 * width + 7.5
        v = (np.arctan2(down, np.hypot(x, forward)) / np.pi + 0.5) * height - 0.5
        view = cv2.remap(signal, u.astype(np.float32), v.astype(np.float32), cv2.INTER_CUBIC)
        view += self.sharpen * (view - cv2.GaussianBlur(view, (0, 0), 3.5))
        nits = pq_eotf(torch.from_numpy(view).clamp(0, 1)).clamp(max=PEAK_NITS).numpy()
        small = cv2.resize(nits, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)
        return torch.from_numpy(small).movedim(-1, 0)


SHOTS = (
    Shot(
        pattern="*spruit_sunrise_4k.jpg", yaw=(34, 44), pitch=3, fov=62, nits=42, saturation=1.15,
        contrast=1.1
    ),
    Shot(
        pattern="*shanghai_bund.hdr", yaw=(12, 24), pitch=4, fov=88, nits=150, contrast=1.25,
        sharpen=0.7,
    ),
)  # fmt: skip


def tone_map(nits: Tensor) -> Tensor:
    """Make SDR of the master: (3, H, W), BT.709, for a BT.1886 display, 0..1."""
    operator = Libplacebo(contrast=1.2, adapts=True, source_black=0.02)
    linear = operator(Light(rgb=nits, peak_nits=PEAK_NITS))
    return PLAYER(convert_primaries(linear, "bt2020", "bt709").clamp(0.0, 1.0))


def encode(
    signals: Sequence[Tensor], path: Path, color: str, pixels: str, codec: str, sound: str = ""
) -> None:
    """Encode (3, H, W), 0..1; `color` is zscale's name of transfer, primaries and matrix."""
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-y", "-loglevel", "error"]
    command += f"-f rawvideo -pix_fmt gbrpf32le -s {WIDTH}x{HEIGHT} -r {FPS} -i -".split()
    command += ["-f", "lavfi", "-i", sound] if sound else []
    t, p, m = color.split()
    to_yuv = f"zscale=tin={t}:pin={p}:t={t}:p={p}:m={m}:r=limited:c=left:d=error_diffusion"
    command += [
        "-vf",
        f"setparams=range=pc:colorspace=gbr,{to_yuv},format={pixels}",
        *codec.split(),
    ]
    with subprocess.Popen([*command, "-bitexact", path], stdin=subprocess.PIPE) as ffmpeg:
        for signal in signals:
            ffmpeg.stdin.write(signal[[1, 2, 0]].numpy().tobytes())
        ffmpeg.stdin.close()
    if ffmpeg.returncode:
        sys.exit(f"make_clip: ffmpeg failed on {path.name}")


def main() -> None:
    """Render, grade, tone map, encode."""
    parser = argparse.ArgumentParser(description="make the demo's clip and its truth")
    parser.add_argument("folder", type=Path, help="holds the panoramas, at any depth")
    parser.add_argument("--out", type=Path, default=HERE, help="where to write the two files")
    args = parser.parse_args()
    master = [nits for shot in SHOTS for nits in shot.master(args.folder)]
    levels = [nits.amax(dim=0) for nits in master]
    light = f"{max(int(x.max()) for x in levels)},{max(int(x.mean()) for x in levels)}"
    hdr10 = f"hdr10=1:repeat-headers=1:max-cll={light}:master-display={MASTERING}"
    encode(
        [pq_inverse_eotf(nits) for nits in master],
        args.out / "demo_truth.mkv",
        "smpte2084 2020 2020_ncl",
        "yuv420p10le",
        f"-c:v libx265 -preset slow -crf 4 -x265-params log-level=error:aq-mode=3:{hdr10}",
    )
    encode(
        [tone_map(nits) for nits in master],
        args.out / "demo_sdr.mp4",
        "709 709 709",
        "yuv420p",
        "-c:v libx264 -preset slow -crf 18 -c:a aac -b:a 96k -movflags +faststart",
        SOUND,
    )
    print(f"MaxCLL, MaxFALL of the truth: {light} cd/m2")


if __name__ == "__main__":
    main()

"""Grade the rendered frames to an HDR10 master (the truth) and make the SDR clip from it.

    python examples/demo/make_clip.py FOLDER_OF_EXR

Writes demo_truth.mkv and demo_sdr.mp4 beside this script, and says how large the coding
error of the truth is. Needs the package's own dependencies and OpenEXR (the extra "train").
"""

from __future__ import annotations

import argparse
import sys
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import torch
import vapoursynth as vs
from numpy.typing import NDArray
from torch import Tensor

HERE = Path(__file__).resolve().parent
# `training` stays out of the installed package; it is used from the checkout.
sys.path.insert(0, str(HERE.parents[1]))

from frames import as_clip, signals  # noqa: E402

from training.evaluation.metrics import psnr  # noqa: E402
from training.grade import roll_off  # noqa: E402
from training.operators import Light  # noqa: E402
from training.operators.itu import Bt2446A  # noqa: E402
from vs_gainmap.color.primaries import convert_primaries  # noqa: E402
from vs_gainmap.color.transfer import bt1886_inverse_eotf, pq_inverse_eotf  # noqa: E402
from vs_gainmap.hdr10 import ContentLight, MasteringDisplay  # noqa: E402

FPS = 24
CUT = 30
PEAK_NITS = 1000.0
KNEE_NITS = 300.0
# cd/m2 of a rendered 1.0: a white shirt in the sun and white paper under the bulb come to
# about 200 at their brightest (ITU-R BT.2408 puts white at 203).
EXPOSURE_NITS = {"terrace": 140.0, "room": 155.0}
# What broadcasters convert with: mid-tones come out darker against white than in the master.
TONE_MAPPING = Bt2446A(hdr_nits=PEAK_NITS)
RATE = 48_000


def read_exr(path: Path) -> Tensor:
    """Read a rendered frame: (3, H, W), linear, BT.709, 1.0 = the renderer's unit."""
    import OpenEXR

    channels = OpenEXR.File(str(path)).channels()
    pixels = next(iter(channels.values())).pixels[..., :3]
    return torch.from_numpy(pixels.astype(np.float32)).movedim(-1, 0)


def grade(rendered: Tensor, shot: str) -> Tensor:
    """Grade a rendered frame to the master: (3, H, W), BT.2020, cd/m2, below 1000."""
    wide = convert_primaries(rendered * EXPOSURE_NITS[shot], "bt709", "bt2020").clamp(min=0.0)
    return roll_off(wide, knee=KNEE_NITS, peak=PEAK_NITS)


def tone_map(nits: Tensor) -> Tensor:
    """Make SDR of the master: (3, H, W), BT.709, for a BT.1886 display, 0..1."""
    linear = TONE_MAPPING(Light(rgb=nits, peak_nits=PEAK_NITS))
    return bt1886_inverse_eotf(convert_primaries(linear, "bt2020", "bt709").clamp(0.0, 1.0))


def encode(
    clip: vs.VideoNode,
    path: Path,
    library: str,
    pix_fmt: str,
    options: dict[str, str],
    sound: NDArray[np.float32] | None = None,
) -> None:
    """Encode a tagged YUV clip, with stereo sound (2, samples) if given."""
    with clip.get_frame(0) as frame:
        tags = {name: int(frame.props[name]) for name in ("_Matrix", "_Transfer", "_Primaries")}
    muxing = {"movflags": "faststart"} if path.suffix == ".mp4" else {}
    with av.open(path, "w", options=muxing) as container:
        container.flags |= av.container.Flags.bitexact.value
        stream = container.add_stream(library, FPS, options=options)
        stream.width, stream.height = clip.width, clip.height
        stream.pix_fmt = pix_fmt
        context = stream.codec_context
        context.time_base = Fraction(1, FPS)
        context.color_range = av.video.reformatter.ColorRange.MPEG
        context.colorspace = tags["_Matrix"]
        context.color_trc, context.color_primaries = tags["_Transfer"], tags["_Primaries"]
        audio = None
        if sound is not None:
            audio = container.add_stream("aac", RATE, options={"b": "96000"})
            audio.layout = "stereo"
        for n, frame in enumerate(clip.frames(close=True)):
            picture = av.VideoFrame(clip.width, clip.height, pix_fmt)
            for plane, target in enumerate(picture.planes):
                source = np.asarray(frame[plane])
                rows = np.frombuffer(target, source.dtype).reshape(target.height, -1)
                rows[:, : source.shape[1]] = source
            picture.pts, picture.time_base = n, context.time_base
            container.mux(stream.encode(picture))
        container.mux(stream.encode())
        if sound is not None and audio is not None:
            for start in range(0, sound.shape[1], 1024):
                block = np.ascontiguousarray(sound[:, start : start + 1024])
                part = av.AudioFrame.from_ndarray(block, format="fltp", layout="stereo")
                part.sample_rate, part.pts, part.time_base = RATE, start, Fraction(1, RATE)
                container.mux(audio.encode(part))
            container.mux(audio.encode())


def make_sound(frames: int) -> NDArray[np.float32]:
    """Synthesize (2, samples): surf for the terrace, a lamp's hum and a chord for the room."""
    rng = np.random.default_rng(3)
    t = np.arange(frames * RATE // FPS) / RATE
    cut = CUT / FPS
    noise = rng.normal(size=(2, t.size))
    shape = 1 / (1 + (np.fft.rfftfreq(t.size, 1 / RATE) / 400) ** 1.5)
    surf = np.fft.irfft(np.fft.rfft(noise) * shape, t.size)
    surf *= 0.03 / surf.std() * (0.6 + 0.4 * np.sin(2 * np.pi * (0.4 * t + [[0.0], [0.15]])))
    hum = 0.010 * np.sin(2 * np.pi * 100 * t) + 0.004 * np.sin(2 * np.pi * 200 * t)
    swell = np.clip((t - cut) / 0.8, 0, 1)
    notes = ((220.0, 0.3), (277.2, 0.7), (329.6, 0.5))
    chord = [
        [sum(np.sin(2 * np.pi * hz * t) * (side if left else 1 - side) for hz, side in notes)]
        for left in (True, False)
    ]
    night = hum + 0.02 * swell * np.concatenate(chord)
    fade = np.clip((t - cut) / 0.03 + 0.5, 0, 1)
    ends = np.minimum(np.minimum(t, t[-1] - t) / 0.05, 1)
    return ((surf * (1 - fade) + night * fade) * ends).astype(np.float32)


def main() -> None:
    """Grade, tone map, encode and check."""
    parser = argparse.ArgumentParser(description="make the demo's clip and its truth")
    parser.add_argument("folder", type=Path, help="frames that render_scene.py wrote")
    parser.add_argument("--out", type=Path, default=HERE, help="where to write the two files")
    args = parser.parse_args()
    paths = sorted(args.folder.glob("frame_*.exr"))
    if not paths:
        parser.error("no frame_*.exr in that folder")
    truth_path, sdr_path = args.out / "demo_truth.mkv", args.out / "demo_sdr.mp4"
    shots = ["terrace" if n < CUT else "room" for n in range(len(paths))]
    masters = [grade(read_exr(path), shot) for path, shot in zip(paths, shots, strict=True)]

    pq = [pq_inverse_eotf(nits) for nits in masters]
    tagged = as_clip(pq, FPS, transfer=int(vs.TRANSFER_ST2084), primaries=int(vs.PRIMARIES_BT2020))
    levels = [nits.amax(dim=0) for nits in masters]
    light = ContentLight.measured(
        max(float(level.max()) for level in levels), max(float(level.mean()) for level in levels)
    )
    display = MasteringDisplay(max_nits=PEAK_NITS)
    encode(
        tagged.resize.Bicubic(
            format=vs.YUV444P10,
            matrix=int(vs.MATRIX_BT2020_NCL),
            range=0,
        ),
        truth_path,
        "libx265",
        "yuv444p10le",
        {
            "preset": "slow",
            "crf": "3",
            "x265-params": f"log-level=error:hdr10=1:repeat-headers=1:aq-mode=3:"
            f"master-display={display.x265()}:max-cll={light.text()}",
        },
    )

    sdr_signals = [tone_map(nits) for nits in masters]
    sdr = as_clip(
        sdr_signals, FPS, transfer=int(vs.TRANSFER_BT709), primaries=int(vs.PRIMARIES_BT709)
    )
    encode(
        sdr.resize.Bicubic(
            format=vs.YUV420P8,
            matrix=int(vs.MATRIX_BT709),
            range=0,
            chromaloc=0,
            dither_type="error_diffusion",
        ),
        sdr_path,
        "libx264",
        "yuv420p",
        {"preset": "slow", "crf": "18", "bf": "3", "x264-params": "chromaloc=0"},
        make_sound(len(paths)),
    )

    from vs_gainmap.video.source import open_clip

    for path, truth in ((truth_path, pq), (sdr_path, sdr_signals)):
        scores = [psnr(a, b) for a, b in zip(signals(open_clip(path)), truth, strict=True)]
        size = path.stat().st_size / 1e6
        print(
            f"{path.name}: {len(scores)} frames, {size:.2f} MB, PSNR of the coded signal "
            f"{np.mean(scores):.1f} dB, at least {min(scores):.1f} dB"
        )
    print(f"truth: MaxCLL, MaxFALL {light.text()}")


if __name__ == "__main__":
    main()

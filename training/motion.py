"""Short videos of a camera that moves in a panorama: SDR, and the HDR that it was made of.

The camera, the grade and how SDR is made are drawn once a video, as for a film's shot.
"""

from __future__ import annotations

import json
import math
import zlib
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import torch
from torch import Tensor

from training.grade import Grade, Master, quantize_pq
from training.lighting import Levels
from training.pairs import Film
from training.scenes import Camera, log_average, perspective
from training.shots import RATE, Delivery, deliver_signals
from training.sources import Still
from vs_gainmap.color import pq_inverse_eotf
from vs_gainmap.errors import MediaError

VIDEOS = "videos.json"
# Keeps a video's draws apart from the views'.
_STREAM = 3
# ITU-T H.273: PQ, BT.2020, RGB; AVColorRange: full.
_PQ, _BT2020, _RGB, _FULL = 16, 9, 0, 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Motion:
    """How a camera moves: turned at even speeds, zoomed, and held in a hand.

    `yaw`, `pitch` and `roll` in degrees a second, `zoom` in powers of two of the field of
    view a second, `sway` in degrees to either side, about `pace` times a second.
    """

    start: Camera
    yaw: float
    pitch: float
    roll: float
    zoom: float
    sway: float
    pace: float

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Motion:
        """Draw a motion: pans for most, every third zooms, half are hand-held."""
        return cls(
            start=Camera.draw(rng),
            yaw=rng.normal(0, 12),
            pitch=rng.normal(0, 3),
            roll=rng.normal(0, 0.5),
            zoom=rng.normal(0, 0.2) if rng.random() < 1 / 3 else 0.0,
            sway=rng.uniform(0.05, 0.5) if rng.random() < 0.5 else 0.0,
            pace=rng.uniform(0.5, 2.0),
        )

    def at(self, seconds: float) -> Camera:
        """Return the camera at a time."""
        turn = 2 * math.pi * self.pace * seconds
        return Camera(
            yaw=self.start.yaw + self.yaw * seconds + self.sway * math.sin(turn),
            # The two ways of a hand never meet in one rhythm.
            pitch=self.start.pitch + self.pitch * seconds + self.sway * math.sin(1.37 * turn),
            roll=self.start.roll + self.roll * seconds,
            fov=float(np.clip(self.start.fov * 2 ** (self.zoom * seconds), 20, 120)),
        )


class MotionWriter:
    """Writes videos of panoramas, one after the other, and a list of them.

    Args:
        out: gets ``<scene>_<nnn>_hdr.mkv``, FFV1, PQ in BT.2020, RGB of 10 bits: exactly the
            master that ``<scene>_<nnn>_sdr.mkv``, H.264 in BT.709, is made of; and
            ``videos.json``, which says how.
        count: videos a panorama.
        length: frames of each, 24 a second.
        size: width and height, even.
        seed: of everything drawn.

    Raises:
        MediaError: the size is odd, or there are no frames.
    """

    def __init__(
        self, out: Path, *, count: int, length: int, size: tuple[int, int], seed: int = 0
    ) -> None:
        if size[0] % 2 or size[1] % 2 or length < 1:
            raise MediaError(
                f"render: videos need an even size and frames, got {size[0]}x{size[1]}, {length}"
            )
        self.out = out
        self.count = count
        self.length = length
        self.size = size
        self.seed = seed
        self.rows: list[dict[str, object]] = []

    def add(self, still: Still) -> None:
        """Write the videos of a panorama; other pictures, and black ones, are passed over."""
        if not still.panorama:
            return
        self.out.mkdir(parents=True, exist_ok=True)
        for number in range(self.count):
            scene = zlib.crc32(still.name.encode())
            rng = np.random.default_rng([self.seed, scene, number, _STREAM])
            row = self._write(still, f"{still.name}_{number:03d}", rng)
            if row is not None:
                self.rows.append(row)
        (self.out / VIDEOS).write_text(json.dumps(self.rows, indent=0))

    def _write(self, still: Still, name: str, rng: np.random.Generator) -> dict[str, object] | None:
        motion, film = Motion.draw(rng), Film.draw(rng)
        cameras = [motion.at(n / RATE) for n in range(self.length)]
        # One exposure for all: what gets brighter in the scene does so in the video.
        middle = perspective(still.linear, cameras[self.length // 2], *self.size)
        level = log_average(middle)
        if level <= 0 or not math.isfinite(level):
            return None
        levels = Levels.known(view=level, scene=log_average(still.linear, panorama=True))
        average = film.lighting.draw_average(levels, rng)
        grade = Grade.draw(rng, peak_nits=film.mastering_nits, average_nits=average)
        signals = []
        masters = []
        for camera in cameras:
            light = perspective(still.linear, camera, *self.size) * (0.18 / level)
            master = Master(nits=quantize_pq(grade(light)), peak_nits=film.told_nits())
            sdr = film.make_sdr(master)
            masters.append(master.nits)
            signals.append(sdr)
        write_pq(masters, self.out / f"{name}_hdr.mkv")
        delivery = Delivery(grain=rng.uniform(0, 2), crf=int(rng.integers(14, 25)))
        deliver_signals(signals, delivery, self.out / f"{name}_sdr.mkv")
        return {
            "hdr": f"{name}_hdr.mkv",
            "sdr": f"{name}_sdr.mkv",
            "scene": still.name,
            "operator": film.name,
            "encoding": film.encoding,
            "average_nits": grade.average_nits,
            "peak_nits": film.told_nits(),
            "fov": motion.start.fov,
            "yaw_per_second": motion.yaw,
        }


def write_pq(frames: list[Tensor], path: Path) -> None:
    """Write light as PQ in BT.2020, RGB of 10 bits, full range, without loss (FFV1).

    Args:
        frames: (3, H, W), BT.2020, cd/m2.
        path: .mkv.
    """
    height, width = frames[0].shape[-2:]
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=Fraction(RATE))
        stream.width, stream.height, stream.pix_fmt = width, height, "gbrp10le"
        context = stream.codec_context
        context.color_trc, context.color_primaries = _PQ, _BT2020
        context.colorspace, context.color_range = _RGB, _FULL
        for nits in frames:
            codes = (pq_inverse_eotf(nits) * 1023).round().to(torch.int32).numpy()
            picture = np.ascontiguousarray(codes.transpose(1, 2, 0).astype(np.uint16))
            frame = av.VideoFrame.from_ndarray(picture, "gbrp10le")
            frame.color_trc, frame.color_primaries = _PQ, _BT2020
            frame.colorspace, frame.color_range = _RGB, _FULL
            for packet in stream.encode(frame):
                container.mux(packet)
        for packet in stream.encode(None):
            container.mux(packet)

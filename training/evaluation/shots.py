"""Make short videos with known true HDR from panoramas, to measure steadiness on."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from training.data.degrade import rgb_to_ycbcr
from training.data.encodings import PLAYER
from training.data.grade import Grade, Master, quantize_pq
from training.data.operators import OPERATORS
from training.data.pairs import Conversion, show
from training.data.scenes import Camera, log_average, perspective
from training.data.sources import Still, find_sources, read_still, scene_name
from training.data.splits import choose_held_out
from training.data.video import VIDEO_SUFFIXES
from vs_gainmap.errors import MediaError
from vs_gainmap.gainmap import GainMapPreset

RATE = 24
# Scenes take these operators in turn, at their usual settings.
SHOT_OPERATORS = ("libplacebo", "camera", "reinhard", "clip")
# Factors on a scene's light: of a flash, and of a dark shot.
FLASH, DARK = 6.0, 0.045
# A fade is made in the signal; this is what it does to the light of a BT.1886 display.
FADE_GAMMA = PLAYER.power
CUT = "cut"


@dataclass(frozen=True, slots=True, kw_only=True)
class Coding:
    """How a shot's SDR is coded: grain (standard deviation in 8-bit codes), then H.264."""

    grain: float = 0.0
    crf: int = 20
    keyint: int = 48


@dataclass(frozen=True, slots=True, kw_only=True)
class Shot:
    """A short video both ways.

    Attributes:
        kind: a name in `SHOTS`, or "cut".
        scene: its panorama.
        coding: of its SDR.
        sdr: (3, H, W) each, BT.709 signal, 0..1, before it is coded.
        truth: (3, H, W) each, BT.2020, cd/m2, clipped at the preset's peak.
        events: first frames of cuts and flashes, and first frames after flashes.
    """

    kind: str
    scene: str
    coding: Coding
    sdr: list[Tensor]
    truth: list[Tensor]
    events: tuple[int, ...] = ()


Frames = list[tuple[Tensor, Tensor]]
"""SDR and truth of each frame."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """A panorama with a camera and a grade.

    Attributes:
        name: of the panorama.
        panorama: (3, H, 2 H), BT.2020, relative light.
        yaw: of the camera, in degrees.
        exposure: factor that gives the camera's view a log-average of 0.18.
        grade: how relative light becomes a master.
        operator: name of the operator that makes SDR of it.
        preset: SDR white and peak of the truth.
        size: width and height of the frames.
    """

    name: str
    panorama: Tensor
    yaw: float
    exposure: float
    grade: Grade
    operator: str
    preset: GainMapPreset
    size: tuple[int, int]

    @classmethod
    def choose(
        cls, still: Still, number: int, preset: GainMapPreset, size: tuple[int, int]
    ) -> Scene:
        """Choose view and grade of a panorama by its number."""
        rng = np.random.default_rng([number, 4])
        # The second brightest of four directions: it has some light in it.
        yaws = rng.uniform(0, 360, 4)
        levels = [
            log_average(perspective(still.linear, _camera(float(yaw)), 96, 54)) for yaw in yaws
        ]
        chosen = int(np.argsort(levels)[2])
        grade = Grade(
            average_nits=float(rng.uniform(10, 40)), peak_nits=1000.0, contrast=1.1, knee_nits=300.0
        )
        return cls(
            name=still.name,
            panorama=still.linear,
            yaw=float(yaws[chosen]),
            exposure=0.18 / max(levels[chosen], 1e-9),
            grade=grade,
            operator=SHOT_OPERATORS[number % len(SHOT_OPERATORS)],
            preset=preset,
            size=size,
        )

    def render(self, *, turn: float = 0.0, light: float = 1.0) -> tuple[Tensor, Tensor]:
        """Render one frame.

        Args:
            turn: of the camera, in degrees to the right.
            light: factor on the scene's light.

        Returns:
            SDR (3, H, W), BT.709 signal, 0..1, and truth (3, H, W), BT.2020, cd/m2.
        """
        view = perspective(self.panorama, _camera(self.yaw + turn), *self.size)
        nits = quantize_pq(self.grade(view * self.exposure * light))
        master = Master(nits=nits, peak_nits=self.grade.peak_nits)
        operator = OPERATORS[self.operator].usual[0]
        sdr = Conversion(name=self.operator, operator=operator, encoding=PLAYER)(master)
        return sdr, show(master, self.preset, rolled=False) * self.preset.sdr_white


def _camera(yaw: float) -> Camera:
    return Camera(yaw=yaw, pitch=2.0, roll=0.0, fov=65.0)


def _still(scene: Scene, length: int, *, light: float = 1.0) -> tuple[Frames, tuple[int, ...]]:
    return [scene.render(light=light)] * length, ()


def _dark(scene: Scene, length: int) -> tuple[Frames, tuple[int, ...]]:
    return _still(scene, length, light=DARK)


def _pan(scene: Scene, length: int) -> tuple[Frames, tuple[int, ...]]:
    """Turn the camera by a quarter of a degree a frame."""
    return [scene.render(turn=0.25 * n) for n in range(length)], ()


def _fade(scene: Scene, length: int) -> tuple[Frames, tuple[int, ...]]:
    """Fade the signal to black over the middle two thirds."""
    sdr, truth = scene.render()
    factors = np.interp(np.arange(length), (length / 6, 5 * length / 6), (1.0, 0.0))
    return [(sdr * k, truth * k**FADE_GAMMA) for k in factors], ()


def _flash(scene: Scene, length: int) -> tuple[Frames, tuple[int, ...]]:
    """Flash for one frame at a third of the shot, and for three at two thirds."""
    normal, bright = scene.render(), scene.render(light=FLASH)
    first, second = length // 3, 2 * length // 3
    flashes = {first, *range(second, second + 3)}
    frames = [bright if n in flashes else normal for n in range(length)]
    events = (first, first + 1, second, second + 3)
    return frames, tuple(n for n in events if n < length)


SHOTS: dict[str, tuple[Callable[[Scene, int], tuple[Frames, tuple[int, ...]]], Coding]] = {
    "still": (_still, Coding(grain=2.0, crf=18)),
    "still, low rate": (_still, Coding(grain=1.0, crf=28, keyint=12)),
    "still, dark": (_dark, Coding(grain=2.0, crf=18)),
    "pan": (_pan, Coding(grain=1.0, crf=20)),
    "fade": (_fade, Coding(grain=1.0, crf=20)),
    "flash": (_flash, Coding(grain=0.5, crf=16)),
}


def make_shots(
    folder: Path,
    preset: GainMapPreset,
    *,
    count: int,
    size: tuple[int, int] = (384, 216),
    length: int = 48,
    kinds: Collection[str] | None = None,
    held_out: Collection[str] = (),
) -> Iterator[Shot]:
    """Yield every kind of shot of held-out panoramas, and a hard cut from each to the next.

    Args:
        folder: searched for panoramas of held-out scenes; see `splits.choose_held_out`.
        preset: SDR white and peak of the truth.
        count: how many panoramas.
        size: width and height of the frames, even.
        length: frames in a shot.
        kinds: names in `SHOTS`, or "cut"; None for all of them.
        held_out: shell patterns of the scenes, instead of the usual ones.

    Raises:
        MediaError: no held-out panorama is in the folder, or a kind is unknown.
    """
    wanted = set(kinds or (*SHOTS, CUT))
    if not wanted <= {*SHOTS, CUT}:
        raise MediaError(f"flicker: kinds must be of {', '.join((*SHOTS, CUT))}")
    stills = _panoramas(folder, count, held_out)
    scenes = [Scene.choose(still, n, preset, size) for n, still in enumerate(stills)]
    for scene, following in zip(scenes, [*scenes[1:], scenes[0]], strict=True):
        for kind, (make, coding) in SHOTS.items():
            if kind in wanted:
                yield _shot(kind, scene.name, coding, *make(scene, length))
        if CUT in wanted and following is not scene:
            half = length // 2
            frames = [scene.render()] * half + [following.render()] * half
            name = f"{scene.name} to {following.name}"
            yield _shot(CUT, name, Coding(grain=1.0, crf=18), frames, (half,))


def _shot(kind: str, scene: str, coding: Coding, frames: Frames, events: tuple[int, ...]) -> Shot:
    sdr, truth = (list(each) for each in zip(*frames, strict=True))
    return Shot(kind=kind, scene=scene, coding=coding, sdr=sdr, truth=truth, events=events)


def _panoramas(folder: Path, count: int, patterns: Collection[str]) -> list[Still]:
    """Read the first `count` panoramas of held-out scenes.

    Raises:
        MediaError: there is none, or one can't be read.
    """
    paths = [p for p in find_sources(folder) if p.suffix.lower() not in VIDEO_SUFFIXES]
    chosen = choose_held_out({scene_name(path) for path in paths}, patterns)
    found: list[Still] = []
    for path in paths:
        if len(found) < count and scene_name(path) in chosen:
            still = read_still(path)
            found += [still] if still.panorama else []
    if not found:
        names = ", ".join(sorted(chosen)) or "no scene"
        raise MediaError(
            f"flicker: no held-out panorama under {folder}: held out is {names}; "
            "choose with --held-out"
        )
    return found


def write_shot(shot: Shot, path: Path) -> None:
    """Write a shot's SDR: grain, 8-bit 4:2:0 in BT.709 with chroma at the center, H.264.

    Args:
        shot: of even width and height.
        path: .mkv.
    """
    height, width = shot.sdr[0].shape[-2:]
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=Fraction(RATE))
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        context = stream.codec_context
        context.colorspace = context.color_primaries = context.color_trc = 1
        context.color_range = 1
        context.thread_count = 1
        coding = shot.coding
        stream.options = {"crf": str(coding.crf), "preset": "medium", "g": str(coding.keyint)}
        for n, signal in enumerate(shot.sdr):
            frame = _to_yuv420(signal, coding.grain, np.random.default_rng([n, 20]))
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def _to_yuv420(signal: Tensor, grain: float, rng: np.random.Generator) -> av.VideoFrame:
    ycbcr = rgb_to_ycbcr(signal)
    height, width = signal.shape[-2:]
    noise = rng.standard_normal((height, width), dtype=np.float32) * grain / 255
    luma = (ycbcr[0] + torch.from_numpy(noise)) * 219 + 16
    chroma = functional.avg_pool2d(ycbcr[None, 1:], 2)[0] * 224 + 128
    codes = torch.cat([luma.flatten(), chroma.flatten()]).round().clamp(0, 255).byte()
    planes = codes.view(height * 3 // 2, width).numpy()
    frame = av.VideoFrame.from_ndarray(planes, format="yuv420p")
    frame.colorspace, frame.color_range = 1, 1
    return frame

"""Short videos with a known HDR truth, made of panoramas: what steadiness is measured on."""

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

from training.data.encodings import DISPLAY_POWERS
from training.data.scenes import Camera, log_average, perspective
from training.data.sources import Still, find_sources, read_still, scene_name
from training.data.splits import choose_held_out
from training.data.video import VIDEO_SUFFIXES
from training.degrade import rgb_to_ycbcr
from training.grade import Grade, Master, quantize_pq
from training.operators import OPERATORS
from training.pairs import make_sdr, show
from vs_gainmap.errors import MediaError
from vs_gainmap.gainmap import GainMapPreset

RATE = 24
# One operator a scene in turn, at its defaults, so that what moves is not the tone mapping.
SHOT_OPERATORS = ("bt2390", "bt2446a", "hable", "clip")
FLASH = 6.0
# Light of a dark shot: four stops and a half under the grade's average.
DARK = 0.045
# The exponent that a fade of the signal has on light, for a BT.1886 display.
FADE_GAMMA = DISPLAY_POWERS["bt1886"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """How the SDR reaches us: grain in steps of 8 bits, then H.264 (4:2:0) by x264."""

    grain: float = 0.0
    crf: int = 20
    keyint: int = 48


@dataclass(frozen=True, slots=True, kw_only=True)
class Shot:
    """A video both ways.

    `sdr` are (3, H, W), BT.709 signal, 0..1, before delivery; `truth` (3, H, W), BT.2020,
    cd/m2, as a display of the preset's peak shows it. `events` are the first frames of cuts
    and of flashes, and the first frames after flashes.
    """

    kind: str
    scene: str
    sdr: list[Tensor]
    truth: list[Tensor]
    events: tuple[int, ...]
    delivery: Delivery


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """A panorama, graded one way: relative light times `exposure` has a log-average of 0.18."""

    name: str
    panorama: Tensor
    yaw: float
    exposure: float
    grade: Grade
    operator: str

    @classmethod
    def of(cls, still: Still, number: int) -> Scene:
        """Choose a panorama's view and its grade by its number."""
        rng = np.random.default_rng([number, 4])
        # The brightest direction is seldom the picture, but a picture has some light in it.
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
        )

    def view(self, size: tuple[int, int], *, turn: float = 0.0) -> Tensor:
        """Return (3, H, W), relative light; `turn` in degrees to the right."""
        return perspective(self.panorama, _camera(self.yaw + turn), *size) * self.exposure

    def develop(
        self, view: Tensor, preset: GainMapPreset, *, light: float = 1.0
    ) -> tuple[Tensor, Tensor]:
        """Return a view as SDR signal and as true HDR, cd/m2; `light` is a flash's factor."""
        nits = self.grade(view * light)
        master = Master(nits=quantize_pq(nits), peak_nits=self.grade.peak_nits)
        operator = OPERATORS[self.operator].usual[0]
        sdr = make_sdr(master, operator, wide=False, encoding="bt1886")
        return sdr, show(master, preset, rolled=False) * preset.sdr_white


def _camera(yaw: float) -> Camera:
    return Camera(yaw=yaw, pitch=2.0, roll=0.0, fov=65.0)


Frames = tuple[list[Tensor], list[Tensor], tuple[int, ...]]
"""SDR, truth, events."""


def _still(scene: Scene, length: int, size: tuple[int, int], preset: GainMapPreset) -> Frames:
    sdr, truth = scene.develop(scene.view(size), preset)
    return [sdr] * length, [truth] * length, ()


def _dark(scene: Scene, length: int, size: tuple[int, int], preset: GainMapPreset) -> Frames:
    sdr, truth = scene.develop(scene.view(size), preset, light=DARK)
    return [sdr] * length, [truth] * length, ()


def _pan(scene: Scene, length: int, size: tuple[int, int], preset: GainMapPreset) -> Frames:
    """Turn by a quarter of a degree a frame: a view's width in ten seconds."""
    made = [scene.develop(scene.view(size, turn=0.25 * n), preset) for n in range(length)]
    return [sdr for sdr, _ in made], [truth for _, truth in made], ()


def _fade(scene: Scene, length: int, size: tuple[int, int], preset: GainMapPreset) -> Frames:
    """Fade to black over the middle two thirds, as editors do: in the signal."""
    sdr, truth = scene.develop(scene.view(size), preset)
    levels = np.interp(np.arange(length), (length / 6, 5 * length / 6), (1.0, 0.0))
    return [sdr * k for k in levels], [truth * k**FADE_GAMMA for k in levels], ()


def _flash(scene: Scene, length: int, size: tuple[int, int], preset: GainMapPreset) -> Frames:
    """Flash for one frame at a third, and for three at two thirds."""
    view = scene.view(size)
    dark, lit = scene.develop(view, preset), scene.develop(view, preset, light=FLASH)
    first, second = length // 3, 2 * length // 3
    flashes = {first, *range(second, second + 3)}
    made = [lit if n in flashes else dark for n in range(length)]
    events = (first, first + 1, second, second + 3)
    return [sdr for sdr, _ in made], [truth for _, truth in made], events


CUT = "cut"
SHOTS: dict[str, tuple[Callable[[Scene, int, tuple[int, int], GainMapPreset], Frames], Delivery]]
SHOTS = {
    "still": (_still, Delivery(grain=2.0, crf=18)),
    "still, low rate": (_still, Delivery(grain=1.0, crf=28, keyint=12)),
    "still, dark": (_dark, Delivery(grain=2.0, crf=18)),
    "pan": (_pan, Delivery(grain=1.0, crf=20)),
    "fade": (_fade, Delivery(grain=1.0, crf=20)),
    "flash": (_flash, Delivery(grain=0.5, crf=16)),
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
    """Yield every kind of shot for held-out panoramas, and a hard cut from each to the next.

    Args:
        folder: searched for panoramas of held-out scenes; see `held_out.choose_held_out`.
        preset: white and peak of the truth.
        count: how many scenes.
        size: width and height of the SDR, even.
        length: frames a shot.
        kinds: names of `SHOTS`, or "cut"; None for all of them.
        held_out: shell patterns of the scenes, where ours and the usual share won't do.

    Raises:
        MediaError: there are no held-out panoramas in the folder, or no such kind.
    """
    wanted = set(kinds or (*SHOTS, CUT))
    if not wanted <= {*SHOTS, CUT}:
        raise MediaError(f"flicker: kinds must be of {', '.join((*SHOTS, CUT))}")
    stills = _panoramas(folder, count, held_out)
    scenes = (Scene.of(still, number) for number, still in enumerate(stills))
    first = before = next(scenes, None)
    while before is not None:
        scene, following = before, next(scenes, None)
        for kind, (make, delivery) in SHOTS.items():
            if kind not in wanted:
                continue
            sdr, truth, events = make(scene, length, size, preset)
            yield Shot(
                kind=kind, scene=scene.name, sdr=sdr, truth=truth, events=events, delivery=delivery
            )
        other = following or first
        if CUT in wanted and other is not None and other is not scene:
            half = length // 2
            ways = [_still(one, half, size, preset) for one in (scene, other)]
            yield Shot(
                kind=CUT,
                scene=f"{scene.name} to {other.name}",
                sdr=ways[0][0] + ways[1][0],
                truth=ways[0][1] + ways[1][1],
                events=(half,),
                delivery=Delivery(grain=1.0, crf=18),
            )
        before = following


def _panoramas(folder: Path, count: int, patterns: Collection[str]) -> Iterator[Still]:
    """Read the first `count` panoramas of held-out scenes; other pictures are passed over.

    Raises:
        MediaError: there is none, or one can't be read.
    """
    paths = [p for p in find_sources(folder) if p.suffix.lower() not in VIDEO_SUFFIXES]
    chosen = choose_held_out({scene_name(path) for path in paths}, patterns)
    found = 0
    for path in paths:
        if found == count:
            return
        if scene_name(path) in chosen and (still := read_still(path)).panorama:
            found += 1
            yield still
    if not found:
        names = ", ".join(sorted(chosen)) or "no scene"
        raise MediaError(
            f"flicker: no held-out panorama under {folder}: held out is {names}; "
            "choose with --held-out"
        )


def deliver(shot: Shot, path: Path) -> None:
    """Write a shot's SDR as people get it: grain, 8-bit 4:2:0 in BT.709, H.264.

    Args:
        shot: of even width and height.
        path: .mkv; the chroma is sited at the center.
    """
    signals, how = shot.sdr, shot.delivery
    height, width = signals[0].shape[-2:]
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=Fraction(RATE))
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        context = stream.codec_context
        context.colorspace = context.color_primaries = context.color_trc = 1
        context.color_range = 1
        context.thread_count = 1
        stream.options = {"crf": str(how.crf), "preset": "medium", "g": str(how.keyint)}
        for n, signal in enumerate(signals):
            frame = _to_yuv420(signal, how.grain, np.random.default_rng([n, 20]))
            for packet in stream.encode(frame):
                container.mux(packet)
        container.mux(stream.encode(None))


def _to_yuv420(signal: Tensor, grain: float, rng: np.random.Generator) -> av.VideoFrame:
    ycbcr = rgb_to_ycbcr(signal)
    noise = rng.standard_normal(signal.shape[-2:], dtype=np.float32) * grain / 255
    luma = (ycbcr[0] + torch.from_numpy(noise)) * 219 + 16
    chroma = functional.avg_pool2d(ycbcr[None, 1:], 2)[0] * 224 + 128
    height, width = signal.shape[-2:]
    frame = av.VideoFrame(width, height, "yuv420p")
    for plane, values in zip(frame.planes, (luma, *chroma), strict=True):
        coded = values.round().clamp(0, 255).byte().numpy()
        rows = np.zeros((coded.shape[0], plane.line_size), np.uint8)
        rows[:, : coded.shape[1]] = coded
        plane.update(rows.tobytes())
    frame.colorspace, frame.color_range = 1, 1
    return frame

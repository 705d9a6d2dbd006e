"""What of each frame the finished file depends on, beside its coded picture."""

from __future__ import annotations

from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np
import vapoursynth as vs

from vs_gainmap.errors import MediaError, MetadataError
from vs_gainmap.filters import props
from vs_gainmap.hdr10 import ContentLight, LightMeter
from vs_gainmap.hdr10plus import BINS, FrameLight, SceneMeter, messages
from vs_gainmap.untrusted import as_integer, as_list, as_number
from vs_gainmap.video.pixels import frame_duration

# ITU-T T.35's country and provider, then ATSC A/53 part 4, 6.2.3: user data of type captions.
_A53 = bytes([0xB5, 0x00, 0x31]) + b"GA94" + bytes([3])
# Overshoot of a clip of floats, and more than any picture's side.
_MOST_NITS, _MOST_SIDE = 1e9, 1 << 16
_MOST_STOPS = 1e3
# What a rational number of seconds may be made of.
_MOST_TICKS = 1 << 62


class FrameNote(NamedTuple):
    """One frame's duration in seconds, its light in cd/m2, captions and scene.

    `light` is its maximum and average (CTA-861.3), `area` the picture without black bars,
    `captions` a message of ITU-T T.35, `begins_scene` None where nothing looked for scenes, and
    `scene` what HDR10+ is made of.
    """

    duration: Fraction
    light: tuple[float, float] | None = None
    area: tuple[int, int, int, int] | None = None
    qmax: float | None = None
    begins_scene: bool | None = None
    captions: bytes | None = None
    scene: FrameLight | None = None

    def to_json(self) -> dict[str, Any]:
        """Return it for JSON, without the histogram."""
        found = {
            "duration": [self.duration.numerator, self.duration.denominator],
            "light": self.light,
            "area": self.area,
            "qmax": self.qmax,
            "begins_scene": self.begins_scene,
            "captions": None if self.captions is None else self.captions.hex(),
            "max_rgb": None if self.scene is None else self.scene.max_rgb,
        }
        return {name: value for name, value in found.items() if value is not None}


def note_frame(frame: vs.VideoFrame, clip: vs.VideoNode, n: int) -> FrameNote:
    """Return what is to be kept of a frame.

    Args:
        frame: of the clip as it is encoded.
        clip: the same.
        n: its number, for messages.

    Raises:
        MediaError: nothing says for how long it is shown.
    """
    found = frame.props
    duration = frame_duration(found) or (1 / Fraction(clip.fps) if clip.fps else None)
    if duration is None or duration <= 0:
        raise MediaError(
            f"encode: frame {n} has no duration and the clip no frame rate; "
            "set one with std.AssumeFPS"
        )
    captions, light, qmax = found.get(props.CAPTIONS), None, found.get(props.GAIN_MAP_MAX)
    if props.FRAME_MAX_NITS in found and props.FRAME_AVERAGE_NITS in found:
        light = float(found[props.FRAME_MAX_NITS]), float(found[props.FRAME_AVERAGE_NITS])
    begins = found.get(props.SCENE_CHANGE_PREV)
    return FrameNote(
        duration=duration,
        light=light,
        area=props.read_active_area(found),
        qmax=None if qmax is None else float(qmax),
        begins_scene=None if begins is None else bool(begins),
        captions=_a53(captions) if isinstance(captions, bytes) else None,
        scene=props.read_frame_light(found),
    )


def _a53(captions: bytes) -> bytes:
    return _A53 + bytes([0x40 | len(captions) // 3 & 0x1F, 0xFF, *captions, 0xFF])


def read_note(row: object, histogram: bytes | None) -> FrameNote:
    """Return what `to_json` wrote.

    Args:
        row: an object of JSON.
        histogram: (BINS,) little-endian counts of 32 bits, of a frame that has them.

    Raises:
        MetadataError: it is something else.
    """
    if not isinstance(row, dict):
        raise MetadataError("a frame is no object")
    ticks, seconds = (
        as_integer(value, "duration", 1, _MOST_TICKS)
        for value in as_list(row.get("duration"), "duration", 2)
    )
    light = area = scene = None
    if "light" in row:
        top, average = (
            as_number(value, "light", -_MOST_NITS, _MOST_NITS)
            for value in as_list(row["light"], "light", 2)
        )
        light = top, average
    if "area" in row:
        left, top_edge, right, bottom = (
            as_integer(value, "area", 0, _MOST_SIDE) for value in as_list(row["area"], "area", 4)
        )
        area = left, top_edge, right, bottom
    if "max_rgb" in row:
        red, green, blue = (
            as_number(value, "max_rgb", -_MOST_NITS, _MOST_NITS)
            for value in as_list(row["max_rgb"], "max_rgb", 3)
        )
        if histogram is None or light is None:
            raise MetadataError("a frame has no histogram")
        scene = FrameLight(
            max_rgb=(red, green, blue), average=light[1], histogram=np.frombuffer(histogram, "<u4")
        )
    captions, qmax, begins = row.get("captions"), row.get("qmax"), row.get("begins_scene")
    try:
        data = None if captions is None else bytes.fromhex(captions)
    except (TypeError, ValueError) as error:
        raise MetadataError("captions must be hexadecimal") from error
    return FrameNote(
        duration=Fraction(ticks, seconds),
        light=light,
        area=area,
        qmax=None if qmax is None else as_number(qmax, "qmax", -_MOST_STOPS, _MOST_STOPS),
        begins_scene=None if begins is None else begins is True,
        captions=data,
        scene=scene,
    )


HISTOGRAM_BYTES = 4 * BINS


class FilmNotes:
    """The notes of a film's frames, in order, and what they make together.

    Histograms are not kept: each scene has one.

    Args:
        width: of the frames.
        height: of the frames.
    """

    def __init__(self, width: int, height: int) -> None:
        self.frames: list[FrameNote] = []
        self._meter = LightMeter(width, height)
        self._scenes = SceneMeter()

    def add(self, note: FrameNote) -> None:
        """Take the next frame in."""
        self.frames.append(note._replace(scene=None))
        if note.light is not None:
            self._meter.add(*note.light, note.area)
        if note.scene is not None:
            # Where nothing looked for scenes each frame is one of its own.
            self._scenes.add(note.scene, begins_scene=note.begins_scene is not False)

    def durations(self) -> list[Fraction]:
        """Return for how long each frame is shown, in seconds."""
        return [note.duration for note in self.frames]

    def captions(self) -> dict[int, bytes]:
        """Return the messages of the frames that have captions."""
        return {n: note.captions for n, note in enumerate(self.frames) if note.captions is not None}

    def measured(self) -> ContentLight | None:
        """Return MaxCLL and MaxFALL, if every frame was measured."""
        if not self._meter.frames or self._meter.frames < len(self.frames):
            return None
        return self._meter.result()

    def dynamic(self) -> tuple[tuple[int, bytes], ...]:
        """Return each scene's first frame and its HDR10+ message.

        Raises:
            MediaError: frames were not measured for it.
        """
        if self._scenes.frames < len(self.frames):
            raise MediaError(
                "encode: for HDR10+ every frame must be measured; use measure(clip, hdr10plus=True)"
            )
        return tuple(messages(self._scenes.scenes()))

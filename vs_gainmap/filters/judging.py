"""What is known of every frame before its pixels are looked at: weights, device, features."""

from __future__ import annotations

import builtins
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import vapoursynth as vs

from vs_gainmap.backends import Backend, RunOptions, TorchBackend, open_backend
from vs_gainmap.errors import GainMapError
from vs_gainmap.filters import props
from vs_gainmap.filters.carrying import ALIKE, MAX_EVERY, alike
from vs_gainmap.filters.seeing import Seen, see
from vs_gainmap.filters.survey import difference, find_surveyor, judge_twice
from vs_gainmap.filters.temporal import MAX_RADIUS, SIGNATURE_SIZE, average, look_around, signature
from vs_gainmap.filters.window import DEFAULT_RADIUS, IN_FLIGHT, Neighborhood, hold
from vs_gainmap.gainmap import GainMapPreset
from vs_gainmap.models.inference import Plane, choose_device
from vs_gainmap.models.weights import Weights, default_weights, load_weights

Scale = int | Literal["auto"]
SCALES = (1, 2, 4, 8)
# Map pixels that `scale="auto"` stays below: a fourth of 1080p.
AUTO_PIXELS = 960 * 540
# Up to so many frames away, pictures count that look alike; beyond, those that are the same.
NEAR = 8
# What a film tells levels off with this many pictures; docs/models.md.
DEFAULT_SURVEY = 32
MAX_SURVEY = 256

_announced: set[str] = set()


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """A network that is ready, and what it and a survey say of every frame."""

    loaded: Weights
    map_size: tuple[int, int]
    """Width and height."""
    seen: Seen
    network: Backend
    features: vs.VideoNode
    """GRAYS, one row a frame, which begins with the network's vector; with a radius it has
    _SceneChangePrev."""
    surveyor: TorchBackend | None
    """GridNet, where it is asked for a network that can't be surveyed."""
    told: vs.VideoNode | None
    """What the survey adds, for the surveyor's `local`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judging:
    """How every frame is judged: the arguments of `predict` of the same names."""

    weights: str | Path | None = None
    model: str | None = None
    preset: str | GainMapPreset | None = None
    scale: Scale | None = None
    tile: int | None = None
    device: str | None = None
    dtype: str | None = None
    streams: int | None = None
    backend: str = "torch"
    radius: int = DEFAULT_RADIUS
    survey: int = DEFAULT_SURVEY
    map_every: int = 1


def judge(tagged: vs.VideoNode, how: Judging) -> Judgement:
    """Load weights, open the backend, and judge every frame.

    Args:
        tagged: SDR with all its color props.
        how: weights, device and time.

    Raises:
        vs.Error: something asked for is not usable.
    """
    try:
        source = how.weights or default_weights(how.model, on_cpu=_on_cpu(how.backend, how.device))
        loaded = load_weights(source, preset=how.preset, model=how.model)
    except GainMapError as error:
        raise vs.Error(f"predict: {error}") from error
    scale = how.scale
    if scale is None or scale == "auto":
        limit = AUTO_PIXELS if scale == "auto" else None
        scale = _own_scale(tagged, loaded.preset.map_scale, limit)
    if scale not in SCALES:
        raise vs.Error(f'predict: scale must be 1, 2, 4, 8 or "auto", got {scale}')
    if how.tile is not None and (how.tile < 0 or how.tile % 2 or 0 < how.tile < 64):
        raise vs.Error(f"predict: tile must be even and at least 64, or 0, got {how.tile}")
    if how.streams is not None and not 1 <= how.streams <= 16:
        raise vs.Error(f"predict: streams must be 1 to 16, got {how.streams}")
    if not 0 <= how.radius <= MAX_RADIUS:
        raise vs.Error(f"predict: radius must be 0 to {MAX_RADIUS}, got {how.radius}")
    if not 0 <= how.survey <= MAX_SURVEY:
        raise vs.Error(f"predict: survey must be 0 to {MAX_SURVEY}, got {how.survey}")
    if not 1 <= how.map_every <= MAX_EVERY:
        raise vs.Error(f"predict: map_every must be 1 to {MAX_EVERY}, got {how.map_every}")
    if how.radius < how.map_every and how.map_every > 1:
        raise vs.Error(
            f"predict: map_every={how.map_every} needs a radius of at least {how.map_every}, "
            f"which finds cuts; got {how.radius}"
        )

    map_size = (-(-tagged.width // scale), -(-tagged.height // scale))
    seen = see(tagged, *map_size, ahead=how.radius if tagged.num_frames > 1 else 0)
    thumbnail = seen.thumbnail
    options = RunOptions(device=how.device, dtype=how.dtype, tile=how.tile, streams=how.streams)
    try:
        network = open_backend(how.backend, loaded.model, options)
        _announce(network)
        size = network.features_size
        asked = how.survey if thumbnail.num_frames > 1 else 0
        heard = network.survey(thumbnail, asked) if asked else None
        judged = [network.analyze(thumbnail, heard)]
        sizes = [size]
        surveyor = (
            find_surveyor(loaded, how.device if how.backend == "torch" else "cpu")
            if asked
            else None
        )
        if surveyor is not None:
            judged.append(judge_twice(surveyor, thumbnail, asked))
            sizes.append(2 * surveyor.features_size)
        features = _features(thumbnail, judged, sizes, how.radius, how.map_every)
        told = None
        if surveyor is not None:
            told = difference(features, size, surveyor.features_size, loaded.preset)
    except GainMapError as error:
        raise vs.Error(f"predict: {error}") from error
    return Judgement(
        loaded=loaded,
        map_size=map_size,
        seen=seen,
        network=network,
        features=features,
        surveyor=surveyor,
        told=told,
    )


def _own_scale(clip: vs.VideoNode, trained: int, limit: int | None) -> int:
    """Return the scale of the weights, doubled until the map is small enough."""
    scale = trained
    while limit is not None and scale < max(SCALES):
        if -(-clip.width // scale) * -(-clip.height // scale) <= limit:
            break
        scale *= 2
    return scale


def _features(
    thumbnail: vs.VideoNode,
    judged: list[vs.VideoNode],
    sizes: list[int],
    radius: int,
    map_every: int,
) -> vs.VideoNode:
    """Return a clip of one row a frame: the vectors of `judged`, then the signature."""
    size = sum(sizes)
    starts = [sum(sizes[:k]) for k in builtins.range(len(sizes))]
    blank = vs.core.std.BlankClip(
        format=vs.GRAYS,
        width=size + SIGNATURE_SIZE,
        height=1,
        length=thumbnail.num_frames,
        keep=True,
    )

    def sign(n: int, f: list[vs.VideoFrame]) -> vs.VideoFrame:  # noqa: ARG001
        out = f[0].copy()
        row = np.asarray(out[0])[0]
        for vector, start, length in zip(f[1:-1], starts, sizes, strict=True):
            row[start : start + length] = np.asarray(vector[0]).reshape(-1)[:length]
        row[size:] = signature(_planes(f[-1]))
        return out

    each = blank.std.ModifyFrame([blank, *judged, thumbnail], sign)
    if radius == 0 or thumbnail.num_frames == 1:
        return each
    around, length = Neighborhood(radius, NEAR), thumbnail.num_frames
    each = hold(each, 2 * radius + IN_FLIGHT)

    def average_window(n: int, own: vs.VideoFrame, f: list[vs.VideoFrame]) -> vs.VideoFrame:
        places = around.places(n, length)
        rows = [np.asarray(one[0])[0] for one in f]
        window = look_around([row[size:] for row in rows], places, n, near=NEAR)
        out = own.copy()
        np.asarray(out[0])[0, :size] = average([row[:size] for row in rows], window.weights)
        out.props[props.SCENE_CHANGE_PREV] = int(window.begins_shot)
        if map_every > 1:
            out.props[ALIKE] = alike(window.weights, places, n, map_every)
        return out

    return around.modify(each, each, average_window)


def _on_cpu(backend: str, device: str | None) -> bool:
    return backend == "torch" and choose_device(device).type == "cpu"


def constant_props(preset: GainMapPreset) -> dict[str, props.PropValue]:
    """Return the props that say how a map is to be applied, the same on every frame."""
    return {
        props.GAIN_MAP_MIN: preset.min_log_gain,
        props.GAIN_MAP_GAMMA: 1.0,
        props.GAIN_MAP_BASE_OFFSET: 0.0,
        props.GAIN_MAP_ALTERNATE_OFFSET: 0.0,
        props.GAIN_MAP_BASE_HEADROOM: 0.0,
        props.GAIN_MAP_ALTERNATE_HEADROOM: preset.max_log_gain,
        props.GAIN_MAP_SDR_WHITE: preset.sdr_white,
        props.GAIN_MAP_EOTF: preset.eotf,
    }


def _planes(frame: vs.VideoFrame) -> list[Plane]:
    return [np.asarray(frame[plane]) for plane in (0, 1, 2)]


def _announce(network: Backend) -> None:
    """Say once a process where the network runs."""
    text = f"vs_gainmap runs on {network.describe()}"
    if text not in _announced:
        _announced.add(text)
        vs.core.log_message(vs.MESSAGE_TYPE_INFORMATION, text)

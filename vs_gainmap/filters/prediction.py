"""`predict`: SDR clip to gain map clip."""

from __future__ import annotations

import builtins
from pathlib import Path
from typing import Literal

import numpy as np
import vapoursynth as vs

from vs_gainmap import props
from vs_gainmap.backends import Backend, RunOptions, open_backend
from vs_gainmap.colorimetry import (
    NARROW_PRIMARIES,
    ColorOverrides,
    check_frame_color,
    tag_sdr_clip,
)
from vs_gainmap.errors import GainMapError
from vs_gainmap.filters.survey import difference, find_surveyor, judge_twice
from vs_gainmap.filters.upsampling import BICUBIC
from vs_gainmap.filters.window import IN_FLIGHT, hold, inside, shifted
from vs_gainmap.gainmap import GainMapPreset
from vs_gainmap.models.gmnet import THUMBNAIL_SIZE
from vs_gainmap.runtime import Plane, choose_device
from vs_gainmap.temporal import (
    MAX_RADIUS,
    SIGNATURE_SIZE,
    average,
    look_around,
    signature,
)
from vs_gainmap.weights import default_weights, load_weights

Scale = int | Literal["auto"]
SCALES = (1, 2, 4, 8)
# Map pixels that `scale="auto"` stays below: a fourth of 1080p.
AUTO_PIXELS = 960 * 540
DEFAULT_RADIUS = 8
# What a film tells levels off with this many pictures; docs/models.md.
DEFAULT_SURVEY = 16
MAX_SURVEY = 256
# A map needs some range to count in, stops.
LEAST_RANGE = 0.01

_announced: set[str] = set()


def predict(
    clip: vs.VideoNode,
    *,
    weights: str | Path | None = None,
    model: str | None = None,
    preset: str | GainMapPreset | None = None,
    scale: Scale | None = None,
    tile: int | None = None,
    device: str | None = None,
    dtype: str | None = None,
    streams: int | None = None,
    backend: str = "torch",
    radius: int = DEFAULT_RADIUS,
    survey: int = DEFAULT_SURVEY,
    matrix: str | int | None = None,
    transfer: str | int | None = None,
    primaries: str | int | None = None,
    range: str | int | None = None,  # noqa: A002 - VapourSynth's own word
    chroma_location: str | int | None = None,
) -> vs.VideoNode:
    """Predict the gain map of every frame.

    Args:
        clip: SDR; constant-format YUV, RGB or GRAY, 8 to 16 bit integer or float, any
            subsampling and range, progressive, 16x16 to 8192x8192.
        weights: a bundled name, or a path to .safetensors, .pth or .pt; None takes the bundled
            set of `model`.
        model: "gmnet", the published network, or "fast", curves on a bilateral grid; None
            takes GMNet where a GPU or another backend runs it, else the fast one.
        preset: "synthetic" or "real-world" for a published checkpoint, or one of your own;
            None takes what the weights say.
        scale: the network sees the frame, and the map comes out, smaller by 1, 2, 4 or 8;
            None is what the weights were trained for, and "auto" that or more, until the map
            has at most as many pixels as 960x540.
        tile: side of the tiles in map pixels (even); None tiles above 2160p only, 0 never. Only
            "torch" has tiles.
        device: "cuda", "cuda:1", "mps" or "cpu"; None takes a GPU where there is one. Other
            backends have names of their own: docs/backends.md.
        dtype: "float32", "float16", "bfloat16", and "int8" with some backends; None takes
            what the device is good at.
        streams: frames in flight on the device; None is 3 on CUDA, else 1.
        backend: what runs the network: "torch", or one of vs-mlrt's plugins, "ov", "ort",
            "ncnn", "trt", "trt_rtx" or "migx".
        radius: frames on either side over which Qmax and the rest of the global branch are
            averaged, within a shot and among frames that look alike; 0 judges each frame
            alone. Any order of requests gives the same frames.
        survey: pictures from all over the clip that are judged together, because a film's other
            scenes tell how its SDR was made; 0 judges each scene by itself, and so do weights of
            your own for GMNet. The result depends on the whole clip, not on requests.
        matrix: overrides the frame props, as the next four do: "709", "170m", "470bg", ...
        transfer: "709", "601", "srgb", ...; only says that the clip is SDR.
        primaries: "709", "170m", "470bg", "2020", "p3", ...
        range: "limited" or "full".
        chroma_location: "left", "center", "top_left", ...

    Returns:
        GRAYS, nominally 0..1, at 1/`scale` of the clip's size rounded up, full range. Values
        above 1 are possible and meant: as published, `apply` clamps the product with Qmax,
        not the map. Each frame has GainMapMax (Qmax) and its companions in stops after
        ISO 21496-1, the white and EOTF that `apply` is to use, and, with a radius,
        _SceneChangePrev.

    Raises:
        vs.Error: the clip or an argument is not usable; the message says what to do.
    """
    try:
        source = weights or default_weights(model, on_cpu=_on_cpu(backend, device))
        loaded = load_weights(source, preset=preset, model=model)
    except GainMapError as error:
        raise vs.Error(f"predict: {error}") from error
    if scale is None or scale == "auto":
        limit = AUTO_PIXELS if scale == "auto" else None
        scale = _own_scale(clip, loaded.preset.map_scale, limit)
    if scale not in SCALES:
        raise vs.Error(f'predict: scale must be 1, 2, 4, 8 or "auto", got {scale}')
    if tile is not None and (tile < 0 or tile % 2 or 0 < tile < 64):
        raise vs.Error(f"predict: tile must be even and at least 64, or 0, got {tile}")
    if streams is not None and not 1 <= streams <= 16:
        raise vs.Error(f"predict: streams must be 1 to 16, got {streams}")
    if not 0 <= radius <= MAX_RADIUS:
        raise vs.Error(f"predict: radius must be 0 to {MAX_RADIUS}, got {radius}")

    if not 0 <= survey <= MAX_SURVEY:
        raise vs.Error(f"predict: survey must be 0 to {MAX_SURVEY}, got {survey}")

    overrides = ColorOverrides(
        matrix=matrix,
        transfer=transfer,
        primaries=primaries,
        range=range,
        chroma_location=chroma_location,
    )
    tagged = tag_sdr_clip(clip, overrides, "predict")
    picture = network_picture(tagged, -(-clip.width // scale), -(-clip.height // scale))
    thumbnail = network_picture(tagged, THUMBNAIL_SIZE, THUMBNAIL_SIZE)
    options = RunOptions(device=device, dtype=dtype, tile=tile, streams=streams)
    try:
        network = open_backend(backend, loaded.model, options)
        _announce(network)
        size = network.features_size
        asked = survey if thumbnail.num_frames > 1 else 0
        heard = network.survey(thumbnail, asked) if asked else None
        judged = [network.analyze(thumbnail, heard)]
        sizes = [size]
        surveyor = find_surveyor(loaded, device if backend == "torch" else "cpu") if asked else None
        if surveyor is not None:
            judged.append(judge_twice(surveyor, thumbnail, asked))
            sizes.append(2 * surveyor.features_size)
        features = _features(thumbnail, judged, sizes, radius)
        gain_map = network.local(picture, features)
        added = []
        if surveyor is not None:
            told = difference(features, size, surveyor.features_size, loaded.preset)
            added = [surveyor.local(picture, told), told]
    except GainMapError as error:
        raise vs.Error(f"predict: {error}") from error
    constants = _constant_props(loaded.preset)
    low, high = loaded.preset.min_log_gain, loaded.preset.max_log_gain

    def describe(n: int, f: list[vs.VideoFrame]) -> vs.VideoFrame:
        out, row = f[0].copy(), np.asarray(f[1][0])[0]
        check_frame_color(out.props, "predict", n)
        for name in (props.MATRIX, props.TRANSFER, props.PRIMARIES, props.CHROMA_LOCATION):
            if name in out.props:
                del out.props[name]
        for name, value in constants.items():
            out.props[name] = value
        if props.SCENE_CHANGE_PREV in f[1].props:
            out.props[props.SCENE_CHANGE_PREV] = f[1].props[props.SCENE_CHANGE_PREV]
        qmax = float(row[size - 1]) * high
        if added:
            values, more = np.asarray(out[0]), np.asarray(f[2][0])
            surveyed = max(qmax + float(np.asarray(f[3][0])[0, -1]), low + LEAST_RANGE)
            # Both maps count from `low` upwards in units of their own range.
            values *= (qmax - low) / (surveyed - low)
            values += more / (surveyed - low)
            qmax = surveyed
        out.props[props.GAIN_MAP_MAX] = qmax
        return out

    return gain_map.std.ModifyFrame([gain_map, features, *added], describe)


def _own_scale(clip: vs.VideoNode, trained: int, limit: int | None) -> int:
    """Return the scale of the weights, doubled until the map is small enough."""
    scale = trained
    while limit is not None and scale < max(SCALES):
        if -(-clip.width // scale) * -(-clip.height // scale) <= limit:
            break
        scale *= 2
    return scale


def _features(
    thumbnail: vs.VideoNode, judged: list[vs.VideoNode], sizes: list[int], radius: int
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
    each = hold(each, 2 * radius + IN_FLIGHT)

    def average_window(n: int, f: list[vs.VideoFrame]) -> vs.VideoFrame:
        near = inside(n, radius, thumbnail.num_frames)
        rows = [np.asarray(f[i - n + radius][0])[0] for i in near]
        window = look_around([row[size:] for row in rows], near.index(n))
        out = f[radius].copy()
        np.asarray(out[0])[0, :size] = average([row[:size] for row in rows], window.weights)
        out.props[props.SCENE_CHANGE_PREV] = int(window.begins_shot)
        return out

    return each.std.ModifyFrame(shifted(each, radius), average_window)


def network_picture(tagged: vs.VideoNode, width: int, height: int) -> vs.VideoNode:
    """Return gamma-coded full-range RGBS in (about) BT.709 primaries, as trained on."""
    with tagged.get_frame(0) as frame:
        narrow = int(frame.props[props.PRIMARIES]) in NARROW_PRIMARIES
    convert = {} if narrow else {"primaries": int(vs.PRIMARIES_BT709)}
    return tagged.resize.Bicubic(width, height, format=vs.RGBS, **BICUBIC, **convert)


def _on_cpu(backend: str, device: str | None) -> bool:
    return backend == "torch" and choose_device(device).type == "cpu"


def _constant_props(preset: GainMapPreset) -> dict[str, props.PropValue]:
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

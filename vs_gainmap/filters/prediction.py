"""`predict`: SDR clip to gain map clip."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import vapoursynth as vs

from vs_gainmap.errors import GainMapError
from vs_gainmap.filters import props
from vs_gainmap.filters.carrying import carry
from vs_gainmap.filters.color_props import ColorOverrides, check_frame_color, tag_sdr_clip
from vs_gainmap.filters.judging import (
    DEFAULT_SURVEY,
    Judgement,
    Judging,
    Scale,
    constant_props,
    judge,
)
from vs_gainmap.filters.window import DEFAULT_RADIUS
from vs_gainmap.gainmap import LEAST_RANGE, OWN_SHARE, GainMapPreset


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
    map_every: int = 1,
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
        map_every: 2, 3 or 4 lets the network's local branch see every so many-th frame, and
            carries its map to those between by their own luma: for GMNet on a CPU. Qmax and the
            global branch are each frame's own, and so are the maps of cuts, flashes and fades.
            It needs a radius of at least as much.
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
    overrides = ColorOverrides(
        matrix=matrix,
        transfer=transfer,
        primaries=primaries,
        range=range,
        chroma_location=chroma_location,
    )
    tagged = tag_sdr_clip(clip, overrides, "predict")
    how = Judging(
        weights=weights,
        model=model,
        preset=preset,
        scale=scale,
        tile=tile,
        device=device,
        dtype=dtype,
        streams=streams,
        backend=backend,
        radius=radius,
        survey=survey,
        map_every=map_every,
    )
    return predict_judged(judge(tagged, how), map_every=map_every)


def predict_judged(known: Judgement, *, map_every: int = 1) -> vs.VideoNode:
    """Predict the gain map of every frame of a clip that has been judged; see `predict`."""
    picture = known.seen.picture
    features, size = known.features, known.network.features_size
    preset_used = known.loaded.preset
    low, high = preset_used.min_log_gain, preset_used.max_log_gain
    try:
        gain_map = known.network.local(picture, features)
        if map_every > 1 and picture.num_frames > 1:
            gain_map = carry(gain_map, picture, features, map_every, size=size, low=low, high=high)
        added = []
        if known.surveyor is not None and known.told is not None:
            added = [known.surveyor.local(picture, known.told), known.told]
    except GainMapError as error:
        raise vs.Error(f"predict: {error}") from error
    constants = constant_props(preset_used)

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
            told = float(np.asarray(f[3][0])[0, -1])
            surveyed = max(OWN_SHARE * qmax + told, low + LEAST_RANGE)
            # Both maps count from `low` upwards in units of their own range.
            values *= OWN_SHARE * (qmax - low) / (surveyed - low)
            values += more / (surveyed - low)
            qmax = surveyed
        out.props[props.GAIN_MAP_MAX] = qmax
        return out

    return gain_map.std.ModifyFrame([gain_map, features, *added], describe)

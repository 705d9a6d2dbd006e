"""`predict`: SDR clip to gain map clip."""

from __future__ import annotations

import numpy as np
import vapoursynth as vs

from vs_gainmap.backends import Backend, RunOptions, open_backend
from vs_gainmap.filters import props
from vs_gainmap.filters.color_props import tag_sdr_clip
from vs_gainmap.filters.network_input import network_picture, network_thumbnail
from vs_gainmap.filters.options import Inference, Scale, with_options
from vs_gainmap.filters.temporal import SIGNATURE_SIZE, average, signature, window_weights
from vs_gainmap.filters.window import IN_FLIGHT, frame_cache, modify_with_window
from vs_gainmap.gainmap import MAP_SCALES, GainMapPreset
from vs_gainmap.models.inference import choose_device
from vs_gainmap.models.weights import Weights, default_weights, load_weights

# Map pixels that `scale="auto"` stays below: a fourth of 1080p.
AUTO_PIXELS = 960 * 540

_announced: set[str] = set()


@with_options(Inference)
def predict(clip: vs.VideoNode, inference: Inference) -> vs.VideoNode:
    """Predict the gain map of every frame.

    Args:
        clip: SDR; constant-format YUV, RGB or GRAY, 8 to 16 bit integer or float, any
            subsampling and range, progressive, 16x16 to 8192x8192.

    Returns:
        GRAYS, nominally 0..1, at 1/`scale` of the clip's size rounded up, full range. Values
        above 1 are possible and meant: as published, `apply` clamps the product with Qmax,
        not the map. Each frame has GainMapMax (Qmax) and its companions in stops after
        ISO 21496-1, the white and EOTF that `apply` is to use, and, with a radius,
        _SceneChangePrev. Frames are a pure function of the clip: in any order the same.

    Raises:
        vs.Error: the clip or an option is not usable; the message says what to do.
    """
    return predict_tagged(tag_sdr_clip(clip, inference, "predict"), inference)[0]


def predict_tagged(
    tagged: vs.VideoNode, inference: Inference
) -> tuple[vs.VideoNode, GainMapPreset]:
    """Do what `predict` does for a clip that has all its color props.

    Returns:
        The gain map clip, and how it is to be applied.

    Raises:
        GainMapError: weights, device or backend can't do what is asked.
    """
    loaded = _load(inference)
    options = RunOptions(
        device=inference.device,
        dtype=inference.dtype,
        tile=inference.tile,
        num_streams=inference.num_streams,
    )
    network = open_backend(inference.backend, loaded.model, options)
    _announce(network)
    scale = map_scale(tagged, loaded.preset.map_scale, inference.scale)
    picture = network_picture(tagged, -(-tagged.width // scale), -(-tagged.height // scale))
    features = _global_features(network_thumbnail(tagged), network, inference.radius)
    gain_map = network.local(picture, features)
    constants = constant_props(loaded.preset)
    size, max_log_gain = network.features_size, loaded.preset.max_log_gain

    def describe(n: int, f: list[vs.VideoFrame]) -> vs.VideoFrame:  # noqa: ARG001
        out = f[0].copy()
        for name in (props.MATRIX, props.TRANSFER, props.PRIMARIES, props.CHROMA_LOCATION):
            if name in out.props:
                del out.props[name]
        for name, value in constants.items():
            out.props[name] = value
        out.props[props.GAIN_MAP_MAX] = float(np.asarray(f[1][0])[0, size - 1]) * max_log_gain
        if props.SCENE_CHANGE_PREV in f[1].props:
            out.props[props.SCENE_CHANGE_PREV] = f[1].props[props.SCENE_CHANGE_PREV]
        return out

    return gain_map.std.ModifyFrame([gain_map, features], describe), loaded.preset


def map_scale(clip: vs.VideoNode, trained: int, wanted: Scale | None) -> int:
    """Return by how much the map is smaller than the clip.

    Args:
        clip: the SDR clip.
        trained: the scale of the weights.
        wanted: the option `scale`.
    """
    if isinstance(wanted, int):
        return wanted
    scale = trained
    while wanted == "auto" and scale < max(MAP_SCALES):
        if -(-clip.width // scale) * -(-clip.height // scale) <= AUTO_PIXELS:
            break
        scale *= 2
    return scale


def constant_props(preset: GainMapPreset) -> dict[str, props.PropValue]:
    """Return the props that define how a map is to be applied, the same on every frame."""
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


def _load(inference: Inference) -> Weights:
    on_cpu = inference.backend == "torch" and choose_device(inference.device).type == "cpu"
    source = inference.weights or default_weights(inference.model, on_cpu=on_cpu)
    return load_weights(source, preset=inference.preset, model=inference.model)


def _global_features(thumbnail: vs.VideoNode, network: Backend, radius: int) -> vs.VideoNode:
    """Return GRAYS, one row a frame, that begins with the network's features.

    With a radius they are averaged over the window, and frames have _SceneChangePrev.
    """
    size = network.features_size
    blank = vs.core.std.BlankClip(
        format=vs.GRAYS,
        width=size + SIGNATURE_SIZE,
        height=1,
        length=thumbnail.num_frames,
        keep=True,
    )

    def join(n: int, f: list[vs.VideoFrame]) -> vs.VideoFrame:  # noqa: ARG001
        out = f[0].copy()
        row = np.asarray(out[0])[0]
        row[:size] = np.asarray(f[1][0]).reshape(-1)[:size]
        row[size:] = signature([np.asarray(f[2][plane]) for plane in range(3)])
        return out

    each = blank.std.ModifyFrame([blank, network.analyze(thumbnail), thumbnail], join)
    if radius == 0 or thumbnail.num_frames == 1:
        return each

    def average_window(n: int, f: list[vs.VideoFrame], center: int) -> vs.VideoFrame:  # noqa: ARG001
        rows = [np.asarray(frame[0])[0] for frame in f]
        window = window_weights([row[size:] for row in rows], center)
        out = f[center].copy()
        np.asarray(out[0])[0, :size] = average([row[:size] for row in rows], window.weights)
        out.props[props.SCENE_CHANGE_PREV] = int(window.begins_shot)
        return out

    return modify_with_window(frame_cache(each, 2 * radius + IN_FLIGHT), radius, average_window)


def _announce(network: Backend) -> None:
    """Log once a process where the network runs."""
    text = f"vs_gainmap runs on {network.describe()}"
    if text not in _announced:
        _announced.add(text)
        vs.core.log_message(vs.MESSAGE_TYPE_INFORMATION, text)

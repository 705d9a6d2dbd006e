"""`sdr_to_hdr10`: the whole way in one call."""

from __future__ import annotations

from pathlib import Path

import vapoursynth as vs

from vs_gainmap.filters.color_props import ColorOverrides, tag_sdr_clip
from vs_gainmap.filters.judging import DEFAULT_SURVEY, Judging, Scale, judge
from vs_gainmap.filters.on_device import render_on_device
from vs_gainmap.filters.output import Output, Rendering
from vs_gainmap.filters.prediction import predict_judged
from vs_gainmap.filters.rendering import render
from vs_gainmap.filters.smoothing import smooth_tagged
from vs_gainmap.filters.upsampling import Upsampling
from vs_gainmap.filters.window import DEFAULT_RADIUS
from vs_gainmap.gainmap import GainMapPreset
from vs_gainmap.hdr10 import MasteringDisplay


def sdr_to_hdr10(
    clip: vs.VideoNode,
    *,
    weights: str | Path | None = None,
    model: str | None = None,
    preset: str | GainMapPreset | None = None,
    sdr_white: float | None = None,
    peak_nits: float | None = None,
    strength: float = 1.0,
    eotf: str | None = None,
    scale: Scale | None = None,
    upsampling: Upsampling | None = None,
    tile: int | None = None,
    device: str | None = None,
    dtype: str | None = None,
    streams: int | None = None,
    backend: str = "torch",
    radius: int = DEFAULT_RADIUS,
    survey: int = DEFAULT_SURVEY,
    map_every: int = 1,
    format: int = vs.YUV420P10,  # noqa: A002 - VapourSynth's own word
    output: Output = "pq",
    output_chroma_location: str = "left",
    dither: str = "none",
    mastering: MasteringDisplay | None = None,
    max_cll: int | None = None,
    max_fall: int | None = None,
    measure: bool = False,
    on_device: bool = False,
    matrix: str | int | None = None,
    transfer: str | int | None = None,
    primaries: str | int | None = None,
    range: str | int | None = None,  # noqa: A002 - VapourSynth's own word
    chroma_location: str | int | None = None,
) -> vs.VideoNode:
    """Turn an SDR clip into HDR10: `predict`, `smooth` and `apply` in one.

    Args:
        clip: SDR, as for `predict`.
        weights: see `predict`, as for the following ones down to `map_every`.
        model: "gmnet" or "fast".
        preset: how published weights are applied.
        sdr_white: see `apply`: cd/m2 of SDR white.
        peak_nits: see `apply`: the brightest output.
        strength: see `apply`: factor on the log gain.
        eotf: see `apply`: "gamma22", "bt1886" or "srgb".
        scale: map size, 1, 2, 4, 8 or "auto".
        upsampling: see `apply`: "bilinear" or "guided".
        tile: tile side in map pixels.
        device: "cuda", "mps" or "cpu".
        dtype: "float32", "float16", "bfloat16" or "int8".
        streams: frames in flight on the device.
        backend: what runs the network: "torch", "ov", "ort", "ncnn", "trt", "trt_rtx", "migx".
        radius: steadiness over time, in frames on either side; 0 judges each frame alone.
        survey: pictures from all over the clip that are judged together.
        map_every: 2, 3 or 4 runs the local branch on every so many-th frame.
        format: see `apply`, as for all the rest; YUV420P10 is HDR10.
        output: "pq", "hlg" or "linear".
        output_chroma_location: "left", "top_left", ...
        dither: zimg's dither.
        mastering: mastering display for the props.
        max_cll: MaxCLL when known.
        max_fall: MaxFALL when known.
        measure: attach FrameMaxNits and FrameAverageNits.
        on_device: keep frames on the network's device from SDR planes to PQ planes, instead of
            all but the network on the CPU: for a GPU that has the time. Integer YUV in, PQ in
            integer YUV out, backend "torch", no dither.
        matrix: color of the input where its frame props are missing or wrong.
        transfer: likewise.
        primaries: likewise.
        range: likewise.
        chroma_location: likewise.

    Returns:
        PQ / BT.2020 YUV420P10, limited range, with color and HDR10 props, unless asked
        otherwise.

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
    tagged = tag_sdr_clip(clip, overrides, "sdr_to_hdr10")
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
    wanted = Rendering(
        sdr_white=sdr_white,
        peak_nits=peak_nits,
        strength=strength,
        eotf=eotf,
        upsampling=upsampling,
        format=format,
        output=output,
        output_chroma_location=output_chroma_location,
        dither=dither,
        mastering=mastering,
        max_cll=max_cll,
        max_fall=max_fall,
        measure=measure,
    )
    if on_device and map_every != 1:
        raise vs.Error("sdr_to_hdr10: on_device makes the map of every frame; leave map_every out")
    known = judge(tagged, how)
    if on_device:
        return render_on_device(tagged, known, wanted, radius=radius)
    gain_map = predict_judged(known, map_every=map_every)
    small = known.seen.small
    if radius == 0:
        return render(tagged, gain_map, wanted, small=small)
    # Rendering comes windows later, when that picture is no longer at hand.
    return render(tagged, smooth_tagged(tagged, gain_map, radius=radius, small=small), wanted)

"""The table of encoders: what each is called, takes and can be put into."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field

import vapoursynth as vs

from vs_gainmap.errors import MediaError, OptionError, did_you_mean
from vs_gainmap.filters import props
from vs_gainmap.hdr10 import ContentLight, MasteringDisplay
from vs_gainmap.video.pixels import pix_fmt_of

Params = dict[str, str]
_X265_PRESETS = (
    "ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower",
    "veryslow", "placebo",
)  # fmt: skip
_NVENC_PRESETS = ("p1", "p2", "p3", "p4", "p5", "p6", "p7", "fast", "medium", "slow")
_PRORES_PROFILES = ("proxy", "lt", "standard", "hq", "4444", "4444xq")
# Raw parameters that `mux` would overrule: what it writes is measured, or given to us.
_OURS = {
    "master-display": "--mastering (mastering=)",
    "mastering-display": "--mastering (mastering=)",
    "max-cll": "--max-cll and --max-fall (content_light=)",
    "content-light": "--max-cll and --max-fall (content_light=)",
}
_WHOLE = frozenset({"bitrate", "pass", "stats"})
_TEN_BIT = ("yuv420p10le", "yuv422p10le", "yuv444p10le")
_TWELVE_BIT = ("yuv420p12le", "yuv422p12le", "yuv444p12le")
_SIXTEEN_BIT = ("yuv420p16le", "yuv422p16le", "yuv444p16le")


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoder:
    """One encoder of FFmpeg's.

    `pix_fmts` are what it takes, the preferred first. `crf` is the default quality, and
    `crf_range` what it may be; None where there is no such thing. Presets are `presets`, and
    the numbers in `preset_numbers`. `params` names the option that raw parameters are passed
    in as one string; None passes each as an option of its own. `hdr10` turns the metadata
    there is before the first frame into such parameters; `pq_420_params` are more of them, for
    PQ in 4:2:0 and 10 bit, and `large_params` for pictures above 1440p. `whole_params` are those
    of the caller's that mean the film as a whole, such as a bit rate: it can't be cut then.
    """

    name: str
    library: str
    codec: str
    pix_fmts: tuple[str, ...]
    containers: tuple[str, ...]
    about: str
    crf: float | None = None
    crf_range: tuple[int, int] | None = None
    crf_option: str = "crf"
    preset: str | None = None
    presets: tuple[str, ...] = ()
    preset_numbers: range = range(0)
    preset_option: str = "preset"
    params: str | None = None
    options: Params = field(default_factory=dict)
    pq_420_params: Params = field(default_factory=dict)
    large_params: Params = field(default_factory=dict)
    whole_params: frozenset[str] = frozenset()
    hdr10: Callable[[MasteringDisplay | None, ContentLight | None], Params] | None = None


def _x265_hdr10(mastering: MasteringDisplay | None, light: ContentLight | None) -> Params:
    params = {}
    if mastering is not None:
        params["master-display"] = mastering.x265()
    if light is not None:
        params["max-cll"] = light.text()
    return {"hdr10": "1", **params} if params else {}


def _svtav1_hdr10(mastering: MasteringDisplay | None, light: ContentLight | None) -> Params:
    params = {}
    if mastering is not None:
        params["mastering-display"] = mastering.svtav1()
    if light is not None:
        params["content-light"] = light.text()
    return params


ENCODERS: dict[str, Encoder] = {
    encoder.name: encoder
    for encoder in (
        Encoder(
            name="x265",
            library="libx265",
            codec="hevc",
            pix_fmts=(*_TEN_BIT, *_TWELVE_BIT),
            containers=("mp4", "mov", "mkv"),
            about="HEVC Main 10 by x265: HDR10 that plays everywhere",
            crf=18,
            crf_range=(0, 51),
            preset="medium",
            presets=_X265_PRESETS,
            preset_numbers=range(10),
            params="x265-params",
            options={"x265-params": "log-level=error"},
            # Quantizers that follow PQ's luma; x265 refuses them for anything else.
            pq_420_params={"hdr10-opt": "1"},
            # The preset's twenty frames of 2160p are half a gigabyte more.
            large_params={"rc-lookahead": "8"},
            whole_params=_WHOLE
            | {"vbv-maxrate", "hrd", "qpfile", "zones", "zonefile", "csv", "recon", "analysis-save"}
            | {"analysis-load"},
            hdr10=_x265_hdr10,
        ),
        Encoder(
            name="svtav1",
            library="libsvtav1",
            codec="av1",
            pix_fmts=("yuv420p10le",),
            containers=("mp4", "mkv", "webm"),
            about="AV1 Main by SVT-AV1: smaller files",
            crf=24,
            # FFmpeg takes 0 for no value.
            crf_range=(1, 63),
            preset="6",
            preset_numbers=range(-2, 14),
            params="svtav1-params",
            whole_params=_WHOLE | {"rc", "tbr", "mbr"},
            hdr10=_svtav1_hdr10,
        ),
        Encoder(
            name="hevc_nvenc",
            library="hevc_nvenc",
            codec="hevc",
            pix_fmts=("p010le",),
            containers=("mp4", "mov", "mkv"),
            about="HEVC Main 10 by an NVIDIA GPU: fast",
            crf=20,
            # 0 is automatic.
            crf_range=(1, 51),
            crf_option="cq",
            preset="p5",
            presets=_NVENC_PRESETS,
            options={"rc": "vbr", "b": "0", "tune": "hq"},
            whole_params=_WHOLE | {"b", "maxrate"},
        ),
        Encoder(
            name="av1_nvenc",
            library="av1_nvenc",
            codec="av1",
            pix_fmts=("p010le",),
            containers=("mp4", "mkv", "webm"),
            about="AV1 Main by an NVIDIA GPU from Ada on: fast",
            crf=26,
            crf_range=(1, 63),
            crf_option="cq",
            preset="p5",
            presets=_NVENC_PRESETS,
            options={"rc": "vbr", "b": "0", "tune": "hq"},
            whole_params=_WHOLE | {"b", "maxrate"},
        ),
        Encoder(
            name="prores",
            library="prores_ks",
            codec="prores",
            pix_fmts=("yuv422p10le", "yuv444p10le"),
            containers=("mov", "mkv"),
            about="ProRes 422 HQ, 10 bit: for editing",
            preset="hq",
            preset_option="profile",
            presets=_PRORES_PROFILES,
            options={"vendor": "apl0"},
        ),
        Encoder(
            name="ffv1",
            library="ffv1",
            codec="ffv1",
            pix_fmts=(
                *_TEN_BIT, *_TWELVE_BIT, *_SIXTEEN_BIT, "gbrp10le", "gbrp12le", "gbrp16le",
            ),
            containers=("mkv",),
            about="FFV1: lossless, for archives and tests",
            options={"level": "3", "slicecrc": "1", "g": "1"},
        ),
    )
}  # fmt: skip
DEFAULT_ENCODER = "x265"


def find_encoder(name: str) -> Encoder:
    """Return an encoder of the table.

    Raises:
        OptionError: there is none of this name.
    """
    if name not in ENCODERS:
        near = did_you_mean(name, ENCODERS)
        raise OptionError(f"encoder must be one of {', '.join(ENCODERS)}, got {name}{near}")
    return ENCODERS[name]


def parse_params(text: str | None) -> Params:
    """Read raw parameters as ``key=value:key=value``; a key alone means 1.

    A value may hold what x265's do, such as ``G(8500,39850)``, but no colon.

    Raises:
        OptionError: an empty key.
    """
    out: Params = {}
    for part in filter(None, (text or "").split(":")):
        key, _, value = part.partition("=")
        if not key.strip():
            raise OptionError(f"encoder parameters must be key=value:key=value, got {text}")
        out[key.strip()] = value.strip() or "1"
    return out


def format_params(params: Params) -> str:
    """Write raw parameters in one string: the inverse of `parse_params`."""
    return ":".join(f"{key}={value}" for key, value in params.items())


def check_settings(
    encoder: Encoder, crf: float | None, preset: str | None, params: Params | None
) -> None:
    """Refuse settings that an encoder doesn't have.

    Raises:
        OptionError: quality out of range, an unknown preset, a raw parameter that is no number, or
            one for metadata that we write.
    """
    if crf is not None and encoder.crf_range is None:
        raise OptionError(f"encoder {encoder.name} has no crf setting")
    if crf is not None and encoder.crf_range is not None:
        low, high = encoder.crf_range
        if not low <= crf <= high:
            raise OptionError(f"crf of {encoder.name} must be from {low} to {high}, got {crf:g}")
    if preset is not None and encoder.preset is None:
        raise OptionError(f"encoder {encoder.name} has no presets")
    numbers = encoder.preset_numbers
    if preset is not None and preset not in (*encoder.presets, *map(str, numbers)):
        choices = [f"one of {', '.join(encoder.presets)}"] if encoder.presets else []
        choices += [f"a number from {numbers[0]} to {numbers[-1]}"] if numbers else []
        what = "preset" if encoder.preset_option == "preset" else "preset (profile)"
        wanted = " or ".join(choices)
        near = did_you_mean(preset, encoder.presets)
        raise OptionError(f"{what} of {encoder.name} must be {wanted}, got {preset}{near}")
    for key, value in (params or {}).items():
        if value.lower().lstrip("+-") in ("nan", "inf", "infinity"):
            # x265 takes them for numbers.
            raise OptionError(f"encoder parameter {key} must be finite, got {value}")
        ours = _OURS.get(key.lower().replace("_", "-"))
        if ours is not None:
            raise OptionError(f"encoder parameter {key} would be overruled; use {ours}")


def codec_options(
    encoder: Encoder,
    *,
    crf: float | None = None,
    preset: str | None = None,
    params: Params | None = None,
    mastering: MasteringDisplay | None = None,
    light: ContentLight | None = None,
    pq_420: bool = False,
    large: bool = False,
) -> Params:
    """Return FFmpeg's options for an encoder; the caller's own parameters win over ours.

    Args:
        encoder: a row of `ENCODERS`.
        crf: quality, smaller is better; None takes the encoder's default.
        preset: speed, by the encoder's own name; None takes the default.
        params: raw parameters, as the encoder itself calls them.
        mastering: written into the stream by encoders that can.
        light: the same.
        pq_420: the clip is PQ in 4:2:0 and 10 bit.
        large: the pictures are above 1440p; a preset of the caller's own is left alone.

    Raises:
        OptionError: see `check_settings`.
    """
    check_settings(encoder, crf, preset, params)
    options = dict(encoder.options)
    quality = encoder.crf if crf is None else crf
    if quality is not None:
        options[encoder.crf_option] = f"{quality:g}"
    speed = encoder.preset if preset is None else preset
    if speed is not None:
        options[encoder.preset_option] = speed
    ours = encoder.hdr10(mastering, light) if encoder.hdr10 else {}
    if pq_420:
        ours = {**ours, **encoder.pq_420_params}
    if large and preset is None:
        ours = {**ours, **encoder.large_params}
    if encoder.params is None:
        options.update(params or {})
        return options
    raw = {**parse_params(options.get(encoder.params)), **ours, **(params or {})}
    if raw:
        options[encoder.params] = format_params(raw)
    return options


def for_encoder(clip: vs.VideoNode, encoder: Encoder) -> vs.VideoNode:
    """Convert a clip to the nearest format that the encoder takes, if it must be."""
    if clip.format is None or clip.width == 0:
        raise MediaError("encode: the clip must have a constant format and size")
    if _try_pix_fmt(clip.format, encoder) is not None:
        return clip
    with closing(clip.get_frame(0)) as first:
        matrix = first.props.get(props.MATRIX)
        primaries = first.props.get(props.PRIMARIES)
    options: dict[str, int] = {}
    if clip.format.color_family == vs.RGB:
        options["matrix"] = int(vs.MATRIX_BT2020_NCL if primaries == 9 else vs.MATRIX_BT709)
        options["range"] = int(vs.RANGE_LIMITED)
    elif clip.format.color_family != vs.YUV or matrix is None:
        raise MediaError(
            f"encode: the clip must be YUV or RGB with its color props, got {clip.format.name}"
        )
    wanted = vs.core.get_video_format(preferred_format(encoder))
    check_size(clip.width, clip.height, wanted, encoder)
    return clip.resize.Bicubic(format=wanted.id, dither_type="error_diffusion", **options)


def check_size(width: int, height: int, clip_format: vs.VideoFormat, encoder: Encoder) -> None:
    """Refuse a picture whose chroma planes would end between two samples.

    Raises:
        MediaError: with the size that fits, and a format that does if the encoder has one.
    """
    steps = 1 << clip_format.subsampling_w, 1 << clip_format.subsampling_h
    if width % steps[0] == 0 and height % steps[1] == 0:
        return
    full = "yuv444p10le" in encoder.pix_fmts
    raise MediaError(
        f"{clip_format.name} can't hold {width}x{height}; crop it first to a multiple of "
        f"{steps[0]}x{steps[1]}{', or take --format YUV444P10' if full else ''}"
    )


def preferred_format(encoder: Encoder) -> vs.PresetVideoFormat:
    """Return the clip format that an encoder takes without conversion."""
    return vs.YUV422P10 if encoder.pix_fmts[0] == "yuv422p10le" else vs.YUV420P10


def _try_pix_fmt(clip_format: vs.VideoFormat, encoder: Encoder) -> str | None:
    try:
        name = pix_fmt_of(clip_format)
    except MediaError:
        return None
    if name == "yuv420p10le" and "p010le" in encoder.pix_fmts:
        return "p010le"
    return name if name in encoder.pix_fmts else None


def pix_fmt_for(clip: vs.VideoNode, encoder: Encoder) -> str:
    """Return the pixel format in which an encoder takes a clip.

    Raises:
        MediaError: it doesn't.
    """
    name = _try_pix_fmt(clip.format, encoder)
    if name is None:
        raise MediaError(f"encode: {encoder.name} can't take {clip.format.name}")
    return name

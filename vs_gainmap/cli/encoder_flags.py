"""The flags of ffmpeg, x265, SVT-AV1 and av1an for a clip from vspipe."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import vapoursynth as vs

from vs_gainmap.color.h273 import Kind, find_point
from vs_gainmap.errors import MediaError
from vs_gainmap.filters import props
from vs_gainmap.filters.color_props import PROP_OF
from vs_gainmap.hdr10 import ContentLight, MasteringDisplay
from vs_gainmap.video.encoders import (
    Encoder,
    Params,
    codec_options,
    parse_params,
    pix_fmt_for,
    preferred_format,
)
from vs_gainmap.video.pixels import context_color

Program = Literal["ffmpeg", "x265", "svtav1", "av1an"]

# The option, and the name in the filter setparams.
_FFMPEG_COLOR: dict[Kind, tuple[str, str]] = {
    "primaries": ("-color_primaries", "color_primaries"),
    "transfer": ("-color_trc", "color_trc"),
    "matrix": ("-colorspace", "colorspace"),
    "range": ("-color_range", "range"),
    "chroma_location": ("-chroma_sample_location", "chroma_location"),
}
_X265_COLOR: dict[Kind, str] = {
    "primaries": "--colorprim",
    "transfer": "--transfer",
    "matrix": "--colormatrix",
    "range": "--range",
    "chroma_location": "--chromaloc",
}
_SVTAV1_COLOR: dict[Kind, str] = {
    "primaries": "--color-primaries",
    "transfer": "--transfer-characteristics",
    "matrix": "--matrix-coefficients",
    "range": "--color-range",
    "chroma_location": "--chroma-sample-position",
}
# x265's switches take no value; others of the user's that are 1 do.
_X265_SWITCHES = {
    "hdr10", "hdr10-opt", "repeat-headers", "aud", "hrd", "open-gop", "sao", "info", "rd-refine",
    "strong-intra-smoothing", "b-intra", "cutree", "b-pyramid", "weightp", "weightb", "fades",
}  # fmt: skip
_AV1AN_ENCODERS = {"x265": "x265", "svtav1": "svt-av1"}


def encoder_flags(
    program: Program,
    encoder: Encoder,
    clip: vs.VideoNode,
    known: Mapping[str, Any],
    *,
    crf: float | None = None,
    preset: str | None = None,
    params: Params,
    mastering: MasteringDisplay | None = None,
    light: ContentLight | None = None,
) -> list[str]:
    """Return a program's flags for a clip.

    Args:
        program: what the clip is piped into.
        encoder: a row of the table; x265's for program x265, and SVT-AV1's for svtav1.
        clip: HDR.
        known: the props of its first frame.
        crf: quality; None is the encoder's default.
        preset: speed; None is the encoder's default.
        params: raw parameters, as the encoder calls them.
        mastering: None leaves it out, as the next one.
        light: MaxCLL and MaxFALL.

    Raises:
        MediaError: the encoder can't take the clip, a setting is wrong, or the clip has no
            color props.
    """
    try:
        pix_fmt = pix_fmt_for(clip, encoder)
    except MediaError as error:
        wanted = preferred_format(encoder).name
        raise MediaError(f"{error}; the script must give format=vs.{wanted}") from error
    # Refuses what is missing.
    context_color(known)
    if encoder.name == "x265":
        # A raw stream, or one cut by a broadcaster, has no header but this.
        params = {"repeat-headers": "1", **params}
    is_pq = known.get(props.TRANSFER) == vs.TRANSFER_ST2084
    options = codec_options(
        encoder,
        crf=crf,
        preset=preset,
        params=params,
        mastering=mastering,
        light=light,
        pq_420=is_pq and clip.format.id == vs.YUV420P10,
    )
    if program == "ffmpeg":
        return _ffmpeg(encoder, pix_fmt, known, options)
    own = _x265(clip, known, options) if encoder.name == "x265" else _svtav1(clip, known, options)
    if program == "av1an":
        name = _AV1AN_ENCODERS[encoder.name]
        return ["-e", name, "--pix-format", pix_fmt, "-v", " ".join(own)]
    return own


def quote(arguments: Sequence[str], shell: str) -> str:
    """Return arguments as one line that a shell splits again as they were."""
    if shell == "posix":
        return shlex.join(arguments)
    mark = '"' if shell == "cmd" else "'"
    plain = re.compile(r"[\w./:+-]+")
    return " ".join(a if plain.fullmatch(a) else f"{mark}{a}{mark}" for a in arguments)


def _ffmpeg(encoder: Encoder, pix_fmt: str, known: Mapping[str, Any], options: Params) -> list[str]:
    """Return ffmpeg's flags.

    The frames themselves are tagged, by a filter: since ffmpeg 7 their tags, or their lack of
    tags, win over the encoder's options. A chroma location is among the tags only if it isn't
    the usual one, since ffmpeg before 7.1 has no such tag.
    """
    flags: list[str] = []
    tags: list[str] = []
    for kind, (flag, tag) in _FFMPEG_COLOR.items():
        code = _code(kind, known)
        if code is None:
            continue
        name = _ffmpeg_name(kind, code)
        # The option calls it rgb.
        flags += [flag, "rgb" if name == "gbr" else name]
        if name != "left":
            tags.append(f"{tag}={name}")
    color = ["-vf", "setparams=" + ":".join(tags), *flags]
    settings = []
    for name, value in options.items():
        settings += [f"-{name}:v" if name in ("b", "profile") else f"-{name}", value]
    return ["-c:v", encoder.library, "-pix_fmt", pix_fmt, *color, *settings]


def _x265(clip: vs.VideoNode, known: Mapping[str, Any], options: Params) -> list[str]:
    flags = ["--preset", options["preset"], "--crf", options["crf"]]
    flags += ["--output-depth", str(clip.format.bits_per_sample)]
    for kind, flag in _X265_COLOR.items():
        code = _code(kind, known)
        if code is None:
            continue
        if kind == "range":
            flags += [flag, "full" if code else "limited"]
        else:
            flags += [flag, str(code) if kind == "chroma_location" else _ffmpeg_name(kind, code)]
    for name, value in parse_params(options["x265-params"]).items():
        if name == "log-level":
            continue
        switch = name in _X265_SWITCHES or name.startswith("no-")
        flags += [f"--{name}"] if switch and value == "1" else [f"--{name}", value]
    return flags


def _svtav1(clip: vs.VideoNode, known: Mapping[str, Any], options: Params) -> list[str]:
    flags = ["--preset", options["preset"], "--crf", options["crf"]]
    flags += ["--input-depth", str(clip.format.bits_per_sample)]
    for kind, flag in _SVTAV1_COLOR.items():
        code = _code(kind, known)
        if kind == "chroma_location":
            # AV1 has two.
            flags += [flag, {0: "left", 2: "topleft"}.get(code or 0, "unknown")]
        elif code is not None:
            flags += [flag, str(code)]
    for name, value in parse_params(options.get("svtav1-params")).items():
        flags += [f"--{name}", value]
    return flags


def _code(kind: Kind, known: Mapping[str, Any]) -> int | None:
    """Return a color prop's code; None where it is missing, limited range where that is."""
    value = known.get(PROP_OF[kind], 0 if kind == "range" else None)
    return None if value is None else int(value)


def _ffmpeg_name(kind: Kind, code: int) -> str:
    point = find_point(kind, code)
    if point is None or point.ffmpeg is None:
        raise MediaError(f"ffmpeg and x265 have no name for {kind} {code}")
    return point.ffmpeg

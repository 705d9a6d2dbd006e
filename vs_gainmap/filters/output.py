"""What HDR output may be: formats, sizes and color."""

from __future__ import annotations

import vapoursynth as vs

from vs_gainmap.color.h273 import find_code
from vs_gainmap.errors import OptionError, did_you_mean

# FFmpeg's names of what VapourSynth calls otherwise.
_FFMPEG_FORMATS = {
    "GBRP10": "RGB30", "GBRP12": "RGB36", "GBRP14": "RGB42", "GBRP16": "RGB48", "GBRPF32": "RGBS",
    "P010": "YUV420P10", "P016": "YUV420P16", "P210": "YUV422P10", "P410": "YUV444P10",
}  # fmt: skip

OUTPUT_TRANSFERS: dict[str, int] = {
    "pq": int(vs.TRANSFER_ST2084),
    "hlg": int(vs.TRANSFER_ARIB_B67),
    "linear": int(vs.TRANSFER_LINEAR),
}


def find_format(wanted: int | str) -> vs.VideoFormat:
    """Return a format by VapourSynth's number, preset or name, or FFmpeg's name.

    Raises:
        OptionError: there is no such format.
    """
    try:
        if isinstance(wanted, str):
            # FFmpeg's yuv420p10le.
            name = wanted.upper().removesuffix("LE")
            name = _FFMPEG_FORMATS.get(name, name)
            return vs.core.get_video_format(vs.PresetVideoFormat[name])
        return vs.core.get_video_format(int(wanted))
    except (vs.Error, KeyError, OverflowError, TypeError, ValueError) as error:
        near = did_you_mean(str(wanted).upper(), vs.PresetVideoFormat.__members__)
        raise OptionError(
            f"format must be a VapourSynth format such as YUV420P10, got {wanted}{near}"
        ) from error


def target_format(wanted: int | str, output: str) -> vs.VideoFormat:
    """Return the output format.

    Raises:
        OptionError: it can't hold that output.
    """
    target = find_format(wanted)
    floating = target.sample_type == vs.FLOAT
    if target.color_family not in (vs.YUV, vs.RGB) or target.bits_per_sample < 10:
        raise OptionError(
            f"format must be YUV or RGB of at least 10 bits, got {target.name or wanted}; "
            "HDR10 is vs.YUV420P10"
        )
    if output == "linear" and not (floating and target.color_family == vs.RGB):
        raise OptionError(f'output "linear" needs format=vs.RGBS, got {target.name}')
    return target


def check_size(clip: vs.VideoNode, target: vs.VideoFormat) -> None:
    """Refuse a size that a subsampled format can't have.

    Raises:
        OptionError: names the crop, and a format that works.
    """
    across, down = 1 << target.subsampling_w, 1 << target.subsampling_h
    if clip.width % across or clip.height % down:
        raise OptionError(
            f"{target.name} needs a width that is a multiple of {across} and a height of "
            f"{down}, got {clip.width}x{clip.height}; crop the clip with std.Crop, or take "
            "format=vs.YUV444P10"
        )


def target_color(target: vs.VideoFormat, chroma_location: str | int) -> dict[str, int]:
    """Return zimg's matrix, range and chroma location for an output format.

    Raises:
        OptionError: there is no such chroma location.
    """
    if target.color_family == vs.RGB:
        return {"matrix": int(vs.MATRIX_RGB), "range": int(vs.RANGE_FULL)}
    color = {"matrix": int(vs.MATRIX_BT2020_NCL), "range": int(vs.RANGE_LIMITED)}
    if target.subsampling_w or target.subsampling_h:
        try:
            color["chromaloc"] = find_code("chroma_location", chroma_location)
        except ValueError as error:
            raise OptionError(f"output_{error}") from error
    return color

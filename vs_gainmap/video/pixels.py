"""Pixels and their color between PyAV's frames and VapourSynth's: moved, never changed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import av
import numpy as np
import vapoursynth as vs
from av.sidedata.sidedata import Type as SideData
from numpy.typing import NDArray

from vs_gainmap.color.h273 import HDR_TRANSFERS, UNSPECIFIED
from vs_gainmap.errors import MediaError
from vs_gainmap.filters import props

# Packed formats go through swscale to a planar one that holds the same numbers; alpha is left.
_UNPACKED = {
    "rgb24": "gbrp", "bgr24": "gbrp", "rgba": "gbrp", "bgra": "gbrp", "argb": "gbrp",
    "abgr": "gbrp", "rgb0": "gbrp", "bgr0": "gbrp", "0rgb": "gbrp", "0bgr": "gbrp",
    "rgb48": "gbrp16le", "bgr48": "gbrp16le", "rgba64": "gbrp16le",
    "bgra64": "gbrp16le", "yuyv422": "yuv422p", "uyvy422": "yuv422p", "ya8": "gray",
    "ya16": "gray16le", "yvyu422": "yuv422p", "y210": "yuv422p10le", "y212": "yuv422p12le",
    "x2rgb10": "gbrp10le", "x2bgr10": "gbrp10le", "vuyx": "yuv444p", "vuya": "yuv444p",
    "xv30": "yuv444p10le", "xv36": "yuv444p12le",
}  # fmt: skip
_SEMI_PLANAR = re.compile(r"(nv12|nv21|nv16|nv24|nv42|p[024](10|12|16))(le|be)?$")
# What VapourSynth has.
_LEAST_BITS = 8
_BLACK_AND_WHITE = ("monow", "monob")
_GBR_TO_RGB = (2, 0, 1)
# AVColorRange: 1 = limited ("MPEG"), 2 = full ("JPEG").
_AV_LIMITED, _AV_FULL = 1, 2
# What only HDR has, and some of it without color tags or with wrong ones.
_HDR_SIDE_DATA = (
    SideData.MASTERING_DISPLAY_METADATA, SideData.CONTENT_LIGHT_LEVEL, SideData.DYNAMIC_HDR_PLUS,
    SideData.DYNAMIC_HDR_VIVID,
)  # fmt: skip


# Props whose 2 is a value of their own.
_NO_H273 = (props.RANGE, props.CHROMA_LOCATION)


@dataclass(frozen=True, slots=True, kw_only=True)
class PixelLayout:
    """How to read a decoder's frames.

    `planar` names the pixel format that is read: the decoder's own, or one of the same
    numbers that swscale unpacks it to. `shift` is by how many bits samples are too high up.
    """

    planar: str
    family: vs.ColorFamily
    bits: int
    subsampling_w: int
    subsampling_h: int
    shift: int = 0
    interleaved_chroma: bool = False
    v_first: bool = False
    full_range: bool = False

    def vapoursynth_format(self) -> vs.VideoFormat:
        """Return the clip format."""
        return vs.core.core.query_video_format(
            self.family, vs.INTEGER, self.bits, self.subsampling_w, self.subsampling_h
        )


def layout_of(pix_fmt: str) -> PixelLayout:
    """Return how to read a pixel format.

    Raises:
        MediaError: floating point, Bayer, hardware or packed in a way we don't know.
    """
    endless = pix_fmt.removesuffix("le").removesuffix("be")
    planar = _UNPACKED.get(endless, endless + "le" if pix_fmt.endswith("be") else pix_fmt)
    try:
        found = av.VideoFormat(planar, 64, 64)
    except ValueError as error:
        raise MediaError(f"pixel format {pix_fmt} is unknown to this PyAV") from error
    if found.has_palette or _has_few_bits(found):
        # Its samples are numbers of colors, or have so few bits that 8 hold them.
        planar = "gray" if planar in _BLACK_AND_WHITE else "gbrp"
        found = av.VideoFormat(planar, 64, 64)
    parts = [part for part in found.components if not part.is_alpha]
    bits = parts[0].bits if parts else 0
    semi = _SEMI_PLANAR.match(planar)
    is_float = bool(re.search(r"f(16|32)", planar))
    is_planar = found.is_planar and planar.startswith(("yuv", "gbr"))
    is_gray = len(parts) == 1 and planar.startswith("gray")
    if is_float or not (semi or is_planar or is_gray) or not _LEAST_BITS <= bits <= 16:
        raise MediaError(
            f"pixel format {pix_fmt} isn't supported; convert it first, "
            "for example with ffmpeg -pix_fmt yuv444p16le -c:v ffv1"
        )
    shift = 16 - bits if "msb" in planar or (semi and planar.startswith("p")) else 0
    if is_gray or planar.startswith("gbr"):
        return PixelLayout(
            planar=planar,
            family=vs.GRAY if is_gray else vs.RGB,
            bits=bits,
            subsampling_w=0,
            subsampling_h=0,
            shift=shift,
        )
    return PixelLayout(
        planar=planar,
        family=vs.YUV,
        bits=bits,
        subsampling_w=(64 // found.chroma_width(64)).bit_length() - 1,
        subsampling_h=(64 // found.chroma_height(64)).bit_length() - 1,
        shift=shift,
        interleaved_chroma=bool(semi),
        v_first=planar in ("nv21", "nv42"),
        full_range=planar.startswith("yuvj"),
    )


def to_vapoursynth(
    frame: av.VideoFrame, layout: PixelLayout, color: Mapping[str, int] | None = None
) -> vs.VideoFrame:
    """Copy a decoded frame into a new VapourSynth frame and set its color props.

    Args:
        frame: of PyAV.
        layout: how to read it.
        color: the container's color props, for what the stream leaves open.
    """
    if frame.format.name != layout.planar:
        shown = frame
        if layout.family == vs.RGB and _has_few_bits(frame.format):
            # swscale's way from these to planes leaves white below white.
            shown = frame.reformat(format="rgb24")
        frame = _carry_color(frame, shown.reformat(format=layout.planar))
    out = vs.core.create_video_frame(layout.vapoursynth_format(), frame.width, frame.height)
    dtype = np.dtype(np.uint8 if layout.bits == 8 else "<u2")
    planes = [_view(plane, dtype) for plane in frame.planes]
    if layout.interleaved_chroma:
        first, second = planes[1][:, 0::2], planes[1][:, 1::2]
        planes = [planes[0], second, first] if layout.v_first else [planes[0], first, second]
    elif layout.family == vs.RGB:
        planes = [planes[i] for i in _GBR_TO_RGB]
    for i in range(out.format.num_planes):
        target = np.asarray(out[i])
        height, width = target.shape
        samples = planes[i][:height, :width]
        target[...] = samples >> layout.shift if layout.shift else samples
    for name, value in merge_color(color or {}, _frame_color(frame, layout)).items():
        if layout.subsampling_w or name != props.CHROMA_LOCATION:
            out.props[name] = value
    captions = frame.side_data.get(SideData.A53_CC)
    if captions is not None:
        out.props[props.CAPTIONS] = bytes(captions)
    return out


def to_pyav(frame: vs.VideoFrame, pix_fmt: str) -> av.VideoFrame:
    """Copy a VapourSynth frame into a new PyAV frame of the same numbers.

    Args:
        frame: YUV or RGB.
        pix_fmt: its planar pixel format, or p010le for 4:2:0 in 10 bit.
    """
    out = av.VideoFrame(frame.width, frame.height, pix_fmt)
    dtype = np.dtype(np.uint8 if frame.format.bytes_per_sample == 1 else "<u2")
    planes = [_view(plane, dtype) for plane in out.planes]
    if pix_fmt == "p010le":
        sources = [np.asarray(frame[i]) << 6 for i in range(3)]
        height, width = sources[1].shape
        planes[0][: frame.height, : frame.width] = sources[0]
        planes[1][:height, 0 : 2 * width : 2] = sources[1]
        planes[1][:height, 1 : 2 * width : 2] = sources[2]
        return out
    order = _GBR_TO_RGB if frame.format.color_family == vs.RGB else (0, 1, 2)
    for i in range(frame.format.num_planes):
        source = np.asarray(frame[i])
        height, width = source.shape
        planes[order[i]][:height, :width] = source
    return out


def pix_fmt_of(clip_format: vs.VideoFormat) -> str:
    """Return the planar pixel format that a clip's frames are.

    Raises:
        MediaError: the format is floating point, or one that FFmpeg has no name for.
    """
    f = clip_format
    endian = "" if f.bits_per_sample == 8 else f"{f.bits_per_sample}le"
    names = {(1, 1): "yuv420p", (1, 0): "yuv422p", (0, 0): "yuv444p"}
    base = {
        vs.YUV: names.get((f.subsampling_w, f.subsampling_h)),
        vs.RGB: "gbrp",
        vs.GRAY: "gray",
    }.get(f.color_family)
    if f.sample_type != vs.INTEGER or base is None or f.bits_per_sample > 16:
        raise MediaError(f"a clip in {f.name} can't be handed to an encoder")
    return base + endian


def context_color(found: Mapping[str, object]) -> dict[str, int]:
    """Return settings of a codec context: H.273 codes, and FFmpeg's own for the rest.

    Raises:
        MediaError: transfer or primaries are missing.
    """
    if props.TRANSFER not in found or props.PRIMARIES not in found:
        raise MediaError(
            "the clip has no transfer or primaries; set the props "
            f"{props.TRANSFER} and {props.PRIMARIES}, for example with std.SetFrameProps"
        )
    out = {
        "color_trc": _int(found[props.TRANSFER]),
        "color_primaries": _int(found[props.PRIMARIES]),
        # AVColorRange: 1 is limited, 2 is full.
        "color_range": 2 if _int(found.get(props.RANGE, 0)) == 1 else 1,
    }
    if props.MATRIX in found:
        out["colorspace"] = _int(found[props.MATRIX])
    if props.CHROMA_LOCATION in found:
        # AVChromaLocation: 1 is left, where VapourSynth has 0.
        out["chroma_sample_location"] = _int(found[props.CHROMA_LOCATION]) + 1
    return out


def sample_aspect(found: Mapping[str, object]) -> Fraction | None:
    """Return the shape of a sample, width over height, or None."""
    if not (found.get("_SARNum") and found.get("_SARDen")):
        return None
    return Fraction(_int(found["_SARNum"]), _int(found["_SARDen"]))


def frame_duration(found: Mapping[str, object]) -> Fraction | None:
    """Return for how long a frame is shown, in seconds, or None."""
    if not (found.get("_DurationNum") and found.get("_DurationDen")):
        return None
    return Fraction(_int(found["_DurationNum"]), _int(found["_DurationDen"]))


def _int(value: object) -> int:
    return int(value) if isinstance(value, int) else int(str(value))


def _view(plane: av.video.plane.VideoPlane, dtype: np.dtype[Any]) -> NDArray[Any]:
    """Return (rows, samples of a whole line, padding included) without a copy."""
    flat = np.frombuffer(plane, dtype)
    line = plane.line_size // dtype.itemsize
    return flat[: flat.size // line * line].reshape(-1, line)


def _has_few_bits(found: av.VideoFormat) -> bool:
    """Say whether all samples have fewer bits than VapourSynth's; a sensor's mosaic has not."""
    bits = [part.bits for part in found.components]
    return 0 < max(bits, default=0) < _LEAST_BITS and not found.name.startswith("bayer")


def _carry_color(source: av.VideoFrame, target: av.VideoFrame) -> av.VideoFrame:
    for name in ("color_range", "color_primaries", "color_trc", "colorspace", "chroma_location"):
        setattr(target, name, getattr(source, name))
    return target


def _frame_color(frame: av.VideoFrame, layout: PixelLayout) -> dict[str, int]:
    """Return a frame's color props; what its stream leaves open is left out."""
    out = color_props(frame, frame.chroma_location if layout.subsampling_w else 0)
    if layout.family == vs.RGB:
        out[props.MATRIX] = 0
    if layout.full_range:
        out[props.RANGE] = 1
    # Below Dolby Vision there may be an SDR picture; its tags say so.
    unknown = props.TRANSFER not in out and SideData.DOVI_METADATA in frame.side_data
    if unknown or any(kind in frame.side_data for kind in _HDR_SIDE_DATA):
        return declare_hdr(out)
    return out


def declare_hdr(color: Mapping[str, int], transfer: int = vs.TRANSFER_ST2084) -> dict[str, int]:
    """Return color props of what is HDR by its metadata: its transfer, or the one given."""
    own = color.get(props.TRANSFER)
    return {**color, props.TRANSFER: own if own in HDR_TRANSFERS else int(transfer)}


def merge_color(container: Mapping[str, int], frame: Mapping[str, int]) -> dict[str, int]:
    """Return the color props of a frame, with its container's for what is missing.

    Whichever of the two declares HDR is believed.
    """
    out = {**container, **{k: v for k, v in frame.items() if v != UNSPECIFIED or k in _NO_H273}}
    if container.get(props.TRANSFER) in HDR_TRANSFERS:
        out[props.TRANSFER] = container[props.TRANSFER]
    return out


def color_props(source: Any, chroma_location: int) -> dict[str, int]:
    """Return color props of a frame or codec context of PyAV's, without those it leaves open.

    Args:
        source: what has FFmpeg's `colorspace`, `color_trc`, `color_primaries` and `color_range`.
        chroma_location: FFmpeg's, 0 for none.
    """
    # H.273: 2 is "unspecified", 0 and 3 are reserved (0 is RGB for the matrix).
    unspecified = (0, 2, 3)
    out: dict[str, int] = {}
    if source.colorspace not in unspecified:
        out[props.MATRIX] = int(source.colorspace)
    if source.color_trc not in unspecified:
        out[props.TRANSFER] = int(source.color_trc)
    if source.color_primaries not in unspecified:
        out[props.PRIMARIES] = int(source.color_primaries)
    if source.color_range in (_AV_LIMITED, _AV_FULL):
        out[props.RANGE] = int(source.color_range == _AV_FULL)
    if chroma_location:
        # AVChromaLocation starts at 1 = left, VapourSynth at 0 = left.
        out[props.CHROMA_LOCATION] = int(chroma_location) - 1
    return out

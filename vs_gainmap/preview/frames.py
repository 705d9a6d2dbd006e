"""The preview page: a few frames of an SDR clip, and what the filter makes of them."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
import vapoursynth as vs
from numpy.typing import NDArray

from vs_gainmap.color.primaries import convert_primaries
from vs_gainmap.color.transfer import Eotf, pq_eotf, srgb_inverse_eotf
from vs_gainmap.filters import apply, predict, props
from vs_gainmap.filters.color_props import ColorOverrides, tag_sdr_clip
from vs_gainmap.filters.false_color import NitsScale, Rgb, StopsScale, legend, scale_top
from vs_gainmap.filters.linear import EOTF_TRANSFERS
from vs_gainmap.gainmap import largest_gain
from vs_gainmap.photo.render import upright
from vs_gainmap.photo.write import write_pq
from vs_gainmap.preview.extra import PICTURES, PLOTS, require
from vs_gainmap.preview.page import Page
from vs_gainmap.preview.scopes import histogram, waveform
from vs_gainmap.preview.ultrahdr import ultra_hdr
from vs_gainmap.video.tags import sample_aspect

MAX_WIDTH = 960
SHEET_WIDTH = 320


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """One frame, every way a page shows it.

    `sdr` is (H, W, 3) 8-bit; `stops` (H, W) log gain; `pq` (3, H, W) BT.2020 PQ, 0..1;
    `sdr_white` and `eotf` how SDR became light; `found` the HDR frame's props.
    """

    seconds: float
    sdr: Rgb
    stops: NDArray[np.float32]
    stops_range: tuple[float, float]
    pq: NDArray[np.float32]
    sdr_white: float
    eotf: Eotf
    found: dict[str, Any]


class Previewer:
    """Makes looks at frames of a clip; the graph is built once.

    Args:
        clip: SDR, as for `predict`.
        predict_options: for `predict`, but for the color of the input.
        apply_options: for `apply`, likewise; format and output are the page's own.
        color: what the clip's props say wrongly or not at all.
        times: when frames are shown, in seconds; None goes by the clip's rate.
        orientation: how pictures must be turned to be upright, as EXIF counts.

    Raises:
        vs.Error: the clip or an option is not usable.
    """

    def __init__(
        self,
        clip: vs.VideoNode,
        predict_options: dict[str, Any],
        apply_options: dict[str, Any],
        *,
        color: ColorOverrides | None = None,
        times: Sequence[float | Fraction] | None = None,
        orientation: int = 1,
    ) -> None:
        # Once for all: map, HDR and the SDR picture must not read one clip in different ways.
        tagged = tag_sdr_clip(clip, color or ColorOverrides(), "preview")
        self._gain_map = predict(tagged, **predict_options)
        options = {**apply_options, "format": vs.RGBS, "output": "pq", "measure": True}
        self._hdr = apply(tagged, self._gain_map, **options)
        self._strength = float(apply_options.get("strength", 1.0))
        self._white = apply_options.get("sdr_white")
        self._eotf = apply_options.get("eotf")
        self._sdr = self._shown(tagged)
        self._rate = float(clip.fps) or 25.0
        self._times = times
        self._orientation = orientation
        with tagged.get_frame(0) as frame:
            self._size = square_size(clip.width, clip.height, sample_aspect(frame.props))

    def _shown(self, tagged: vs.VideoNode) -> vs.VideoNode:
        """Return the clip as RGB24 in BT.709 primaries, which a page's pictures have."""
        with tagged.get_frame(0) as frame:
            primaries = int(frame.props[props.PRIMARIES])
            constant_luminance = int(frame.props[props.MATRIX]) == int(vs.MATRIX_BT2020_CL)
        if primaries == int(vs.PRIMARIES_BT709):
            return tagged.resize.Bicubic(format=vs.RGB24)
        if constant_luminance:
            # Bound to the camera's curve: R'G'B' comes first.
            tagged = tagged.resize.Bicubic(format=vs.RGBS)
        eotf = self._eotf
        if eotf is None:
            with self._gain_map.get_frame(0) as frame:
                eotf = props.read_eotf(frame.props)
        # Primaries change in the light that `apply` sees, so that base and HDR agree in color.
        signal = tagged.std.SetFrameProp(props.TRANSFER, intval=EOTF_TRANSFERS[eotf])
        return signal.resize.Bicubic(format=vs.RGB24, primaries=int(vs.PRIMARIES_BT709))

    def look(self, n: int) -> Look:
        """Make a look at frame n; wide frames are shown at half their size or less."""
        with self._sdr.get_frame(n) as frame:
            sdr = np.stack([np.asarray(frame[p]) for p in range(3)], axis=-1)
        with self._gain_map.get_frame(n) as frame:
            found = dict(frame.props)
            low = float(found[props.GAIN_MAP_MIN])
            high = float(found[props.GAIN_MAP_ALTERNATE_HEADROOM])
            stops = low + np.array(frame[0]) * (float(found[props.GAIN_MAP_MAX]) - low)
            white = float(self._white or found[props.GAIN_MAP_SDR_WHITE])
            eotf: Any = self._eotf or props.read_eotf(found)
        with self._hdr.get_frame(n) as frame:
            pq = np.stack([np.asarray(frame[p]) for p in range(3)])
            levels = dict(frame.props)
        clipped = np.clip(stops, low, largest_gain(high, self._strength)) * self._strength
        shrink = max(-(-self._size[0] // MAX_WIDTH), 1)
        size = (self._size[0] // shrink, self._size[1] // shrink)
        return Look(
            seconds=n / self._rate if self._times is None else float(self._times[n]),
            sdr=self._upright(_shrink(sdr, size)),
            stops=self._upright(_shrink(clipped.astype(np.float32), size)),
            stops_range=(min(low, 0.0), high),
            pq=np.stack([self._upright(_shrink(p, size)) for p in pq]),
            sdr_white=white,
            eotf=eotf,
            found=levels,
        )

    def _upright[T: np.generic](self, picture: NDArray[T]) -> NDArray[T]:
        return upright(picture, self._orientation)


def square_size(width: int, height: int, sample_aspect: Fraction | None) -> tuple[int, int]:
    """Return a picture's size with square pixels; the shorter way, so that none is made up."""
    if not sample_aspect or sample_aspect == 1:
        return width, height
    if sample_aspect > 1:
        return width, max(round(height / sample_aspect), 1)
    return max(round(width * sample_aspect), 1), height


def _shrink(picture: NDArray[Any], size: tuple[int, int]) -> NDArray[Any]:
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA)


def tone_map(nits: torch.Tensor, sdr_white: float) -> Rgb:
    """Squeeze HDR into an ordinary screen, so that highlights keep some shape.

    Reinhard's extended operator (2002, equation 4) on max(R, G, B), white at the frame's own
    maximum; for looking only.

    Args:
        nits: (3, H, W), BT.2020, cd/m2.
        sdr_white: cd/m2 that SDR white is at.

    Returns:
        (H, W, 3), sRGB, 8 bit.
    """
    linear = convert_primaries(nits / sdr_white, "bt2020", "bt709").clamp(min=0)
    norm = linear.amax(dim=0, keepdim=True).clamp(min=1e-6)
    white = max(float(norm.max()), 1.0)
    mapped = linear * ((1 + norm / white**2) / (1 + norm))
    signal = srgb_inverse_eotf(mapped.clamp(0, 1))
    return np.asarray((signal * 255).round().byte().movedim(0, -1).numpy())


def write_preview(
    path: Path, looks: Sequence[Look], *, title: str, sheet: Sequence[Look] = ()
) -> None:
    """Write the page.

    Args:
        path: of the page, HTML with everything inside.
        looks: frames to show every way, in order.
        title: of the page.
        sheet: frames to show small, as a contact sheet.

    Raises:
        MediaError: matplotlib, imagecodecs or Pillow is not installed.
    """
    require(*PLOTS, *PICTURES)
    page = Page(title)
    page.note(
        "The HDR pictures are AVIF in PQ and Ultra HDR JPEG: a browser on an HDR screen shows "
        "them as HDR. The tone-mapped one is for ordinary screens and only hints at it."
    )
    if sheet:
        page.heading("Contact sheet: SDR, gain map, tone-mapped; HDR below")
        page.columns([_thumbnails(look) for look in sheet])
        low, high = sheet[0].stops_range
        page.figures([("gain map, stops", png(_legend(StopsScale(low, high))), "image/png")])
    # One scale for all of them, so that they compare.
    peak = scale_top(max((float(x.found[props.FRAME_MAX_NITS]) for x in looks), default=0.0))
    for look in looks:
        page.heading(f"{look.seconds:.3f} s")
        page.figures(_figures(look, peak))
        page.table(
            [
                ("Qmax", f"{float(look.found[props.GAIN_MAP_MAX]):+.2f} stops"),
                ("brightest pixel", f"{float(look.found[props.FRAME_MAX_NITS]):.0f} cd/m²"),
                ("frame average", f"{float(look.found[props.FRAME_AVERAGE_NITS]):.1f} cd/m²"),
            ]
        )
    page.write(path)


def _thumbnails(look: Look) -> list[tuple[str, bytes, str]]:
    """Return a frame's strip for ordinary screens, and its HDR, both small."""
    height, width = look.sdr.shape[:2]
    size = (SHEET_WIDTH, max(round(height * SHEET_WIDTH / width), 1))
    pq = np.stack([_shrink(plane, size) for plane in look.pq])
    nits = pq_eotf(torch.from_numpy(pq))
    rows = [
        _shrink(look.sdr, size),
        StopsScale(*look.stops_range).paint(_shrink(look.stops, size)),
        tone_map(nits, look.sdr_white),
    ]
    levels = (float(look.found[name]) for name in (props.FRAME_MAX_NITS, props.FRAME_AVERAGE_NITS))
    top, average = levels
    caption = f"{look.seconds:.2f} s: {top:.0f} cd/m², average {average:.0f}"
    return [
        (caption, png(np.concatenate(rows)), "image/png"),
        (f"{look.seconds:.2f} s, HDR (PQ)", _avif(nits), "image/avif"),
    ]


def _figures(look: Look, peak: float) -> list[tuple[str, bytes, str]]:
    nits = pq_eotf(torch.from_numpy(look.pq))
    stops_scale, nits_scale = StopsScale(*look.stops_range), NitsScale(peak)
    width = look.sdr.shape[1]
    brightest = nits.amax(dim=0).numpy()
    painted_stops = np.concatenate(
        [stops_scale.paint(look.stops), legend(stops_scale, width, "stops")]
    )
    painted_nits = np.concatenate([nits_scale.paint(brightest), legend(nits_scale, width, "cd/m2")])
    jpeg = ultra_hdr(look.sdr, look.pq, sdr_white=look.sdr_white, eotf=look.eotf)
    return [
        ("SDR", png(look.sdr), "image/png"),
        ("gain map, stops", png(painted_stops), "image/png"),
        ("HDR, tone-mapped for this page", png(tone_map(nits, look.sdr_white)), "image/png"),
        ("HDR as it is (PQ)", _avif(nits), "image/avif"),
        ("HDR as Ultra HDR JPEG", jpeg, "image/jpeg"),
        ("light, max(R, G, B), cd/m²", png(painted_nits), "image/png"),
        ("waveform", waveform(look.pq, peak), "image/png"),
        ("histogram", histogram(look.pq, peak), "image/png"),
    ]


def _avif(nits: torch.Tensor) -> bytes:
    """Return (3, H, W), BT.2020, cd/m2 as an AVIF in PQ."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "hdr.avif"
        write_pq(path, (nits / 203).movedim(0, -1).contiguous().numpy(), "bt2020", 203.0)
        return path.read_bytes()


def _legend(scale: StopsScale) -> Rgb:
    return legend(scale, SHEET_WIDTH, "stops")


def png(picture: Rgb) -> bytes:
    """Return (H, W, 3) R, G, B as a PNG."""
    _, data = cv2.imencode(".png", picture[..., ::-1])
    return bytes(data)

"""The preview page: a few frames of an SDR clip, and their HDR."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import torch
import vapoursynth as vs
from numpy.typing import NDArray

from vs_gainmap.color.transfer import Eotf, pq_eotf
from vs_gainmap.filters import props
from vs_gainmap.filters.apply import apply_tagged
from vs_gainmap.filters.color_props import tag_sdr_clip
from vs_gainmap.filters.false_color import NitsScale, Rgb, StopsScale, scale_top
from vs_gainmap.filters.linear import EOTF_TRANSFERS
from vs_gainmap.filters.options import Conversion
from vs_gainmap.filters.predict import predict_tagged
from vs_gainmap.gainmap import largest_gain
from vs_gainmap.photo.render import upright
from vs_gainmap.preview.page import PICTURES, PLOTS, Page, require
from vs_gainmap.preview.pictures import avif, legend, png, shrink, square_size, tone_map, ultra_hdr
from vs_gainmap.preview.scopes import histogram, waveform
from vs_gainmap.video.pixels import sample_aspect

MAX_WIDTH = 960
SHEET_WIDTH = 320


@dataclass(frozen=True, slots=True, kw_only=True)
class PreviewFrame:
    """One frame in every form that a page shows.

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
    """Makes preview frames of a clip; the graph is built once.

    Args:
        clip: SDR, as for `predict`.
        conversion: options as for `sdr_to_hdr10`; format and output are the page's own.
        times: when frames are shown, in seconds; None goes by the clip's rate.
        orientation: how pictures must be turned to be upright, as EXIF counts.

    Raises:
        vs.Error: the clip or an option is not usable.
    """

    def __init__(
        self,
        clip: vs.VideoNode,
        conversion: Conversion,
        *,
        times: Sequence[float | Fraction] | None = None,
        orientation: int = 1,
    ) -> None:
        # Once for all: map, HDR and the SDR picture must not read one clip in different ways.
        tagged = tag_sdr_clip(clip, conversion, "preview")
        self._gain_map = predict_tagged(tagged, conversion)
        wanted = replace(conversion, format=int(vs.RGBS), output="pq", measure=True)
        self._hdr = apply_tagged(tagged, self._gain_map, wanted)
        self._conversion = conversion
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
        eotf = self._conversion.eotf
        if eotf is None:
            with self._gain_map.get_frame(0) as frame:
                eotf = props.read_eotf(frame.props)
        # Primaries change in the light of `apply`, so that base and HDR agree in color.
        signal = tagged.std.SetFrameProp(props.TRANSFER, intval=EOTF_TRANSFERS[eotf])
        return signal.resize.Bicubic(format=vs.RGB24, primaries=int(vs.PRIMARIES_BT709))

    def frame(self, n: int) -> PreviewFrame:
        """Make frame n; wide frames are shown at half their size or less."""
        with self._sdr.get_frame(n) as frame:
            sdr = np.stack([np.asarray(frame[p]) for p in range(3)], axis=-1)
        with self._gain_map.get_frame(n) as frame:
            found = dict(frame.props)
            low = float(found[props.GAIN_MAP_MIN])
            high = float(found[props.GAIN_MAP_ALTERNATE_HEADROOM])
            stops = low + np.array(frame[0]) * (float(found[props.GAIN_MAP_MAX]) - low)
            white = float(self._conversion.sdr_white or found[props.GAIN_MAP_SDR_WHITE])
            eotf: Any = self._conversion.eotf or props.read_eotf(found)
        with self._hdr.get_frame(n) as frame:
            pq = np.stack([np.asarray(frame[p]) for p in range(3)])
            levels = dict(frame.props)
        strength = self._conversion.strength
        clipped = np.clip(stops, low, largest_gain(high, strength)) * strength
        divisor = max(-(-self._size[0] // MAX_WIDTH), 1)
        size = (self._size[0] // divisor, self._size[1] // divisor)
        return PreviewFrame(
            seconds=n / self._rate if self._times is None else float(self._times[n]),
            sdr=self._upright(shrink(sdr, size)),
            stops=self._upright(shrink(clipped.astype(np.float32), size)),
            stops_range=(min(low, 0.0), high),
            pq=np.stack([self._upright(shrink(p, size)) for p in pq]),
            sdr_white=white,
            eotf=eotf,
            found=levels,
        )

    def _upright[T: np.generic](self, picture: NDArray[T]) -> NDArray[T]:
        return upright(picture, self._orientation)


def write_preview(
    path: Path, frames: Sequence[PreviewFrame], *, title: str, sheet: Sequence[PreviewFrame] = ()
) -> None:
    """Write the page.

    Args:
        path: of the page, HTML with everything inside.
        frames: frames to show every way, in order.
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
        page.columns([_thumbnails(shown) for shown in sheet])
        low, high = sheet[0].stops_range
        page.figures(
            [
                (
                    "gain map, stops",
                    png(legend(StopsScale(low, high), SHEET_WIDTH, "stops")),
                    "image/png",
                )
            ]
        )
    # One scale for all of them, so that they compare.
    peak = scale_top(max((float(x.found[props.FRAME_MAX_NITS]) for x in frames), default=0.0))
    for shown in frames:
        page.heading(f"{shown.seconds:.3f} s")
        page.figures(_figures(shown, peak))
        page.table(
            [
                ("Qmax", f"{float(shown.found[props.GAIN_MAP_MAX]):+.2f} stops"),
                ("brightest pixel", f"{float(shown.found[props.FRAME_MAX_NITS]):.0f} cd/m²"),
                ("frame average", f"{float(shown.found[props.FRAME_AVERAGE_NITS]):.1f} cd/m²"),
            ]
        )
    page.write(path)


def _thumbnails(shown: PreviewFrame) -> list[tuple[str, bytes, str]]:
    """Return a frame's strip for ordinary screens, and its HDR, both small."""
    height, width = shown.sdr.shape[:2]
    size = (SHEET_WIDTH, max(round(height * SHEET_WIDTH / width), 1))
    pq = np.stack([shrink(plane, size) for plane in shown.pq])
    nits = pq_eotf(torch.from_numpy(pq))
    rows = [
        shrink(shown.sdr, size),
        StopsScale(*shown.stops_range).paint(shrink(shown.stops, size)),
        tone_map(nits, shown.sdr_white),
    ]
    levels = (float(shown.found[name]) for name in (props.FRAME_MAX_NITS, props.FRAME_AVERAGE_NITS))
    top, average = levels
    caption = f"{shown.seconds:.2f} s: {top:.0f} cd/m², average {average:.0f}"
    return [
        (caption, png(np.concatenate(rows)), "image/png"),
        (f"{shown.seconds:.2f} s, HDR (PQ)", avif(nits), "image/avif"),
    ]


def _figures(shown: PreviewFrame, peak: float) -> list[tuple[str, bytes, str]]:
    nits = pq_eotf(torch.from_numpy(shown.pq))
    stops_scale, nits_scale = StopsScale(*shown.stops_range), NitsScale(peak)
    width = shown.sdr.shape[1]
    brightest = nits.amax(dim=0).numpy()
    painted_stops = np.concatenate(
        [stops_scale.paint(shown.stops), legend(stops_scale, width, "stops")]
    )
    painted_nits = np.concatenate([nits_scale.paint(brightest), legend(nits_scale, width, "cd/m2")])
    jpeg = ultra_hdr(shown.sdr, shown.pq, sdr_white=shown.sdr_white, eotf=shown.eotf)
    return [
        ("SDR", png(shown.sdr), "image/png"),
        ("gain map, stops", png(painted_stops), "image/png"),
        ("HDR, tone-mapped for this page", png(tone_map(nits, shown.sdr_white)), "image/png"),
        ("HDR as it is (PQ)", avif(nits), "image/avif"),
        ("HDR as Ultra HDR JPEG", jpeg, "image/jpeg"),
        ("light, max(R, G, B), cd/m²", png(painted_nits), "image/png"),
        ("waveform", waveform(shown.pq, peak), "image/png"),
        ("histogram", histogram(shown.pq, peak), "image/png"),
    ]

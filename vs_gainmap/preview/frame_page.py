"""The preview page: a few frames in every form, or many on a contact sheet."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from vs_gainmap.color.transfer import SDR_EOTFS, pq_eotf, pq_inverse_eotf
from vs_gainmap.filters import props
from vs_gainmap.filters.false_color import NitsScale, StopsScale, scale_top
from vs_gainmap.photo.write import png_bytes
from vs_gainmap.preview.frames import PreviewFrame
from vs_gainmap.preview.page import PICTURES, PLOTS, Figure, Page, require
from vs_gainmap.preview.pictures import avif, legend, shrink, tone_map, ultra_hdr
from vs_gainmap.preview.scopes import histogram, waveform

SHEET_WIDTH = 320
# Of `_figures`: SDR, HDR for ordinary screens, and the gain map.
_COMPARED = (0, 2, 1)


def write_preview(
    path: Path,
    frames: Sequence[PreviewFrame],
    *,
    title: str,
    sheet: Sequence[PreviewFrame] = (),
    about: Sequence[tuple[str, str]] = (),
) -> None:
    """Write the page.

    Args:
        path: of the page, HTML with everything inside.
        frames: frames to show in every form, in order.
        title: of the page.
        sheet: frames to show small, as a contact sheet.
        about: names and values for the page's head.

    Raises:
        MediaError: matplotlib, imagecodecs or Pillow is not installed.
    """
    require(*PLOTS, *PICTURES)
    page = Page(title)
    page.table(about)
    page.note(
        "The HDR pictures are AVIF in PQ and Ultra HDR JPEG: a browser on an HDR screen shows "
        "them as HDR. The tone-mapped one is for ordinary screens and only hints at it. A click "
        "shows a picture at its own size."
    )
    if sheet:
        page.heading("Contact sheet")
        strip = legend(StopsScale(*sheet[0].stops_range), SHEET_WIDTH)
        page.figures([("scale of the gain maps, stops", png_bytes(strip), "image/png")])
        page.columns([_thumbnails(frame) for frame in sheet])
    # One scale for all of them, so that they compare.
    peak = scale_top(max((float(x.found[props.FRAME_MAX_NITS]) for x in frames), default=0.0))
    for frame in frames:
        page.heading(f"{frame.seconds:.3f} s")
        page.figures(_figures(frame, peak), compare=_COMPARED)
        page.table(
            [
                ("Qmax", f"{float(frame.found[props.GAIN_MAP_MAX]):+.2f} stops"),
                ("brightest pixel", f"{float(frame.found[props.FRAME_MAX_NITS]):.0f} cd/m²"),
                ("frame average", f"{float(frame.found[props.FRAME_AVERAGE_NITS]):.1f} cd/m²"),
                *((f"pixels {name}", f"{share:.2%}") for name, share in frame.shares.items()),
            ]
        )
    page.write(path)


def _thumbnails(frame: PreviewFrame) -> list[Figure]:
    height, width = frame.sdr.shape[:2]
    size = (SHEET_WIDTH, max(round(height * SHEET_WIDTH / width), 1))
    nits = pq_eotf(torch.from_numpy(np.stack([shrink(plane, size) for plane in frame.pq])))
    stops = StopsScale(*frame.stops_range).paint(shrink(frame.stops, size))
    qmax, top, average = (
        float(frame.found[name])
        for name in (props.GAIN_MAP_MAX, props.FRAME_MAX_NITS, props.FRAME_AVERAGE_NITS)
    )
    light = f"{top:.0f} cd/m², average {average:.0f}"
    return [
        (f"{frame.seconds:.2f} s: SDR", png_bytes(shrink(frame.sdr, size)), "image/png"),
        (f"gain map, Qmax {qmax:+.2f} stops", png_bytes(stops), "image/png"),
        (f"HDR, tone-mapped: {light}", png_bytes(tone_map(nits, frame.sdr_white)), "image/png"),
        ("HDR (PQ)", avif(nits), "image/avif"),
    ]


def _figures(frame: PreviewFrame, peak: float) -> list[Figure]:
    nits = pq_eotf(torch.from_numpy(frame.pq))
    stops_scale, nits_scale = StopsScale(*frame.stops_range), NitsScale(peak)
    width = frame.sdr.shape[1]
    painted_stops = np.concatenate([stops_scale.paint(frame.stops), legend(stops_scale, width)])
    brightest = nits.amax(dim=0).numpy()
    painted_nits = np.concatenate([nits_scale.paint(brightest), legend(nits_scale, width)])
    jpeg = ultra_hdr(frame.sdr, frame.pq, sdr_white=frame.sdr_white, eotf=frame.eotf)
    signal = torch.from_numpy(np.ascontiguousarray(frame.sdr)).movedim(-1, 0).float() / 255
    sdr_pq = pq_inverse_eotf(SDR_EOTFS[frame.eotf](signal) * frame.sdr_white).numpy()
    return [
        ("SDR", png_bytes(frame.sdr), "image/png"),
        ("gain map, stops", png_bytes(painted_stops), "image/png"),
        ("HDR, tone-mapped for this page", png_bytes(tone_map(nits, frame.sdr_white)), "image/png"),
        ("HDR as it is (PQ)", avif(nits), "image/avif"),
        ("HDR as Ultra HDR JPEG", jpeg, "image/jpeg"),
        ("light, max(R, G, B), cd/m²", png_bytes(painted_nits), "image/png"),
        ("waveform of SDR", waveform(sdr_pq, peak), "image/png"),
        ("waveform of HDR", waveform(frame.pq, peak), "image/png"),
        ("histogram of HDR", histogram(frame.pq, peak), "image/png"),
    ]

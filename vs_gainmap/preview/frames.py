"""Frames of an SDR clip with their gain map and HDR, for a page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np
import torch
import vapoursynth as vs
from numpy.typing import NDArray

from vs_gainmap.color.primaries import PrimariesName, convert_primaries
from vs_gainmap.color.transfer import Eotf, pq_eotf
from vs_gainmap.filters import props
from vs_gainmap.filters.apply import Constants, apply_tagged
from vs_gainmap.filters.color_props import tag_sdr_clip
from vs_gainmap.filters.false_color import Rgb
from vs_gainmap.filters.linear import EOTF_TRANSFERS
from vs_gainmap.filters.options import Conversion
from vs_gainmap.filters.predict import predict_tagged
from vs_gainmap.gainmap import largest_gain
from vs_gainmap.photo.render import upright
from vs_gainmap.preview.pictures import shrink, square_size
from vs_gainmap.video.pixels import sample_aspect

MAX_WIDTH = 960
# A color is outside of primaries if a component is this share of the brightest one below zero.
_OUTSIDE = 0.01
_GAMUTS: dict[str, PrimariesName] = {"BT.709": "bt709", "P3": "p3d65"}


@dataclass(frozen=True, slots=True, kw_only=True)
class PreviewFrame:
    """One frame in every form that a page shows.

    `sdr` is (H, W, 3) 8-bit; `stops` (H, W) log gain; `pq` (3, H, W) BT.2020 PQ, 0..1;
    `sdr_white` and `eotf` how SDR became light; `found` the HDR frame's props. `shares` are of the
    frame's pixels, at its full size, 0..1 by their names.
    """

    seconds: float
    sdr: Rgb
    stops: NDArray[np.float32]
    stops_range: tuple[float, float]
    pq: NDArray[np.float32]
    sdr_white: float
    eotf: Eotf
    found: dict[str, Any]
    shares: dict[str, float]


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
        self._gain_map, preset = predict_tagged(tagged, conversion)
        wanted = replace(conversion, format=int(vs.RGBS), output="pq", measure=True)
        self._hdr = apply_tagged(tagged, self._gain_map, wanted, Constants.of(preset))
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
            shares=pixel_shares(pq_eotf(torch.from_numpy(pq))),
        )

    def _upright[T: np.generic](self, picture: NDArray[T]) -> NDArray[T]:
        return upright(picture, self._orientation)


def pixel_shares(nits: torch.Tensor) -> dict[str, float]:
    """Return how many pixels are bright, and how many have saturated colors.

    Args:
        nits: (3, H, W), BT.2020, cd/m2.

    Returns:
        Shares 0..1 by their names.
    """
    brightest = nits.amax(dim=0)
    masks = {f"above {level} cd/m²": brightest > level for level in (203, 1000)}
    for title, primaries in _GAMUTS.items():
        converted = convert_primaries(nits, "bt2020", primaries)
        masks[f"outside {title}"] = converted.amin(dim=0) < -_OUTSIDE * brightest
    return {name: float(mask.float().mean()) for name, mask in masks.items()}

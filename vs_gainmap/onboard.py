"""From SDR planes to HDR10 planes without leaving the device: one upload and one download a frame.

The way of `predict`, `smooth` and `apply`, in PyTorch and therefore on any device. A frame is
looked at twice: first its map is made, and what `smooth` compares over time comes back; then,
when that is known of the frames around, it is rendered. In between, planes and map stay where
they are.
"""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from vs_gainmap.color.primaries import PrimariesName, convert_primaries, luminance
from vs_gainmap.color.transfer import (
    BRIGHTEST_SIGNAL,
    EOTF_POWERS,
    PQ_PEAK_NITS,
    SDR_EOTFS,
    SDR_INVERSE_EOTFS,
    Eotf,
    pq_eotf,
    pq_inverse_eotf,
)
from vs_gainmap.curve import SAMPLES_ACROSS, fit_curve
from vs_gainmap.filters.temporal import Level
from vs_gainmap.gainmap import LEAST_RANGE, OWN_SHARE, largest_gain
from vs_gainmap.highlights import BINS, DARKEST, hold_top, is_large, top_place
from vs_gainmap.models.inference import Plane, Predictor, Slot
from vs_gainmap.planes import PlaneFormat, decode_planes, encode_planes, luma_of, shrink

Codes = NDArray[np.uint8] | NDArray[np.uint16]


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """How a map is applied, and what is measured."""

    eotf: Eotf
    primaries: PrimariesName
    """Of the source."""
    low: float
    """Log gain, in stops, at map 0."""
    high: float
    """The largest log gain that the weights know, stops."""
    sdr_white: float
    peak_nits: float
    strength: float = 1.0
    guided: bool = False
    measure: bool = False

    @property
    def stretch(self) -> float:
        """Return what log gains above SDR white are multiplied by, to reach the peak."""
        return math.log2(self.peak_nits / self.sdr_white) / self.high


class Judged(NamedTuple):
    """What is known of a frame before its pixels are looked at, as `predict`'s features say it."""

    vector: Plane
    """Of the network's `analyze`."""
    told: Plane | None = None
    """What a survey adds: curves in stops, and last the change of Qmax."""


class Levels(NamedTuple):
    """Light of a frame after CTA-861.3."""

    max_nits: float
    average_nits: float
    rows: Plane
    """The brightest of each row, cd/m2."""
    columns: Plane


class Compared(NamedTuple):
    """What `smooth` compares of a frame, and its Qmax."""

    cells: Plane
    """(2 rows, columns): each cell's mean luma, and under them its HDR's mean PQ signal."""
    level: float
    """Of highlights, PQ signal."""
    qmax: float
    """Stops."""


class Steady(NamedTuple):
    """What `smooth` wants of a frame."""

    stops: Plane
    """(rows, columns), to be added to the log gain."""
    level: Level
    """What highlights ought to have."""


class Rendered(NamedTuple):
    """A frame of HDR."""

    planes: list[NDArray[np.uint16]]
    qmax: float
    """Stops."""
    levels: Levels | None


class _Seen(NamedTuple):
    planes: list[Tensor]
    gain_map: Tensor
    qmax: float


class _Gain(NamedTuple):
    """A map in its own size, without the curve over luma that guides it up, if one does."""

    rest: Tensor
    curve: NDArray[np.floating] | None


class _Sdr(NamedTuple):
    """An SDR picture, each (1, 1, H, W)."""

    luma: Tensor
    light: Tensor
    """Luminance, 1.0 = SDR white."""


class Onboard:
    """Makes HDR10 frames of SDR frames on a predictor's device.

    Args:
        predictor: the network; its device and slots are used.
        surveyor: GridNet, where `Judged.told` is to be added.
        source: the SDR planes.
        target: the HDR planes: BT.2020, PQ, of the same size.
        look: how.
        map_size: height and width.
        cells: rows and columns that `compare` returns.
        keep: how many frames stay on the device between the two looks.
    """

    def __init__(
        self,
        predictor: Predictor,
        surveyor: Predictor | None,
        source: PlaneFormat,
        target: PlaneFormat,
        look: Look,
        *,
        map_size: tuple[int, int],
        cells: tuple[int, int],
        keep: int,
    ) -> None:
        self.predictor, self.surveyor = predictor, surveyor
        self.source, self.target, self.look = source, target, look
        self.map_size, self.cells, self.keep = map_size, cells, keep
        self._kept: OrderedDict[int, _Seen] = OrderedDict()
        self._lock = threading.Lock()

    @torch.inference_mode()
    def compare(self, n: int, planes: list[Codes], judged: Judged) -> Compared:
        """Make a frame's map and return what `smooth` compares; the frame stays on the device.

        Args:
            n: its number.
            planes: Y, Cb, Cr codes, uint8 or uint16.
            judged: what is known of it.

        Returns:
            What `smooth` compares, and Qmax.
        """
        with self.predictor.turn() as slot:
            seen = self._see(slot, planes, judged)
            sdr = self._sdr(seen)
            pq = self._pq(seen, sdr, self._gain(seen, None))
            cells = [_cell_means(x, self.cells) for x in (sdr.luma, pq)]
            compared = torch.cat(cells).cpu().numpy()
            level = _top_level(pq)
            slot.wait()
        with self._lock:
            self._kept[n] = seen
            while len(self._kept) > self.keep:
                self._kept.popitem(last=False)
        return Compared(compared, level, seen.qmax)

    @torch.inference_mode()
    def render(
        self, n: int, planes: list[Codes], judged: Judged, steady: Steady | None = None
    ) -> Rendered:
        """Render a frame.

        Args:
            n: its number.
            planes: as for `compare`; only looked at if the frame is not on the device any more.
            judged: likewise.
            steady: what `smooth` found.
        """
        with self._lock:
            seen = self._kept.pop(n, None)
        with self.predictor.turn() as slot:
            seen = seen or self._see(slot, planes, judged)
            light = self._light(seen, steady)
            signal = pq_inverse_eotf(light)
            coded = encode_planes(signal, self.target)
            names = (f"hdr{k}" for k in range(3))
            staged = [
                slot.buffer(name, *plane.shape, dtype=plane.dtype)
                for name, plane in zip(names, coded, strict=True)
            ]
            for buffer, plane in zip(staged, coded, strict=True):
                buffer.copy_(plane, non_blocking=True)
            levels = _measure(coded, self.target) if self.look.measure else None
            slot.wait()
            # Copies: the slot's buffers are another frame's next.
            out = [buffer.numpy().view(np.uint16).copy() for buffer in staged]
        return Rendered(out, seen.qmax, levels)

    def _see(self, slot: Slot, planes: list[Codes], judged: Judged) -> _Seen:
        device, uploaded = self.predictor.device, []
        for k, plane in enumerate(planes):
            codes = plane if plane.dtype == np.uint8 else plane.view(np.int16)
            dtype = torch.uint8 if plane.dtype == np.uint8 else torch.int16
            staged = slot.buffer(f"sdr{k}", *plane.shape, dtype=dtype)
            np.copyto(staged.numpy(), codes)
            uploaded.append(staged.to(device, non_blocking=True, copy=True))
        signal = decode_planes(uploaded, self.source)
        picture = shrink(signal, *self.map_size)
        if self.look.primaries in ("bt2020", "p3d65"):
            # Trained on BT.709; through a BT.1886 display's light, as zimg does it.
            light = SDR_EOTFS["bt1886"](picture.clamp(min=0))
            narrow = convert_primaries(light, self.look.primaries, "bt709")
            picture = SDR_INVERSE_EOTFS["bt1886"](narrow.clamp(min=0))
        picture = picture.clamp(0.0, 1.0)
        vector = torch.from_numpy(judged.vector).to(device)
        gain_map = self.predictor.predict(picture, self.predictor.unpack(vector), slot)
        low, high = self.look.low, self.look.high
        qmax = float(judged.vector[-1]) * high
        if self.surveyor is not None and judged.told is not None:
            told = self.surveyor.unpack(torch.from_numpy(judged.told).to(device))
            added = self.surveyor.predict(picture, told, slot)
            surveyed = max(OWN_SHARE * qmax + float(judged.told[-1]), low + LEAST_RANGE)
            gain_map = (OWN_SHARE * gain_map * (qmax - low) + added) / (surveyed - low)
            qmax = surveyed
        return _Seen(uploaded, gain_map, qmax)

    def _sdr(self, seen: _Seen) -> _Sdr:
        """Return the SDR picture, or as much of it as is looked at."""
        height, width = seen.planes[0].shape
        luma, rgb = luma_of(seen.planes[0], self.source), decode_planes(seen.planes, self.source)
        if is_large(width, height):
            luma, rgb = luma[..., ::2, ::2], rgb[..., ::2, ::2]
        return _Sdr(luma, self._luminance(rgb))

    def _luminance(self, rgb: Tensor) -> Tensor:
        linear = rgb.clamp(DARKEST, BRIGHTEST_SIGNAL) ** EOTF_POWERS[self.look.eotf]
        return luminance(linear, self.look.primaries)

    def _pq(self, seen: _Seen, sdr: _Sdr, gain: _Gain) -> Tensor:
        """Return the HDR's PQ signal of that, as `smooth` sees it."""
        large = _bring_up(gain, sdr.luma)
        nits = sdr.light * torch.exp2(self._log_gain(seen, large)) * self.look.sdr_white
        return pq_inverse_eotf(nits.clamp(max=PQ_PEAK_NITS))

    def _log_gain(self, seen: _Seen, gain_map: Tensor) -> Tensor:
        return gain_map * (seen.qmax - self.look.low) + self.look.low

    def _gain(self, seen: _Seen, added: Tensor | None) -> _Gain:
        """Return the map of a frame, with what is added to it, as it is brought up."""
        span = seen.qmax - self.look.low
        gain_map = seen.gain_map if added is None else seen.gain_map + added / span
        if not self.look.guided:
            return _Gain(gain_map, None)
        return self._fit(gain_map, luma_of(seen.planes[0], self.source))

    def _hold(self, seen: _Seen, steady: Steady) -> Tensor:
        """Return what is to be added to the log gain, stops, in the map's size."""
        device = self.predictor.device
        stops = _resize(torch.from_numpy(steady.stops).to(device)[None, None], self.map_size)
        gain, span = self._gain(seen, None), seen.qmax - self.look.low
        pq = self._pq(seen, self._sdr(seen), _Gain(gain.rest + stops / span, gain.curve))
        # Looked at with cells held, whatever the size: here it costs little.
        shift = hold_top(_top_level(pq), _tally(pq), steady.level)
        small = _resize(decode_planes(seen.planes, self.source), self.map_size)
        light = torch.log2(self._luminance(small))
        light = light + self._log_gain(seen, seen.gain_map + stops / span)
        part = (light + math.log2(self.look.sdr_white) - shift.zero) / (shift.full - shift.zero)
        return stops + shift.rest + (shift.top - shift.rest) * part.clamp(0, 1)

    def _light(self, seen: _Seen, steady: Steady | None) -> Tensor:
        """Return (1, 3, H, W), cd/m2, BT.2020."""
        look, span = self.look, seen.qmax - self.look.low
        added = self._hold(seen, steady) if steady is not None and span > LEAST_RANGE else None
        large = _bring_up(self._gain(seen, added), luma_of(seen.planes[0], self.source))
        log_gain = self._log_gain(seen, large).clamp(
            look.low, largest_gain(look.high, look.strength)
        )
        log_gain = log_gain.clamp(min=0) * look.stretch + log_gain.clamp(max=0)
        signal = decode_planes(seen.planes, self.source).clamp(0, BRIGHTEST_SIGNAL)
        light = SDR_EOTFS[look.eotf](signal) * torch.exp2(log_gain * look.strength)
        wide = convert_primaries(light * look.sdr_white, look.primaries, "bt2020")
        return wide.clamp(0, PQ_PEAK_NITS)

    def _fit(self, gain_map: Tensor, luma: Tensor) -> _Gain:
        small = shrink(luma, *self.map_size)
        step = max(-(-self.map_size[1] // SAMPLES_ACROSS), 1)
        seen = [
            x[0, 0, step // 2 :: step, step // 2 :: step].cpu().numpy() for x in (small, gain_map)
        ]
        curve = fit_curve(*seen)
        return _Gain(gain_map - _polynomial(small, curve), curve)


def _bring_up(gain: _Gain, luma: Tensor) -> Tensor:
    """Return the map in the size of a luma, which guides it."""
    large = _resize(gain.rest, tuple(luma.shape[-2:]))
    return large if gain.curve is None else large + _polynomial(luma, gain.curve)


def _top_level(pq: Tensor) -> float:
    return float(torch.kthvalue(pq.flatten(), top_place(pq.numel()) + 1).values)


def _tally(pq: Tensor) -> NDArray[np.float32]:
    return torch.histc(pq[..., ::2, ::2].float(), BINS, 0, 1).cpu().numpy()


def _cell_means(x: Tensor, cells: tuple[int, int]) -> Tensor:
    return functional.adaptive_avg_pool2d(x, cells)[0, 0]


def _polynomial(luma: Tensor, coefficients: NDArray[np.floating]) -> Tensor:
    place = 2 * luma.clamp(0, 1) - 1
    total = torch.full_like(place, float(coefficients[-1]))
    for value in coefficients[-2::-1]:
        total = total * place + float(value)
    return total


def _resize(x: Tensor, size: tuple[int, ...]) -> Tensor:
    """Resize (1, C, H, W) bilinearly, as zimg does: a stretched triangle on the way down."""
    if tuple(x.shape[-2:]) == tuple(size):
        return x
    return functional.interpolate(
        x, size=tuple(size), mode="bilinear", align_corners=False, antialias=True
    )


def _measure(coded: list[Tensor], target: PlaneFormat) -> Levels:
    # As it is delivered: chroma of half the size changes the brightest pixels.
    signal = decode_planes(coded, target)[0].clamp(0, 1)
    brightest = pq_eotf(signal.amax(dim=0))
    top, mean = brightest.max(), brightest.mean(dtype=torch.float64)
    rows, columns = brightest.amax(dim=1), brightest.amax(dim=0)
    return Levels(float(top), float(mean), rows.cpu().numpy(), columns.cpu().numpy())

"""Make training pairs of views: grade, tone map, encode, degrade. A function of a seed."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.data import Dataset

from training.data.augment import Title, Variation, draw_dim, draw_fade
from training.data.degrade import Degradation
from training.data.encodings import SRGB, Encoding
from training.data.grade import (
    Grade,
    Levels,
    Master,
    add_caption,
    draw_average,
    draw_letterbox,
    letterbox,
    quantize_pq,
    regrade,
)
from training.data.operators import OPERATORS, Light, Operator, draw_operator
from training.data.operators.libplacebo import Libplacebo
from training.data.views import View
from vs_gainmap.color.primaries import PrimariesName, convert_primaries, luminance
from vs_gainmap.color.tone_map import eetf
from vs_gainmap.color.transfer import SDR_EOTFS
from vs_gainmap.gainmap import GainMapPreset
from vs_gainmap.models.gmnet import THUMBNAIL_SIZE
from vs_gainmap.models.gridnet import GridNet

# How often a view that comes with an SDR picture of its own is used with that, and the share of
# pictures that are drawn among these views: cameras' pairs are few and worth most.
OWN_SDR, OWN_SHARE = 0.8, 0.16
# Share of masters that are rolled off to the preset's peak instead of clipped.
ROLLED = 0.15


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversion:
    """A way to make SDR of a master: tone mapping in BT.2020 (`wide`) or BT.709, and encoding."""

    name: str
    operator: Operator
    encoding: Encoding
    wide: bool = False

    @classmethod
    def draw(cls, rng: np.random.Generator, *, operator: str | None = None) -> Self:
        """Draw a conversion; None draws the operator, too."""
        if operator is None:
            name, chosen = draw_operator(rng)
        else:
            name, chosen = operator, OPERATORS[operator].draw(rng)
        if isinstance(chosen, Libplacebo):
            encoding = chosen.draw_encoding(rng)
        else:
            encoding = Encoding.draw(rng)
        return cls(
            name=name,
            operator=chosen,
            encoding=encoding,
            wide=bool(rng.random() < 0.5),
        )

    def __call__(self, master: Master) -> Tensor:
        """Return the SDR signal of a master: (3, H, W), BT.709, 0..1."""
        primaries: PrimariesName = "bt2020" if self.wide else "bt709"
        rgb = convert_primaries(master.nits, "bt2020", primaries).clamp(min=0.0)
        linear = self.operator(Light(rgb=rgb, peak_nits=master.peak_nits, primaries=primaries))
        return self.encoding(convert_primaries(linear, primaries, "bt709").clamp(0.0, 1.0))


class Pair(NamedTuple):
    """A whole picture in SDR and HDR."""

    sdr_signal: Tensor
    """(3, H, W), 0..1, BT.709, as decoded."""
    hdr: Tensor
    """(3, H, W), linear, BT.2020, 1.0 = SDR white of the preset, at most its peak."""
    operator: str
    title: Tensor | None = None
    """(1, H, W), coverage of a title on the SDR, 0..1."""


def draw_master(
    picture: Tensor,
    rng: np.random.Generator,
    *,
    graded: bool,
    levels: Levels | None = None,
    dim: float = 1.0,
) -> Master:
    """Grade a picture, with captions and bars for some, rounded as a 10-bit PQ master is.

    Args:
        picture: (3, H, W), BT.2020; relative light, or cd/m2 when `graded`.
        rng: of everything drawn here.
        graded: what `picture` is.
        levels: of relative light, where they are known.
        dim: factor on relative light, before its highlights roll off.
    """
    if graded:
        nits = regrade(picture, rng)
        peak = max(float(nits.max()), 1000.0)
    else:
        grade = Grade.draw(rng, average_nits=dim * draw_average(levels, rng))
        nits, peak = grade(picture), grade.peak_nits
    if rng.random() < 0.08:
        nits = add_caption(nits, rng)
    nits = letterbox(nits, draw_letterbox(rng, *nits.shape[-2:]))
    # Metadata: the mastering display's peak, or the picture's own light level.
    if rng.random() < 0.7:
        peak = min(p for p in (1000.0, 4000.0, 10000.0) if p >= 0.99 * peak)
    else:
        peak = max(peak * rng.uniform(0.9, 1.3), 300.0)
    return Master(nits=quantize_pq(nits), peak_nits=peak)


def show(master: Master, preset: GainMapPreset, *, rolled: bool) -> Tensor:
    """Return what a display of the preset's peak shows: clipped, or rolled off by BT.2390.

    Returns:
        (3, H, W), linear, BT.2020, 1.0 = SDR white.
    """
    nits = master.nits
    if rolled and master.peak_nits > preset.peak_nits:
        norm = nits.amax(dim=0, keepdim=True).clamp(min=1e-6)
        target = preset.peak_nits
        nits = nits * (eetf(norm, source_peak=master.peak_nits, target_peak=target) / norm)
    return (nits / preset.sdr_white).clamp(0.0, preset.peak)


def make_pair(
    view: View,
    rng: np.random.Generator,
    preset: GainMapPreset,
    *,
    operator: str | None = None,
    augment_with: list[View] | None = None,
) -> Pair:
    """Make a pair out of a view.

    Args:
        view: what to load. One that has an SDR picture of its own is mostly used with that.
        rng: of everything drawn.
        preset: SDR white and peak of the truth.
        operator: name of the operator; None draws one.
        augment_with: views for insets; None leaves the view as it is. Graded views only get
            fades and titles.
    """
    picture, dim, fade = view.load(), 1.0, 1.0
    if augment_with:
        dim, fade = draw_dim(rng), draw_fade(rng)
    own = view.load_sdr() if operator is None and rng.random() < OWN_SDR else None
    if own is not None and view.levels is not None:
        name, encoding, signal = "own", SRGB, own
        truth = (picture * (view.levels.view / 0.18)).clamp(0.0, preset.peak)
    else:
        if augment_with and not view.graded and rng.random() < 0.5:
            variation = Variation.draw(rng)
            chosen = [augment_with[int(rng.integers(len(augment_with)))] for _ in variation.insets]
            picture = variation(picture, [other.load() for other in chosen if not other.graded])
        conversion = Conversion.draw(rng, operator=operator)
        name, encoding = conversion.name, conversion.encoding
        master = draw_master(picture, rng, graded=view.graded, levels=view.levels, dim=dim)
        signal = conversion(master)
        truth = show(master, preset, rolled=bool(rng.random() < ROLLED))
    if rng.random() < 0.5:
        signal, truth = signal.flip(-1), truth.flip(-1)
    title = Title.draw(rng, *signal.shape[-2:]) if augment_with else None
    if title is not None:
        signal, truth = title(signal, truth, encoding.power)
    signal = Degradation.draw(rng)(signal * fade, rng)
    truth = truth * fade**encoding.power
    return Pair(signal, truth, name, title.letters if title is not None else None)


def make_thumbnail(sdr_signal: Tensor) -> Tensor:
    """Resize the whole picture (N, 3, H, W) to (N, 3, 256, 256), bicubic, antialiased."""
    return functional.interpolate(
        sdr_signal,
        size=(THUMBNAIL_SIZE, THUMBNAIL_SIZE),
        mode="bicubic",
        align_corners=False,
        antialias=True,
    ).clamp(0.0, 1.0)


def true_log_gain(sdr_signal: Tensor, hdr: Tensor, preset: GainMapPreset) -> Tensor:
    """Return the log gain of luminance between a pair, in stops, clamped to the preset.

    Args:
        sdr_signal: (..., 3, H, W), 0..1, BT.709.
        hdr: (..., 3, H, W), linear, BT.2020, 1.0 = SDR white.
        preset: EOTF and range.

    Returns:
        (..., 1, H, W), stops.
    """
    # Half an 8-bit code of signal, so the logarithm is finite.
    dark = (0.5 / 255) ** 2.2
    before = luminance(SDR_EOTFS[preset.eotf](sdr_signal), "bt709").clamp(min=dark)
    after = luminance(hdr, "bt2020").clamp(min=dark)
    return torch.log2(after / before).clamp(preset.min_log_gain, preset.max_log_gain)


class PairDataset(Dataset[dict[str, Tensor]]):
    """Training pairs; item i is a function of the seed and i, so a run can be resumed.

    An item has `sdr` and `hdr` (3, S, S), or the whole picture where S is 0; `thumbnail`
    (3, 256, 256); `title` (1, S, S), the coverage of a title; `qmax` (1, 1, 1), the 99.9 percentile
    of the whole picture's log gain over log2(peak), 0..1; and `window` (4,), top, left, bottom and
    right of the crop as shares of the picture.

    Args:
        views: of the training scenes.
        preset: SDR white, peak and range of the map.
        crop: sides of `sdr` and `hdr`; 0 takes the whole picture.
        every: of these, only every `every`th pixel of every `every`th row.
        measured: items have `small` (3, 128, 128) and `statistics`, see `GridNet.measure`, in
            place of `thumbnail`.
        seed: of everything drawn.
        length: how many items there are.
    """

    def __init__(
        self,
        views: list[View],
        preset: GainMapPreset,
        *,
        crop: int,
        seed: int,
        length: int,
        every: int = 1,
        measured: bool = False,
    ) -> None:
        self.views = views
        self.own = [view for view in views if view.sdr is not None]
        self.preset = preset
        self.crop = crop
        self.seed = seed
        self.length = length
        self.every = every
        self.measured = measured

    def __len__(self) -> int:
        """Return how many items the whole run draws."""
        return self.length

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        """Make item `index`."""
        rng = np.random.default_rng([self.seed, index])
        among = self.own if self.own and rng.random() < OWN_SHARE else self.views
        view = among[int(rng.integers(len(among)))]
        sdr, hdr, _, title = make_pair(view, rng, self.preset, augment_with=self.views)
        if title is None:
            title = torch.zeros_like(sdr[:1])
        thumbnail = make_thumbnail(sdr[None])[0]
        qmax = robust_qmax(true_log_gain(sdr, hdr, self.preset), sdr, self.preset)
        height, width = sdr.shape[-2:]
        rows, columns = (self.crop, self.crop) if self.crop else (height, width)
        y = 2 * int(rng.integers(0, (height - rows) // 2 + 1))
        x = 2 * int(rng.integers(0, (width - columns) // 2 + 1))
        e = self.every
        top, left = (y + int(rng.integers(e)), x + int(rng.integers(e)))
        window = (slice(None), slice(top, y + rows, e), slice(left, x + columns, e))
        hdr, sdr, title = hdr[window], sdr[window], title[window]
        # A pixel of the lattice is as large as e x e of the picture, around its middle.
        first = [(top - (e - 1) / 2) / height, (left - (e - 1) / 2) / width]
        size = [sdr.shape[-2] * e / height, sdr.shape[-1] * e / width]
        item = {
            "sdr": sdr,
            "hdr": hdr,
            "title": title,
            "qmax": torch.tensor(qmax).view(1, 1, 1),
            "window": torch.tensor([*first, first[0] + size[0], first[1] + size[1]]),
        }
        if not self.measured:
            return {**item, "thumbnail": thumbnail}
        small, measured = GridNet.measure(thumbnail[None])
        return {**item, "small": small[0], "statistics": measured[0]}


def robust_qmax(log_gain: Tensor, sdr_signal: Tensor, preset: GainMapPreset) -> float:
    """Return the 99.9 percentile of a picture's log gain as qmax_norm, 0..1.

    Pixels below 6 % of signal are left out: near black the gain is mostly rounding errors.

    Args:
        log_gain: (1, H, W), stops.
        sdr_signal: (3, H, W), 0..1.
        preset: log2(peak) is 1.
    """
    lit = log_gain[sdr_signal.amax(dim=0, keepdim=True) > 0.06]
    if lit.numel() == 0:
        return 0.0
    top = float(torch.kthvalue(lit, max(math.ceil(lit.numel() * 0.999), 1)).values)
    return min(max(top / preset.max_log_gain, 0.0), 1.0)

"""From a view to a training pair: grade, tone map, encode, degrade. A pure function of a seed."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.data import Dataset

from training.data.encodings import DISPLAY_POWERS, Encoding, encode_sdr
from training.data.views import View
from training.degrade import Degradation
from training.films import Locations
from training.grade import (
    Grade,
    Master,
    add_caption,
    draw_letterbox,
    draw_peak,
    letterbox,
    quantize_pq,
    regrade,
)
from training.lighting import Levels, Lighting
from training.mixes import MIXES
from training.operators import Light, Operator, draw_operator
from training.vary import Title, Variation, draw_dim, draw_fade
from vs_gainmap.color.primaries import convert_primaries, luminance
from vs_gainmap.color.tone_map import eetf
from vs_gainmap.color.transfer import SDR_EOTFS
from vs_gainmap.gainmap import GainMapPreset
from vs_gainmap.models.gmnet import THUMBNAIL_SIZE

# Keeps a film's draws apart from its pictures'.
FILM_STREAM = 1
# How many films are exposed anew for every picture, where an operator exposes for the picture.
ANEW = 0.35
# How many films have the same bars, grain and compression in all pictures.
ALIKE = 0.7
BARS_STREAM, CARRIAGE_STREAM = 0, 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Film:
    """What all pictures of a film share: how its SDR was made of its master."""

    name: str
    operator: Operator
    encoding: Encoding
    wide: bool
    """Whether the operator works in BT.2020 (or in BT.709)."""
    mastering_nits: float
    """Peak of the grade."""
    told: float
    """Peak the operator is told: times `mastering_nits`, or 0 for the display's class."""
    lighting: Lighting
    adapting: float
    """How much an operator that exposes for the picture makes up for; see `Light`."""
    look: Grade
    """What the grades of its shots have in common."""
    kept: float
    """How far shots are graded towards the look, 0..1."""
    varied: float
    """Share of its pictures that are varied in training, 0..1."""
    carried: int | None
    """Seed of what befell all of its pictures alike, or None where each had its own."""

    @classmethod
    def draw(
        cls, rng: np.random.Generator, *, operator: str | None = None, mix: str = "video"
    ) -> Film:
        """Draw a film of a mix; None draws an operator that training may see."""
        operators, encodings = MIXES[mix]
        if operator is None:
            name, chosen = draw_operator(rng, operators)
        else:
            name, chosen = operator, operators[operator].draw(rng)
        names = list(encodings)
        # Of its own, so that what else is drawn is what it was before films had looks.
        of_look = rng.spawn(1)[0]
        return cls(
            name=name,
            operator=chosen,
            encoding=names[int(rng.choice(len(names), p=list(encodings.values())))],
            wide=bool(rng.random() < 0.5),
            mastering_nits=draw_peak(rng),
            told=0.0 if rng.random() < 0.7 else rng.uniform(0.9, 1.3),
            lighting=Lighting.draw(rng),
            adapting=1.0 if rng.random() < ANEW else rng.uniform(0.0, 1.0),
            look=Grade.draw(of_look, peak_nits=0.0),
            kept=of_look.uniform(0.0, 1.0),
            varied=math.sqrt(of_look.uniform(0.0, 1.0)),
            carried=int(of_look.integers(2**32)) if of_look.random() < ALIKE else None,
        )

    def draws(self, rng: np.random.Generator, stream: int) -> np.random.Generator:
        """Return what draws a picture's bars or carriage: the film, or `rng` for each anew."""
        return rng if self.carried is None else np.random.default_rng([self.carried, stream])

    def make_sdr(self, master: Master, *, graded: bool = False) -> Tensor:
        """Make the SDR of one of its masters: see `make_sdr`.

        What came `graded` has a level of its own, to which the film's says nothing.
        """
        return make_sdr(
            master,
            self.operator,
            wide=self.wide,
            encoding=self.encoding,
            usual_nits=None if graded else self.lighting.usual_nits,
            adapting=self.adapting,
        )

    def told_nits(self) -> float:
        """Return the peak in a master's metadata: its display's class, or the light level."""
        if self.told == 0:
            return min(p for p in (1000.0, 4000.0) if p >= 0.99 * self.mastering_nits)
        return max(self.mastering_nits * self.told, 300.0)


class Pair(NamedTuple):
    """One picture both ways, whole."""

    sdr_signal: Tensor
    """(3, H, W), 0..1, BT.709, as decoded."""
    hdr: Tensor
    """(3, H, W), linear, BT.2020, 1.0 = SDR white of the preset, at most its peak."""
    operator: str
    title: Tensor | None = None
    """(1, H, W), how much a title on the SDR covers, 0..1."""


def draw_master(
    view: Tensor,
    rng: np.random.Generator,
    film: Film,
    *,
    graded: bool,
    levels: Levels | None = None,
    dim: float = 1.0,
) -> Master:
    """Grade a view, with captions and bars for some, rounded as a 10-bit PQ master is.

    Args:
        view: (3, H, W), BT.2020; relative light, or cd/m2 when `graded`.
        rng: of everything drawn here.
        film: whose picture it becomes; it sets the peaks, and where diffuse white is.
        graded: what `view` is.
        levels: of relative light, where they are known.
        dim: factor on the light of a view that is not graded, before its highlights roll off.
    """
    if rng.random() < 0.5:
        view = view.flip(-1)
    average = film.lighting.draw_average(levels, rng)
    grade = Grade.draw(rng, peak_nits=film.mastering_nits, average_nits=average)
    grade = replace(grade, average_nits=dim * grade.average_nits).toward(film.look, film.kept)
    nits = regrade(view, rng) if graded else grade(view)
    peak = float(nits.max())
    if rng.random() < 0.08:
        nits = add_caption(nits, rng)
    nits = letterbox(nits, draw_letterbox(film.draws(rng, BARS_STREAM), *nits.shape[-2:]))
    # Metadata: the mastering display, or the clip's own light level.
    if graded:
        peak = max(peak, 1000.0) if film.told == 0 else max(peak * film.told, 300.0)
    else:
        peak = film.told_nits()
    return Master(nits=quantize_pq(nits), peak_nits=peak)


def make_sdr(
    master: Master,
    operator: Operator,
    *,
    wide: bool,
    encoding: Encoding,
    usual_nits: float | None = None,
    adapting: float = 1.0,
) -> Tensor:
    """Tone map a master in BT.2020 (`wide`) or BT.709, clip to BT.709, encode: (3, H, W), 0..1.

    `usual_nits` and `adapting` are of the film; see `Light`.
    """
    rgb = master.nits
    if not wide:
        rgb = convert_primaries(rgb, "bt2020", "bt709").clamp(min=0.0)
    linear = operator(
        Light(
            rgb=rgb,
            peak_nits=master.peak_nits,
            primaries="bt2020" if wide else "bt709",
            usual_nits=usual_nits,
            adapting=adapting,
        )
    )
    if wide:
        linear = convert_primaries(linear, "bt2020", "bt709")
    return encode_sdr(linear.clamp(0.0, 1.0), encoding)


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
    film: Film,
    *,
    vary_with: list[View] | None = None,
) -> Pair:
    """Make a pair out of a view.

    Args:
        view: what to load.
        rng: of everything drawn that is the picture's own.
        preset: SDR white and peak of the truth.
        film: how SDR is made.
        vary_with: views that a scene in the scene may come from; None leaves a view as it is.
            Graded pictures may fade, but are left alone otherwise.
    """
    picture, dim, fade = view.load(), 1.0, 1.0
    if vary_with:
        dim, fade = draw_dim(rng), draw_fade(rng)
    if vary_with and not view.graded and rng.random() < film.varied:
        variation = Variation.draw(rng)
        others = [vary_with[int(rng.integers(len(vary_with)))] for _ in variation.insets]
        picture = variation(picture, [other.load() for other in others if not other.graded])
    master = draw_master(picture, rng, film, graded=view.graded, levels=view.levels, dim=dim)
    signal = film.make_sdr(master, graded=view.graded)
    truth = show(master, preset, rolled=bool(rng.random() < 0.15))
    title = Title.draw(rng, *signal.shape[-2:]) if vary_with else None
    if title is not None:
        signal, truth = title(signal, truth, DISPLAY_POWERS[film.encoding])
    signal = Degradation.draw(film.draws(rng, CARRIAGE_STREAM))(signal * fade, rng)
    truth = truth * fade ** DISPLAY_POWERS[film.encoding]
    return Pair(signal, truth, film.name, title.letters if title is not None else None)


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
    # Half an 8-bit step of signal: black stays out of the logarithm.
    dark = (0.5 / 255) ** 2.2
    before = luminance(SDR_EOTFS[preset.eotf](sdr_signal), "bt709").clamp(min=dark)
    after = luminance(hdr, "bt2020").clamp(min=dark)
    return torch.log2(after / before).clamp(preset.min_log_gain, preset.max_log_gain)


class PairDataset(Dataset[dict[str, Tensor]]):
    """Endless pairs: item i is a pure function of the seed and i, so a run can be resumed.

    Each item has `sdr` (3, S, S), or the whole picture where S is 0, `thumbnail`
    (3, 256, 256), `hdr` like `sdr`, `title` (1, S, S), how much of it a title covers, and `qmax`
    (1, 1, 1): the 99.9 percentile of the whole picture's log gain over log2(peak), 0..1.
    `window` (4,) says where the crop lies: top, left, bottom and right as shares of the picture.
    """

    def __init__(
        self,
        views: list[View],
        preset: GainMapPreset,
        *,
        crop: int,
        seed: int,
        length: int,
        film: int = 1,
        vary: bool = False,
        mix: str = "video",
        every_operator: bool = False,
    ) -> None:
        self.views = views
        # For validation: films of the mix's operators in turn, held-out ones too.
        self.operators = tuple(MIXES[mix].operators) if every_operator else (None,)
        self.locations = Locations(views)
        self.preset = preset
        self.crop = crop
        self.seed = seed
        self.length = length
        self.film = film
        self.vary = vary
        self.mix = mix

    def __len__(self) -> int:
        """Return how many items the whole run draws."""
        return self.length

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        """Make item `index`."""
        rng = np.random.default_rng([self.seed, index])
        of_film = np.random.default_rng([self.seed, index // self.film, FILM_STREAM])
        operator = self.operators[index // self.film % len(self.operators)]
        film = Film.draw(of_film, operator=operator, mix=self.mix)
        view = self.locations.draw_view(self.locations.draw(of_film), rng)
        others = self.views if self.vary else None
        sdr, hdr, _, title = make_pair(view, rng, self.preset, film, vary_with=others)
        if title is None:
            title = torch.zeros_like(sdr[:1])
        thumbnail = make_thumbnail(sdr[None])[0]
        qmax = robust_qmax(true_log_gain(sdr, hdr, self.preset), sdr, self.preset)
        height, width = sdr.shape[-2:]
        rows, columns = (self.crop, self.crop) if self.crop else (height, width)
        y = 2 * int(rng.integers(0, (height - rows) // 2 + 1))
        x = 2 * int(rng.integers(0, (width - columns) // 2 + 1))
        window = (slice(None), slice(y, y + rows), slice(x, x + columns))
        place = [y / height, x / width, (y + rows) / height, (x + columns) / width]
        return {
            "sdr": sdr[window],
            "hdr": hdr[window],
            "title": title[window],
            "thumbnail": thumbnail,
            "qmax": torch.tensor(qmax).view(1, 1, 1),
            "window": torch.tensor(place),
        }


def robust_qmax(log_gain: Tensor, sdr_signal: Tensor, preset: GainMapPreset) -> float:
    """Return the 99.9 percentile of a picture's log gain as qmax_norm, 0..1.

    Near black the gain is made of rounding errors, so only light above 6 % of signal counts.

    Args:
        log_gain: (1, H, W), stops.
        sdr_signal: (3, H, W), 0..1.
        preset: log2(peak) is 1.
    """
    seen = log_gain[sdr_signal.amax(dim=0, keepdim=True) > 0.06]
    if seen.numel() == 0:
        return 0.0
    top = float(torch.kthvalue(seen, max(math.ceil(seen.numel() * 0.999), 1)).values)
    return min(max(top / preset.max_log_gain, 0.0), 1.0)

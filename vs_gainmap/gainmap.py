"""Gain map mathematics: ISO 21496-1 for files and frame props, and GMNet's published form.

ISO 21496-1:2025, clause 5.2 (and Adobe's gain map specification 1.0, of which it is the
standard form), for one channel of linear light, 1.0 = SDR white:

    log_gain = gain_map_min + (gain_map_max - gain_map_min) * gain_map ** (1 / gamma)
    hdr = (sdr + base_offset) * 2 ** (weight * log_gain) - alternate_offset

GMNet's published form is the case min = 0, gamma = 1, offsets = 0, with one clamp more:
the *product* of Qmax and the map is clamped to 0..log2(peak), not the map alone.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from vs_gainmap.color.transfer import SDR_EOTFS, Eotf
from vs_gainmap.errors import MetadataError

Triple = tuple[float, float, float]
# Factors by which a map may be smaller than its picture.
MAP_SCALES = (1, 2, 4, 8)
# Stops; darker than that is black on any display.
LEAST_LOG_GAIN = -8.0


# Far beyond any display and any tone mapping, and yet finite in float32: PQ has 5.6 stops over
# SDR white.
MAX_STOPS = 32.0
MAX_GAMMA = 100.0
MAX_OFFSET = 16.0


def _check(name: str, values: tuple[float, ...], low: float, high: float) -> None:
    if not all(low <= value <= high for value in values):
        raise MetadataError(
            f"gain map metadata: {name} must be within {low:g}..{high:g}, got "
            + ", ".join(f"{value:g}" for value in values)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class GainMapMetadata:
    """Metadata of a gain map after ISO 21496-1; per-channel values are R, G, B.

    `gain_map_min`, `gain_map_max` and the headrooms are in stops (log2 of linear ratios);
    `gamma` is the exponent that the stored map was encoded with; the offsets are linear
    light with 1.0 = SDR white.

    Raises:
        MetadataError: a value is out of range, or max is below min.
    """

    gain_map_min: Triple = (0.0, 0.0, 0.0)
    gain_map_max: Triple = (1.0, 1.0, 1.0)
    gamma: Triple = (1.0, 1.0, 1.0)
    base_offset: Triple = (0.0, 0.0, 0.0)
    alternate_offset: Triple = (0.0, 0.0, 0.0)
    base_headroom: float = 0.0
    alternate_headroom: float = 1.0
    base_is_hdr: bool = False

    def __post_init__(self) -> None:
        _check("gain_map_min", self.gain_map_min, -MAX_STOPS, MAX_STOPS)
        _check("gain_map_max", self.gain_map_max, -MAX_STOPS, MAX_STOPS)
        _check("gamma", self.gamma, 1 / MAX_GAMMA, MAX_GAMMA)
        _check("base_offset", self.base_offset, -MAX_OFFSET, MAX_OFFSET)
        _check("alternate_offset", self.alternate_offset, -MAX_OFFSET, MAX_OFFSET)
        headrooms = (self.base_headroom, self.alternate_headroom)
        _check("headroom", headrooms, -MAX_STOPS, MAX_STOPS)
        pairs = zip(self.gain_map_min, self.gain_map_max, strict=True)
        if any(high < low for low, high in pairs):
            raise MetadataError(
                f"gain map metadata: gain_map_max {self.gain_map_max} is below "
                f"gain_map_min {self.gain_map_min}"
            )

    def weight(self, headroom: float) -> float:
        """Return the share of the log gain for a display (ISO 21496-1, clause 6.3).

        Args:
            headroom: the display's HDR headroom in stops over SDR white.

        Returns:
            0 where the base picture is right as it is, 1 (-1 for an HDR base) where the
            alternate picture is, and in between in proportion.
        """
        span = self.alternate_headroom - self.base_headroom
        if span == 0:
            return 0.0
        share = min(max((headroom - self.base_headroom) / span, 0.0), 1.0)
        return -share if self.base_is_hdr else share


def _per_channel(values: Triple, like: Tensor) -> Tensor:
    return torch.tensor(values, dtype=like.dtype, device=like.device).view(3, 1, 1)


def apply_gain_map(
    base: Tensor, gain_map: Tensor, metadata: GainMapMetadata, *, weight: float = 1.0
) -> Tensor:
    """Apply a gain map to a linear base picture (ISO 21496-1, clause 5.2).

    Args:
        base: (..., 3, H, W), linear light, 1.0 = SDR white.
        gain_map: (..., 1 or 3, H, W), 0..1 as stored, at the size of `base`.
        metadata: what the map was encoded with.
        weight: share of the log gain, from `GainMapMetadata.weight`; 1 is the whole.

    Returns:
        (..., 3, H, W), linear light, 1.0 = SDR white.
    """
    log_gain = decode_gain_map(gain_map, metadata)
    before = _per_channel(metadata.base_offset, base)
    after = _per_channel(metadata.alternate_offset, base)
    return (base + before) * torch.exp2(weight * log_gain) - after


def decode_gain_map(gain_map: Tensor, metadata: GainMapMetadata) -> Tensor:
    """Return the log gain that a map stands for (ISO 21496-1, clause 5.2).

    Args:
        gain_map: (..., 1 or 3, H, W), 0..1 as stored; clamped to it.
        metadata: range and gamma that it was encoded with.

    Returns:
        (..., 3, H, W), stops.
    """
    low = _per_channel(metadata.gain_map_min, gain_map)
    high = _per_channel(metadata.gain_map_max, gain_map)
    gamma = _per_channel(metadata.gamma, gain_map)
    return low + (high - low) * gain_map.clamp(0.0, 1.0) ** (1 / gamma)


def measure_log_gain(base: Tensor, alternate: Tensor, metadata: GainMapMetadata) -> Tensor:
    """Return the log gain that turns `base` into `alternate` (ISO 21496-1, clause 5.1).

    Args:
        base: (..., 1 or 3, H, W), linear light, 1.0 = SDR white.
        alternate: the same shape and unit.
        metadata: where the offsets come from.

    Returns:
        (..., 3, H, W), stops, not clamped.
    """
    before = _per_channel(metadata.base_offset, base)
    after = _per_channel(metadata.alternate_offset, base)
    # An offset of zero would make 0/0 of black; 2^-24 is below the step of any 16-bit signal.
    tiny = 2.0**-24
    return torch.log2((alternate + after).clamp(min=tiny) / (base + before).clamp(min=tiny))


def encode_log_gain(log_gain: Tensor, metadata: GainMapMetadata) -> Tensor:
    """Encode a log gain as a map (ISO 21496-1, clause 5.1).

    Args:
        log_gain: (..., 1 or 3, H, W), stops.
        metadata: range and gamma to encode with.

    Returns:
        (..., 3, H, W), 0..1, clamped where the gain leaves the metadata's range.
    """
    low = _per_channel(metadata.gain_map_min, log_gain)
    high = _per_channel(metadata.gain_map_max, log_gain)
    span = (high - low).clamp(min=2.0**-24)
    return ((log_gain - low) / span).clamp(0.0, 1.0) ** _per_channel(metadata.gamma, log_gain)


@dataclass(frozen=True, slots=True, kw_only=True)
class GainMapPreset:
    """How weights were trained, and so how their map must be made and applied.

    `sdr_white` in nits, `peak` as a ratio over it, `map_scale` the factor by which the
    SDR picture is made smaller before the network. `min_log_gain`, in stops, is zero as
    published; weights that may also darken (an SDR grade can be brighter in its mid-tones
    than the HDR master scaled to SDR white) have a negative one.

    Raises:
        MetadataError: a value is out of its range.
    """

    sdr_white: float
    peak: float
    map_scale: int = 1
    eotf: Eotf = "gamma22"
    min_log_gain: float = 0.0

    def __post_init__(self) -> None:
        """Check every value; NaN fails all comparisons."""
        if not 1 <= self.sdr_white <= 10_000:
            raise MetadataError(f"preset: sdr_white must be 1 to 10000, got {self.sdr_white}")
        if not (self.peak > 1 and self.peak_nits <= 10_000.001):
            raise MetadataError(
                f"preset: peak must be above 1 and at most {10_000 / self.sdr_white:g} times "
                f"sdr_white, got {self.peak}"
            )
        if self.map_scale not in MAP_SCALES:
            raise MetadataError(
                f"preset: map_scale must be one of {MAP_SCALES}, got {self.map_scale}"
            )
        if self.eotf not in SDR_EOTFS:
            raise MetadataError(
                f"preset: eotf must be one of {', '.join(SDR_EOTFS)}, got {self.eotf!r}"
            )
        if not LEAST_LOG_GAIN <= self.min_log_gain <= 0:
            raise MetadataError(
                f"preset: min_log_gain must be {LEAST_LOG_GAIN:g} to 0, got {self.min_log_gain}"
            )

    @property
    def max_log_gain(self) -> float:
        """Return log2(peak): the clamp of the product of Qmax and map, in stops."""
        return math.log2(self.peak)

    @property
    def peak_nits(self) -> float:
        """Return the brightest output in cd/m2."""
        return self.sdr_white * self.peak


# Liao et al., "Learning Gain Map for Inverse Tone Mapping", ICLR 2025: the two published sets.
PRESETS: dict[str, GainMapPreset] = {
    "synthetic": GainMapPreset(sdr_white=100.0, peak=8.0),
    "real-world": GainMapPreset(sdr_white=203.0, peak=5.0, map_scale=2),
}


def network_log_gain(gain_map: Tensor, qmax_norm: Tensor, preset: GainMapPreset) -> Tensor:
    """Turn what GMNet predicts into stops, clamped as published: the sum, not the map alone.

    With Qmax = qmax_norm * log2(peak), the log gain is min + map * (Qmax - min), as ISO
    21496-1 has it; for the published min = 0 that is log2(peak) * clip(qmax_norm * map, 0, 1).

    Args:
        gain_map: (N, 1, H, W), the network's map, nominally 0..1.
        qmax_norm: (N, 1, 1, 1), Qmax / log2(peak).
        preset: where log2(peak) and min come from.

    Returns:
        (N, 1, H, W), stops, min..log2(peak).
    """
    low, high = preset.min_log_gain, preset.max_log_gain
    return (low + gain_map * (qmax_norm * high - low)).clamp(low, high)


def largest_gain(headroom: float, strength: float) -> float:
    """Return where a map's log gain is cut, so that no strength goes beyond the peak; in stops.

    Args:
        headroom: stops between SDR white and the peak.
        strength: factor on all that is left.
    """
    return headroom / max(strength, 1.0)


def render_hdr(
    sdr_signal: Tensor,
    gain_map: Tensor,
    qmax_norm: Tensor,
    preset: GainMapPreset,
    *,
    strength: float = 1.0,
) -> Tensor:
    """Render HDR in the paper's form: SDR^2.2 * 2^(clip(qmax * map, 0, 1) * log2(peak)).

    Args:
        sdr_signal: (N, 3, H, W), gamma-coded, full range, 0..1.
        gain_map: (N, 1, H, W), at the size of `sdr_signal`.
        qmax_norm: (N, 1, 1, 1).
        preset: EOTF and peak.
        strength: factor on the log gain, which ends at the peak.

    Returns:
        (N, 3, H, W), linear light, 1.0 = SDR white.
    """
    log_gain = network_log_gain(gain_map, qmax_norm, preset)
    return render_log_gain(sdr_signal, scale_log_gain(log_gain, preset, strength), preset)


def scale_log_gain(log_gain: Tensor, preset: GainMapPreset, strength: float) -> Tensor:
    """Multiply a log gain in stops by a strength, so that it ends at the peak."""
    return strength * log_gain.clamp(max=largest_gain(preset.max_log_gain, strength))


def render_log_gain(sdr_signal: Tensor, log_gain: Tensor, preset: GainMapPreset) -> Tensor:
    """Render HDR from a log gain: SDR^2.2 * 2^log_gain, or with the preset's other EOTF.

    Args:
        sdr_signal: (..., 3, H, W), gamma-coded, full range, 0..1.
        log_gain: (..., 1, H, W), stops.
        preset: EOTF.

    Returns:
        (..., 3, H, W), linear light, 1.0 = SDR white.
    """
    return SDR_EOTFS[preset.eotf](sdr_signal) * torch.exp2(log_gain)

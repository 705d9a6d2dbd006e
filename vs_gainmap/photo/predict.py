"""Predict HDR from an ordinary photo, and make its gain map."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from vs_gainmap.color.primaries import convert_primaries, luminance
from vs_gainmap.color.transfer import SDR_EOTFS, srgb_eotf, srgb_inverse_eotf
from vs_gainmap.errors import AlreadyHdrError, MediaError
from vs_gainmap.gainmap import (
    GainMapMetadata,
    GainMapPreset,
    encode_log_gain,
    measure_log_gain,
    network_log_gain,
    render_log_gain,
    scale_log_gain,
)
from vs_gainmap.models.gmnet import THUMBNAIL_SIZE
from vs_gainmap.models.inference import Predictor, choose_device, choose_dtype
from vs_gainmap.models.weights import MODEL_WEIGHTS, load_weights
from vs_gainmap.photo.input import BAND_ROWS, Signal, bands
from vs_gainmap.photo.picture import Picture
from vs_gainmap.photo.profile import ColorProfile
from vs_gainmap.photo.render import resample_rows

MIN_SIDE = 16
# Primaries that the network takes as they are: those of the SDR that it was trained on.
NARROW = ("bt709", "smpte170m", "bt470bg")
# Keeps the ratio of two blacks calm (Adobe's Gain Map Specification 1.0, "Offsets"). Far below its
# usual 1/64, which would lift colors of which one channel is near black, and hold down the bright.
OFFSET = 1 / 1024
# Light that counts as black where two curves are compared, as a share of SDR white.
BLACK = 1e-5


class PhotoPredictor:
    """A network with its preset, ready for photos; safe to call from several threads.

    Args:
        weights: a bundled name or a path; None takes "fast".
        preset: see `vs_gainmap.models.weights.load_weights`.
        device: see `vs_gainmap.models.inference.choose_device`.
        dtype: see `vs_gainmap.models.inference.choose_dtype`.
        num_streams: photos on the device at a time.

    Raises:
        WeightsError: the weights can't be had.
        DeviceError: the device or precision is not there.
    """

    def __init__(
        self,
        weights: str | Path | None = None,
        *,
        preset: str | GainMapPreset | None = None,
        device: str | None = None,
        dtype: str | None = None,
        num_streams: int = 1,
    ) -> None:
        if weights is None:
            weights = MODEL_WEIGHTS["fast"]
        loaded = load_weights(weights, preset=preset)
        self.preset = loaded.preset
        where = choose_device(device)
        self._predictor = Predictor(
            loaded.model, device=where, dtype=choose_dtype(where, dtype), num_streams=num_streams
        )

    @torch.inference_mode()
    def __call__(self, picture: Picture, *, strength: float = 1.0) -> PredictedPhoto:
        """Predict the log gain of a photo.

        Args:
            picture: an ordinary SDR photo.
            strength: factor on the log gain, which ends at the peak.

        Raises:
            AlreadyHdrError: the photo is PQ or HLG.
            MediaError: it is smaller than the network takes.
        """
        height, width = picture.signal.shape[:2]
        if picture.profile.is_hdr:
            raise AlreadyHdrError(f"it is HDR already ({picture.profile.curve.upper()})")
        if min(height, width) < MIN_SIDE:
            raise MediaError(f"picture of {width}x{height}: both sides must be {MIN_SIDE} or more")
        signal = network_signal(picture)
        scale = self.preset.map_scale
        size = (-(-height // scale), -(-width // scale))
        small = _resize(signal, size)
        thumbnail = make_thumbnail(signal)
        gain_map, qmax_norm = self._predictor(list(small.numpy()), list(thumbnail.numpy()))
        log_gain = network_log_gain(
            torch.from_numpy(gain_map)[None, None],
            torch.full((1, 1, 1, 1), qmax_norm),
            self.preset,
        )[0, 0]
        log_gain = log_gain + _curve_difference(small, self.preset)
        log_gain = log_gain.clamp(self.preset.min_log_gain, self.preset.max_log_gain)
        return PredictedPhoto(
            picture=picture,
            log_gain=scale_log_gain(log_gain, self.preset, strength).numpy()[..., None],
            preset=self.preset,
        )


def _curve_difference(signal: Tensor, preset: GainMapPreset) -> Tensor:
    """Return by how many stops the preset's EOTF makes SDR brighter than the sRGB curve does.

    A photo is decoded as its profile says, and the network's gain counts from its own EOTF: the
    two differ in the shadows.

    Args:
        signal: (3, H, W), sRGB-coded, 0..1.
        preset: of the network.

    Returns:
        (H, W).
    """
    before, after = (
        luminance(eotf(signal), "bt709")[0] + BLACK for eotf in (srgb_eotf, SDR_EOTFS[preset.eotf])
    )
    return torch.log2(after / before)


def network_signal(picture: Picture) -> Tensor:
    """Return the network's input: gamma-coded, about BT.709 primaries.

    Returns:
        (3, H, W), float32, 0..1.
    """
    profile = picture.profile
    height, width = picture.signal.shape[:2]
    out = torch.empty((3, height, width), dtype=torch.float32)
    for start, stop in bands(height):
        band = picture.signal[start:stop]
        if profile.primaries in NARROW:
            out[:, start:stop] = profile.to_srgb_signal(band)
        else:
            linear = convert_primaries(profile.to_linear(band), profile.primaries, "bt709")
            out[:, start:stop] = srgb_inverse_eotf(linear.clamp(0.0, 1.0))
    return out


def make_thumbnail(signal: Tensor) -> Tensor:
    """Resize the whole picture for the global features: (3, H, W) to (3, 256, 256), 0..1."""
    return _resize(signal, (THUMBNAIL_SIZE, THUMBNAIL_SIZE))


def _resize(signal: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize with Catmull-Rom and antialiasing, the bicubic of the published thumbnails."""
    if signal.shape[-2:] == size:
        return signal
    resized = functional.interpolate(
        signal[None], size=size, mode="bicubic", align_corners=False, antialias=True
    )
    return resized[0].clamp(0.0, 1.0)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PredictedPhoto:
    """A photo and its predicted log gain."""

    picture: Picture
    log_gain: NDArray[np.float32]
    """(h, w, 1), stops, at the size of the network's map."""
    preset: GainMapPreset

    def hdr_rows(self, start: int, stop: int) -> Tensor:
        """Render a band of rows in the preset's form, for example SDR^2.2 * 2^log_gain.

        Returns:
            (3, rows, W), float32, linear light in the picture's primaries, 1.0 = SDR white.
        """
        height, width = self.picture.signal.shape[:2]
        signal = self.picture.profile.to_srgb_signal(self.picture.signal[start:stop])
        log_gain = resample_rows(self.log_gain, (width, height), start, stop)
        return render_log_gain(signal, log_gain, self.preset)

    def render(self) -> NDArray[np.float32]:
        """Render the whole photo, (H, W, 3), as stored (the orientation is not applied)."""
        out = np.empty(self.picture.signal.shape, dtype=np.float32)
        for start, stop in bands(out.shape[0]):
            out[start:stop] = self.hdr_rows(start, stop).movedim(0, -1).numpy()
        return out


def make_gain_map(
    predicted: PredictedPhoto,
    base: Signal,
    profile: ColorProfile,
    *,
    scale: int = 1,
) -> tuple[NDArray[np.uint8], GainMapMetadata]:
    """Make the gain map with which a standard reader gets our HDR from the base.

    A reader decodes the base by its own curve, sRGB as a rule, and so do the bundled weights: one
    channel says all. For weights with another curve it is the ratio of luminances.

    Args:
        predicted: where the HDR comes from.
        base: (H, W, 3), the base as a reader will decode it.
        profile: of the base.
        scale: how much smaller than the base the map is made.

    Returns:
        (h, w, 1), 0..255, and its metadata.
    """
    offsets = (OFFSET, OFFSET, OFFSET)
    metadata = GainMapMetadata(base_offset=offsets, alternate_offset=offsets)
    height, width = base.shape[:2]
    ratios = np.empty((-(-height // scale), -(-width // scale), 1), dtype=np.float32)
    # A band is a whole number of cells, so that no cell crosses its edge.
    rows = max(BAND_ROWS // scale, 1) * scale
    for start, stop in bands(height, rows):
        pair = torch.stack([profile.to_linear(base[start:stop]), predicted.hdr_rows(start, stop)])
        pair = luminance(pair, profile.primaries)
        if scale > 1:
            pair = functional.avg_pool2d(pair, scale, ceil_mode=True, count_include_pad=False)
        ratio = measure_log_gain(pair[0], pair[1], metadata)[0]
        ratios[start // scale : -(-stop // scale), :, 0] = ratio.numpy()
    low, high = float(ratios.min()), float(ratios.max())
    metadata = replace(
        metadata,
        gain_map_min=(low, low, low),
        gain_map_max=(high, high, high),
        # A headroom of zero would show SDR.
        alternate_headroom=max(high, 1 / 64),
    )
    return _quantize(ratios, metadata), metadata


def _quantize(ratios: NDArray[np.float32], metadata: GainMapMetadata) -> NDArray[np.uint8]:
    out = np.empty(ratios.shape, dtype=np.uint8)
    for start, stop in bands(ratios.shape[0]):
        band = torch.from_numpy(ratios[start:stop]).movedim(-1, 0)
        codes = (encode_log_gain(band, metadata)[:1] * 255).round()
        out[start:stop] = codes.movedim(0, -1).numpy()
    return out

"""What the bundled fast set makes of pictures whose HDR is known."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from vs_gainmap.color.primaries import convert_primaries, luminance
from vs_gainmap.gainmap import render_hdr
from vs_gainmap.models.weights import load_weights

Convert = Callable[[Tensor], Tensor]


@pytest.fixture(scope="module")
def convert() -> Convert:
    loaded = load_weights("fast")

    @torch.inference_mode()
    def run(signal: Tensor) -> Tensor:
        """Convert (3, H, W) SDR signal to cd/m2, BT.2020."""
        thumbnail = functional.interpolate(
            signal[None], size=(256, 256), mode="bicubic", antialias=True, align_corners=False
        ).clamp(0, 1)
        features = loaded.model.analyze(thumbnail)
        gain_map = loaded.model.predict(signal[None], features)  # type: ignore[arg-type]
        light = render_hdr(signal[None], gain_map, features.qmax_norm, loaded.preset)[0]
        return convert_primaries(light, "bt709", "bt2020") * loaded.preset.sdr_white

    return run


def scene() -> Tensor:
    """Draw a sky over dark ground, with a gray ramp between the two: (3, 128, 192)."""
    picture = torch.zeros(3, 128, 192)
    picture[:, :48] = torch.tensor([0.45, 0.6, 0.85]).view(3, 1, 1)
    picture[:, 48:80] = torch.linspace(0, 1, 192)
    picture[:, 80:] = torch.tensor([0.22, 0.18, 0.12]).view(3, 1, 1)
    picture[:, 112:] = 0.0
    return picture


def test_black_is_black_and_gray_is_gray(convert: Convert) -> None:
    nits = convert(scene())
    assert float(nits[:, 113:].max()) < 1e-3
    ramp = nits[:, 60]
    assert float((ramp.amax(0) - ramp.amin(0)).max()) < 1e-3 * float(ramp.max())
    assert bool((ramp[1].diff() > -0.5).all())


def test_nothing_is_darker_than_sdr_at_its_white(convert: Convert) -> None:
    picture = scene()
    sdr = 203.0 * luminance(picture**2.2, "bt709")
    gain = torch.log2((luminance(convert(picture), "bt2020") + 0.1) / (sdr + 0.1))
    assert float(gain.min()) > -0.01
    middle = gain[(luminance(picture, "bt709") - 0.5).abs() < 0.1]
    assert 0.1 < float(middle.mean()) < 1.2
    assert float(gain[0, 60, -8:].mean()) > 1.0  # white in a bright scene

"""Gain map mathematics: the standard's form, the paper's form, and their limits."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from vs_gainmap.errors import MetadataError
from vs_gainmap.gainmap import (
    PRESETS,
    GainMapMetadata,
    GainMapPreset,
    apply_gain_map,
    encode_log_gain,
    measure_log_gain,
    network_log_gain,
    render_hdr,
)


def encoded(base: Tensor, alternate: Tensor, metadata: GainMapMetadata) -> Tensor:
    return encode_log_gain(measure_log_gain(base, alternate, metadata), metadata)


def triple(value: float) -> tuple[float, float, float]:
    return (value, value, value)


def test_encode_over_two_stops_gives_the_standards_codes() -> None:
    metadata = GainMapMetadata(gain_map_min=triple(-2), gain_map_max=triple(2))
    base = torch.full((3, 1, 1), 0.25, dtype=torch.float64)
    codes = [round(255 * encoded(base, base * gain, metadata)[0].item()) for gain in (2, 1)]
    assert codes == [191, 128]


@given(
    low=st.floats(-3, 0),
    span=st.floats(0.1, 6),
    gamma=st.floats(0.3, 3),
    offset=st.floats(0, 0.1),
    seed=st.integers(0, 1000),
)
def test_apply_of_encode_is_the_alternate(
    low: float, span: float, gamma: float, offset: float, seed: int
) -> None:
    metadata = GainMapMetadata(
        gain_map_min=triple(low),
        gain_map_max=triple(low + span),
        gamma=triple(gamma),
        base_offset=triple(offset),
        alternate_offset=triple(offset / 2),
    )
    generator = torch.Generator().manual_seed(seed)
    base = torch.rand(3, 4, 4, generator=generator, dtype=torch.float64)
    stops = low + span * torch.rand(3, 4, 4, generator=generator, dtype=torch.float64)
    alternate = (base + offset) * torch.exp2(stops) - offset / 2
    rebuilt = apply_gain_map(base, encoded(base, alternate, metadata), metadata)
    # Where base + offset is next to nothing, 2^-24 stands in for zero.
    torch.testing.assert_close(rebuilt, alternate, rtol=1e-5, atol=1e-5)


def test_weight_follows_the_display() -> None:
    metadata = GainMapMetadata(base_headroom=0.0, alternate_headroom=2.0)
    assert [metadata.weight(h) for h in (-1.0, 0.0, 1.0, 2.0, 5.0)] == [0, 0, 0.5, 1, 1]
    hdr_base = GainMapMetadata(alternate_headroom=2.0, base_is_hdr=True)
    assert hdr_base.weight(1.0) == -0.5


@pytest.mark.parametrize(
    "bad",
    [
        {"gamma": triple(0)},
        {"gain_map_max": triple(-1)},
        {"gain_map_min": (math.nan, 0, 0)},
        {"alternate_headroom": math.inf},
    ],
)
def test_bad_metadata_is_refused(bad: dict[str, object]) -> None:
    with pytest.raises(MetadataError, match="gain map metadata"):
        GainMapMetadata(**bad)  # type: ignore[arg-type]


def test_published_form_clamps_the_product_not_the_map() -> None:
    preset = PRESETS["synthetic"]
    gain_map = torch.tensor([1.5, 0.5, -0.2]).view(1, 1, 1, 3)
    qmax_norm = torch.full((1, 1, 1, 1), 0.5)
    stops = network_log_gain(gain_map, qmax_norm, preset).flatten().tolist()
    assert stops == pytest.approx([0.75 * 3, 0.25 * 3, 0.0])


def test_published_presets() -> None:
    assert PRESETS["synthetic"].peak_nits == 800
    assert PRESETS["real-world"].peak_nits == pytest.approx(1015)


def test_qmax_zero_leaves_sdr_and_gray_stays_gray() -> None:
    torch.manual_seed(0)
    gray = torch.rand(1, 1, 6, 6).expand(1, 3, 6, 6)
    zero = render_hdr(gray, torch.rand(1, 1, 6, 6), torch.zeros(1, 1, 1, 1), PRESETS["real-world"])
    torch.testing.assert_close(zero, gray**2.2)
    lit = render_hdr(gray, torch.rand(1, 1, 6, 6), torch.ones(1, 1, 1, 1), PRESETS["real-world"])
    assert (lit.amax(dim=1) - lit.amin(dim=1)).max() < 1e-6
    assert (lit >= zero).all()


def test_negative_minimum_darkens_and_stays_in_range() -> None:
    preset = GainMapPreset(sdr_white=203, peak=5, min_log_gain=-2)
    gain_map = torch.linspace(-1, 3, 9).view(1, 1, 1, 9)
    stops = network_log_gain(gain_map, torch.ones(1, 1, 1, 1), preset).flatten()
    assert stops.min().item() == -2
    assert stops.max().item() == pytest.approx(math.log2(5))
    assert stops[2].item() == pytest.approx(-2)  # a map of 0 is the minimum

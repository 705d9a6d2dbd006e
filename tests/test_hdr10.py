"""HDR10 metadata as the encoders want it."""

from __future__ import annotations

import pytest

from vs_gainmap.errors import MetadataError
from vs_gainmap.filters import props
from vs_gainmap.hdr10 import ContentLight, MasteringDisplay


def test_x265_string_is_the_usual_one() -> None:
    display = MasteringDisplay.named("p3d65", max_nits=1000, min_nits=0.0001)
    assert display.x265() == (
        "G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,1)"
    )
    assert display.svtav1() == (
        "G(0.26500,0.69000)B(0.15000,0.06000)R(0.68000,0.32000)"
        "WP(0.31270,0.32900)L(1000.0000,0.0001)"
    )


def test_light_levels_round_up_and_fit() -> None:
    light = ContentLight.measured(998.2, 120.01)
    assert (light.max_cll, light.max_fall) == (999, 121)
    assert light.text() == "999,121"
    assert ContentLight.measured(1e6, 1e6).max_cll == 65_535


@pytest.mark.parametrize(("low", "high"), [(1.0, 0.1), (-1.0, 100.0), (0.0, 20_000.0), (0.1, 0.1)])
def test_impossible_displays_are_refused(low: float, high: float) -> None:
    with pytest.raises(MetadataError, match="mastering display"):
        MasteringDisplay(min_nits=low, max_nits=high)


def test_average_above_maximum_is_refused() -> None:
    with pytest.raises(MetadataError, match="MaxFALL"):
        ContentLight(max_cll=100, max_fall=200)


def test_props_round_trip() -> None:
    display = MasteringDisplay.named("bt2020", max_nits=4000, min_nits=0.005)
    light = ContentLight(max_cll=1200, max_fall=300)
    found = {**props.mastering_props(display), **props.light_props(light)}
    assert props.read_mastering(found) == display
    assert props.read_light(found) == light
    assert props.read_mastering({}) is None
    assert props.read_light({}) is None

"""Argument values."""

from __future__ import annotations

import argparse
from fractions import Fraction

import pytest

from vs_gainmap.cli import values
from vs_gainmap.errors import OptionError
from vs_gainmap.hdr10 import ContentLight, MasteringDisplay


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("12", Fraction(12)),
        ("0.5", Fraction(1, 2)),
        (".25", Fraction(1, 4)),
        ("1:02", Fraction(62)),
        ("00:01:02.125", Fraction(62) + Fraction(1, 8)),
        ("2:00:00", Fraction(7200)),
    ],
)
def test_times(text: str, expected: Fraction) -> None:
    assert values.seconds(text) == expected


@pytest.mark.parametrize("text", ["", "-1", "1:2:3:4", "x", "1,5", "1e3"])
def test_bad_times(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="neither seconds nor"):
        values.seconds(text)


def test_mastering_display() -> None:
    display = MasteringDisplay.named("p3d65", max_nits=1000, min_nits=0.005)
    assert values.mastering_display("p3d65,1000,0.005") == display
    assert values.mastering_display("bt2020,4000").max_nits == 4000
    again = values.mastering_display(display.x265())
    assert again.x265() == display.x265()
    for bad in ("p3d65", "dci,1000,0.1", "p3d65,a,b", "p3d65,1,2,3", "G(1,2)"):
        with pytest.raises(OptionError, match="mastering display"):
            values.mastering_display(bad)
    with pytest.raises(OptionError, match="minimum < maximum"):
        values.mastering_display("p3d65,1,2")


def test_light_levels_belong_together() -> None:
    assert values.content_light(None, None) is None
    assert values.content_light(900, 200) == ContentLight(max_cll=900, max_fall=200)
    with pytest.raises(OptionError, match="belong together"):
        values.content_light(900, None)

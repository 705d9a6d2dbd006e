"""Options: written once, in signatures, help and checks."""

from __future__ import annotations

import inspect
from dataclasses import fields

import pytest
import vapoursynth as vs

from tests.clips import BT709, noise
from vs_gainmap import apply, predict, sdr_to_hdr10
from vs_gainmap.errors import OptionError
from vs_gainmap.filters.options import Conversion, Inference, Rendering

FUNCTIONS = [(predict, Inference), (apply, Rendering), (sdr_to_hdr10, Conversion)]


@pytest.mark.parametrize(("function", "options"), FUNCTIONS)
def test_signatures_and_help_are_the_fields(function, options) -> None:
    parameters = inspect.signature(function).parameters
    for each in fields(options):
        assert parameters[each.name].default == each.default
        assert parameters[each.name].kind is inspect.Parameter.KEYWORD_ONLY
        assert f"    {each.name}: {each.metadata['option'].doc.split()[0]}" in function.__doc__
    assert next(iter(parameters)) == "clip"
    assert function.__doc__.index("Args:") < function.__doc__.index("Returns:")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"radius": 99}, "radius must be 0 to 24, got 99"),
        ({"radius": 2.5}, "radius must be a whole number, got 2.5"),
        ({"radius": True}, "radius must be a whole number, got True"),
        ({"strength": float("nan")}, "strength must be a number, got nan"),
        ({"radius": float("nan")}, "radius must be a whole number, got nan"),
        ({"tile": float("inf")}, "tile must be a whole number, got inf"),
        ({"num_streams": 10**400}, "num_streams must be 1 to 16, got a huge number"),
        ({"max_cll": -float("inf")}, "max_cll must be a whole number, got -inf"),
        ({"strength": "1"}, "strength must be a number, got '1'"),
        ({"sdr_white": 0}, "sdr_white must be 1 to 10000, got 0"),
        ({"peak_nits": float("inf")}, "peak_nits must be a number, got inf"),
        ({"backend": "onnx"}, "backend must be one of torch, ov, ort, ncnn, got 'onnx'"),
        ({"eotf": "gama22"}, "got 'gama22'; did you mean \"gamma22\"?"),
        ({"measure": 1}, "measure must be True or False, got 1"),
        ({"weights": 5}, "weights must be str or Path, got 5"),
        ({"preset": ["real-world"]}, "preset must be str or GainMapPreset, got ['real-world']"),
        ({"scale": True}, "scale must be one of 1, 2, 4, 8, auto, got True"),
        ({"mastering": "x"}, "mastering must be MasteringDisplay, got 'x'"),
        ({"tile": 66, "backend": "torch", "max_cll": 100}, "max_cll and max_fall go together"),
        ({"tile": 65}, "tile must be even and at least 64, or 0, got 65"),
    ],
)
def test_a_wrong_value_is_one_line_that_names_the_function(
    options: dict[str, object], message: str
) -> None:
    with pytest.raises(OptionError) as plain:
        Conversion(**options)
    with pytest.raises(vs.Error) as error:
        sdr_to_hdr10(noise(**BT709), **options)
    assert str(error.value) == f"sdr_to_hdr10: {plain.value}"
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_an_unknown_option_is_answered_with_the_one_that_was_meant() -> None:
    with pytest.raises(
        TypeError, match='predict: there is no option radios; did you mean "radius"'
    ):
        predict(noise(**BT709), radios=3)  # type: ignore[call-arg]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"output_chroma_location": "tpleft"}, "got 'tpleft'; did you mean \"topleft\"?"),
        ({"format": "YUV420P8"}, "format must be YUV or RGB of at least 10 bits, got YUV420P8"),
        ({"format": "yuv42010"}, 'got yuv42010; did you mean "YUV420P10"?'),
        ({"sdr_white": 500, "peak_nits": 400}, "peak_nits must be above sdr_white 500"),
        ({"weights": "nope"}, "no file nope"),
        ({"device": "cuda:99"}, "device 'cuda:99' is not here"),
        ({"matrix": 2.5}, "matrix must be a name or a code, got 2.5"),
        ({"matrix": "ictcp"}, "clip is YUV420P8, but tagged as ICtCp (_Matrix 14)"),
    ],
)
def test_what_shows_later_names_the_function_that_was_called(
    options: dict[str, object], message: str
) -> None:
    with pytest.raises(vs.Error) as error:
        sdr_to_hdr10(noise(**BT709), **options)
    assert str(error.value).startswith("sdr_to_hdr10: ")
    assert message in str(error.value)


@pytest.mark.parametrize(
    "options",
    [
        {"matrix": "bt709", "transfer": "bt709", "primaries": "bt709", "range": "tv"},
        {"matrix": "709", "transfer": "709", "primaries": "709", "range": "limited"},
        {"matrix": vs.MATRIX_BT709, "transfer": vs.TRANSFER_BT709, "primaries": vs.PRIMARIES_BT709},
        {"output_chroma_location": "topleft", "format": "YUV420P10"},
        {"output_chroma_location": vs.CHROMA_TOP_LEFT, "format": vs.YUV420P10},
        {"format": "yuv420p10le"},
        {"format": "p010le"},
        {"matrix": "1", "transfer": "bt1886", "primaries": "unspec"},
        {"matrix": vs.MATRIX_UNSPECIFIED, "transfer": "undef", "primaries": 2},
    ],
)
def test_names_and_enums_of_the_field(options: dict[str, object]) -> None:
    clip = sdr_to_hdr10(noise(length=1), radius=0, **options)
    with clip.get_frame(0) as frame:
        assert frame.format.id == vs.YUV420P10
        assert frame.props["_ChromaLocation"] == (2 if "output_chroma_location" in options else 0)

"""Help and usage errors: quick, complete, short."""

from __future__ import annotations

import argparse
import subprocess
import sys
from dataclasses import fields

import pytest

from vs_gainmap.cli import main
from vs_gainmap.cli.options import add_filter_options, conversion_options
from vs_gainmap.filters.options import Conversion
from vs_gainmap.video.encoders import ENCODERS


def test_help_is_quick() -> None:
    code = (
        "import sys\nfrom vs_gainmap.cli import main\n"
        "for arguments in (['--help'], ['convert', '--help']):\n"
        "    try: main(arguments)\n"
        "    except SystemExit as end: assert end.code == 0\n"
        "loaded = {'torch', 'av', 'numpy'} & set(sys.modules)\n"
        "assert not loaded, loaded\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for word in ("convert", "ffmpeg-args", "doctor", "--overwrite", "--max-cll", "--sdr-white"):
        assert word in done.stdout


@pytest.mark.parametrize("command", ["convert", "preview", "ffmpeg-args"])
def test_every_option_of_the_filter_is_there(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main([command, "--help"])
    text = capsys.readouterr().out
    # `measure` is what the command does by itself.
    apart = {"preset": "weights-preset", "measure": "help"}
    if command == "preview":
        apart |= dict.fromkeys(("format", "mastering", "max_cll", "max_fall"), "help")
    for each in fields(Conversion):
        assert f"--{apart.get(each.name, each.name).replace('_', '-')}" in text
    assert command == "preview" or all(name in text for name in ENCODERS)


def test_options_become_the_filters_own() -> None:
    parser = argparse.ArgumentParser()
    add_filter_options(parser)
    # What isn't given stays the filter's default.
    assert conversion_options(parser.parse_args([])) == {}
    options = "--strength 0.5 --scale 2 --tile 512 --weights-preset synthetic --matrix bt709"
    given = conversion_options(parser.parse_args([*options.split(), "--transfer", "1"]))
    assert given == {
        "strength": 0.5, "scale": 2, "tile": 512, "preset": "synthetic", "matrix": "bt709",
        "transfer": "1",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("", "vs-gainmap: error: the following arguments are required: COMMAND"),
        ("covert a b", 'got covert; did you mean "convert"?'),
        ("convert", "vs-gainmap convert: error: the following arguments are required: IN, OUT"),
        ("convert a b --strenght 1", 'there is no option --strenght; did you mean "--strength"?'),
        ("convert a b --strength 9", "argument --strength: must be 0 to 4, got 9"),
        ("convert a b --radius 1.5", "argument --radius: must be a whole number, got 1.5"),
        ("convert a b --model fsat", 'must be one of gmnet, fast, got fsat; did you mean "fast"?'),
        ("convert a b --frames 0", "'0' is not a whole number above zero"),
        ("convert a b --percentile 101", "'101' is not a number above 0 and up to 100"),
        ("convert a b --percentile nan", "'nan' is not a number above 0 and up to 100"),
        ("ffmpeg-args a --for x256", 'got x256; did you mean "x265"?'),
    ],
)
def test_usage_errors_are_two_lines(
    arguments: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        main(arguments.split())
    assert end.value.code == 2
    error, more = capsys.readouterr().err.strip().splitlines()
    assert said in error
    assert more.startswith("See vs-gainmap ")

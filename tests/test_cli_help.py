"""What `--help` says, and that it is quick and true."""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from pathlib import Path

import pytest

from vs_gainmap.cli import main


def test_help_is_quick_and_complete() -> None:
    code = (
        "import sys\nfrom vs_gainmap.cli import main\n"
        "for arguments in (['--help'], ['convert', '--help']):\n"
        "    try: main(arguments)\n"
        "    except SystemExit as end: assert end.code == 0\n"
        "loaded = {'torch', 'vapoursynth', 'av', 'numpy'} & set(sys.modules)\n"
        "assert not loaded, loaded\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for word in ("convert", "ffmpeg-args", "doctor", "--overwrite", "--max-cll", "--sdr-white"):
        assert word in done.stdout


def test_help_names_every_encoder(capsys: pytest.CaptureFixture[str]) -> None:
    from vs_gainmap.video.encoders import ENCODERS

    with pytest.raises(SystemExit):
        main(["convert", "--help"])
    text = capsys.readouterr().out
    assert all(name in text for name in ENCODERS)


def test_filter_options_are_arguments_of_the_filter() -> None:
    import inspect

    from vs_gainmap import sdr_to_hdr10
    from vs_gainmap.cli.options import add_filter_options, filter_arguments

    parser = argparse.ArgumentParser()
    add_filter_options(parser)
    assert filter_arguments(parser.parse_args([])) == {}
    given = filter_arguments(
        parser.parse_args(
            (
                *("--sdr-white", "100", "--peak-nits", "600", "--strength", "0.5"),
                *("--eotf", "bt1886", "--output", "hlg", "--output-chroma-location", "top_left"),
                *("--dither", "ordered", "--weights", "w", "--weights-preset", "synthetic"),
                *("--scale", "2", "--tile", "512", "--device", "cpu", "--dtype", "float32"),
                *("--num-streams", "2", "--matrix", "709", "--transfer", "1", "--primaries", "709"),
                *("--range", "limited", "--chroma-location", "left"),
            )
        )
    )
    assert set(given) <= set(inspect.signature(sdr_to_hdr10).parameters)
    assert given["preset"] == "synthetic"
    assert given["matrix"] == "709"
    assert given["transfer"] == 1
    assert given["range"] == "limited"


def test_help_tells_the_filters_own_defaults() -> None:
    import inspect

    from vs_gainmap.filters.smoothing import REACH

    from vs_gainmap import sdr_to_hdr10
    from vs_gainmap.cli.options import add_filter_options
    from vs_gainmap.filters.window import DEFAULT_RADIUS, Neighborhood

    parser = argparse.ArgumentParser()
    add_filter_options(parser)
    defaults = inspect.signature(sdr_to_hdr10).parameters
    told = {}
    for action in parser._actions:
        said = re.search(r"\((\w+)\)$", action.help or "")
        if said:
            told[action.dest] = said[1]
            assert said[1] == str(defaults[action.dest].default), action.dest
    assert {"radius", "survey", "output"} <= set(told)
    page = Path(__file__).resolve().parents[1] / "docs" / "cli.md"
    # A frame's neighbors on both sides, which a preview does without.
    around = Neighborhood(REACH * DEFAULT_RADIUS, DEFAULT_RADIUS).offsets(0)
    assert f"on {len(around) - 1} more frames" in page.read_text()

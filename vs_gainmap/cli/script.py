"""Run a VapourSynth script and return its output."""

from __future__ import annotations

import runpy
import traceback
from pathlib import Path

import vapoursynth as vs

from vs_gainmap.errors import MediaError


def run_script(path: Path, index: int = 0) -> vs.VideoNode:
    """Run a script as vspipe does and return one of its outputs.

    Raises:
        MediaError: there is no such file, the script fails, or it sets no such output.
    """
    if not path.is_file():
        raise MediaError(f"{path}: no such file")
    # In a process that ran another script before, its outputs would be taken for this one's.
    vs.clear_outputs()
    try:
        runpy.run_path(str(path), run_name="__vapoursynth__")
    except Exception as error:
        raise MediaError(f"{path}: {_line(error, path)}{_message(error)}") from error
    outputs = vs.get_outputs()
    if index not in outputs:
        raise MediaError(f"{path}: sets no output {index}")
    output = outputs[index]
    clip = getattr(output, "clip", output)
    if not isinstance(clip, vs.VideoNode):
        raise MediaError(f"{path}: output {index} is not video")
    return clip


def _line(error: Exception, path: Path) -> str:
    """Return the line of a script that an error comes from, if it is one of its own."""
    lines = [
        frame.lineno for frame in traceback.extract_tb(error.__traceback__)
        if Path(frame.filename) == path
    ]  # fmt: skip
    if isinstance(error, SyntaxError) and error.filename == str(path):
        lines.append(error.lineno)
    return f"line {lines[-1]}: " if lines else ""


def _message(error: Exception) -> str:
    """Return an error's kind and message in one line."""
    text = error.msg if isinstance(error, SyntaxError) else " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__

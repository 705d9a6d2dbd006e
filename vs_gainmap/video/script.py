"""VapourSynth scripts: run for their output, here or in another process."""

from __future__ import annotations

import runpy
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import vapoursynth as vs

from vs_gainmap.errors import MediaError
from vs_gainmap.video.inputs import sample_digest


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """An output of a VapourSynth script, for `encode` with workers, each of which runs it.

    Args:
        path: the script.
        output: number of its output.
        arguments: variables that it finds set, as by ``vspipe --arg``.
    """

    path: str | Path
    output: int = 0
    arguments: Mapping[str, str] = field(default_factory=dict)
    sample: str = ""

    @contextmanager
    def open(self) -> Iterator[vs.VideoNode]:
        """Yield the clip.

        Raises:
            MediaError: see `run_script`.
        """
        if self.sample:
            self.check()
        yield run_script(Path(self.path), self.output, self.arguments)

    def on_device(self, device: str) -> Script:
        """Refuse: a script chooses its device itself.

        Raises:
            MediaError: always.
        """
        raise MediaError(f"{self.path}: a script can't be moved to {device}; say it in the script")

    def portable(self) -> Script:
        """Return the same for other machines that can read the script, and what it reads."""
        path = Path(self.path).absolute()
        return replace(self, path=path, sample=sample_digest(path))

    def check(self) -> None:
        """Refuse a machine where there is another script by this name, or none.

        Raises:
            MediaError: so it is.
        """
        if sample_digest(Path(self.path)) != self.sample:
            raise MediaError(f"{self.path}: is another script here")


def run_script(
    path: Path, index: int = 0, arguments: Mapping[str, str] | None = None
) -> vs.VideoNode:
    """Run a script as vspipe does and return one of its outputs.

    Raises:
        MediaError: there is no such file, the script fails, or it sets no such output.
    """
    if not path.is_file():
        raise MediaError(f"{path}: no such file")
    # In a process that ran another script before, its outputs would be taken for this one's.
    vs.clear_outputs()
    try:
        runpy.run_path(str(path), dict(arguments or {}), run_name="__vapoursynth__")
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

"""The program: its parser, its commands and how they end."""

from __future__ import annotations

import logging
import shlex
import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from importlib.metadata import version

import vapoursynth as vs

from vs_gainmap.cli.interrupt import check
from vs_gainmap.cli.parser import Parser
from vs_gainmap.cli.profile import with_profile
from vs_gainmap.errors import GainMapError, OptionError, printable

# Modules of this package. Each has `add_parser(subparsers)`, which must not import torch (`--help`
# is to be quick), and `run(args) -> int`, which may.
COMMANDS = ("convert", "ffmpeg_args", "preview", "report", "photo", "still", "quantize", "doctor")


def build_parser() -> Parser:
    """Return the parser of all commands."""
    parser = Parser(
        prog="vs-gainmap",
        description="SDR video to HDR10 with a learned gain map (GMNet).",
        epilog="vs-gainmap COMMAND --help lists the options of each.",
    )
    parser.add_argument(
        "--version", action="version", version=f"vs-gainmap {version('vs-gainmap')}"
    )
    parser.add_argument(
        "--debug", action="store_true", help="show where an error comes from, not only its message"
    )
    with suppress(ImportError):
        import shtab

        shtab.add_argument_to(parser, help="print a completion script for a shell, and exit")
    subparsers = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for name in COMMANDS:
        import_module(f"vs_gainmap.cli.{name}").add_parser(subparsers)
    return parser


def run(argv: Sequence[str] | None) -> int:
    """Run a command; return its exit status, 1 after an error that is the user's to solve."""
    arguments = sys.argv[1:] if argv is None else list(argv)
    parser = build_parser()
    try:
        args = parser.parse_args(with_profile(arguments))
    except OptionError as error:
        parser.error(str(error))
    args.command = shlex.join(["vs-gainmap", *arguments])
    handler = logging.StreamHandler()
    handler.setFormatter(_OneLine("vs-gainmap: %(message)s"))
    logging.basicConfig(handlers=[handler], level=logging.WARNING)
    try:
        status: int = args.run(args)
    except Exception as error:
        check()
        if args.debug or not _is_expected(error):
            raise
        print(f"vs-gainmap: error: {one_line(error)}", file=sys.stderr)
        return 1
    return status


def _is_expected(error: Exception) -> bool:
    """Say whether an error is the user's to solve: ours, a filter's, or the disk's."""
    return isinstance(error, GainMapError | OSError | vs.Error)


def one_line(error: Exception) -> str:
    """Return the message; of a failed callback's traceback its last line, of a file its name."""
    text = str(error)
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        text = f"{error.filename}: {error.strerror}"
    if isinstance(error, vs.Error):
        text = next((line for line in text.splitlines()[::-1] if line.strip()), "")
    return printable(text.strip()) or type(error).__name__


class _OneLine(logging.Formatter):
    """A format of log records in one line each."""

    def format(self, record: logging.LogRecord) -> str:
        """Return a record's line."""
        return printable(super().format(record))

"""The program: its parser, its commands and how they end."""

from __future__ import annotations

import argparse
import logging
import shlex
import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.metadata import version

import vapoursynth as vs

from vs_gainmap.cli.interrupt import check
from vs_gainmap.cli.parser import Parser
from vs_gainmap.cli.profile import with_profile
from vs_gainmap.errors import GainMapError, OptionError, printable
from vs_gainmap.extras import install_command

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
    completion = "print a completion script for a shell, and exit"
    try:
        import shtab

        shtab.add_argument_to(parser, help=completion)
    except ImportError:
        parser.add_argument("--print-completion", type=_no_completion, help=completion)
    subparsers = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for name in COMMANDS:
        import_module(f"vs_gainmap.cli.{name}").add_parser(subparsers)
    return parser


def _no_completion(shell: str) -> str:
    raise argparse.ArgumentTypeError(f"{shell} needs shtab: {install_command('completion')}")


def run(argv: Sequence[str] | None) -> int:
    """Run a command; return its exit status, 1 after an error that is the user's to solve.

    Raises:
        SystemExit: with 2 after a usage error.
    """
    arguments = sys.argv[1:] if argv is None else list(argv)
    parser = build_parser()
    try:
        args = parser.parse_args(with_profile(arguments, commands_of(parser)))
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
        if is_usage_error(error):
            args.parser.error(one_line(error))
        print(f"vs-gainmap: error: {one_line(error)}", file=sys.stderr)
        return 1
    return status


def commands_of(parser: Parser) -> dict[str, argparse.ArgumentParser]:
    """Return a parser's commands by name."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            return dict(action.choices)
    return {}


def _is_expected(error: Exception) -> bool:
    """Say whether an error is the user's to solve: ours, a filter's, or the disk's."""
    return isinstance(error, GainMapError | OSError | vs.Error)


def is_usage_error(error: Exception) -> bool:
    """Say whether an option is wrong, whatever the input is."""
    return isinstance(error, OptionError) or isinstance(error.__cause__, OptionError)


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

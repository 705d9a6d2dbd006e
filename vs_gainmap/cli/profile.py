"""A file of options that one always uses: `--profile film.toml`."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

from vs_gainmap.errors import MetadataError, OptionError, did_you_mean

_FLAG = "--profile"
# More than any option's number, and fewer digits than Python writes.
_HUGE = 1 << 64
COMMANDS = ("convert", "preview", "ffmpeg-args", "still")


def add_profile_option(parser: argparse.ArgumentParser) -> None:
    """Add the option to a parser, for its help; `with_profile` takes it out before parsing."""
    parser.add_argument(
        _FLAG, metavar="TOML",
        help="a file of options: strength = 0.8; those of one command in its table, [convert]",
    )  # fmt: skip


def with_profile(
    arguments: Sequence[str], commands: Mapping[str, argparse.ArgumentParser]
) -> list[str]:
    """Return arguments with those of a profile, which the others overrule.

    A key of the file is an option without the hyphens in front; `true` is one without a value, and
    a list gives an option several times. A table has the options of the command it is named by.

    Args:
        arguments: of the program.
        commands: parsers by name.

    Raises:
        OptionError: the file can't be read, or has something else.
    """
    command = next((n for n, word in enumerate(arguments) if not word.startswith("-")), None)
    if command is None or arguments[command] not in COMMANDS:
        return list(arguments)
    out, words = list(arguments[: command + 1]), iter(arguments[command + 1 :])
    own: list[str] = []
    for word in words:
        name, equals, value = word.partition("=")
        if name == _FLAG:
            path = Path(value if equals else next(words, ""))
            out += _words(path, arguments[command], commands[arguments[command]])
        else:
            own.append(word)
    return out + own


def _words(path: Path, command: str, parser: argparse.ArgumentParser) -> list[str]:
    # Help is to be quick.
    from vs_gainmap.untrusted import read_toml

    try:
        options = read_toml(path)
    except MetadataError as error:
        raise OptionError(f"profile {error}") from error
    tables = {name: table for name, table in options.items() if isinstance(table, dict)}
    unknown = tables.keys() - set(COMMANDS)
    if unknown:
        raise OptionError(f"profile {path}: there is no command {', '.join(unknown)}")
    plain = {name: value for name, value in options.items() if name not in tables}
    words: list[str] = []
    for key, value in {**plain, **tables.get(command, {})}.items():
        flag = f"--{key.replace('_', '-')}"
        action = parser._option_string_actions.get(flag)
        if action is None or flag in (_FLAG, "--help"):
            names = (name[2:].replace("-", "_") for name in parser._option_string_actions)
            raise OptionError(
                f"profile {path}: {command} has no option {key}{did_you_mean(key, names)}"
            )
        if (action.nargs == 0) != isinstance(value, bool):
            raise OptionError(
                f"profile {path}: {key} must {'' if action.nargs == 0 else 'not '}be true or false"
            )
        for each in value if isinstance(value, list) else [value]:
            if isinstance(each, bool):
                words += [flag] if each else []
            elif isinstance(each, str | float) or (isinstance(each, int) and abs(each) < _HUGE):
                words.append(f"{flag}={each}")
            else:
                raise OptionError(f"profile {path}: {key} must be text or a number")
    return words

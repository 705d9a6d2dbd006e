"""A parser whose usage errors are short and have a suggestion."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any, Never

from vs_gainmap.errors import did_you_mean, printable


class Parser(argparse.ArgumentParser):
    """An `ArgumentParser` with short errors; exits with 2 after one.

    Options are not abbreviated. Its namespace has the command's own parser as `parser`.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"allow_abbrev": False, **kwargs})

    def parse_known_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> tuple[argparse.Namespace, list[str]]:
        """Parse; each command refuses unknown options itself."""
        parsed, unknown = super().parse_known_args(args, namespace)
        # A command returns before the program does.
        parsed.parser = getattr(parsed, "parser", self)
        options = [name for name in unknown if name.startswith("-")]
        if options and not any(
            isinstance(action, argparse._SubParsersAction) for action in self._actions
        ):
            name = options[0].partition("=")[0]
            self.error(
                f"there is no option {name}{did_you_mean(name, self._option_string_actions)}"
            )
        return parsed, unknown

    def error(self, message: str) -> Never:
        """Print the error and where to read more; exit with 2."""
        self.exit(2, f"{self.prog}: error: {printable(message)}\nSee {self.prog} --help\n")

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is None or value in action.choices:
            return
        known = [str(choice) for choice in action.choices]
        raise argparse.ArgumentError(
            action, f"must be one of {', '.join(known)}, got {value}{did_you_mean(value, known)}"
        )

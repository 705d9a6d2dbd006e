"""Exceptions of the core: everything that a caller may want to tell apart."""

import difflib
from collections.abc import Iterable


def did_you_mean(given: object, known: Iterable[str]) -> str:
    """Return the end of a message that names what may be meant; empty where nothing is near."""
    near = difflib.get_close_matches(str(given), list(known), 1)
    return f'; did you mean "{near[0]}"?' if near else ""


def printable(text: object) -> str:
    """Return a text in one line, without controls of terminals: a file's name may have any."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in str(text))


class GainMapError(Exception):
    """Base of all errors that this package raises on purpose."""


class OptionError(GainMapError):
    """An option has a value that it can't have."""


class WeightsError(GainMapError):
    """A weights file is missing, damaged, or does not fit the network."""


class MetadataError(GainMapError):
    """Gain map or HDR10 metadata are missing, malformed or out of range."""


class MediaError(GainMapError):
    """A media file can't be read or written as asked."""


class NoGainMapError(MediaError):
    """A photo is sound, but carries no gain map."""


class AlreadyHdrError(MediaError):
    """A picture that was to be made HDR is HDR already."""


class DeviceError(GainMapError):
    """The device or precision asked for is not there."""


class BackendError(GainMapError):
    """A runtime for networks is missing, or can't do what is asked of it."""

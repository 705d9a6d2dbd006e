"""What an encoder says while it opens: parameters that it doesn't know, and why it won't."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

import av

from vs_gainmap.errors import MediaError
from vs_gainmap.video.encoders import Encoder, Params

_UNKNOWN = re.compile(r"Unknown option: (?P<name>\S+?)\.?$")
_REFUSED = re.compile(
    r"(?:Invalid value for|Error parsing option) (?P<name>\S+): (?P<value>.*?)\.?$"
)
_NO_GPU = re.compile(r"cannot load|no capable devices|driver|unsupported device", re.IGNORECASE)


@contextmanager
def listening(library: str) -> Iterator[list[str]]:
    """Collect the warnings and errors of one of FFmpeg's encoders, line by line."""
    said: list[str] = []
    before = av.logging.get_level()
    av.logging.set_level(av.logging.WARNING)
    try:
        # Of all threads, lest a decoder's come through to the user meanwhile.
        with av.logging.Capture(local=False) as logs:
            try:
                yield said
            finally:
                said += [text.strip() for _, name, text in logs if name == library]
    finally:
        av.logging.set_level(before)


def check_parameters(encoder: Encoder, said: Iterable[str], left: Mapping[str, str]) -> None:
    """Refuse raw parameters that an encoder passed over.

    Args:
        encoder: a row of the table.
        said: what `listening` heard while it opened.
        left: options that FFmpeg found no use for.

    Raises:
        MediaError: there are such.
    """
    unknown, refused = list(left), []
    for line in said:
        if match := _UNKNOWN.match(line):
            unknown.append(match["name"])
        elif match := _REFUSED.match(line):
            refused.append(f"{match['name']}={match['value']}")
    parts = [f"doesn't know {', '.join(dict.fromkeys(unknown))}"] if unknown else []
    parts += [f"doesn't take {', '.join(dict.fromkeys(refused))}"] if refused else []
    if parts:
        raise MediaError(
            f"encoder {encoder.name} {' and '.join(parts)}; correct --encoder-params "
            "(encoder_params=)"
        )


def open_error(
    encoder: Encoder, options: Params, error: Exception, said: Iterable[str]
) -> MediaError:
    """Return one line that says why an encoder can't be opened.

    Args:
        encoder: a row of the table.
        options: what it was to be opened with.
        error: what FFmpeg made of it.
        said: what `listening` heard.
    """
    if isinstance(error, av.codec.codec.UnknownCodecError):
        return MediaError(f"encoder {encoder.name}: this PyAV is built without {encoder.library}")
    reasons = list(dict.fromkeys(line.rstrip(".") for line in said))
    reason = "; ".join(reasons) or getattr(error, "strerror", None) or str(error)
    if "nvenc" in encoder.name and _NO_GPU.search(reason):
        return MediaError(
            f"encoder {encoder.name} needs an NVIDIA GPU that has it, and its driver: {reason}"
        )
    settings = ", ".join(f"{name} {value}" for name, value in options.items())
    return MediaError(f"encoder {encoder.name} can't be opened with {settings}: {reason}")

"""What to install for a missing library: a command that works where this package came from."""

from __future__ import annotations

from importlib.metadata import Distribution, PathDistribution
from pathlib import Path

import pytest

from vs_gainmap import extras
from vs_gainmap.errors import MediaError


@pytest.mark.parametrize(
    ("origin", "command"),
    [
        (None, 'pip install "vs-gainmap[photo]"'),
        ('{"url": "file:///a%20b/c", "dir_info": {}}', 'pip install "/a b/c[photo]"'),
        (
            '{"url": "file:///a/c", "dir_info": {"editable": true}}',
            'pip install --editable "/a/c[photo]"',
        ),
        ('{"url": "https://host/x.whl", "archive_info": {}}', 'pip install "vs-gainmap[photo]"'),
    ],
)
def test_the_command_fits_how_the_package_was_installed(
    origin: str | None, command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if origin is not None:
        (tmp_path / "direct_url.json").write_text(origin)
    installed: Distribution = PathDistribution(tmp_path)
    monkeypatch.setattr(extras, "distribution", lambda name: installed)  # noqa: ARG005
    assert extras.install_command("photo") == command
    with pytest.raises(MediaError) as error:
        extras.load("no_such_module", "some-library")
    assert str(error.value) == f"photos need some-library, which is missing: {command}"

"""A real headless browser for the pages and pictures that we write."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def find_browser(*, in_ci: bool) -> str:
    """Return Chromium, or skip; in CI a missing one is a failure."""
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    if found is None:
        if in_ci:
            pytest.fail("chromium is missing: CI must install it")
        pytest.skip("no chromium here")
    return found


def dump_dom(browser: str, page: Path, profile: Path) -> str:
    """Open a page from disk, let its scripts run, and return the document as it then is."""
    done = subprocess.run(
        [
            browser,
            *_FLAGS,
            f"--user-data-dir={profile}",
            "--virtual-time-budget=5000",
            "--dump-dom",
            page.as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    return done.stdout

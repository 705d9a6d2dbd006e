"""Fixtures that several test modules share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture(scope="session")
def shared() -> Path:
    """Return the folder of golden numbers and HDR scenes beside the checkout."""
    if not SHARED.is_dir():
        pytest.skip("no ../shared beside this checkout: golden numbers and HDR scenes live there")
    return SHARED


@pytest.fixture(scope="session")
def in_ci() -> bool:
    """Say whether a missing system package is an error instead of a reason to skip."""
    return os.environ.get("CI") == "true"

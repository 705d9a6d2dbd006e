"""Fixtures that several test modules share."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import numba  # noqa: F401 - before colour, which leaves a mock of SciPy that Numba can't import
import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from tests.media import Media
    from vs_gainmap.video import Encoded

# Shared machines stall now and then: an example's time says nothing.
settings.register_profile("default", deadline=None)
settings.load_profile("default")

# Started in the background or by nohup, tests would inherit ignored signals, and hand them on.
for _name, _usual in (
    ("SIGINT", signal.default_int_handler),
    ("SIGHUP", signal.SIG_DFL),
    ("SIGQUIT", signal.SIG_DFL),
):
    _number = getattr(signal, _name, None)
    if _number is not None and signal.getsignal(_number) == signal.SIG_IGN:
        signal.signal(_number, _usual)

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


@pytest.fixture(scope="session")
def media(tmp_path_factory: pytest.TempPathFactory) -> Media:
    """Return small media files, each made on first use."""
    from tests.media import Media

    return Media(tmp_path_factory.mktemp("media"))


@pytest.fixture(scope="session")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return two seconds of six chunks; see `tests.films`."""
    from tests.films import make_film

    path = tmp_path_factory.mktemp("film") / "film.mkv"
    make_film(path)
    return path


@pytest.fixture(scope="session")
def undisturbed(film: Path) -> Encoded:
    """Return the film, encoded without loss in one go, chunk by chunk."""
    from tests.films import run

    return run(film, film.with_name("undisturbed.mkv"))


@pytest.fixture(scope="session")
def tiny_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a small random network's file: quick, and its map is far from flat."""
    import torch

    from vs_gainmap.gainmap import PRESETS
    from vs_gainmap.models import GMNet
    from vs_gainmap.models.weights import save_weights

    torch.manual_seed(7)
    model = GMNet(8, blocks=1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(8)
        model.conv_last.bias.fill_(0.4)
        model.sq_qmax.conv[4].bias.fill_(0.7)
    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    save_weights(model, PRESETS["real-world"], path)
    return path
